#include <doctest/doctest.h>

#include <functional>

#include "plan/life/story.hpp"
#include "support/printers.hpp"

using namespace sallyport;
using namespace sallyport::example;

namespace {

constexpr const char* opening = "Ready=Unknown/Opening Reconciling=True/Opening Active=Unknown";
constexpr const char* open = "Ready=True/Open Active=True";
constexpr const char* closing =
    "Ready=Unknown/Closing Reconciling=True/Closing Active=True SessionMayPersist=True";

template <class Step>
bool has(const life::Plan& plan) {
    return std::ranges::any_of(plan.steps,
                               [](const auto& step) { return std::holds_alternative<Step>(step); });
}

}  // namespace

TEST_CASE("a grant opens after hold and record, and says Open when a read has proven it") {
    Story story;

    CHECK(has<life::TakeHold>(story.round()));
    CHECK(story.rules.empty());
    CHECK(has<life::CreateRecord>(story.round()));
    CHECK(story.rules.empty());
    story.round();
    CHECK(story.state() == opening);
    CHECK(story.opened == 1);
    CHECK(has<life::UpdateRecord>(story.round()));
    story.round();

    CHECK(story.state() == open);
    CHECK(story.message() ==
          "open from 198.51.100.7/32 to web01 (22 Tcp) until 2026-11-21T11:00:10Z");
    CHECK(story.published.phase == "Open");
    CHECK(story.published.observed_generation == 1);
    CHECK(story.published.requester == "alice");
    CHECK(story.published.request_digest == story.record->request_digest);
    CHECK(story.published.expiration_time == at("11:00:10"));
    REQUIRE(story.published.surfaces.size() == 1);
    CHECK(story.published.surfaces[0].state == "Open");
    CHECK(story.published.surfaces[0].priority == 200);
    REQUIRE(story.published.connections.size() == 1);
    CHECK(story.published.connections[0].connect_to == "10.0.0.4");
}

TEST_CASE("the record holds the decision and a latest end that no clock can pass") {
    const Story story = opened();

    const AccessRecord& record = *story.record;
    CHECK(record.meta.key.ns == operator_namespace);
    CHECK(record.meta.key.name == record_name(owner(), {"payments", "alice-web01"}, ""));
    CHECK(record.grant_uid == "grant-uid");
    CHECK(record.policy_uid == "policy-uid");
    CHECK(record.account_uid == "account-uid");
    CHECK(record.requester.user == "alice");
    CHECK(record.decided_at == at("09:00:10"));
    CHECK(record.latest_end == at("11:05:10"));
    CHECK(record.opened_at == at("09:00:10"));
    CHECK(record.end == at("11:00:10"));
    REQUIRE(record.rules.size() == 1);
    CHECK(record.rules[0].name == "sp-k7f2m3qa-rule-0");
}

TEST_CASE("at its end a grant closes, and rests as Expired when its rules are proven gone") {
    Story story = opened();
    story.now = at("11:00:09");
    story.round();
    CHECK(story.rules.size() == 1);

    story.now = at("11:00:10");
    const life::Plan plan = story.round();
    CHECK(plan.closing);
    CHECK(plan.end == at("11:00:10"));
    CHECK(plan.claims.at(nsg_id("nsg-web")).wanted.empty());
    CHECK_FALSE(plan.claims.at(nsg_id("nsg-web")).may_open);
    CHECK(story.state() == closing);
    story.settle();

    CHECK(story.state() == "Ready=True/Expired Active=False SessionMayPersist=True");
    CHECK(story.record->closed_at == at("11:00:10"));
    CHECK(story.record->end_reason == "Expired");
    CHECK(story.published.closed_at == at("11:00:10"));
    CHECK(story.published.surfaces[0].state == "Removed");
    CHECK(story.last.claims.empty());
    CHECK_FALSE(story.last.end);
}

TEST_CASE("a life without faults costs few writes on the API server") {
    Story story = opened();
    story.now = at("11:00:10");
    story.settle();
    story.remove_object();
    story.settle();

    CHECK_FALSE(story.exists);
    CHECK(story.opened == 1);
    CHECK(story.created == 1);
    MESSAGE("writes on the API server: " << story.store_writes);
    CHECK(story.store_writes <= 16);
}

