#pragma once

#include <chrono>
#include <optional>

#include "base/error.hpp"

namespace sallyport::engine {

/// How long to wait before the next try; plain arithmetic, the jitter's fraction in [0,1) is passed
/// in.
struct Attempt {
    int attempt = 0;  ///< 0 for the first retry
    std::chrono::milliseconds base = std::chrono::seconds(1);
    std::chrono::milliseconds ceiling = std::chrono::seconds(60);
    std::optional<std::chrono::seconds> retry_after = {};
};
/// base × 2^attempt up to the ceiling, the upper half of it jittered; never before `retry_after`.
std::chrono::milliseconds next_attempt(const Attempt& attempt, double fraction);

enum class Urgency { closing, opening, other };

/// The reaction that an error's kind names. Closings are retried without end and never
/// wait longer than 30 s, whatever the kind.
Attempt reaction_to(const Error& error, int attempt, Urgency urgency);

}  // namespace sallyport::engine
