#pragma once

#include <memory>
#include <string>

#include "base/result.hpp"
#include "ports/log.hpp"

namespace sallyport::telemetry {

struct LogOptions {
    Level least = Level::info;  ///< below it nothing is written
    std::string file = {};      ///< appended to; empty: standard error
};

/// Writes one JSON object a line: `ts` (RFC 3339, UTC, milliseconds), `level`, `event`, then the
/// fields in their order. Bytes that are no UTF-8 become U+FFFD; a field named like one of the
/// first three is left out.
///
/// A thread of its own writes, so that no caller waits for a disk or a pipe; at most 8192 lines
/// wait, then the oldest go, and the next line that is written says how many (`log.dropped`). The
/// destructor writes what waits.
class JsonLog final : public Log {
public:
    /// `unavailable` if the file cannot be opened.
    static Result<std::unique_ptr<JsonLog>> create(const LogOptions& options);
    JsonLog(const JsonLog&) = delete;
    JsonLog& operator=(const JsonLog&) = delete;
    ~JsonLog() override;

    void write(Level level, std::string_view event, Fields fields) override;

private:
    class Writer;
    std::unique_ptr<Writer> writer_;

public:
    explicit JsonLog(std::unique_ptr<Writer> writer);  ///< for `create`
};

std::string_view to_text(Level level);
/// `debug`, `info`, `warn` or `error`.
Result<Level> parse_level(std::string_view text);

}  // namespace sallyport::telemetry
