#pragma once

#include <chrono>

#include "ports/clock.hpp"
#include "ports/store.hpp"

namespace sallyport::engine {

/// Nothing opens while our clock and the API server's differ by more.
inline constexpr seconds clock_difference_max{30};

/// The time by which everything ends: this machine's, and where the API server's is ahead of it by
/// more than two clocks may differ, the API server's. So a machine that starts in 1970, or whose
/// clock was set back, closes in time; one that is ahead closes early, never late. While they are
/// out of step nothing opens, whichever is right.
class AgreedClock final : public Clock {
public:
    AgreedClock(Clock& machine, const Store& store) : machine_(machine), store_(store) {}

    Timestamp now() const override { return machine_.now() + behind(); }
    SteadyTime steady_now() const override { return machine_.steady_now(); }
    Task<void> sleep_until(SteadyTime due) override { return machine_.sleep_until(due); }
    Task<void> sleep_until_wall(Timestamp due, std::chrono::milliseconds longest) override {
        return machine_.sleep_until_wall(due - behind(), longest);
    }
    /// What this machine takes for now.
    Timestamp machine_now() const { return machine_.now(); }

private:
    seconds behind() const {
        const auto offset = store_.clock_offset();
        return offset && *offset > clock_difference_max ? *offset : seconds(0);
    }

    Clock& machine_;
    const Store& store_;
};

}  // namespace sallyport::engine