TEST_CASE("each of the ways to end closes, is proven, and says why") {
    struct Row {
        const char* reason;
        std::function<void(Story&)> end;
    };
    for (const Row& row : std::vector<Row>{
             {"Revoked", [](Story& s) { s.grant.revoked = true; }},
             {"PolicyNarrowed",
              [](Story& s) { s.policy.network.sources.within = {cidr("10.0.0.0/8")}; }},
             {"PolicyDeleted", [](Story& s) { s.policy.meta.deleted = s.now; }},
             {"PolicyDeleted", [](Story& s) { s.policy_exists = false; }},
             {"PolicyDeleted", [](Story& s) { s.policy.meta.uid = "another"; }},
             {"AccountDeleted", [](Story& s) { s.account.meta.deleted = s.now; }},
             {"TargetGone", [](Story& s) { s.topology.machines = std::vector<VirtualMachine>(); }},
             {"TargetReplaced",
              [](Story& s) { s.change_machine("web01", [](auto& m) { m.vm_id = "another"; }); }},
             {"Expired", [](Story& s) { s.now = at("11:00:10"); }},
         }) {
        CAPTURE(row.reason);
        Story story = opened();
        story.now += seconds{60};
        row.end(story);

        story.settle();

        CHECK(story.rules.empty());
        CHECK(story.state() ==
              fmt::format("Ready=True/{} Active=False SessionMayPersist=True", row.reason));
        CHECK(story.record->end_reason == row.reason);
        CHECK(story.record->closed());
        CHECK(*story.record->end <= story.now);
    }
}

TEST_CASE("an early end is recorded before it is proven, so that it cannot be taken back") {
    Story story = opened();
    story.writable = false;
    story.policy.network.sources.within = {cidr("10.0.0.0/8")};
    story.settle();
    REQUIRE(story.record->end_reason == "PolicyNarrowed");

    story.policy = Story().policy;
    story.writable = true;
    story.settle();

    CHECK(story.rules.empty());
    CHECK(story.opened == 1);
    CHECK(story.published.phase == "PolicyNarrowed");
}

TEST_CASE("a deleted grant is released only after a read shows its rules gone") {
    Story story = opened();
    story.writable = false;
    story.remove_object();
    story.settle();
    CHECK(story.exists);
    CHECK(story.grant.meta.held());
    CHECK(story.state() == closing);

    story.writable = true;
    story.readable = false;
    story.settle();
    CHECK(story.exists);
    CHECK_FALSE(story.record->closed());

    story.readable = true;
    story.settle();
    CHECK_FALSE(story.exists);
    CHECK(story.record->end_reason == "Deleted");
    CHECK(story.record->closed());
}

TEST_CASE("a grant deleted before there was a record is released at once") {
    Story story;
    story.round();
    REQUIRE(story.grant.meta.held());
    story.remove_object();

    story.settle();

    CHECK_FALSE(story.exists);
    CHECK_FALSE(story.record);
}

TEST_CASE("a grant whose object was taken away by force is closed by its record") {
    Story story = opened();
    story.exists = false;

    story.settle();

    CHECK(story.rules.empty());
    CHECK(story.record->closed());
    CHECK(story.record->end_reason == "Deleted");
}

TEST_CASE("a store that cannot tell whether the grant exists ends nothing and opens nothing") {
    Story story = opened();
    story.grants_known = false;
    story.settle();
    CHECK(story.rules.size() == 1);
    CHECK_FALSE(story.record->closed());

    story.rules.clear();
    story.settle();
    CHECK(story.rules.empty());

    story.now = at("11:00:10");
    story.rules.insert(nsg_id("nsg-web"));
    story.settle();
    CHECK(story.rules.empty());
    CHECK(story.record->closed());
}

TEST_CASE("with records unknown nothing is planned and lanes keep what they were told") {
    Story story = opened();
    story.records_known = false;

    const life::Plan plan = story.round();

    CHECK(plan.steps.empty());
    CHECK_FALSE(plan.claims_known);
    CHECK_FALSE(plan.status);
    CHECK(story.rules.size() == 1);
}

