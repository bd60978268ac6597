#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace sallyport {

/// Randomness for jitter, ids and request ids; seeded in simulation.
class Random {
public:
    virtual ~Random() = default;
    virtual std::uint64_t next() = 0;
    /// `size` random bytes; unpredictable in production.
    virtual std::string bytes(std::size_t size) = 0;
    /// In [0, 1).
    double fraction() { return static_cast<double>(next() >> 11U) * 0x1.0p-53; }
};

}  // namespace sallyport
