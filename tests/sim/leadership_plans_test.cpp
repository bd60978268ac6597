#include <fmt/format.h>

#include <algorithm>

#include "sim/azure.hpp"
#include "sim/monitor.hpp"
#include "sim/replicas.hpp"
#include "sim/scenes.hpp"

using namespace sallyport;
using namespace sallyport::sim;
using namespace std::chrono_literals;

// S7: what can happen to those who lead, each at five moments of a grant's life,
// judged after every step by the invariants, by who wrote what on which Lease, and by comparison
// with the undisturbed run.
namespace {

constexpr const char* lease_path =
    "/apis/coordination.k8s.io/v1/namespaces/sallyport-system/leases/sallyport-controller";
/// The Lease's duration and two tries.
constexpr auto failover = 20s;

enum class Moment { as_opening_leaves, while_opening, open, before_its_end, as_closing_leaves };
constexpr const char* name_of(Moment moment) {
    switch (moment) {
        case Moment::as_opening_leaves: return "as-the-opening-leaves";
        case Moment::while_opening: return "while-it-opens";
        case Moment::open: return "while-open";
        case Moment::before_its_end: return "before-its-end";
        case Moment::as_closing_leaves: return "as-the-closing-leaves";
    }
    return "?";
}

class LeadershipRun;

struct Scenario {
    std::string name;
    void (*strike)(LeadershipRun&);
    void (*heal)(LeadershipRun&) = nullptr;
    std::chrono::seconds heals_after{0};
    /// So long nobody may lead, beyond the time until it is healed; zero: somebody always leads.
    std::chrono::seconds nobody_leads{0};
    /// The first write that leaves at the moment reaches Azure so much later.
    std::chrono::seconds write_delayed{0};
    bool may_end_early = false;  ///< a clock that is ahead ends early
};

class LeadershipRun {
public:
    LeadershipRun(const Scenario* scenario, Moment moment)
        : monitor(world), scenario_(scenario), moment_(moment) {
        world.network.stream_tick = 10s;
        monitor.clock_apart = [this] {
            return std::chrono::round<seconds>(world.operators_clock.now() - world.now());
        };
        start_two(world);
        world.fate = [this](const http::Request& request) { return decide(request); };
    }
    LeadershipRun(const LeadershipRun&) = delete;
    LeadershipRun& operator=(const LeadershipRun&) = delete;

    std::string play();
    json outcome();
    std::string told() {
        return fmt::format("{} {}\n{}", scenario_ ? scenario_->name : "undisturbed",
                           name_of(moment_), monitor.told());
    }
    /// To whoever leads when it happens; that replica stays the one that was hit.
    void cut(std::set<std::string> origins) { world.replicas.at(hit).way->cut = origins; }
    void kill() { world.kill(hit); }
    void start_again() {
        if (!world.replicas.at(hit).process) world.start(hit);
    }

    ReplicatedWorld world;
    Monitor monitor;
    std::string hit;
    bool lease_blocked = false;
    std::chrono::seconds suspension{0};

private:
    support::Fate decide(const http::Request& request);
    bool has_come();
    void strike();
    void step();