TEST_CASE("the same grant opens once: created again it rests as already used") {
    Story story = opened();
    story.remove_object();
    story.settle();
    REQUIRE_FALSE(story.exists);

    const World fresh;
    story.grant = fresh.grant;
    story.grant.meta.uid = "second-uid";
    story.exists = true;
    story.published = {};
    story.settle();

    CHECK(story.state() == "Ready=True/AlreadyUsed Active=False");
    CHECK(story.opened == 1);
    CHECK_FALSE(story.grant.meta.held());
}

TEST_CASE("an opening that is not proven in time closes and fails") {
    Story story;
    story.writable = false;
    story.settle();
    CHECK(story.state() == opening);
    story.pass(seconds{299});
    CHECK(story.state() == opening);

    story.pass(seconds{1});

    CHECK(story.state() == "Ready=False/OpeningTimedOut Stalled=True Active=False");
    CHECK(story.record->closed());
    story.writable = true;
    story.pass(seconds{3600});
    CHECK(story.opened == 0);
}

TEST_CASE("a grant whose time is over before it was proven open says so") {
    Story story;
    story.grant.duration.reset();
    story.grant.not_after = at("09:02:00");
    story.writable = false;
    story.settle();

    story.pass(seconds{120});

    CHECK(story.state() == "Ready=True/EndedBeforeOpen Active=False");
}

TEST_CASE("drift is put back, and the grant stays open while its status says what happens") {
    Story story = opened();
    story.rules.clear();

    story.round();
    CHECK(story.state() == "Ready=True/Open Reconciling=True/DriftRepair Active=Unknown");
    story.settle();

    CHECK(story.state() == open);
    CHECK(story.opened == 2);
    CHECK(story.record->end == at("11:00:10"));
}

TEST_CASE(
    "an opening that is taken away for the fourth time ends, or the first time if the policy says "
    "so") {
    Story story = opened();
    story.record->rules[0].repairs = 3;
    story.rules.clear();
    story.settle();
    CHECK(story.published.phase == "RemovedBy");
    CHECK(story.record->end_reason == "RemovedBy(unknown)");
    CHECK(story.opened == 1);

    story = opened();
    story.policy.repair_open = false;
    story.rules.clear();
    story.settle();
    CHECK(story.published.phase == "RemovedBy");
    CHECK(story.opened == 1);
}

TEST_CASE("a policy that may no longer be read repairs nothing") {
    Story story = opened();
    life::View view = story.view();
    view.asked.policy = {};

    const life::Plan plan = life::plan(view, story.now);

    CHECK_FALSE(plan.claims.at(nsg_id("nsg-web")).may_open);
    CHECK_FALSE(plan.claims.at(nsg_id("nsg-web")).wanted.empty());
}

TEST_CASE("a shorter maximum moves the end earlier, a longer one gives nothing") {
    Story story = opened();
    story.policy.network.ports[0].max_duration = seconds{1800};
    story.settle();
    CHECK(story.record->end == at("09:30:10"));
    CHECK(story.published.expiration_time == at("09:30:10"));
    CHECK(story.state() == open);

    story.policy.network.ports[0].max_duration = seconds{12 * 3600};
    story.settle();
    CHECK(story.record->end == at("09:30:10"));

    story.now = at("09:30:10");
    story.settle();
    CHECK(story.published.phase == "Expired");
}

TEST_CASE("an earlier notAfter moves the end") {
    Story story;
    story.grant.duration.reset();
    story.grant.not_after = at("11:00:00");
    story.settle();
    REQUIRE(story.state() == open);
    CHECK(story.record->latest_end == at("11:00:00"));

    story.grant.not_after = at("10:00:00");
    ++story.grant.meta.generation;
    story.settle();

    CHECK(story.record->end == at("10:00:00"));
    CHECK(story.published.observed_generation == 2);
    story.now = at("10:00:00");
    story.settle();
    CHECK(story.published.phase == "Expired");
}

