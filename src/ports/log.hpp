#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace sallyport {

/// `error`: a person must act. `warn`: it will be retried, or it looks wrong. `info`: access
/// changed or the process changed state. `debug`: everything else.
enum class Level { debug, info, warn, error };

using FieldValue = std::variant<std::string, std::int64_t, double, bool>;
using Fields = std::vector<std::pair<std::string_view, FieldValue>>;

/// One call is one line. `event` is a constant such as `rule.removed`, never built from data; ids
/// go in fields that have the same name everywhere (`nsg`, `rule`, `grant`, `account`, `reason`,
/// `error`). Never: tokens, bodies with credentials, whole objects. Any thread.
class Log {
public:
    virtual ~Log() = default;
    virtual void write(Level level, std::string_view event, Fields fields) = 0;

    void debug(std::string_view event, Fields fields = {}) {
        write(Level::debug, event, std::move(fields));
    }
    void info(std::string_view event, Fields fields = {}) {
        write(Level::info, event, std::move(fields));
    }
    void warn(std::string_view event, Fields fields = {}) {
        write(Level::warn, event, std::move(fields));
    }
    void error(std::string_view event, Fields fields = {}) {
        write(Level::error, event, std::move(fields));
    }
};

}  // namespace sallyport
