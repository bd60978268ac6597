#pragma once

#include <algorithm>
#include <chrono>
#include <exception>
#include <functional>
#include <optional>

#include "base/loop.hpp"
#include "ports/background.hpp"
#include "ports/clock.hpp"

namespace sallyport::support {

/// Time that stands still until it is moved.
class SimulatedTime final : public SteadySource {
public:
    SteadyTime steady_now() const override { return now_; }
    void advance_to(SteadyTime time) { now_ = std::max(now_, time); }

private:
    SteadyTime now_{std::chrono::hours(1)};
};

/// A clock over `SimulatedTime`. The wall follows the steady time from `start` on; `jump` and
/// `drift` set it off.
class SimulatedClock final : public Clock {
public:
    SimulatedClock(Loop& loop, Timestamp start)
        : loop_(loop), wall_at_zero_(start - since_start()) {}

    Timestamp now() const override {
        return std::chrono::floor<seconds>(wall_at_zero_ + since_start() + gained());
    }
    SteadyTime steady_now() const override { return loop_.steady_now(); }
    Task<void> sleep_until(SteadyTime due) override { co_await loop_.sleep_until(due); }
    Task<void> sleep_until_wall(Timestamp due, std::chrono::milliseconds longest) override {
        const auto left = std::chrono::sys_time<std::chrono::nanoseconds>(due) -
                          (wall_at_zero_ + since_start() + gained());
        const auto wait = std::clamp<std::chrono::nanoseconds>(left, {}, longest);
        co_await loop_.sleep_until(loop_.steady_now() + wait, Turn::first);
    }

    /// The wall clock is set `by` forward (or back, when negative); timers do not notice.
    void jump(std::chrono::seconds by) { wall_at_zero_ += by; }
    /// From now on it gains that many millionths; it loses them when negative.
    void drift(int parts_per_million) {
        wall_at_zero_ += gained();
        drifts_from_ = loop_.steady_now();
        parts_per_million_ = parts_per_million;
    }

private:
    std::chrono::nanoseconds since_start() const { return loop_.steady_now().time_since_epoch(); }
    std::chrono::nanoseconds gained() const {
        return (loop_.steady_now() - drifts_from_) * parts_per_million_ / 1'000'000;
    }
    Loop& loop_;
    std::chrono::sys_time<std::chrono::nanoseconds> wall_at_zero_;
    SteadyTime drifts_from_{};
    int parts_per_million_ = 0;
};

/// A loop in simulated time. A `Bug` that leaves a task of `scope` is counted; tests check `bugs`.
struct SimulatedWorld {
    explicit SimulatedWorld(Timestamp start) : clock(loop, start) {}

    SimulatedTime time;
    Loop loop{time};
    SimulatedClock clock;
    NoBackground background;
    int bugs = 0;
    Scope scope{loop, [this](std::exception_ptr) { ++bugs; }};

    /// Runs all that is ready and moves on from timer to timer, until `span` has passed.
    void run_for(std::chrono::nanoseconds span) {
        run_until([] { return false; }, span);
    }
    /// The same, but ends early once `done()`; true if it was.
    bool run_until(const std::function<bool()>& done, std::chrono::nanoseconds at_most) {
        const SteadyTime end =
            loop.steady_now() + std::chrono::duration_cast<SteadyTime::duration>(at_most);
        for (;;) {
            loop.run_ready();
            if (done()) return true;
            const std::optional<SteadyTime> next = loop.next_timer();
            if (!next || *next > end) break;
            time.advance_to(*next);
        }
        time.advance_to(end);
        loop.run_ready();
        return done();
    }
    /// Runs one task to its end and gives its value.
    template <class T>
    T finish(Task<T> task, std::chrono::nanoseconds at_most = std::chrono::hours(1)) {
        std::optional<T> value;
        scope.start(keep(std::move(task), value));
        const bool ended = run_until([&value] { return value.has_value(); }, at_most);
        check(ended, "the task ends within the time given");
        return std::move(*value);
    }
    void finish(Task<void> task, std::chrono::nanoseconds at_most = std::chrono::hours(1)) {
        finish(as_true(std::move(task)), at_most);
    }

private:
    template <class T>
    static Task<void> keep(Task<T> task, std::optional<T>& value) {
        value.emplace(co_await std::move(task));
    }
    static Task<bool> as_true(Task<void> task) {
        co_await std::move(task);
        co_return true;
    }
};

}  // namespace sallyport::support
