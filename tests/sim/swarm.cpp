#include "sim/swarm.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "sim/scenes.hpp"

namespace sallyport::sim {

using namespace std::chrono_literals;

namespace {

constexpr const char* nsgs[] = {"nsg-subnet", "nsg-web01"};
/// Until a write whose outcome nobody told can not land any more, and two sweeps.
constexpr auto rest_within = 20min;
constexpr auto quiet_for = 130s;

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

Schedule Schedule::part(const std::vector<std::size_t>& numbers) const {
    Schedule some;
    for (const std::size_t number : numbers) {
        if (number < acts.size()) {
            some.acts.push_back(acts[number]);
        } else {
            some.hits.push_back(hits[number - acts.size()]);
        }
    }
    return some;
}

Swarm::Swarm(std::uint64_t seed, const Schedule* only)
    : world(seed),
      monitor(world),
      injector(world, monitor, nullptr),
      random_(seed),
      began_(world.time.loop.steady_now()),
      only_(only) {
    world.network.stream_tick = 10s;
    world.fate = [this](const http::Request& request) { return decide(request); };
    troubled_ = std::chrono::seconds(120 + draw(360));
    world.set_up();
    plan_faults();
    plan_users();
    plan_outsiders();
    plan_tearings();
    std::ranges::stable_sort(events_, {}, &Event::at);
    for (std::size_t i = 0; i < events_.size(); ++i) events_[i].number = i;
    planned_ = events_;
    if (only_) {
        std::erase_if(events_, [&](const Event& event) {
            return std::ranges::find(only_->acts, event.number) == only_->acts.end();
        });
    }
    std::ranges::reverse(events_);
    world.start_operator();
}

void Swarm::add(SteadyTime at, std::string name, std::function<void()> act) {
    events_.push_back({at, 0, std::move(name), std::move(act)});
}

SteadyTime Swarm::some_time(double from, double to) {
    const auto span = std::chrono::duration_cast<std::chrono::milliseconds>(troubled_).count();
    const auto begin = static_cast<std::uint64_t>(static_cast<double>(span) * from);
    const auto end = static_cast<std::uint64_t>(static_cast<double>(span) * to);
    return began_ + std::chrono::milliseconds(begin + draw(end - begin));
}

void Swarm::plan_users() {
    static constexpr const char* durations[] = {"10s", "30s", "2m", "1h"};
    static constexpr const char* sources[] = {"198.51.100.7/32", "198.51.100.8/32",
                                              "198.51.101.16/28"};
    const std::uint64_t grants = 1 + draw(4);
    for (std::uint64_t i = 0; i < grants; ++i) {
        const std::string name = fmt::format("g{}", i);
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
    const auto on_some_rule = [this](bool removes, std::uint64_t which) {
        const std::vector<std::string> ours = world.our_rules();
        if (ours.empty()) return;
        const std::string path = ours[which % ours.size()];
        const std::size_t slash = path.find('/');
        const std::string nsg = path.substr(0, slash);
        const std::string name = path.substr(slash + 1);
        if (removes) {
            world.azure("DELETE", rule_path(nsg, name));
            return;
        }
        json rule = {{"properties", find_rule(world, path).at("properties")}};
        rule["properties"]["sourceAddressPrefix"] = "*";
        rule["properties"].erase("sourceAddressPrefixes");
        put_quietly(world, nsg, name, rule);
    };
    for (int i = 0; i < 2; ++i) {
        const std::uint64_t which = draw(64);
        if (chance(0.2))
            add(some_time(0.1, 0.9), "somebody widens a rule",
                [on_some_rule, which] { on_some_rule(false, which); });
        if (chance(0.2))
            add(some_time(0.1, 0.9), "somebody removes a rule",
                [on_some_rule, which] { on_some_rule(true, which); });
    }
}

/// By a die of its own: what a seed met with before there were tearings, it still meets with.
void Swarm::plan_tearings() {
    std::mt19937_64 die(world.seed + 0x70e);
    if (die() % 5 > 0) return;
    const std::string name = fmt::format("g{}", die() % 2);
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
        add(some_time(0, 1), "kill -9", [this, down] {
            if (!world.process) return;
            world.crash();
            back_at_ = world.time.loop.steady_now() + down;
        });
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

support::Fate Swarm::decide(const http::Request& request) {
    support::Fate fate;
    if (healed_ || request.target.find("/events") != std::string::npos) return fate;
    const Site site{.call = call_class(request)};
    const std::size_t nth = seen_[site.call]++;
    const FaultKind* kind = only_ ? chosen(site.call, nth) : drawn(site);
    if (!kind) return fate;
    happened_.hits.push_back({site.call, nth, kind});
    monitor.note(fmt::format("FAULT     {} on {}#{}", kind->name, site.call, nth));
    if (site.azure()) {
        monitor.disturb_azure(kind->heals_in);
    } else {
        monitor.disturb_kube(kind->heals_in, site.call);
    }
    kind->hit(injector, request, fate);
    return fate;
}

const FaultKind* Swarm::drawn(const Site& site) {
    for (const Chance& each : chances_) {
        if (each.kind->fits(site) && chance(each.probability)) return each.kind;
    }
    return nullptr;
}

const FaultKind* Swarm::chosen(const std::string& call, std::size_t nth) const {
    for (const Hit& hit : only_->hits) {
        if (hit.nth == nth && hit.call == call) return hit.kind;
    }
    return nullptr;
}

void Swarm::step() {
    const SteadyTime now = world.time.loop.steady_now();
    while (!events_.empty() && events_.back().at <= now) {
        const Event event = std::move(events_.back());
        events_.pop_back();
        monitor.note("act       " + event.name);
        happened_.acts.push_back(event.number);
        event.act();
    }
    if (back_at_ && now >= *back_at_) {
        back_at_.reset();
        world.start_operator();
    }
    if (silent_until_ && now >= *silent_until_) {
        silent_until_.reset();
        injector.streams_silent = false;
    }
    SteadyTime next = now + 5s;
    if (!events_.empty()) next = std::min(next, events_.back().at);
    if (back_at_) next = std::min(next, *back_at_);
    if (silent_until_) next = std::min(next, *silent_until_);
    world.run_for(std::max<SteadyTime::duration>(next - now, 1ms));
}

/// Nothing fails any more, and nobody wants anything any more.
void Swarm::leave() {
    healed_ = true;
    events_.clear();
    injector.stream_fault = Injector::StreamFault::none;
    injector.streams_silent = false;
    clear_faults(world);
    back_at_ = back_at_ ? world.time.loop.steady_now() : back_at_;
    monitor.note("everything heals, everybody leaves");
    for (int i = 0; i < 4; ++i) world.request("admin", "DELETE", grant_path(fmt::format("g{}", i)));
}

std::string Swarm::come_to_rest() {
    const SteadyTime healed = world.time.loop.steady_now();
    const auto all_gone = [&] {
        const auto is_there = [](const auto& each) { return each.second.exists; };
        const auto is_grants = [](const auto& each) {
            const std::string mark = each.second.properties.value("description", "");
            return mark.find(" policy=") == mark.npos;
        };
        const History& seen = monitor.history();
        return std::ranges::none_of(seen.grants, is_there) &&
               std::ranges::none_of(seen.rules, is_grants);
    };
    while (!all_gone()) {
        if (!monitor.complaints().empty()) return monitor.complaints().front();
        if (world.time.loop.steady_now() > healed + rest_within)
            return "I13, I16: not all is gone 20 min after all was well";
        step();
    }
    SteadyTime still = world.time.loop.steady_now();
    while (world.time.loop.steady_now() < still + quiet_for) {
        if (!monitor.complaints().empty()) return monitor.complaints().front();
        if (world.time.loop.steady_now() > healed + rest_within + 10min)
            return "I11: it does not become quiet";
        step();
        still = std::max(still, monitor.last_write());
    }
    for (const json& record : world.records()) {
        if (!record.at("status").contains("closedAt")) return "I10: a record says not closed";
    }
    if (!policy_is_ready(world)) return "I12: the policy is not Ready";
    return all_gone() ? "" : "I13: it did not stay so";
}

std::string Swarm::play() {
    while (world.time.loop.steady_now() < began_ + troubled_ && monitor.complaints().empty())
        step();
    leave();
    std::string wrong = come_to_rest();
    if (wrong.empty() && (world.time.bugs > 0 || world.network.handler_failures > 0))
        wrong = "a bug was thrown";
    if (wrong.empty() && world.log.errors > 0) wrong = "the log has errors";
    return wrong;
}

std::chrono::nanoseconds Swarm::lived() const { return world.time.loop.steady_now() - began_; }

std::string Swarm::tell(const Schedule& schedule) const {
    std::string text;
    for (const std::size_t number : schedule.acts) {
        const Event& event = planned_.at(number);
        const std::chrono::duration<double> at = event.at - began_;
        text += fmt::format("  at {:9.3f} s  {}\n", at.count(), event.name);
    }
    for (const Hit& hit : schedule.hits)
        text +=
            fmt::format("  on {}#{}  {} {}\n", hit.call, hit.nth, hit.kind->suite, hit.kind->name);
    return text;
}

std::string Swarm::told() {
    std::string text = fmt::format("seed {}, {} s of trouble\n", world.seed, troubled_.count());
    for (const Chance& each : chances_)
        text += fmt::format("  {} {}: {}\n", each.kind->suite, each.kind->name, each.probability);
    return text + monitor.told();
}

}  // namespace sallyport::sim
