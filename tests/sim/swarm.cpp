#include "sim/swarm.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "sim/people.hpp"
#include "sim/scenes.hpp"

namespace sallyport::sim {

using namespace std::chrono_literals;

namespace {

/// Until a write whose outcome nobody told can not land any more, and two sweeps.
constexpr auto rest_within = 20min;
constexpr auto quiet_for = 130s;
/// The jump host of those who have one.
constexpr const char* excepted_network = "10.8.0.0/24";

/// As it was before there was a lockdown: everybody gets to the machines.
void open_to_all(std::string& estate) {
    const std::string rule =
        "{name: legacy-ssh, priority: 1000, access: Allow, protocol: Tcp, ports: [\"22\"], "
        "source: [\"*\"], destination: [\"*\"]}\n";
    const std::string of_subnet = "      securityRules:\n";
    const std::string of_web01 = "    - name: nsg-web01\n";
    const std::size_t subnet = estate.find(of_subnet);
    estate.insert(subnet + of_subnet.size(), "      - " + rule);
    const std::size_t web01 = estate.find(of_web01);
    estate.insert(web01 + of_web01.size(), of_subnet + "      - " + rule);
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

Setting Setting::of(std::uint64_t seed, Cast cast) {
    Setting setting;
    if (cast == Cast::first) return setting;
    std::mt19937_64 die(seed * 0x9e3779b97f4a7c15 + 0x5e771);
    setting.several = die() % 10 == 0;
    setting.stormy = die() % 4 == 0;
    setting.both_families = !setting.several && die() % 8 == 0;
    setting.excepted = die() % 4 == 0;
    if (setting.both_families) {
        setting.estate = dual_stack_estate();
        setting.policy_changes["network"]["sources"] = {
            {"within", {"198.51.100.0/22", "2001:db8::/32"}},
            {"widest", {{"ipv4", 28}, {"ipv6", 64}}}};
    }
    if (setting.excepted) {
        open_to_all(setting.estate);
        setting.policy_changes["network"]["lockdown"]["exceptions"] = {
            {{"cidr", excepted_network}, {"reason", "jump host"}}};
    }
    static constexpr const char* times[] = {"", "", "2500ms", "6s"};
    if (const std::string time = times[die() % 4]; !time.empty())
        setting.estate += "behaviour: {operationTime: " + time + "}\n";
    if (die() % 2 == 0) setting.policy_changes["network"]["lockdown"]["onDelete"] = "Remove";
    if (die() % 5 == 0) setting.policy_changes["retainEndedGrants"] = "60s";
    static constexpr std::chrono::milliseconds lags[] = {0ms, 0ms, 0ms, 0ms, 300ms, 900ms};
    setting.lag = lags[die() % 6];
    setting.calm = die() % 3 == 0;
    return setting;
}

Swarm::Swarm(std::uint64_t seed, const Schedule* only, Cast cast)
    : cast_(cast),
      setting_(Setting::of(seed, cast)),
      owned_(setting_.several ? std::make_unique<ReplicatedWorld>(seed, setting_.estate)
                              : std::make_unique<World>(seed, setting_.estate)),
      world(*owned_),
      monitor(world),
      injector(world, monitor, nullptr),
      several_(setting_.several ? static_cast<ReplicatedWorld*>(owned_.get()) : nullptr),
      random_(seed),
      began_(world.time.loop.steady_now()),
      only_(only) {
    world.network.stream_tick = 10s;
    world.network.stream_lag = setting_.lag;
    world.fate = [this](const http::Request& request) { return decide(request); };
    monitor.clock_apart = [this] {
        return std::chrono::round<seconds>(world.operators_clock.now() - world.now());
    };
    troubled_ = std::chrono::seconds(120 + draw(360));
    world.set_up(setting_.policy_changes);
    policy_ = World::a_policy();
    policy_.at("spec").merge_patch(setting_.policy_changes);
    if (setting_.stormy) {
        planning_troubles_ = true;
        plan_faults();
        planning_troubles_ = false;
        plan_users();
    }
    if (setting_.stormy || chance(0.3)) plan_outsiders();
    if (cast == Cast::first) {
        plan_tearings();
    } else {
        plan_people();
        planning_troubles_ = true;
        plan_troubles();
        if (setting_.calm || calm_from_) calm_down();
    }
    std::erase_if(events_, [this](const Event& event) { return event.at >= end_of_trouble(); });
    std::ranges::stable_sort(events_, {}, &Event::at);
    for (std::size_t i = 0; i < events_.size(); ++i) events_[i].number = i;
    planned_ = events_;
    if (only_) {
        std::erase_if(events_, [&](const Event& event) {
            return std::ranges::find(only_->acts, event.number) == only_->acts.end();
        });
    }
    std::ranges::reverse(events_);
    start();
}

void Swarm::start() {
    if (!several_) return world.start_operator();
    for (const char* name : {"a", "b"}) several_->start(name);
}

void Swarm::add(SteadyTime at, std::string name, std::function<void()> act) {
    events_.push_back({at, 0, std::move(name), std::move(act), planning_troubles_});
}

SteadyTime Swarm::some_time(double from, double to) {
    const auto span = std::chrono::duration_cast<std::chrono::milliseconds>(troubled_).count();
    const auto begin = static_cast<std::uint64_t>(static_cast<double>(span) * from);
    const auto end = static_cast<std::uint64_t>(static_cast<double>(span) * to);
    return began_ + std::chrono::milliseconds(begin + draw(end - begin));
}

support::Fate Swarm::decide(const http::Request& request) {
    support::Fate fate;
    if (healed_ || is_calm() || request.target.find("/events") != std::string::npos) return fate;
    const Site site{.call = call_class(request)};
    const std::size_t nth = seen_[site.call]++;
    if (auto response = injector.gone(request)) {
        fate.instead = std::move(response);
        return fate;
    }
    if (in_trouble(site, request, fate)) return fate;
    const FaultKind* kind = only_ ? chosen(site.call, nth) : drawn(site);
    if (!kind) return fate;
    happened_.hits.push_back({site.call, nth, kind});
    monitor.note(fmt::format("FAULT     {} on {}#{}", kind->name, site.call, nth));
    hit(*kind, site, request, fate);
    return fate;
}

void Swarm::hit(const FaultKind& kind, const Site& site, const http::Request& request,
                support::Fate& fate) {
    if (site.azure()) {
        monitor.disturb_azure(kind.heals_in);
    } else {
        monitor.disturb_kube(kind.heals_in, site.call);
    }
    kind.hit(injector, request, fate);
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

void Swarm::crash_for(std::chrono::milliseconds down) {
    if (several_) {
        const std::string leader = several_->leader();
        if (leader.empty()) return;
        several_->kill(leader);
        several_->replicas.at(leader).back_at = now() + down;
        return;
    }
    if (!world.process) return;
    world.crash();
    back_at_ = now() + down;
}

/// Ends what has its time, and what a call met with beyond itself.
void Swarm::tend() {
    if (std::exchange(injector.restart_wanted, false)) crash_for(down_);
    if (const auto lost = std::exchange(injector.suspension, 0s); lost > 0s) {
        world.time.time.advance_to(now() + lost);
        monitor.resumed();
    }
    if (back_at_ && now() >= *back_at_) {
        back_at_.reset();
        world.start_operator();
    }
    if (silent_until_ && now() >= *silent_until_) {
        silent_until_.reset();
        injector.streams_silent = false;
        if (gone_after_silence_) injector.forget_watches();
    }
    if (clock_right_at_ && now() >= *clock_right_at_) {
        clock_right_at_.reset();
        world.operators_clock.jump(-std::exchange(clock_off_, 0s));
        monitor.clock_was_set();
    }
    if (lock_off_at_ && now() >= *lock_off_at_) {
        lock_off_at_.reset();
        monitor.note("act       unlocks it");
        world.azure("DELETE", lock_path);
    }
    if (ways_whole_at_ && now() >= *ways_whole_at_) {
        ways_whole_at_.reset();
        for (auto& [name, replica] : several_->replicas) replica.way->cut.clear();
    }
    if (healed_ && cast_ == Cast::whole) put_policy_right();
}

void Swarm::run(SteadyTime::duration span) {
    const auto cut = [this] { return injector.restart_wanted || injector.suspension > 0s; };
    if (several_) {
        several_->tend_until(cut, span);
    } else {
        world.run_until(cut, span);
    }
}

void Swarm::step() {
    const SteadyTime begin = now();
    while (!events_.empty() && events_.back().at <= begin) {
        const Event event = std::move(events_.back());
        events_.pop_back();
        monitor.note("act       " + event.name);
        happened_.acts.push_back(event.number);
        event.act();
    }
    tend();
    SteadyTime next = begin + 5s;
    if (!events_.empty()) next = std::min(next, events_.back().at);
    for (const auto& at :
         {back_at_, silent_until_, clock_right_at_, lock_off_at_, ways_whole_at_}) {
        if (at) next = std::min(next, *at);
    }
    run(std::max<SteadyTime::duration>(next - begin, 1ms));
}

/// Nothing fails any more, and nobody wants anything any more.
void Swarm::leave() {
    healed_ = true;
    events_.clear();
    injector.stream_fault = Injector::StreamFault::none;
    injector.streams_silent = false;
    clear_faults(world);
    const SteadyTime at = now();
    lock_off_at_.reset();  // who goes home takes it along
    if (back_at_) back_at_ = at;
    if (clock_right_at_) clock_right_at_ = at;
    if (silent_until_ && cast_ == Cast::whole) silent_until_ = at;
    monitor.note("everything heals, everybody leaves");
    if (cast_ == Cast::whole) {
        send_home(world, policy_);
        if (several_) several_->heal();
    }
    for (const std::string& name : names_) world.request("admin", "DELETE", grant_path(name));
}

std::string Swarm::come_to_rest() {
    const SteadyTime healed = now();
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
    if (several_) {
        if (std::string wrong = several_->wrong_writes(); !wrong.empty()) return wrong;
    }
    for (const json& record : world.records()) {
        if (!record.at("status").contains("closedAt")) return "I10: a record says not closed";
    }
    if (!policy_is_ready(world)) return "I12: the policy is not Ready";
    return all_gone() ? "" : "I13: it did not stay so";
}

std::string Swarm::play() {
    while (now() < end_of_trouble() && monitor.complaints().empty()) step();
    leave();
    std::string wrong = come_to_rest();
    if (wrong.empty() && (world.time.bugs > 0 || world.network.handler_failures > 0))
        wrong = "a bug was thrown";
    // That a process lost the Lease, and so ends, is an error; of that one, and not of this system.
    if (wrong.empty() && !several_ && world.log.errors > 0) wrong = "the log has errors";
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
