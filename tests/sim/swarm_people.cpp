#include <fmt/format.h>

#include "model/mark.hpp"
#include "sim/people.hpp"
#include "sim/scenes.hpp"
#include "sim/swarm.hpp"

// People and tools who joined after the first cast: those who ask in a hurry and think better of
// it, who write policies, who meddle with our rules, and other installations beside this one.
namespace sallyport::sim {

using namespace std::chrono_literals;

void Swarm::plan_people() {
    plan_requesters();
    plan_policy();
    plan_meddlers();
    plan_neighbours();
    if (chance(0.08)) plan_detaching();
}

void Swarm::plan_requesters() {
    const std::uint64_t grants = 2 + draw(4);
    SteadyTime last_end = end_of_trouble();
    for (std::uint64_t i = 0; i < grants; ++i) {
        const std::string name = names_.emplace_back(fmt::format("h{}", i));
        SteadyTime asked = some_time(0.02, 0.7);
        // Whoever still needs it asks for the next just before the end.
        if (last_end < end_of_trouble() && chance(0.35)) asked = last_end - draw_ms(0, 3000);
        asked = plan_request(name, asked, last_end);
        moments_.push_back(asked);
        if (last_end < end_of_trouble()) moments_.push_back(last_end);
    }
}

SteadyTime Swarm::plan_request(const std::string& name, SteadyTime asked, SteadyTime& ends) {
    static constexpr const char* sources[] = {"198.51.100.7/32", "198.51.100.7/32",
                                              "198.51.100.8/32", "198.51.101.16/28"};
    static constexpr std::pair<const char*, std::chrono::seconds> durations[] = {
        {"10s", 10s}, {"20s", 20s}, {"45s", 45s}, {"2m", 2min}, {"1h", 1h}, {"1h", 1h}};
    const auto& [duration, lasts] = durations[draw(6)];
    json grant = World::a_grant(name, duration);
    json& network = grant["spec"]["network"];
    network["sources"] = {sources[draw(4)]};
    if (setting_.both_families && chance(0.7)) network["sources"].push_back("2001:db8::7/128");
    if (chance(0.3)) network["virtualMachines"] = {"web02"};
    if (chance(0.3)) network["virtualMachines"] = {"web01", "web02"};
    ends = asked + lasts;
    if (chance(0.3)) {  // by the clock on the wall
        const auto from_now = std::chrono::ceil<seconds>(asked - began_) + seconds(1 + draw(11));
        grant["spec"].erase("duration");
        grant["spec"]["notAfter"] = format_rfc3339(world.now() + from_now);
        ends = began_ + from_now;
    }
    add(asked, "asks for " + name, [this, grant] { world.create_as("alice", grant); });
    plan_end(name, asked, grant);
    if (!calm_from_ && chance(0.2)) plan_race(name, asked, ends);
    return asked;
}

void Swarm::plan_end(const std::string& name, SteadyTime asked, const json& grant) {
    const bool from_git = chance(0.2);
    for (SteadyTime at = asked + 30s; from_git && at < end_of_trouble(); at += 30s)
        add(at, "applies " + name, [this, grant] { world.create_as("alice", grant); });
    if (!chance(0.55)) return;
    // At once, or when it has been in use for a while.
    const SteadyTime at = asked + (chance(0.5) ? draw_ms(1, 1500) : draw_ms(0, 90'000));
    const std::uint64_t how = draw(4);
    static constexpr const char* words[] = {"deletes ", "deletes ", "revokes ", "tears off "};
    add(at, words[how] + name, [this, name, how] { end_grant(name, how); });
    moments_.push_back(at);
    if (!chance(0.3)) return;
    add(at + draw_ms(0, 40'000), "asks again for " + name,
        [this, grant] { world.create_as("alice", grant); });
}

void Swarm::end_grant(const std::string& name, std::uint64_t how) {
    if (how < 2) {
        world.request("admin", "DELETE", grant_path(name));
    } else if (how == 2) {
        world.request("admin", "PATCH", grant_path(name), R"({"spec":{"revoked":true}})",
                      "application/merge-patch+json");
    } else {
        tear_off(world, name);
    }
}

void Swarm::plan_policy() {
    const auto edits = [this](const json& change) {
        world.request("admin", "PATCH", policy_path, change.dump(), "application/merge-patch+json");
    };
    if (chance(0.2)) {
        const SteadyTime at = some_time(0.3, 0.9);
        add(at, "deletes the policy", [this] { world.request("admin", "DELETE", policy_path); });
        moments_.push_back(at);
        add(at + draw_ms(1000, 90'000), "makes the policy again",
            [this] { world.create_as("admin", policy_); });
    }
    if (chance(0.15)) {
        const json exceptions = json::array({{{"cidr", "10.8.4.0/24"}, {"reason", "backup"}}});
        const SteadyTime at = some_time(0.1, 0.7);
        const auto excepting = [edits](const json& which) {
            edits({{"spec", {{"network", {{"lockdown", {{"exceptions", which}}}}}}}});
        };
        add(at, "writes an exception", [excepting, exceptions] { excepting(exceptions); });
        if (chance(0.5))
            add(at + draw_ms(1000, 120'000), "lifts the exceptions",
                [excepting] { excepting(json::array()); });
    }
    if (chance(0.08)) {
        const auto within = [edits](const json& which) {
            edits({{"spec", {{"network", {{"sources", {{"within", which}}}}}}}});
        };
        const SteadyTime at = some_time(0.2, 0.8);
        const json all = policy_.at("spec").at("network").at("sources").at("within");
        add(at, "narrows the policy", [within] { within({"198.51.103.0/24"}); });
        add(at + draw_ms(10'000, 60'000), "takes that back", [within, all] { within(all); });
    }
}

/// After everything is healed: who administers the cluster has it as it is to be.
void Swarm::put_policy_right() {
    if (monitor.history().policies.empty()) world.create_as("admin", policy_);
}

void Swarm::change_some_rule(Change change, std::uint64_t which) {
    const std::vector<std::string> ours = world.our_rules();
    if (ours.empty()) return;
    const std::string path = ours[which % ours.size()];
    const std::size_t slash = path.find('/');
    const std::string nsg = path.substr(0, slash);
    const std::string name = path.substr(slash + 1);
    if (change == Change::removed) {
        world.azure("DELETE", rule_path(nsg, name));
        return;
    }
    json rule = {{"properties", find_rule(world, path).at("properties")}};
    if (change == Change::denies) {
        rule["properties"]["access"] = "Deny";
    } else {
        rule["properties"]["sourceAddressPrefix"] = "*";
        rule["properties"].erase("sourceAddressPrefixes");
    }
    world.azure("PUT", rule_path(nsg, name), rule);
}

void Swarm::remove_our_rules() {
    for (const std::string& path : world.our_rules()) {
        const std::size_t slash = path.find('/');
        world.azure("DELETE", rule_path(path.substr(0, slash), path.substr(slash + 1)));
    }
}

void Swarm::plan_meddlers() {
    const auto changes = [&](Change change, SteadyTime at, const char* name) {
        const std::uint64_t which = draw(64);
        add(at, name, [this, change, which] { change_some_rule(change, which); });
    };
    if (!setting_.several && chance(0.2))
        changes(Change::widened, near_something(0s, 40s), "somebody widens a rule");
    if (chance(0.15)) changes(Change::removed, near_something(0s, 40s), "somebody removes a rule");
    if (chance(0.08))
        changes(Change::denies, near_something(0s, 40s), "somebody turns a rule round");
    if (chance(0.12)) {
        // A tool that removes what is not in its own list, whenever it runs.
        const auto pause = draw_ms(20'000, 70'000);
        for (SteadyTime at = some_time(0.1, 0.4); at < end_of_trouble(); at += pause)
            add(at, "a tool removes what it does not know", [this] { remove_our_rules(); });
    }
    if (chance(0.2)) {
        const std::string nsg = draw(2) == 0 ? "nsg-subnet" : "nsg-web01";
        const int priority = 120 + static_cast<int>(draw(60));
        const SteadyTime at = near_something(30s, 5s);
        add(at, "somebody blocks the users' network", [this, nsg, priority] {
            world.azure("PUT", rule_path(nsg, "blocked"),
                        a_rule(priority, "Deny", "198.51.100.0/23"));
        });
        add(at + draw_ms(10'000, 240'000), "lets it in again",
            [this, nsg] { world.azure("DELETE", rule_path(nsg, "blocked")); });
    }
}

/// Another installation with rules in the same groups, what is left of an earlier one of ours, and
/// a second account of the same subscription.
void Swarm::plan_neighbours() {
    const json system = world.get("/api/v1/namespaces/kube-system");
    const Owner ours = Owner::of_cluster(system.at("metadata").at("uid").get<std::string>());
    const Owner others = Owner::of_cluster("00000000-0000-4000-8000-000000000000");
    const auto puts = [&](SteadyTime at, const char* says, const Owner& owner, MarkKind kind,
                          json rule) {
        const std::string uid = fmt::format("11111111-2222-4333-8444-{:012}", draw(1000));
        Mark mark{.owner = owner.text(), .kind = kind, .uid = uid, .subject = "x/y"};
        if (kind == MarkKind::grant) mark.end = world.now() + 2h;
        rule.at("properties")["description"] = mark.text();
        const std::string name = RuleName::of(owner, uid, 0).text();
        const std::string nsg = draw(2) == 0 ? "nsg-subnet" : "nsg-web01";
        add(at, says, [this, nsg, name, rule] { world.azure("PUT", rule_path(nsg, name), rule); });
    };
    const int number = 700 + static_cast<int>(draw(100));
    const json allow = a_rule(number, "Allow", "198.51.102.9/32");
    const json deny = a_rule(number, "Deny", "192.0.2.128/25");
    if (chance(0.1))
        puts(some_time(0, 0.7), "another installation opens", others, MarkKind::grant, allow);
    if (chance(0.1))
        puts(some_time(0, 0.9), "a rule of ours comes back from a backup", ours, MarkKind::grant,
             allow);
    if (chance(0.1))
        puts(some_time(0, 0.9), "a lockdown of ours comes back from a backup", ours,
             MarkKind::policy, deny);
    if (!chance(0.08)) return;
    json twin = World::account();
    twin["metadata"]["name"] = "twin";
    const SteadyTime at = some_time(0.05, 0.6);
    add(at, "makes a second account of the subscription",
        [this, twin] { world.create_as("admin", twin); });
    add(at + draw_ms(20'000, 200'000), "removes it",
        [this] { world.request("admin", "DELETE", twin_path); });
}

void Swarm::plan_detaching() {
    const SteadyTime at = some_time(0.2, 0.7);
    const SteadyTime back = at + draw_ms(20'000, 200'000);
    add(at, "takes nsg-web01 off its machine", [this] {
        // Until a sweep has found it back, at the latest after all have left.
        monitor.put_aside("nsg-web01", end_of_trouble() + 100s);
        attach(world, false);
    });
    add(back, "puts nsg-web01 back", [this] {
        monitor.put_aside("nsg-web01", now() + 100s);
        attach(world, true);
    });
}

void send_home(World& world, const json& policy) {
    for (const std::string nsg : {"nsg-subnet", "nsg-web01"}) {
        if (!find_rule(world, nsg + "/blocked").is_null())
            world.azure("DELETE", rule_path(nsg, "blocked"));
    }
    if (world.azure("GET", lock_path).status == 200) world.azure("DELETE", lock_path);
    attach(world, true);
    if (!world.get(twin_path).is_null()) world.request("admin", "DELETE", twin_path);
    const json now = world.policy("web-ssh");
    const json::json_pointer within("/spec/network/sources/within");
    if (now.is_null() || now.at(within) == policy.at(within)) return;
    const json change = {{"spec", {{"network", {{"sources", {{"within", policy.at(within)}}}}}}}};
    world.request("admin", "PATCH", policy_path, change.dump(), "application/merge-patch+json");
}

void attach(World& world, bool attached) {
    const std::string network =
        "/subscriptions/22222222-2222-2222-2222-222222222222/resourceGroups/rg-web/providers/"
        "Microsoft.Network/";
    const std::string version = "?api-version=2024-01-01";
    const std::string target = network + "networkInterfaces/nic-web01" + version;
    json nic = json::parse(world.azure("GET", target).body);
    json& properties = nic.at("properties");
    if (properties.contains("networkSecurityGroup") == attached) return;
    if (attached) {
        properties["networkSecurityGroup"] = {{"id", network + "networkSecurityGroups/nsg-web01"}};
    } else {
        properties.erase("networkSecurityGroup");
    }
    world.azure("PUT", target, nic);
}

}  // namespace sallyport::sim
