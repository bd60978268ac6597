#include <doctest/doctest.h>

#include <functional>

#include "plan/access/world.hpp"
#include "support/printers.hpp"

using namespace sallyport;
using namespace sallyport::example;

namespace {

AccessRecord record_of(const World& world) {
    const access::Decision decision = world.decide();
    check(std::holds_alternative<access::Authorised>(decision), "the example opens");
    AccessRecord record;
    record.request = std::get<access::Authorised>(decision).request;
    record.decided_at = world.now;
    record.opened_at = world.now + seconds{5};
    record.latest_end = world.now + seconds{2 * 3600 + 300};
    return record;
}

access::Continuation judge(const AccessRecord& record, const World& world) {
    return access::still_allowed(record, world.policy, world.account,
                                 Known<const Topology*>(&world.topology));
}

}  // namespace

TEST_CASE("an open grant goes on under the policy that allowed it") {
    const World world;
    const auto result = judge(record_of(world), world);
    CHECK_FALSE(result.narrowed);
    CHECK(result.end_by == world.now + seconds{5} + seconds{3 * 3600});
}

TEST_CASE("what a policy or its ceiling takes back closes what is open") {
    struct Row {
        const char* why;
        std::function<void(World&)> change;
        const char* word;  // nullptr: it goes on
    };
    for (const Row& row : std::vector<Row>{
             {"sources moved away",
              [](World& w) { w.policy.network.sources.within = {cidr("10.0.0.0/8")}; },
              "spec.network.sources.within"},
             {"sources became narrower", [](World& w) { w.policy.network.sources.widest_v4 = 32; },
              nullptr},
             {"the port is gone",
              [](World& w) { w.policy.network.ports.erase(w.policy.network.ports.begin()); },
              "port 22"},
             {"another port is gone", [](World& w) { w.policy.network.ports.pop_back(); }, nullptr},
             {"the port's own sources",
              [](World& w) {
                  w.policy.network.ports[0].sources = std::vector{cidr("198.51.101.0/24")};
              },
              "198.51.101.0/24"},
             {"the target is gone",
              [](World& w) {
                  w.policy.network.targets = {MachineTarget{"rg-web", "web02"}};
              },
              "web01"},
             {"the tag is gone",
              [](World& w) {
                  w.policy.network.targets = {SelectorTarget{{}, {{"env", "prod"}}}};
              },
              "web01"},
             {"the scope is gone",
              [](World& w) { w.account.tenants[0].scopes = {"resourceGroups/rg-db"}; }, "web01"},
             {"the tenant is gone", [](World& w) { w.account.tenants.clear(); }, "payments"},
             {"the ceiling's ports",
              [](World& w) { w.account.tenants[0].ceiling.ports = {ports("3389")}; },
              "ceiling.ports"},
             {"the ceiling's other ports",
              [](World& w) { w.account.tenants[0].ceiling.ports = {ports("22")}; }, nullptr},
             {"the ceiling's sources",
              [](World& w) {
                  w.account.tenants[0].ceiling.sources =
                      SourceLimit{.within = {cidr("10.0.0.0/8")}};
              },
              "ceiling.sources"},
             {"a wider policy",
              [](World& w) { w.policy.network.ports[0].max_duration = seconds{12 * 3600}; },
              nullptr},
         }) {
        CAPTURE(row.why);
        World world;
        const AccessRecord record = record_of(world);
        row.change(world);

        const auto result = judge(record, world);

        CHECK(result.narrowed.has_value() == (row.word != nullptr));
        if (!result.narrowed || !row.word) continue;
        CHECK(result.narrowed->reason == "PolicyNarrowed");
        CHECK(result.narrowed->message.find(row.word) != std::string::npos);
    }
}

TEST_CASE("with the networks unread tags are not compared, so nothing closes for that") {
    World world;
    const AccessRecord record = record_of(world);
    world.policy.network.targets = {SelectorTarget{{}, {{"env", "prod"}}}};

    CHECK_FALSE(access::still_allowed(record, world.policy, world.account, {}).narrowed);
}

TEST_CASE("a shorter maximum ends it earlier, counted from where its clock started") {
    World world;
    AccessRecord record = record_of(world);
    world.policy.network.ports[0].max_duration = seconds{1800};

    CHECK(judge(record, world).end_by == *record.opened_at + seconds{1800});

    record.clock_starts = ClockStarts::when_approved;
    CHECK(judge(record, world).end_by == record.decided_at + seconds{1800});

    world.account.tenants[0].ceiling.max_duration = seconds{900};
    CHECK(judge(record, world).end_by == record.decided_at + seconds{900});

    record.clock_starts = ClockStarts::when_open;
    record.opened_at.reset();
    CHECK_FALSE(judge(record, world).end_by);
}
