#pragma once

#include <cstdint>
#include <string>

#include "base/digest.hpp"

namespace sallyport::simulator {

/// SplitMix64: small, seeded, the same on every machine. Not for secrets; a simulator has none
/// worth keeping.
class Random {
public:
    explicit Random(std::uint64_t seed) : state_(seed) {}

    std::uint64_t next() {
        std::uint64_t z = (state_ += 0x9e3779b97f4a7c15ULL);
        z = (z ^ (z >> 30U)) * 0xbf58476d1ce4e5b9ULL;
        z = (z ^ (z >> 27U)) * 0x94d049bb133111ebULL;
        return z ^ (z >> 31U);
    }
    /// In 0 … `bound` - 1.
    std::uint64_t below(std::uint64_t bound) { return next() % bound; }
    bool chance(double probability) {
        return static_cast<double>(next() >> 11U) * 0x1.0p-53 < probability;
    }
    std::string guid() {
        std::string bytes(16, '\0');
        for (std::size_t i = 0; i < 16; i += 8) {
            std::uint64_t word = next();
            for (std::size_t k = 0; k < 8; ++k, word >>= 8U) {
                bytes[i + k] = static_cast<char>(word & 0xffU);
            }
        }
        return uuid_v4_of(bytes);
    }

private:
    std::uint64_t state_;
};

}  // namespace sallyport::simulator
