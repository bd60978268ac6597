#pragma once

#include <chrono>

#include "base/task.hpp"
#include "base/time.hpp"

namespace sallyport {

/// The only source of "now". The engine asks once per reconcile and passes the value on; the core,
/// the model and the codecs take `now` as an argument.
class Clock {
public:
    virtual ~Clock() = default;
    /// Wall time. It may jump either way between two calls: compare due times again on waking.
    virtual Timestamp now() const = 0;
    /// Never jumps; counts suspend time too (CLOCK_BOOTTIME where the system has it).
    virtual SteadyTime steady_now() const = 0;
    virtual Task<void> sleep_until(SteadyTime due) = 0;
    /// Sleeps at most until `due` by wall time, and never longer than `longest`, so that a clock
    /// that is set while we sleep is noticed. May return early; the caller compares. Resumed before
    /// all else that is ready: this is what ends sleep on.
    virtual Task<void> sleep_until_wall(Timestamp due, std::chrono::milliseconds longest) = 0;

    Task<void> sleep_for(std::chrono::milliseconds delay) {
        return sleep_until(steady_now() + delay);
    }
};

}  // namespace sallyport