TEST_CASE("a clock that starts with the decision does not wait for the proof") {
    Story story;
    story.policy.clock_starts = ClockStarts::when_approved;
    story.readable = false;
    story.settle();
    story.now = at("09:04:00");
    story.readable = true;

    story.settle();

    CHECK(story.record->opened_at == at("09:04:00"));
    CHECK(story.record->end == at("11:00:10"));
    CHECK(story.record->latest_end == at("11:05:10"));
}

TEST_CASE("a clock that starts with the opening never passes the latest end") {
    Story story;
    story.readable = false;
    story.settle();
    story.now = at("09:05:09");
    story.readable = true;

    story.settle();

    CHECK(story.record->end == at("11:05:09"));
    CHECK(*story.record->end <= story.record->latest_end);
}

TEST_CASE("a closing that is refused or late is a failure that says what stands in its way") {
    Story story = opened();
    story.now = at("11:00:10");
    story.closing_refused = true;

    story.settle();

    CHECK(story.state() ==
          "Ready=False/CloseFailing Stalled=True Active=True SessionMayPersist=True");
    CHECK(story.message().find("delete refused") != std::string::npos);
    CHECK(story.published.surfaces[0].state == "Failed");
    CHECK(story.last.end == at("11:00:10"));

    story = opened();
    story.now = at("11:00:10");
    story.writable = false;
    story.settle();
    CHECK(story.state() == closing);
    CHECK(story.last.next == at("11:00:40"));
    story.pass(seconds{30});
    CHECK(story.published.phase == "CloseFailing");

    story.writable = true;
    story.settle();
    CHECK(story.published.phase == "Expired");
}

TEST_CASE("sessions are said to end where the NSG flushes its flows") {
    Story story = opened();
    story.flushes = true;
    story.now = at("11:00:10");

    story.settle();

    CHECK(story.state() == "Ready=True/Expired Active=False");
}

TEST_CASE("an ended grant whose sources another grant still lets in does not pretend otherwise") {
    Story story = opened();
    story.still_open_by = {"payments/bob-web01"};
    story.now = at("11:00:10");

    story.settle();

    CHECK(story.message().find("StillOpenBy(payments/bob-web01)") != std::string::npos);
    story.still_open_by.clear();
    const int writes = story.store_writes;
    story.settle();
    CHECK(story.store_writes == writes);  // history is not rewritten when the other one ends
}

TEST_CASE("a foreign deny in the way stops an opening that respects it") {
    Story story;
    story.foreign_denies = {"nsg-web/deny-ssh"};
    story.settle();
    CHECK(story.opened == 0);
    CHECK(story.state() == "Ready=Unknown/ForeignDeny Reconciling=True/ForeignDeny Active=Unknown");

    story = Story();
    story.foreign_denies = {"nsg-web/deny-ssh"};
    story.policy.network.override_foreign_deny = true;
    story.settle();
    CHECK(story.state() == open);
    CHECK(story.message().find("nsg-web/deny-ssh") != std::string::npos);
}

TEST_CASE("a read that is on its way is no news about an open grant; one that fails is") {
    Story story = opened();
    const int writes = story.store_writes;
    story.readable = false;
    story.settling = true;
    story.settle();
    CHECK(story.state() == open);
    CHECK(story.store_writes == writes);

    story.settling = false;
    story.settle();
    CHECK(story.state() == "Ready=Unknown/Unread Reconciling=True/Unread Active=Unknown");
}

TEST_CASE("what is not known yet after a start is told only to whom nothing was told before") {
    Story story;
    story.settling = true;
    story.readable = false;
    story.settle();
    CHECK_FALSE(story.published.conditions.empty());

    Story before = opened();
    before.lanes_settled = false;
    before.settling = true;
    before.readable = false;
    before.blocked_by = {"nsg-web/deny-all"};
    const int writes = before.store_writes;
    before.settle();
    CHECK(before.state() == open);
    CHECK(before.store_writes == writes);

    before.grant.meta.generation += 1;
    before.settle();
    CHECK(before.published.observed_generation == before.grant.meta.generation);
}
