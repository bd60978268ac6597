#pragma once

#include <algorithm>
#include <chrono>

#include "ports/random.hpp"

namespace sallyport::kube {

/// Waits between attempts at a list or watch: 800 ms doubling to 30 s, and up to as much again by
/// chance, so that many clients do not come back together (the numbers of client-go's reflector).
class Backoff {
public:
    static constexpr std::chrono::milliseconds first{800};
    static constexpr std::chrono::milliseconds longest{30'000};

    std::chrono::milliseconds next(Random& random) {
        const auto base = next_;
        next_ = std::min(2 * next_, longest);
        return base + std::chrono::milliseconds(static_cast<std::int64_t>(
                          static_cast<double>(base.count()) * random.fraction()));
    }
    void reset() { next_ = first; }

private:
    std::chrono::milliseconds next_ = first;
};

}  // namespace sallyport::kube
