#include "system/clock.hpp"

#include <algorithm>
#include <ctime>

namespace sallyport::system {

SteadyTime MachineTime::steady_now() const {
    timespec time{};
    check(clock_gettime(CLOCK_BOOTTIME, &time) == 0, "the machine has a boot-time clock");
    return SteadyTime(std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec));
}

Timestamp wall_now() { return std::chrono::floor<seconds>(std::chrono::system_clock::now()); }

Task<void> SystemClock::sleep_until(SteadyTime due) { co_await loop_.sleep_until(due); }

Task<void> SystemClock::sleep_until_wall(Timestamp due, std::chrono::milliseconds longest) {
    const auto left = due - std::chrono::system_clock::now();
    const auto wait = std::clamp<std::chrono::nanoseconds>(left, {}, longest);
    co_await loop_.sleep_until(loop_.steady_now() + wait, Turn::first);
}

}  // namespace sallyport::system
