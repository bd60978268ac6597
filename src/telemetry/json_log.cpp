#include "telemetry/json_log.hpp"

#include <fmt/format.h>
#include <spdlog/async.h>
#include <spdlog/async_logger.h>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/sinks/stdout_sinks.h>

#include <atomic>
#include <nlohmann/json.hpp>

namespace sallyport::telemetry {

namespace {

constexpr std::size_t lines_waiting_max = 8192;

/// The line without its brace and time, which the pattern adds.
std::string body_of(Level level, std::string_view event, Fields fields) {
    nlohmann::ordered_json line;
    line.emplace("level", to_text(level));
    line.emplace("event", event);
    for (auto& [name, value] : fields) {
        if (name == "ts") continue;
        std::visit([&, key = name](auto& v) { line.emplace(key, std::move(v)); }, value);
    }
    return line.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace).substr(1);
}

}  // namespace

class JsonLog::Writer {
public:
    Writer(Level least, spdlog::sink_ptr sink)
        : least_(least),
          pool_(std::make_shared<spdlog::details::thread_pool>(lines_waiting_max, 1)),
          logger_(std::make_shared<spdlog::async_logger>(
              "sallyport", std::move(sink), pool_, spdlog::async_overflow_policy::overrun_oldest)) {
        logger_->set_level(spdlog::level::trace);  // `least` filters
        logger_->flush_on(spdlog::level::trace);
        logger_->set_formatter(std::make_unique<spdlog::pattern_formatter>(
            R"({"ts":"%Y-%m-%dT%H:%M:%S.%eZ",%v)", spdlog::pattern_time_type::utc, "\n"));
    }

    /// The pool's thread, which formats with what belongs to the logger, ends first.
    ~Writer() { pool_.reset(); }
    Writer(const Writer&) = delete;
    Writer& operator=(const Writer&) = delete;

    void write(Level level, std::string_view event, Fields fields) {
        if (level < least_) return;
        const std::size_t dropped = pool_->overrun_counter();
        if (const std::size_t told = told_.exchange(dropped); told < dropped) {
            const auto lines = static_cast<std::int64_t>(dropped - told);
            put(body_of(Level::warn, "log.dropped", {{"lines", lines}}));
        }
        put(body_of(level, event, std::move(fields)));
    }

private:
    void put(const std::string& body) {
        logger_->log(spdlog::level::info, spdlog::string_view_t(body.data(), body.size()));
    }

    const Level least_;
    std::shared_ptr<spdlog::details::thread_pool> pool_;
    const std::shared_ptr<spdlog::async_logger> logger_;
    std::atomic<std::size_t> told_ = 0;
};

JsonLog::JsonLog(std::unique_ptr<Writer> writer) : writer_(std::move(writer)) {}
JsonLog::~JsonLog() = default;

Result<std::unique_ptr<JsonLog>> JsonLog::create(const LogOptions& options) {
    try {
        spdlog::sink_ptr sink;
        if (options.file.empty()) {
            sink = std::make_shared<spdlog::sinks::stderr_sink_mt>();
        } else {
            sink = std::make_shared<spdlog::sinks::basic_file_sink_mt>(options.file);
        }
        return std::make_unique<JsonLog>(std::make_unique<Writer>(options.least, std::move(sink)));
    } catch (const std::exception& e) {
        return unavailable(fmt::format("open the log file {}: {}", options.file, e.what()));
    }
}

void JsonLog::write(Level level, std::string_view event, Fields fields) {
    writer_->write(level, event, std::move(fields));
}

std::string_view to_text(Level level) {
    switch (level) {
        case Level::debug: return "debug";
        case Level::info: return "info";
        case Level::warn: return "warn";
        case Level::error: return "error";
    }
    throw Bug("a log level out of range");
}

Result<Level> parse_level(std::string_view text) {
    for (const Level level : {Level::debug, Level::info, Level::warn, Level::error}) {
        if (to_text(level) == text) return level;
    }
    return invalid(fmt::format("log level \"{}\" is none of debug, info, warn, error", text));
}

}  // namespace sallyport::telemetry
