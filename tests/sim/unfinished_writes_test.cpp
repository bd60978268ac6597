#include <fmt/format.h>

#include "sim/scenes.hpp"

using namespace sallyport;
using namespace sallyport::sim;
using namespace std::chrono_literals;

// What was accepted and never came into force: Azure says that it failed, or goes on saying that it
// is under way.
namespace {

/// What becomes of the next `times` operations that write a rule of this NSG.
void end_operations(World& world, const std::string& nsg, const std::string& end, int times) {
    set_fault(world, {{"match", {{"method", "PUT"}, {"path", nsg}, {"principal", "sallyport"}}},
                      {"times", times},
                      {"effect", {{"operation", {{"end", end}}}}}});
}

/// As many operations of it do not end on one of the two groups.
void start_with_lockdown_under_way(World& world, int times) {
    end_operations(world, "nsg-subnet", "Never", times);
    world.set_up();
    world.start_operator();
    world.run_for(10s);
}

std::string state_of(World& world, const std::string& rule) {
    const json found = find_rule(world, rule);
    return found.is_null() ? "" : found.at("properties").value("provisioningState", "");
}

}  // namespace

TEST_CASE("an opening whose operation fails each time is tried less and less often") {
    World world;
    start_ready(world);
    std::vector<SteadyTime> tries;
    world.fate = [&](const http::Request& request) {
        const bool puts =
            request.method == "PUT" && request.target.find("nsg-subnet") != std::string::npos;
        if (puts) tries.push_back(world.time.loop.steady_now());
        return support::Fate{};
    };
    end_operations(world, "nsg-subnet", "Failed", 1000);
    json grant = World::a_grant("a", "1h");
    grant["spec"]["network"]["sources"] = {"198.51.100.7/32", "198.51.100.32/28"};
    ask(world, grant);
    world.run_for(3min);

    REQUIRE_TOLD(world, tries.size() >= 6);
    CHECK_TOLD(world, tries.size() <= 12);
    CHECK(tries.back() - tries[tries.size() - 2] > 20s);
    CHECK(tries[2] - tries[1] < 5s);
}

TEST_CASE("a lockdown that Azure says for ever to be writing is written again after 15 min") {
    World world;
    start_with_lockdown_under_way(world, 1);
    const std::vector<std::string> lockdown = world.our_rules(false);
    REQUIRE(lockdown.size() == 2);
    const std::string rule = lockdown.front();
    REQUIRE(rule.starts_with("nsg-subnet/"));
    const auto is_closed = [&] {
        return condition(world.policy("web-ssh"), "Closed").value("status", "") == "True";
    };
    world.run_for(14min);
    REQUIRE(state_of(world, rule) == "Updating");
    CHECK_FALSE(is_closed());
    const std::size_t before = world.calls.size();

    CHECK_TOLD(world, world.run_until(is_closed, 5min));
    CHECK(state_of(world, rule) == "Succeeded");
    CHECK(count_calls(world, before, "azure PUT", "nsg-subnet/") == 1);
    CHECK(count_calls(world, before, "azure PUT", "nsg-web01/") == 0);
    CHECK(world.log.errors == 0);
}

TEST_CASE("what Azure says for ever to be writing is written every 15 min, not more often") {
    World world;
    start_with_lockdown_under_way(world, 1000);
    const std::size_t before = world.calls.size();
    world.run_for(3h);
    const std::size_t tried = count_calls(world, before, "azure PUT", "nsg-subnet/");
    CHECK(tried >= 9);
    CHECK(tried <= 12);
}
