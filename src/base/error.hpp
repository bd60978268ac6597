#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace sallyport {

/// What the caller does next. A kind names the reaction, never where the failure came from;
/// `engine/retry.hpp` turns it into a delay.
enum class ErrorKind {
    invalid,  ///< the object must change: no retry until its generation does
    denied,   ///< a permission is missing, or a policy forbids it: slow retry, named in a condition
    not_found,    ///< the target is not there: slow retry
    conflict,     ///< the world moved (409, 412): read and plan again soon, this lane only
    throttled,    ///< 429 with Retry-After: not before `retry_after`
    unavailable,  ///< 5xx, refused, reset, timeout: back off. **The request may have worked.**
};

std::string_view to_text(ErrorKind kind);

/// A failure as a value: what was attempted, what was answered, what happens next.
/// `message` is lower case without a full stop, so that context can be put in front of it.
struct Error {
    ErrorKind kind = ErrorKind::unavailable;
    std::string message;
    std::string reason =
        {};                 ///< CamelCase, out of the list in docs/reasons.md; empty: none applies
    std::string code = {};  ///< the server's own code, e.g. `SecurityRuleConflict`
    std::string correlation_id = {};  ///< what to quote to support
    std::optional<std::chrono::seconds> retry_after = {};
    int status = 0;  ///< HTTP status; 0: there was no answer

    /// Puts `what` in front of the message: "read nsg prod-web: connection refused".
    Error context(std::string_view what) &&;
};

inline Error invalid(std::string message) { return {ErrorKind::invalid, std::move(message)}; }
inline Error not_found(std::string message) { return {ErrorKind::not_found, std::move(message)}; }
inline Error unavailable(std::string message) {
    return {ErrorKind::unavailable, std::move(message)};
}

}  // namespace sallyport
