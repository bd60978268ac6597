#pragma once

#include "base/loop.hpp"
#include "ports/clock.hpp"

namespace sallyport::system {

/// The machine's clocks as the loop needs them: CLOCK_BOOTTIME, which goes on while a laptop
/// sleeps.
class MachineTime final : public SteadySource {
public:
    SteadyTime steady_now() const override;
};

/// Wall time of the machine, to the second. For mains and servers; everything else is handed `now`.
Timestamp wall_now();

/// The real clock. Its sleeps are the loop's timers, so the loop must be driven by `MachineTime`.
class SystemClock final : public Clock {
public:
    explicit SystemClock(Loop& loop) : loop_(loop) {}
    Timestamp now() const override { return wall_now(); }
    SteadyTime steady_now() const override { return loop_.steady_now(); }
    Task<void> sleep_until(SteadyTime due) override;
    Task<void> sleep_until_wall(Timestamp due, std::chrono::milliseconds longest) override;

private:
    Loop& loop_;
};

}  // namespace sallyport::system
