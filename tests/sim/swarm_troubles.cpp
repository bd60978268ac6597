#include <fmt/format.h>

#include <algorithm>

#include "sim/people.hpp"
#include "sim/scenes.hpp"
#include "sim/swarm.hpp"

// What happens to machines and to the ways between them, around the moments at which something is
// asked for or ends: there a fault matters most.
namespace sallyport::sim {

using namespace std::chrono_literals;
using Fares = support::Fate::Way;

namespace {

/// Watches on a way that was cut are dead, and noticed to be so by that time.
constexpr auto watches_time_out = 95s;

const FaultKind* kind_named(const std::string& suite, const std::string& name) {
    for (const FaultKind& each : fault_kinds()) {
        if (each.suite == suite && each.name == name) return &each;
    }
    return nullptr;
}

}  // namespace

void Swarm::plan_troubles() {
    if (chance(0.55)) plan_outages();
    if (chance(0.65)) plan_traps();
    if (chance(0.12)) plan_clocks();
    if (chance(0.25)) plan_silence();
    if (several_) plan_leadership();
    if (chance(0.08)) plan_lock();
}

void Swarm::plan_lock() {
    const SteadyTime at = near_something(5s, 5s);
    const SteadyTime off = at + draw_ms(10'000, 90'000);
    add(at, "somebody locks the resource group", [this, off] {
        monitor.disturb_azure(std::chrono::ceil<seconds>(off - now()) + 60s);
        world.azure("PUT", lock_path, {{"properties", {{"level", "CanNotDelete"}}}});
        lock_off_at_ = off;
    });
}

/// What went wrong is over, and everybody goes on: what it has left behind shows now, that no
/// trouble excuses any more.
void Swarm::calm_down() {
    if (!calm_from_) calm_from_ = some_time(0.2, 0.6);
    std::erase_if(events_,
                  [&](const Event& event) { return event.goes_wrong && event.at >= *calm_from_; });
    troubled_ += 300s;
}

SteadyTime Swarm::near_something(std::chrono::milliseconds before,
                                 std::chrono::milliseconds after) {
    const SteadyTime moment =
        moments_.empty() ? some_time(0.1, 0.9) : moments_[draw(moments_.size())];
    const auto span = static_cast<std::uint64_t>((before + after).count());
    return std::max(began_, moment - before + std::chrono::milliseconds(draw(span + 1)));
}

/// A part of Azure or of the API server does not do for a while, and the rest does.
void Swarm::plan_outages() {
    struct Sort {
        const char* calls;
        std::vector<std::pair<const char*, const char*>> kinds;
    };
    static const std::vector<Sort> sorts = {
        {"azure:DELETE",
         {{"S4", "internal-error"},
          {"S4", "unavailable"},
          {"S4", "throttled"},
          {"S4", "refused"},
          {"S4", "locked"},
          {"S4", "operation-fails"}}},
        {"azure:PUT",
         {{"S4", "internal-error"},
          {"S4", "unavailable"},
          {"S4", "busy"},
          {"S4", "refused"},
          {"S4", "operation-fails"}}},
        {"azure:GET:nsg", {{"S4", "internal-error"}, {"S4", "throttled"}, {"S4", "timed-out"}}},
        {"azure:LIST:networkSecurityGroups", {{"S4", "internal-error"}, {"S4", "refused"}}},
        {"/networkSecurityGroups", {{"S4", "internal-error"}, {"S4", "unavailable"}}},
        {"/nsg-web01", {{"S4", "parent-gone"}, {"S4", "parent-gone"}, {"S4", "forbidden"}}},
        {"azure:poll", {{"S4", "internal-error"}, {"S4", "timed-out"}}},
        {"azure:", {{"S4", "refused"}, {"S4", "timed-out"}, {"S4", "bad-gateway"}}},
        {"kube:PATCH:accessrecords", {{"S5", "internal-error"}, {"S5", "timed-out"}}},
        {"kube:PATCH:accessledgers", {{"S5", "internal-error"}, {"S5", "throttled"}}},
        {"kube:GET:accessgrants", {{"S5", "internal-error"}, {"S5", "slow"}}},
        {"kube:DELETE:accessgrants", {{"S5", "timed-out"}, {"S5", "reply-lost"}}},
    };
    for (std::uint64_t i = 1 + draw(2); i > 0; --i) {
        const Sort& sort = sorts[draw(sorts.size())];
        const auto& [suite, name] = sort.kinds[draw(sort.kinds.size())];
        const FaultKind* kind = kind_named(suite, name);
        const auto span = draw_ms(2'000, chance(0.3) ? 150'000 : 40'000);
        add(near_something(4s, 2s),
            fmt::format("for {} ms {}: {}", span.count(), sort.calls, kind->name),
            [this, span, calls = std::string(sort.calls), kind] {
                outages_.push_back({now() + span, calls, kind});
            });
    }
}

/// True: this call has met with what it will meet with.
bool Swarm::in_trouble(const Site& site, const http::Request& request, support::Fate& fate) {
    if (lease_blocked_until_ && now() < *lease_blocked_until_ &&
        request.target.starts_with(lease_path)) {
        fate.way = Fares::swallowed;
        return true;
    }
    const auto trap = std::ranges::find_if(
        traps_, [&](const Trap& each) { return site.call.starts_with(each.call); });
    if (trap != traps_.end()) {
        const Trap sprung = std::move(*trap);
        traps_.erase(trap);
        monitor.note(fmt::format("FAULT     {} at {}", sprung.name, site.call));
        sprung.strike(request, fate);
        return true;
    }
    for (const Outage& each : outages_) {
        const bool meant =
            site.is(each.calls) || request.target.find(each.calls) != std::string::npos;
        if (now() >= each.until || !meant || !each.kind->fits(site)) continue;
        monitor.note(fmt::format("FAULT     {} on {}", each.kind->name, site.call));
        hit(*each.kind, site, request, fate);
        return true;
    }
    return false;
}

void Swarm::plan_traps() {
    static constexpr const char* calls[] = {"kube:PATCH:accessledgers",
                                            "kube:PATCH:accessledgers",
                                            "kube:GET:accessgrants",
                                            "kube:POST:accessrecords",
                                            "kube:PATCH:accessrecords",
                                            "azure:PUT:rule",
                                            "azure:PUT:rule",
                                            "azure:DELETE:rule",
                                            "azure:DELETE:rule",
                                            "azure:poll",
                                            "azure:GET:nsg",
                                            "kube:DELETE:accessgrants",
                                            "kube:PATCH:accessgrants"};
    if (policy_.at("spec").contains("retainEndedGrants") && chance(0.5)) {
        // Whoever asks again under the name of one that is being cleared away.
        Trap trap{.name = {}, .call = "kube:DELETE:accessgrants", .strike = {}};
        trap.strike = some_person(trap.name);
        if (chance(0.5)) {
            trap.name = "somebody replaces it";
            trap.strike = [this](const http::Request& request, support::Fate&) {
                const std::string about = http::Target(request.target).segments().back();
                end_grant(about, 3);
                world.create_as("alice", World::a_grant(about, "1h"));
            };
        }
        add(some_time(0, 0.5), "sets a trap for " + trap.call + ": " + trap.name,
            [this, trap] { traps_.push_back(trap); });
    }
    for (std::uint64_t i = 1 + draw(3); i > 0; --i) {
        Trap trap{.name = {}, .call = calls[draw(std::size(calls))], .strike = {}};
        trap.strike = some_strike(trap.name);
        add(near_something(200ms, 0ms), "sets a trap for " + trap.call + ": " + trap.name,
            [this, trap] { traps_.push_back(trap); });
    }
}

Swarm::Strike Swarm::some_strike(std::string& name) {
    switch (draw(8)) {
        case 0:
        case 1: return some_crash(name);
        case 2:
        case 3: {
            static constexpr std::chrono::milliseconds offsets[] = {0ms, 0ms, 0ms, 2ms, 700ms};
            const auto offset = offsets[draw(5)];
            name = "answered as a grant ends";
            return [this, offset](const http::Request&, support::Fate& fate) {
                if (const auto span = until_an_end()) fate.delay = *span + offset;
            };
        }
        case 4: {
            static constexpr std::chrono::seconds offs[] = {-20s, -20s, -20s, 300s, -300s, -3600s};
            const auto off = offs[draw(6)];
            name = fmt::format("the clock is set by {} s", off.count());
            return [this, off](const http::Request&, support::Fate&) { set_clock(off, 75s); };
        }
        case 5: {
            const auto late = draw_ms(3'000, 70'000);
            name = fmt::format("lands {} ms late", late.count());
            return [this, late](const http::Request& request, support::Fate& fate) {
                const auto heals = std::chrono::ceil<seconds>(late) + 65s;
                const std::string call = call_class(request);
                call.starts_with("azure") ? monitor.disturb_azure(heals)
                                          : monitor.disturb_kube(heals, call);
                fate.delay = late;
            };
        }
        default: return some_person(name);
    }
}

/// The process dies with this call, which has left or not, and lands or not, now or later.
Swarm::Strike Swarm::some_crash(std::string& name) {
    const auto down = draw_ms(200, 20'000);
    const std::uint64_t how = draw(3);
    const auto late = how == 2 ? draw_ms(5'000, 70'000) : 0ms;
    name = fmt::format("the process dies for {} ms, and this {}", down.count(),
                       how == 0   ? "never left"
                       : how == 1 ? "lands"
                                  : fmt::format("lands {} ms later", late.count()));
    return [this, down, how, late](const http::Request& request, support::Fate& fate) {
        if (how == 0) fate.way = Fares::swallowed;
        fate.delay = late;
        const bool azure = request.origin == azure_origin;
        const auto heals = std::chrono::ceil<seconds>(late) + 5s;
        if (how == 2 && azure) monitor.disturb_azure(heals);
        if (how == 2 && !azure) monitor.disturb_kube(heals);
        down_ = down;
        injector.restart_wanted = true;
    };
}

/// Somebody ends a grant, or takes its name, in this very moment; perhaps no watch tells of it.
Swarm::Strike Swarm::some_person(std::string& name) {
    const std::string& grant = names_[draw(names_.size())];
    const std::uint64_t how = draw(5);
    const bool silently = chance(0.5);
    static constexpr const char* words[] = {"deletes", "deletes", "revokes", "tears off",
                                            "replaces"};
    name = fmt::format("somebody {} {}, or the one that the call is about{}", words[how], grant,
                       silently ? ", in silence" : "");
    return [this, grant, how, silently](const http::Request& request, support::Fate&) {
        if (silently) silence(20s, false);
        std::string target = request.target.substr(0, request.target.find('?'));
        if (target.ends_with("/status")) target.resize(target.size() - 7);
        const std::string prefix = grant_path("");
        const std::string about = target.starts_with(prefix) ? target.substr(prefix.size()) : grant;
        end_grant(about, std::min<std::uint64_t>(how, 3));
        if (how == 4) world.create_as("alice", World::a_grant(about, "1h"));
    };
}

/// Until the earliest end that is near, as an answer that is on its way takes it; nullopt: none is.
std::optional<std::chrono::milliseconds> Swarm::until_an_end() const {
    const auto second = std::chrono::floor<seconds>(now());
    std::optional<SteadyTime> first;
    const json grants = world.get("/apis/sallyport.dev/v1alpha1/accessgrants");
    for (const json& grant : grants.at("items")) {
        auto end = parse_rfc3339(grant.at("spec").value("notAfter", ""));
        if (const auto told =
                parse_rfc3339(grant.value("/status/expirationTime"_json_pointer, std::string())))
            end = std::min(end.value_or(*told), *told);
        if (!end) continue;
        const SteadyTime at = second + (*end - world.now());
        if (at > now() + world.network.latency) first = std::min(first.value_or(at), at);
    }
    if (!first || *first > now() + 11s) return std::nullopt;
    return std::chrono::ceil<std::chrono::milliseconds>(*first - now() - world.network.latency);
}

void Swarm::set_clock(std::chrono::seconds by, std::chrono::seconds span) {
    if (clock_right_at_) return;
    clock_off_ = by;
    clock_right_at_ = now() + span;
    world.operators_clock.jump(by);
    monitor.clock_was_set();
    monitor.disturb_kube(span + 35s);
}

void Swarm::plan_clocks() {
    static constexpr std::chrono::seconds offs[] = {-20s, -20s, 25s, 300s, -300s, -3600s};
    const auto off = offs[draw(6)];
    const seconds span(5 + draw(90));
    add(near_something(1s, 500ms), fmt::format("the clock is set by {} s", off.count()),
        [this, off, span] { set_clock(off, span); });
    if (chance(0.3)) {
        const seconds lost(5 + draw(120));
        add(near_something(5s, 5s), fmt::format("the machine stands still for {} s", lost.count()),
            [this, lost] { injector.suspension = lost; });
    }
}

void Swarm::silence(std::chrono::seconds span, bool then_gone) {
    monitor.disturb_kube(span + 35s);
    injector.streams_silent = true;
    silent_until_ = now() + span;
    gone_after_silence_ = then_gone;
}

void Swarm::plan_silence() {
    const seconds span(10 + draw(50));
    const bool then_gone = chance(0.5);
    const SteadyTime at = near_something(2s, 2s);
    add(at,
        fmt::format("watches fall silent for {} s{}", span.count(),
                    then_gone ? ", and are gone" : ""),
        [this, span, then_gone] { silence(span, then_gone); });
    // What nobody is told of.
    const std::string name = names_[draw(names_.size())];
    const std::uint64_t how = then_gone && chance(0.5) ? 3 : draw(4);
    if (chance(0.5))
        add(at + draw_ms(0, static_cast<std::uint64_t>(span.count()) * 1000),
            fmt::format("ends an open grant, or {}, in silence", name),
            [this, name, how] { end_grant(some_open_grant().value_or(name), how); });
}

std::optional<std::string> Swarm::some_open_grant() const {
    for (const auto& [uid, grant] : monitor.history().grants) {
        if (grant.exists && grant.reached) return grant.name;
    }
    return std::nullopt;
}

/// What matters only when it meets a grant in one certain moment of its life, met there.
void Swarm::plan_race(const std::string& name, SteadyTime asked, SteadyTime ends) {
    const auto goes_out = [&](SteadyTime at, seconds span, const char* calls, const char* suite,
                              const char* kind) {
        add(at, fmt::format("for {} s {}: {}", span.count(), calls, kind),
            [this, span, calls, what = kind_named(suite, kind)] {
                outages_.push_back({now() + span, calls, what});
            });
    };
    const auto trap = [&](const char* call, const std::string& says, Strike strike) {
        add(asked, fmt::format("sets a trap for {}: {}", call, says), [this, call, says, strike] {
            traps_.push_back({says, call, strike});
        });
    };
    const auto deleted = [&](SteadyTime at) {
        add(at, "deletes " + name, [this, name] { end_grant(name, 0); });
    };
    const SteadyTime over = std::min(ends, asked + 20s);
    switch (draw(11)) {
        case 0:
            return trap(draw(2) == 0 ? "kube:PATCH:accessledgers" : "kube:POST:accessrecords",
                        "answered as a grant ends", [this](const auto&, support::Fate& fate) {
                            if (const auto span = until_an_end()) fate.delay = *span;
                        });
        case 1:  // begun, and then nothing goes wrong any more
            calm_from_ = asked + 5s;
            return trap("azure:PUT:rule", "the process dies", [this](const auto&, auto&) {
                down_ = 2s;
                injector.restart_wanted = true;
            });
        case 2: {
            const auto late = draw_ms(40'000, 70'000);
            deleted(asked + draw_ms(500, 20'000));
            return trap("azure:PUT:rule", fmt::format("lands {} ms late", late.count()),
                        [this, late](const auto&, support::Fate& fate) {
                            fate.delay = late;
                            monitor.disturb_azure(135s);
                        });
        }
        case 3:
            calm_from_ = asked + 5s;
            return goes_out(asked, 2s, "azure:PUT", "S4", "operation-fails");
        case 4: {
            goes_out(over - 1s, 40s, "azure:DELETE", "S4", "internal-error");
            deleted(over);
            const std::string next = names_.emplace_back(name + "r");
            return add(over + draw_ms(2'000, 15'000), "asks for " + next,
                       [this, next] { world.create_as("alice", World::a_grant(next, "1h")); });
        }
        case 5: goes_out(over - 1s, 30s, "/nsg-web01", "S4", "parent-gone"); return deleted(over);
        case 6:
            goes_out(over - 1s, 12s, "kube:PATCH:accessrecords", "S5", "internal-error");
            return deleted(over);
        case 7:
        case 8: return plan_hidden_group(name, asked);
        case 9:  // nobody is told that it is over, and its rules want putting back
            add(asked + 15s, "watches fall silent for 70 s", [this] { silence(70s, false); });
            add(asked + 16s, "revokes " + name, [this, name] { end_grant(name, 2); });
            return add(asked + 17s, "a tool removes what it does not know",
                       [this] { remove_our_rules(); });
        default: {
            const SteadyTime at = draw(2) == 0 ? asked - 3s : asked + 20s;
            add(at, "somebody blocks the users' network", [this] {
                world.azure("PUT", rule_path("nsg-subnet", "blocked"),
                            a_rule(150, "Deny", "198.51.100.0/23"));
            });
            add(at + 200s, "lets it in again",
                [this] { world.azure("DELETE", rule_path("nsg-subnet", "blocked")); });
        }
    }
}

/// Whoever knows of a group from lists alone is told nothing of it, and its own rules are out of
/// sight.
void Swarm::plan_hidden_group(const std::string& name, SteadyTime asked) {
    add(asked + 10s, "takes nsg-web01 off its machine", [this] {
        monitor.put_aside("nsg-web01", now() + 220s);
        attach(world, false);
    });
    for (const auto& [calls, kind] :
         {std::pair("azure:LIST:networkSecurityGroups", "internal-error"),
          std::pair("/nsg-web01", "forbidden")}) {
        add(asked + 10s, fmt::format("for 110 s {}: {}", calls, kind),
            [this, calls, what = kind_named("S4", kind)] {
                outages_.push_back({now() + 110s, calls, what});
            });
    }
    add(asked + 75s, "deletes " + name, [this, name] { end_grant(name, 0); });
    add(asked + 130s, "puts nsg-web01 back", [this] { attach(world, true); });
}

void Swarm::strike_leader(std::uint64_t how, std::chrono::seconds span) {
    const std::string leader = several_->leader();
    if (how == 0) lease_blocked_until_ = now() + span;
    if (leader.empty() || how == 0) return;
    Replica& replica = several_->replicas.at(leader);
    switch (how) {
        case 1:
            several_->kill(leader);
            replica.back_at = now() + span;
            break;
        case 2:
            several_->terminate(leader);
            replica.back_at = now() + span;
            break;
        case 3:
            replica.way->cut = {kube_origin};
            monitor.disturb_kube(span + watches_time_out);
            break;
        default:  // Azure is back first
            replica.way->cut = {kube_origin, azure_origin};
            replica.azure_back_at = now() + span / 2;
            monitor.disturb_azure(span + 60s);
            monitor.disturb_kube(span + watches_time_out);
    }
    if (how < 3) return;
    ways_whole_at_ = now() + span;
    monitor.disturb_starts(span + 32s);  // a list that hangs is given up after 30 s
}

void Swarm::plan_leadership() {
    for (std::uint64_t i = 1 + draw(3); i > 0; --i) {
        const std::uint64_t how = draw(2) == 0 ? 0 : 1 + draw(4);
        const seconds span(3 + draw(how == 0 ? 12 : 30));
        static constexpr const char* words[] = {
            "the Lease cannot be renewed", "the leader is killed", "the leader is told to end",
            "the leader is cut off from the API server", "the leader is cut off"};
        add(near_something(9s, 1s), fmt::format("{} for {} s", words[how], span.count()),
            [this, how, span] { strike_leader(how, span); });
    }
}

}  // namespace sallyport::sim
