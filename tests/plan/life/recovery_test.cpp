#include <doctest/doctest.h>

#include "plan/life/ends.hpp"
#include "plan/life/story.hpp"
#include "support/printers.hpp"

using namespace sallyport;
using namespace sallyport::example;

namespace {

Story an_open_story() {
    Story story;
    story.settle();
    REQUIRE(story.state() == "Ready=True/Open Active=True");
    return story;
}

}  // namespace

TEST_CASE("after a restart an opened record without pending writes has nothing in flight") {
    Story story = an_open_story();
    story.restart();
    story.remove_object();

    story.settle();

    CHECK_FALSE(story.exists);
}

TEST_CASE("after a crash during the opening the hold stays until nothing can land any more") {
    Story story;
    story.writable = false;
    story.settle();  // hold, record, claims; the process dies
    story.followed = false;
    story.remove_object();
    story.settle();

    // Proven closed, and read again at 1, 5 and 15 min after the last moment at which a write could
    // leave.
    CHECK(story.record->closed_at == story.now);
    CHECK(story.exists);
    CHECK(story.last.next == story.now + seconds{60});
    const Timestamp landed = at("09:00:10") + seconds{300 + 900};
    story.now = landed - seconds{1};
    story.settle();
    CHECK(story.exists);
    story.readable = false;
    story.now = landed;
    story.settle();
    CHECK(story.exists);
    CHECK(story.last.read_since == landed);
    story.readable = true;
    story.settle();
    CHECK_FALSE(story.exists);
}

TEST_CASE(
    "a write of unknown end that lands after the closing is removed again, and the hold waits for "
    "it") {
    Story story = an_open_story();
    story.record->rules[0].writes = {{.client_request_id = "r1", .started = story.now}};
    story.remove_object();
    story.settle();
    REQUIRE(story.record->closed());
    CHECK(story.exists);

    story.now += seconds{120};
    story.rules.insert(nsg_id("nsg-web"));
    story.round();
    CHECK(story.state() ==
          "Ready=Unknown/Closing Reconciling=True/LateOpen Active=True SessionMayPersist=True");
    story.settle();
    CHECK(story.rules.empty());
    CHECK(story.exists);

    story.now = at("09:15:10");
    story.settle();
    CHECK_FALSE(story.exists);
}

TEST_CASE("an ended grant's object is deleted after its retention, unless a GitOps tool owns it") {
    Story story = an_open_story();
    story.now = at("11:00:10");
    story.settle();
    story.pass(seconds{168 * 3600 - 1});
    CHECK(story.exists);
    story.pass(seconds{1});
    CHECK_FALSE(story.exists);
    CHECK(story.record);  // the only thing that knows it was used

    story = Story();
    story.grant.meta.labels["kustomize.toolkit.fluxcd.io/name"] = "payments";
    story.grant.duration.reset();
    story.grant.not_after = at("10:00:00");
    story.settle();
    REQUIRE(story.state() == "Ready=True/Open Active=True");
    story.pass(seconds{400 * 3600});
    CHECK(story.exists);
    CHECK(story.published.phase == "Expired");
}

TEST_CASE(
    "with an absolute end the record goes a day after it, and the same grant is born Expired") {
    Story story;
    story.grant.duration.reset();
    story.grant.not_after = at("10:00:00");
    story.settle();
    story.now = at("09:30:00");
    story.remove_object();
    story.settle();
    REQUIRE_FALSE(story.exists);
    REQUIRE(story.record);

    story.now = time("2026-11-22T09:59:59Z");
    story.settle();
    CHECK(story.record);
    story.now = time("2026-11-22T10:00:00Z");
    story.settle();
    CHECK_FALSE(story.record);

    World fresh;
    story.grant = fresh.grant;
    story.grant.duration.reset();
    story.grant.not_after = at("10:00:00");
    story.exists = true;
    story.published = {};
    story.settle();
    CHECK(story.state() == "Ready=True/Expired Active=False");
    CHECK(story.opened == 1);
}

