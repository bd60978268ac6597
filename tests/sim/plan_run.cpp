#include "sim/plan_run.hpp"

#include <fmt/format.h>

#include "sim/scenes.hpp"

namespace sallyport::sim {

using namespace std::chrono_literals;

namespace {

/// A late landing keeps a hold for 15 minutes; an operation that never ends does it twice.
constexpr auto longest = 80min;
constexpr auto quiet_for = 150s;  // two sweeps and a half

}  // namespace

PlanRun::PlanRun(const Workload& workload, const Plan* plan)
    : world(1, workload.estate),
      monitor(world),
      injector(world, monitor, plan),
      workload_(workload),
      plan_(plan) {
    world.network.stream_tick = 10s;
    monitor.clock_apart = [this] {
        return std::chrono::round<seconds>(world.operators_clock.now() - world.now());
    };
    world.set_up(workload.policy_changes);
    if (workload.from_the_start) injector.begin();
    world.start_operator();
}

void PlanRun::restart_if_wanted() {
    const SteadyTime now = world.time.loop.steady_now();
    if (std::exchange(injector.restart_wanted, false)) {
        world.crash();
        back_at_ = now + 1s;
    }
    if (!back_at_ || now < *back_at_) return;
    back_at_.reset();
    world.start_operator();
}

void PlanRun::step(std::chrono::milliseconds span) {
    const SteadyTime until = world.time.loop.steady_now() + span;
    const auto cut = [this] { return injector.restart_wanted || injector.suspension > 0s; };
    world.run_until(cut, span);
    restart_if_wanted();
    if (const auto span_lost = std::exchange(injector.suspension, 0s); span_lost > 0s) {
        world.time.time.advance_to(world.time.loop.steady_now() + span_lost);
        monitor.resumed();
    }
    if (until > world.time.loop.steady_now()) world.run_for(until - world.time.loop.steady_now());
    restart_if_wanted();
    injector.tend();
    if (next_act_ >= workload_.acts.size() || !workload_.acts[next_act_].when(world)) return;
    if (next_act_ == 0) injector.begin();
    monitor.note("act       " + workload_.acts[next_act_].name);
    acted_ = world.time.loop.steady_now();
    workload_.acts[next_act_++].act(world);
}

std::chrono::milliseconds PlanRun::pace() const {
    const bool early = world.time.loop.steady_now() < acted_ + 10s;
    if (injector.is_active() || back_at_ || early) return 250ms;
    if (next_act_ < workload_.acts.size()) return 1s;
    const bool settled = world.time.loop.steady_now() > monitor.last_write() + 30s;
    return settled ? 5s : 500ms;
}

bool PlanRun::is_over() {
    return next_act_ == workload_.acts.size() && world.process && workload_.is_done(world);
}

std::string PlanRun::play() {
    const SteadyTime limit = world.time.loop.steady_now() + longest;
    while (!is_over() && monitor.complaints().empty()) {
        if (world.time.loop.steady_now() >= limit) return "I12, I13: it does not come to its end";
        step(pace());
    }
    while (injector.is_active() && monitor.complaints().empty()) step(1s);
    // Until all may be expected to be well: a lock is believed for 5 minutes.
    while (world.time.loop.steady_now() < monitor.history().azure_heals &&
           monitor.complaints().empty())
        step(5s);
    // It stays so, and nothing is written any more.
    SteadyTime still = world.time.loop.steady_now();
    while (world.time.loop.steady_now() < still + quiet_for) {
        if (!monitor.complaints().empty()) break;
        step(5s);
        if (monitor.last_write() > still) still = monitor.last_write();
        if (world.time.loop.steady_now() >= limit + 10min) return "I11: it does not become quiet";
    }
    if (!monitor.complaints().empty()) return monitor.complaints().front();
    if (plan_ && !injector.was_hit()) return "the plan hit nothing";
    if (world.time.bugs > 0 || world.network.handler_failures > 0) return "a bug was thrown";
    if (world.log.errors > 0) return "the log has errors";
    if (!is_over()) return "I12, I13: it did not stay at its end";
    return "";
}

json PlanRun::outcome() {
    json rules = json::array();
    for (const std::string& rule : world.our_rules(false)) {
        const json properties = find_rule(world, rule).at("properties");
        rules.push_back({rule, properties.at("priority"), properties.at("access")});
    }
    json ends = json::object();
    for (const json& record : world.records()) {
        const json& status = record.at("status");
        ends[record.at("spec").at("grant").at("name").get<std::string>()] = {
            status.value("endReason", ""), status.contains("closedAt")};
    }
    const json policy = world.policy("web-ssh");
    json phases = json::object();
    for (const char* grant : {"a", "b"}) phases[grant] = world.phase(grant);
    return {{"rules", rules},
            {"ends", ends},
            {"phases", phases},
            {"policy", policy.is_null() ? "gone" : policy.value("/status/phase"_json_pointer, "")},
            {"closed", policy.is_null() ? json() : condition(policy, "Closed").at("status")}};
}

std::string PlanRun::told() {
    return fmt::format("plan {}\n{}", plan_ ? plan_->name() : workload_.name + ", undisturbed",
                       monitor.told());
}

std::vector<Plan> plans_of(const Workload& workload, const std::vector<Site>& sites) {
    std::vector<Plan> plans;
    for (const FaultKind& kind : fault_kinds()) {
        for (const Site& site : sites) {
            if (!kind.fits(site)) continue;
            const Plan plan{.workload = &workload, .kind = &kind, .site = site};
            if (!kind.lasts || site.first || site.last) plans.push_back(plan);
            // Where it begins makes a difference, how often it was asked before makes little.
            if (kind.lasts || kind.single || !site.first) continue;
            plans.push_back(plan);
            plans.back().until_healed = true;
        }
    }
    return plans;
}

}  // namespace sallyport::sim