    const Scenario* scenario_;
    Moment moment_;
    bool strikes_now_ = false;  ///< the write that was waited for leaves in this turn
    std::optional<SteadyTime> struck_;
    bool healed_ = false;
    std::optional<SteadyTime> opened_;
    SteadyTime led_{};  ///< somebody led then
    std::chrono::nanoseconds nobody_led_{0};
};

bool is_rule_write(const http::Request& request, const char* method) {
    return request.origin == azure_origin && request.method == method &&
           request.target.find("/securityRules/") != std::string::npos &&
           request.body.find(" policy=") == std::string::npos;
}

support::Fate LeadershipRun::decide(const http::Request& request) {
    support::Fate fate;
    if (lease_blocked && request.target.starts_with(lease_path))
        fate.way = support::Fate::Way::swallowed;
    const bool opening = is_rule_write(request, "PUT");
    const bool closing = is_rule_write(request, "DELETE");
    const bool at_write =
        (opening && (moment_ == Moment::as_opening_leaves || moment_ == Moment::while_opening)) ||
        (closing && moment_ == Moment::as_closing_leaves);
    if (!scenario_ || struck_ || !at_write) return fate;
    if (!strikes_now_) monitor.note("S7        this write leaves");
    if (!strikes_now_ && scenario_->write_delayed > 0s) {
        fate.delay = scenario_->write_delayed;
        monitor.disturb_azure(scenario_->write_delayed + 60s);
    }
    strikes_now_ = true;
    return fate;
}

bool LeadershipRun::has_come() {
    if (!scenario_ || struck_) return false;
    switch (moment_) {
        case Moment::as_opening_leaves:
        case Moment::as_closing_leaves: return strikes_now_;
        case Moment::while_opening:
            if (!strikes_now_) return false;
            world.tend_for(400ms);
            return true;
        case Moment::open: return opened_ && world.time.loop.steady_now() > *opened_ + 20s;
        case Moment::before_its_end: {
            const json status = world.grant("a").value("status", json::object());
            const auto end = parse_rfc3339(status.value("expirationTime", ""));
            return opened_ && end && world.now() >= *end - 1s;
        }
    }
    return false;
}

void LeadershipRun::strike() {
    hit = world.leader();
    if (hit.empty()) return;
    struck_ = world.time.loop.steady_now();
    monitor.note("S7        " + scenario_->name + " strikes " + hit);
    scenario_->strike(*this);
}

void LeadershipRun::step() {
    // Fine around what it waits for; a write that leaves ends the step.
    const bool waits = scenario_ && !struck_;
    world.tend_until([this] { return strikes_now_ && !struck_; }, waits ? 200ms : 1s);
    if (const auto lost = std::exchange(suspension, 0s); lost > 0s) {
        world.time.time.advance_to(world.time.loop.steady_now() + lost);
        monitor.resumed();
    }
    const SteadyTime now = world.time.loop.steady_now();
    if (!world.leader().empty()) {
        if (led_ != SteadyTime{}) nobody_led_ = std::max(nobody_led_, now - led_);
        led_ = now;
    }
    if (!opened_ && world.phase("a") == "Open") opened_ = now;
    if (has_come()) strike();
    if (struck_ && !healed_ && now >= *struck_ + scenario_->heals_after) {
        healed_ = true;
        if (scenario_->heal) scenario_->heal(*this);
        monitor.note("healed");
    }
}

std::string LeadershipRun::play() {
    const SteadyTime limit = world.time.loop.steady_now() + 60min;
    ask(world, World::a_grant("a", "1m"));
    bool deleted = false;
    SteadyTime still{};
    const auto is_over = [&] {
        if (!deleted || !world.grant("a").is_null() || (scenario_ && !healed_)) return false;
        const SteadyTime now = world.time.loop.steady_now();
        still = still == SteadyTime{} ? now : std::max(still, monitor.last_write());
        return now > still + 130s;
    };
    while (!is_over()) {
        if (world.time.loop.steady_now() > limit) return "I12, I13: it does not come to its end";
        step();
        if (!monitor.complaints().empty()) return monitor.complaints().front();
        if (std::string wrong = world.wrong_writes(); !wrong.empty()) return wrong;
        static const std::set<std::string> ended = {"Expired", "EndedBeforeOpen",
                                                    "OpeningTimedOut"};
        if (!deleted && ended.contains(world.phase("a"))) {
            deleted = true;
            world.request("admin", "DELETE", grant_path("a"));
        }
    }
    if (scenario_ && !struck_) return "the scenario did not come about";
    if (world.time.bugs > 0 || world.network.handler_failures > 0) return "a bug was thrown";
    const auto allowed = scenario_ ? scenario_->nobody_leads + 2s : 2s;  // told to a step
    if (nobody_led_ > allowed)
        return fmt::format("nobody led for {} s",
                           std::chrono::duration<double>(nobody_led_).count());
    return "";
}

json LeadershipRun::outcome() {
    json rules = world.our_rules(false);
    const json status = record_of(world, "a").at("status");
    return {{"rules", rules},
            {"reason", status.at("endReason")},
            {"closed", status.contains("closedAt")},
            {"policy", world.policy("web-ssh").value("/status/phase"_json_pointer, "")}};
}

// --- What happens --------------------------------------------------------------------------------

void block_lease(LeadershipRun& run) { run.lease_blocked = true; }
void free_lease(LeadershipRun& run) { run.lease_blocked = false; }
void kill_leader(LeadershipRun& run) { run.kill(); }
void start_again(LeadershipRun& run) { run.start_again(); }
void cut_from_api(LeadershipRun& run) {
    run.cut({kube_origin});
    run.monitor.disturb_kube(30s);
}
void cut_from_all(LeadershipRun& run) {
    run.cut({kube_origin, azure_origin});
    run.monitor.disturb_kube(90s);
    run.monitor.disturb_azure(60s);
    run.world.replicas.at(run.hit).azure_back_at = run.world.time.loop.steady_now() + 20s;
}
void reconnect(LeadershipRun& run) { run.cut({}); }
void set_clocks_ahead(LeadershipRun& run) {
    run.world.operators_clock.jump(1h);
    run.monitor.clock_was_set();
    run.monitor.disturb_kube(95s);
}
void set_clocks_back(LeadershipRun& run) {
    run.world.operators_clock.jump(-1h);
    run.monitor.clock_was_set();
    run.monitor.disturb_kube(95s);
}
void right_clocks_ahead(LeadershipRun& run) {
    run.world.operators_clock.jump(-1h);
    run.monitor.clock_was_set();
}
void right_clocks_back(LeadershipRun& run) {
    run.world.operators_clock.jump(1h);
    run.monitor.clock_was_set();
}
/// Out, and in again under a new name 5 s later; then the same with the other one.
void roll(LeadershipRun& run) { run.world.terminate(run.hit); }
void roll_on(LeadershipRun& run) {
    run.start_again();
    const std::string other = run.hit == "a" ? "b" : "a";
    if (!run.world.replicas.at(other).process) return;
    if (run.world.leader() == other) {
        run.world.terminate(other);
    } else {
        run.world.kill(other);
    }
    run.world.start(other);
}
/// The one that leads is of an older version, which writes no list of its writes into records, and
/// the newer one takes over.
void leave_to_newer(LeadershipRun& run) { run.world.terminate(run.hit); }

std::vector<Scenario> of_leases_and_ways() {
    return {
        {.name = "lease-away-8-s",
         .strike = block_lease,
         .heal = free_lease,
         .heals_after = 8s,
         .nobody_leads = failover},
        {.name = "lease-away-12-s",
         .strike = block_lease,
         .heal = free_lease,
         .heals_after = 12s,
         .nobody_leads = failover + 10s},
        {.name = "lease-away-20-s",
         .strike = block_lease,
         .heal = free_lease,
         .heals_after = 20s,
         .nobody_leads = failover + 15s},
        {.name = "lease-deleted",
         .strike = [](LeadershipRun& run) { run.world.remove(lease_path); },
         .nobody_leads = failover},
        {.name = "lease-taken",
         .strike =
             [](LeadershipRun& run) {
                 patch(run.world, lease_path, {{"spec", {{"holderIdentity", "stranger"}}}});
             },
         .nobody_leads = failover + 3s},
        {.name = "cut-from-the-api-server",
         .strike = cut_from_api,
         .heal = reconnect,
         .heals_after = 30s,
         .nobody_leads = failover},
        {.name = "azure-back-first",
         .strike = cut_from_all,
         .heal = reconnect,
         .heals_after = 60s,
         .nobody_leads = failover},
    };
}

std::vector<Scenario> of_processes() {
    return {
        {.name = "killed",
         .strike = kill_leader,
         .heal = start_again,
         .heals_after = 5s,
         .nobody_leads = failover},
        {.name = "told-to-end",
         .strike = [](LeadershipRun& run) { run.world.terminate(run.hit); },
         .heal = start_again,
         .heals_after = 5s,
         .nobody_leads = 3s},
        {.name = "stands-still-with-a-write-under-way",
         .strike =
             [](LeadershipRun& run) {
                 run.cut({kube_origin, azure_origin});
                 run.monitor.disturb_azure(60s);
             },
         .heal = reconnect,
         .heals_after = 30s,
         .nobody_leads = failover,
         .write_delayed = 30s},
        {.name = "machine-stands-still",
         .strike = [](LeadershipRun& run) { run.suspension = 30s; },
         .nobody_leads = failover + 30s},
        {.name = "two-versions",
         .strike = leave_to_newer,
         .heal = start_again,
         .heals_after = 5s,
         .nobody_leads = 3s},
        {.name = "clocks-an-hour-ahead",
         .strike = set_clocks_ahead,
         .heal = right_clocks_ahead,
         .heals_after = 60s,
         .may_end_early = true},
        {.name = "clocks-an-hour-back",
         .strike = set_clocks_back,
         .heal = right_clocks_back,
         .heals_after = 60s,
         .may_end_early = true},
        {.name = "rolled", .strike = roll, .heal = roll_on, .heals_after = 5s, .nobody_leads = 3s},
        {.name = "standby-with-an-old-view",
         .strike =
             [](LeadershipRun& run) {
                 run.world.network.is_silent = [](const http::Request&) { return true; };
                 run.monitor.disturb_kube(60s);
                 run.kill();
             },
         .heal =
             [](LeadershipRun& run) {
                 run.world.network.is_silent = {};
                 run.start_again();
             },
         .heals_after = 40s,
         .nobody_leads = failover},
    };
}

std::vector<Scenario> scenarios() {
    std::vector<Scenario> all = of_leases_and_ways();
    for (Scenario& each : of_processes()) all.push_back(std::move(each));
    return all;
}

/// Without the lists of writes, as a version that knows none would write it.
void forget_writes(http::Request& request) {
    if (request.target.find("/accessrecords/") == std::string::npos) return;
    json body = json::parse(request.body, nullptr, false);
    if (!body.is_object() || !body.contains("/status/surfaces"_json_pointer)) return;
    for (json& surface : body["status"]["surfaces"]) surface["writes"] = json::array();
    request.body = body.dump();
}

void run_plans_of(Moment moment) {
    LeadershipRun undisturbed(nullptr, moment);
    REQUIRE_MESSAGE(undisturbed.play().empty(), undisturbed.told());
    const json expected = undisturbed.outcome();
    const std::map<std::string, int> created = undisturbed.monitor.created();
    const char* only = std::getenv("SALLYPORT_PLAN");
    int plans = 0;
    // One in eight where they are slow; each moment begins with others.
    std::size_t turn = at_full_size ? 0 : static_cast<std::size_t>(moment);
    for (const Scenario& scenario : scenarios()) {
        const std::string name = fmt::format("S7/{}/{}", scenario.name, name_of(moment));
        const bool chosen = only && *only ? name == only : at_full_size || turn++ % 8 == 0;
        if (!chosen) continue;
        ++plans;
        LeadershipRun run(&scenario, moment);
        if (scenario.name == "two-versions")
            run.world.replicas.at(run.world.leader()).way->rewrite = forget_writes;
        std::string wrong = run.play();
        if (wrong.empty() && !scenario.may_end_early && run.outcome() != expected)
            wrong = "it ends otherwise: " + run.outcome().dump();
        for (const auto& [what, count] : run.monitor.created()) {
            const bool once_more = scenario.write_delayed > 0s;
            if (wrong.empty() && count > created.at(what) + (once_more ? 1 : 0))
                wrong = fmt::format("created {}: {}", what, count);
        }
        CHECK_MESSAGE(wrong.empty(), name << ": " << wrong << "\n" << run.told());
    }
    MESSAGE("leadership: plans ran S7 ", plans);
}

}  // namespace

TEST_CASE("leadership plans: as the opening leaves") { run_plans_of(Moment::as_opening_leaves); }
TEST_CASE("leadership plans: while it opens") { run_plans_of(Moment::while_opening); }
TEST_CASE("leadership plans: while it is open") { run_plans_of(Moment::open); }
TEST_CASE("leadership plans: just before its end") { run_plans_of(Moment::before_its_end); }
TEST_CASE("leadership plans: as the closing leaves") { run_plans_of(Moment::as_closing_leaves); }