TEST_CASE("a grant deleted during its opening goes as soon as its own writes have ended") {
    Story story;
    story.readable = false;
    story.settle();
    REQUIRE(story.opened == 1);
    // What the lane tells of its write once it has ended.
    life::RecordChange told;
    told.opening_at = story.now;
    told.rules = {
        {.nsg = nsg_id("nsg-web"),
         .name = "sp-k7f2m3qa-rule-0",
         .writes = {{.client_request_id = "r1", .started = story.now, .ended = story.now}}}};
    told.apply_to(*story.record);
    story.readable = true;
    story.remove_object();

    story.settle();

    CHECK_FALSE(story.exists);
}

TEST_CASE("a rule is put back three times, and not once where the policy ends what is taken away") {
    AccessRecord record;
    record.opened_at = at("11:00:00");
    record.rules = {{.nsg = nsg_id("nsg-web"), .name = "sp-a", .repairs = 2},
                    {.nsg = nsg_id("nsg-subnet"), .name = "sp-a", .repairs = 3}};
    JitPolicy ends;
    ends.repair_open = false;

    CHECK_FALSE(life::is_exhausted(record, nullptr, nsg_id("nsg-web"), "sp-a"));
    CHECK(life::is_exhausted(record, nullptr, nsg_id("nsg-subnet"), "sp-a"));
    CHECK_FALSE(life::is_exhausted(record, nullptr, nsg_id("nsg-subnet"), "sp-b"));
    CHECK(life::is_exhausted(record, &ends, nsg_id("nsg-web"), "sp-a"));
    CHECK(life::is_exhausted(record, &ends, nsg_id("nsg-web"), "sp-b"));
}

TEST_CASE("refused and tried again, a rule is put back once; what was never open is not put back") {
    AccessRecord record;
    record.rules = {{.nsg = nsg_id("nsg-web"), .name = "sp-a", .repairs = 3}};
    CHECK_FALSE(life::is_exhausted(record, nullptr, nsg_id("nsg-web"), "sp-a"));

    record.opened_at = at("11:00:00");
    for (const char* outcome : {"Failed", "Unknown", "NotSent", ""}) {
        CAPTURE(outcome);
        record.rules[0].writes = {{.client_request_id = "1", .outcome = outcome}};
        CHECK_FALSE(life::is_exhausted(record, nullptr, nsg_id("nsg-web"), "sp-a"));
    }
    record.rules[0].writes.back().outcome = "Succeeded";
    CHECK(life::is_exhausted(record, nullptr, nsg_id("nsg-web"), "sp-a"));
}

TEST_CASE("what began to close at its end stays closed when the clock is set back") {
    Story story = opened();
    story.writable = false;
    story.now = at("11:00:10");
    REQUIRE(story.round().closing);

    story.now = at("10:59:50");
    story.was_due = true;
    const life::Plan plan = story.round();
    CHECK(plan.closing);
    CHECK_FALSE(plan.claims.at(nsg_id("nsg-web")).may_open);
    story.writable = true;
    story.settle();

    CHECK(story.rules.empty());
    CHECK(story.opened == 1);
    CHECK(story.published.phase == "Expired");
    CHECK(story.record->end_reason == "Expired");
}

TEST_CASE("what stands open by others is not called opened before it is known what is wanted") {
    Story story;
    story.writable = false;
    story.settle();  // hold, record, claims; the process dies
    REQUIRE(story.record);
    REQUIRE_FALSE(story.record->opened_at);
    story.followed = false;
    life::View view = story.view();
    view.proof.open = Truth::yes;
    view.lanes.clear();
    view.asked.topology = {};

    const life::Plan plan = life::plan(view, story.now);

    CHECK(plan.claims.empty());
    CHECK(plan.steps.empty());
}

TEST_CASE("a machine that moved to where no group is leaves no opening at its old place") {
    Story story = opened();
    REQUIRE(story.rules == std::set<NsgId>{nsg_id("nsg-web")});
    std::vector<VirtualNetwork> networks = *story.topology.networks;
    networks.front().subnets.front().nsg.reset();
    story.topology.networks = networks;

    story.settle();

    CHECK(story.rules.empty());
    CHECK_FALSE(story.record->closed());
    CHECK(text_of(story.published).find("NoNsgNoFirewall") != std::string::npos);
}
