#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "base/result.hpp"

namespace sallyport {

/// Wall time, to the second: everything a user sees or Azure stores.
using Timestamp = std::chrono::sys_seconds;
/// Time for delays and timeouts: never jumps, means nothing outside this process.
using SteadyTime = std::chrono::steady_clock::time_point;
using std::chrono::seconds;

/// RFC 3339 as API servers accept it: upper or lower case `T` and `Z`, an offset `+hh:mm`, a
/// fraction that is dropped. Refused: no zone, 24:00, second 60, days that do not exist, years
/// beyond 9999.
Result<Timestamp> parse_rfc3339(std::string_view text);
/// Always `YYYY-MM-DDTHH:MM:SSZ`.
std::string format_rfc3339(Timestamp time);

/// Durations as users write them: `90m`, `3h`, `1h30m`, `45s`; hours, minutes and seconds in that
/// order, whole numbers, at least one part. `0s` is a duration. At most five digits a part.
Result<seconds> parse_duration(std::string_view text);
/// The shortest such text: `1h30m`, `45s`, `0s`.
std::string format_duration(seconds duration);

/// RFC 7231 dates (`Sat, 21 Nov 2026 09:00:00 GMT`), as the `Date` header carries them.
Result<Timestamp> parse_http_date(std::string_view text);
std::string format_http_date(Timestamp time);

}  // namespace sallyport
