#include <fmt/format.h>

#include <algorithm>

#include "engine/engine.hpp"

// The ends: once a second, and whenever one has come. Nothing here waits for a key.
namespace sallyport::engine {
namespace {

using namespace std::chrono_literals;

/// How far the two clocks may drift apart between two ticks before it is called a jump.
constexpr auto jump_tolerance = 2s;

/// How long looks at keys stand back for each end that has come, and at most for all of a second.
constexpr std::chrono::microseconds ahead_of_looks = 500us;
constexpr std::chrono::microseconds ahead_of_looks_max = 500ms;

/// Connections rest for 10 s, and 1,000 handshakes take about 1 s of CPU.
constexpr auto prepared_ahead = 5s;

}  // namespace

void Engine::tick(Timestamp now) {
    services_.metrics.set("sallyport_overdue_seconds", {},
                          static_cast<double>(deadlines_.oldest_overdue(now).count()));
    services_.metrics.set("sallyport_overdue_grants", {},
                          static_cast<double>(deadlines_.overdue(now)));
    services_.metrics.set("sallyport_open_ends", {}, static_cast<double>(deadlines_.size()));
    const std::chrono::duration<double> turn = services_.loop.take_longest_turn();
    services_.metrics.set("sallyport_loop_turn_seconds_max", {}, turn.count());
    const SteadyTime steady = services_.clock.steady_now();
    if (last_tick_) {
        const auto wall_passed = clock_.machine_now() - last_tick_->first;
        const auto steady_passed = std::chrono::floor<seconds>(steady - last_tick_->second);
        if (wall_passed - steady_passed > jump_tolerance ||
            steady_passed - wall_passed > jump_tolerance) {
            services_.metrics.increment("sallyport_clock_jumps_total");
            services_.log.warn(
                "clock.jumped",
                {{"seconds", static_cast<std::int64_t>((wall_passed - steady_passed).count())}});
            wake_lanes();
            for (const auto& [uid, grant] : grants_) grant_queue_.add(uid);
        }
    }
    last_tick_ = {clock_.machine_now(), steady};
    if (leading_) take_up_ends();
    if (leading_) watch_clock();
}

/// While the clocks are out of step nothing may open; an idle API server would not tell when they
/// agree again, so it is asked.
void Engine::watch_clock() {
    const bool in_step = !nothing_opens(nullptr);
    const std::optional<seconds> offset = services_.store.clock_offset();
    if (offset) {
        services_.metrics.set("sallyport_api_clock_offset_seconds", {},
                              static_cast<double>(offset->count()));
    }
    // Before the API server's first answer nothing is known, and there is nothing to tell.
    if (offset && in_step != clock_told_in_step_) {
        // Ends come by the later of the two.
        services_.log.write(
            in_step ? Level::info : Level::warn, "clock.out_of_step",
            {{"in_step", in_step},
             {"api_server_ahead_seconds", static_cast<std::int64_t>(offset->count())}});
        clock_told_in_step_ = in_step;
    }
    if (in_step != clock_in_step_) {
        for (const auto& [uid, grant] : grants_) grant_queue_.add(uid);
    }
    clock_in_step_ = in_step;
    const SteadyTime now = services_.clock.steady_now();
    if (in_step || now - time_asked_ < 10s) return;
    time_asked_ = now;
    scope_.start(ask_time());
}

Task<void> Engine::ask_time() {
    const auto answered = co_await services_.store.read_record("clock");  // any answer has a Date
    if (!answered) services_.log.debug("clock.not_told", {{"error", answered.error().message}});
}

/// In order of their first end.
std::vector<Engine::DueLane> Engine::by_lane(const std::vector<std::string>& uids) const {
    std::map<std::pair<std::string_view, std::string_view>, std::size_t> places;
    std::vector<DueLane> lanes;
    for (const std::string& uid : uids) {
        const auto entry = grants_.find(uid);
        if (entry == grants_.end()) continue;
        for (const NsgId& nsg : entry->second.claimed) {
            const auto [place, added] =
                places.try_emplace({entry->second.account, nsg.text()}, lanes.size());
            if (added) lanes.push_back({entry->second.account, nsg, {}});
            lanes[place->second].uids.push_back(uid);
        }
    }
    return lanes;
}

/// nullptr: it has gone meanwhile.
Lane* Engine::find_lane(const DueLane& due) {
    Account* account = find_account(due.account);
    return account ? account->find_lane(due.nsg) : nullptr;
}

/// All due closings are handed over first, lane by lane; what they make others think of comes
/// afterwards. The closings of a lane leave while those of the next are planned.
Task<void> Engine::close_due(std::vector<std::string> uids) {
    if (uids.empty()) co_return;
    const auto ahead = static_cast<std::int64_t>(uids.size()) * ahead_of_looks;
    looks_after_ = services_.clock.steady_now() + std::min(ahead, ahead_of_looks_max);
    for (const auto& [name, account] : accounts_) {
        for (const auto& [id, lane] : account->lanes()) lane->stand_back(looks_after_);
    }
    for (const DueLane& due : by_lane(uids)) {
        if (Lane* lane = find_lane(due)) lane->close_due(due.uids);
        co_await services_.loop.yield(Turn::first);  // they leave; nothing else has a turn
    }
    for (const std::string& uid : uids) {
        const auto entry = grants_.find(uid);
        if (entry == grants_.end()) continue;
        entry->second.was_due = true;
        // After a start: no lane has been told of it, and its first look waits for nothing.
        const bool late = entry->second.claimed.empty() && entry->second.active;
        if (late) late_.insert(uid);
        grant_queue_.add(uid, late ? KeyQueue::Priority::urgent : KeyQueue::Priority::normal);
    }
}

/// The closings of the next second, planned while there is time.
Task<void> Engine::plan_ahead(Timestamp end, std::vector<std::string> uids) {
    for (const DueLane& due : by_lane(uids)) {
        if (Lane* lane = find_lane(due)) lane->prepare_closings(end, due.uids);
        co_await services_.loop.yield();
    }
}

/// Of the seconds before many ends, for tokens and connections: those would cost the closings more
/// time than all else.
void Engine::prepare_closings(Timestamp now) {
    if (!services_.leadership.leads()) return;
    std::map<std::string, int> by_account;
    for (const std::string& uid : deadlines_.between(now, now + prepared_ahead)) {
        const auto entry = grants_.find(uid);
        if (entry != grants_.end() && !entry->second.claimed.empty())
            by_account[entry->second.account] += static_cast<int>(entry->second.claimed.size());
    }
    for (const auto& [name, count] : by_account) {
        if (Account* account = find_account(name)) account->prepare_closings(count);
    }
    std::vector<std::string> next = deadlines_.between(now, now + 1s);
    if (!next.empty()) scope_.start(plan_ahead(now + 1s, std::move(next)));
}

Task<void> Engine::run_deadlines() {
    std::optional<Timestamp> ticked;
    for (;;) {
        const Timestamp now = services_.clock.now();
        co_await close_due(deadlines_.take_due(now));
        if (ticked != now) {
            tick(now);
            prepare_closings(now);
        }
        ticked = now;
        const Timestamp next = std::min(deadlines_.next().value_or(now + 1s), now + 1s);
        co_await services_.clock.sleep_until_wall(next, 1s);
    }
}

}  // namespace sallyport::engine
