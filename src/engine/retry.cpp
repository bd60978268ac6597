#include "engine/retry.hpp"

#include <algorithm>

#include "base/check.hpp"
#include "base/mutant.hpp"

namespace sallyport::engine {

using namespace std::chrono_literals;
using std::chrono::milliseconds;

milliseconds next_attempt(const Attempt& attempt, double fraction) {
    if (planted("no-jitter")) fraction = 1;
    const int doublings = std::clamp(attempt.attempt, 0, 20);
    const auto full = std::min<milliseconds>(attempt.ceiling, attempt.base * (1LL << doublings));
    const auto jittered = milliseconds(
        static_cast<milliseconds::rep>(static_cast<double>(full.count()) * (0.5 + fraction / 2)));
    if (attempt.retry_after && !planted("retry-after-ignored"))
        return std::max<milliseconds>(*attempt.retry_after, jittered);
    return jittered;
}

Attempt reaction_to(const Error& error, int attempt, Urgency urgency) {
    Attempt next{.attempt = attempt, .retry_after = error.retry_after};
    switch (error.kind) {
        case ErrorKind::conflict: next.ceiling = 30s; break;
        case ErrorKind::unavailable: next.ceiling = 60s; break;
        case ErrorKind::throttled: next.ceiling = 60s; break;
        case ErrorKind::not_found: next.base = 5s, next.ceiling = 5min; break;
        case ErrorKind::denied: next.base = 15s, next.ceiling = 5min; break;
        case ErrorKind::invalid: next.base = 1min, next.ceiling = 1h; break;
    }
    if (urgency == Urgency::closing) {
        next.base = std::min<milliseconds>(next.base, 1s);
        next.ceiling = std::min<milliseconds>(next.ceiling, 30s);
    }
    return next;
}

}  // namespace sallyport::engine
