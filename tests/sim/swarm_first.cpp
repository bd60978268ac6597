#include <fmt/format.h>

#include "sim/scenes.hpp"
#include "sim/swarm.hpp"

// Users, tools, outsiders and faults of the first cast.
namespace sallyport::sim {

using namespace std::chrono_literals;

namespace {

constexpr const char* nsgs[] = {"nsg-subnet", "nsg-web01"};

/// As people and tools who do not wait for an answer: refused is refused.
void put_quietly(World& world, const std::string& nsg, const std::string& name, const json& rule) {
    world.azure("PUT", rule_path(nsg, name), rule);
}

/// All rules that are not ours, as a tool writes an NSG from its own list.
json whole_nsg_without_ours(World& world, const std::string& name) {
    const json state = world.azure_state();  // outlives the loop over its members
    for (const json& nsg : state.at("value")) {
        if (nsg.at("name") != name) continue;
        json rules = json::array();
        for (const json& rule : nsg.at("properties").at("securityRules")) {
            if (rule.at("name").get<std::string>().starts_with("sp-")) continue;
            rules.push_back({{"name", rule.at("name")}, {"properties", rule.at("properties")}});
        }
        return {{"location", nsg.at("location")}, {"properties", {{"securityRules", rules}}}};
    }
    return {};
}

}  // namespace

void Swarm::plan_users() {
    static constexpr const char* durations[] = {"10s", "30s", "2m", "1h"};
    static constexpr const char* sources[] = {"198.51.100.7/32", "198.51.100.8/32",
                                              "198.51.101.16/28"};
    const std::uint64_t grants = 1 + draw(4);
    for (std::uint64_t i = 0; i < grants; ++i) {
        const std::string name = names_.emplace_back(fmt::format("g{}", i));
        json grant = World::a_grant(name, durations[draw(4)]);
        json& spec = grant["spec"]["network"];
        spec["sources"] = {sources[draw(3)]};
        if (chance(0.4)) spec["virtualMachines"] = {"web02"};
        if (chance(0.2)) spec["virtualMachines"] = {"web01", "web02"};
        const SteadyTime asked = some_time(0.02, 0.7);
        add(asked, "asks for " + name, [this, grant] { world.create_as("alice", grant); });
        const SteadyTime ended = asked + std::chrono::milliseconds(draw(90'000));
        if (chance(0.3))
            add(ended, "deletes " + name,
                [this, name] { world.request("admin", "DELETE", grant_path(name)); });
        if (chance(0.3))
            add(ended, "revokes " + name, [this, name] {
                world.request("admin", "PATCH", grant_path(name), R"({"spec":{"revoked":true}})",
                              "application/merge-patch+json");
            });
        // A Git tool that applies what it has, again and again.
        const bool from_git = chance(0.3);
        for (SteadyTime at = asked + 30s; from_git && at < began_ + troubled_; at += 30s)
            add(at, "applies " + name, [this, grant] { world.create_as("alice", grant); });
    }
}

void Swarm::plan_outsiders() {
    for (const char* nsg : nsgs) {
        if (chance(0.3)) {
            const int priority = 1200 + static_cast<int>(draw(50));
            add(some_time(0.1, 0.9), "Terraform adds a rule", [this, nsg, priority] {
                put_quietly(world, nsg, "tf", a_rule(priority, "Allow", "10.9.0.0/24", 443));
            });
        }
        if (chance(0.15))
            add(some_time(0.1, 0.9), "Terraform writes the NSG as it knows it", [this, nsg] {
                world.azure("PUT",
                            fmt::format("/subscriptions/22222222-2222-2222-2222-222222222222/"
                                        "resourceGroups/rg-web/providers/Microsoft.Network/"
                                        "networkSecurityGroups/{}?api-version=2024-01-01",
                                        nsg),
                            whole_nsg_without_ours(world, nsg));
            });
        if (chance(0.2))
            add(some_time(0.1, 0.9), "Defender takes a low number", [this, nsg] {
                put_quietly(world, nsg, "defender", a_rule(200, "Deny", "192.0.2.0/24", 22));
            });
    }
    for (int i = 0; i < 2; ++i) {
        const std::uint64_t which = draw(64);
        if (chance(0.2))
            add(some_time(0.1, 0.9), "somebody widens a rule",
                [this, which] { change_some_rule(Change::widened, which); });
        if (chance(0.2))
            add(some_time(0.1, 0.9), "somebody removes a rule",
                [this, which] { change_some_rule(Change::removed, which); });
    }
}

/// By a die of its own: what a seed met with before there were tearings, it still meets with.
void Swarm::plan_tearings() {
    std::mt19937_64 die(world.seed + 0x70e);
    if (die() % 5 > 0) return;
    const std::string name = names_.emplace_back(fmt::format("g{}", die() % 2));
    const auto span = std::chrono::duration_cast<std::chrono::milliseconds>(troubled_).count();
    const SteadyTime at =
        began_ + std::chrono::milliseconds(die() % static_cast<std::uint64_t>(span));
    add(at, "tears off " + name, [this, name] { tear_off(world, name); });
    if (die() % 2 > 0) return;
    const json again = World::a_grant(name, "1h");
    add(at, "makes " + name + " again", [this, again] { world.create_as("alice", again); });
}

void Swarm::plan_faults() {
    static constexpr double probabilities[] = {0.01, 0.05, 0.2};
    const std::vector<FaultKind>& kinds = fault_kinds();
    for (std::uint64_t i = draw(5); i > 0; --i) {
        const FaultKind& kind = kinds[draw(kinds.size())];
        if (!kind.lasts && !kind.single) chances_.push_back({&kind, probabilities[draw(3)]});
    }
    for (std::uint64_t i = draw(4); i > 0; --i) {
        const auto down = std::chrono::milliseconds(200 + draw(20'000));
        add(some_time(0, 1), "kill -9", [this, down] { crash_for(down); });
    }
    for (std::uint64_t i = draw(3); i > 0; --i)
        add(some_time(0, 1), "all watches break", [this] { world.network.break_streams(); });
    if (chance(0.2)) {
        add(some_time(0, 0.8), "watches fall silent for 40 s", [this] {
            monitor.disturb_kube(75s);
            injector.streams_silent = true;
            silent_until_ = world.time.loop.steady_now() + 40s;
        });
    }
}

}  // namespace sallyport::sim
