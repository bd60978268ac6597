#include "sim/scenes.hpp"

using namespace sallyport;
using namespace sallyport::sim;
using namespace std::chrono_literals;

namespace {

std::size_t kube_writes(const World& world, std::size_t from) {
    std::size_t writes = 0;
    for (const char* verb : {"kube POST", "kube PATCH", "kube PUT", "kube DELETE"}) {
        writes += count_calls(world, from, verb) - count_calls(world, from, verb, "/events");
    }
    return writes;
}
std::size_t azure_writes(const World& world, std::size_t from) {
    std::size_t writes = 0;
    for (const char* verb : {"azure PUT", "azure PATCH", "azure DELETE"}) {
        writes += count_calls(world, from, verb);
    }
    return writes;
}

}  // namespace

TEST_CASE("numbers: a life takes one write to open and one to close per NSG, and few reads") {
    World world;
    start_ready(world);
    world.run_for(5s);
    const std::size_t before = world.calls.size();

    open_grant(world, "a", "10s");
    REQUIRE_TOLD(world, world.run_until([&] { return world.phase("a") == "Expired"; }, 60s));
    world.remove(grant_path("a"));
    REQUIRE_TOLD(world, world.run_until([&] { return world.phase("a") == "gone"; }, 60s));

    for (const char* nsg : {"nsg-subnet", "nsg-web01"}) {
        const std::string rules = std::string(nsg) + "/securityRules/";
        CHECK_TOLD(world, count_calls(world, before, "azure PUT", rules) == 1);
        CHECK_TOLD(world, count_calls(world, before, "azure DELETE", rules) == 1);
    }
    // Polls do not name their NSG: 8 for each of the two, together.
    const std::size_t reads = count_calls(world, before, "azure GET", "networkSecurityGroups/") +
                              count_calls(world, before, "azure GET", "/operations/") +
                              count_calls(world, before, "azure GET", "/operationResults/");
    CHECK_TOLD(world, reads <= 16);
    const std::size_t writes = kube_writes(world, before);
    CHECK_TOLD(world, writes <= 16);
    MESSAGE("reads on two NSGs: ", reads, ", writes to the API server: ", writes);
}

TEST_CASE(
    "numbers: connections for the closings are made in the seconds before the end, no sooner") {
    World world;
    start_ready(world);
    std::vector<std::pair<Timestamp, int>> prepared;
    world.network.on_prepare = [&](const http::Request& probe, int connections) {
        CHECK(probe.target.starts_with("/metadata/endpoints?"));
        CHECK_FALSE(probe.headers.find("Authorization"));
        prepared.emplace_back(world.now(), connections);
    };

    open_grant(world, "a", "10m");
    open_grant(world, "b", "10m");
    const Timestamp opened = world.now();
    REQUIRE_TOLD(world, world.run_until([&] { return !prepared.empty(); }, 11min));
    const Timestamp first = world.now();
    world.run_for(1min);

    CHECK(first - opened > 9min);
    CHECK(first - opened < 10min);
    CHECK(prepared.back().first - first <= 6s);
    int most = 0;
    for (const auto& [at, connections] : prepared) most = std::max(most, connections);
    CHECK(most == 4);  // two grants, each on two NSGs
}

TEST_CASE("numbers: a converged hour with an open grant writes nothing anywhere") {
    World world;
    start_ready(world);
    open_grant(world, "a", "3h");
    world.run_for(2min);
    const std::size_t before = world.calls.size();

    world.run_for(1h);

    CHECK_TOLD(world, azure_writes(world, before) == 0);
    CHECK_TOLD(world, kube_writes(world, before) == 0);
    CHECK(count_calls(world, before, "kube POST", "/events") == 0);
    CHECK(world.phase("a") == "Open");
}

TEST_CASE("numbers: a restart tells nobody what was told before, and writes nothing to the cloud") {
    World world;
    start_ready(world);
    open_grant(world, "a", "3h");
    open_grant(world, "b", "3h");
    world.run_for(2min);
    const json grant = world.grant("a");
    const json policy = world.policy("web-ssh");
    const std::size_t before = world.calls.size();

    world.crash();
    world.run_for(1min);
    world.start_operator();
    world.run_for(5min);

    CHECK_TOLD(world, azure_writes(world, before) == 0);
    const std::size_t time_of_sweep = count_calls(world, before, "kube PATCH", "/cloudaccounts/");
    CHECK_TOLD(world, time_of_sweep <= 1);
    CHECK_TOLD(world, kube_writes(world, before) == time_of_sweep);
    CHECK_TOLD(world, count_calls(world, before, "kube POST", "/events") == 0);
    CHECK(world.grant("a") == grant);
    CHECK(world.policy("web-ssh") == policy);
}

TEST_CASE("numbers: what happened while no process ran is put right and told by the next") {
    World world;
    start_ready(world);
    open_grant(world, "a", "3h");
    world.run_for(2min);
    const std::size_t before = world.calls.size();

    world.crash();
    const std::string mine = world.our_rules().front();
    delete_rule(world, mine.substr(0, mine.find('/')), mine.substr(mine.find('/') + 1));
    world.start_operator();
    world.run_for(2min);

    CHECK_TOLD(world, world.our_rules().size() == 2);
    CHECK_TOLD(world, azure_writes(world, before) == 1);
    CHECK_TOLD(world, count_calls(world, before, "kube POST", "/events") > 0);
    CHECK(world.phase("a") == "Open");
}

TEST_CASE("numbers: ends of the same second all leave before anybody is told of one") {
    constexpr std::size_t grants = 5;
    World world;
    start_ready(world);
    const Timestamp end = world.now() + 3min;
    for (std::size_t i = 0; i < grants; ++i) {
        json grant = World::a_grant("g" + std::to_string(i));
        grant["spec"].erase("duration");
        grant["spec"]["notAfter"] = format_rfc3339(end);
        ask(world, grant);
    }
    const auto all_are = [&](const char* phase) {
        for (std::size_t i = 0; i < grants; ++i) {
            if (world.phase("g" + std::to_string(i)) != phase) return false;
        }
        return true;
    };
    REQUIRE_TOLD(world, world.run_until([&] { return all_are("Open"); }, 2min));
    world.run_for(end - world.now() - 2s);
    const std::size_t before = world.calls.size();

    REQUIRE_TOLD(world, world.run_until([&] { return all_are("Expired"); }, 2min));

    std::size_t closings = 0;
    for (std::size_t i = before; i < world.calls.size(); ++i) {
        const std::string& call = world.calls[i];
        if (call.starts_with("azure DELETE")) ++closings;
        if (call.starts_with("kube P")) break;
    }
    CHECK_TOLD(world, closings == 2 * grants);
    CHECK_TOLD(world, count_calls(world, before, "azure DELETE") == 2 * grants);
}
