#include "telemetry/json_log.hpp"

#include <doctest/doctest.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <thread>

#include "base/text.hpp"
#include "base/time.hpp"
#include "support/temporary_directory.hpp"

using namespace sallyport;

namespace {

/// What `use` makes a log write, line by line.
template <class F>
std::vector<std::string> lines_of(Level least, F use) {
    const TemporaryDirectory at;
    const std::string path = at.path() + "/log";
    {
        auto log = telemetry::JsonLog::create({.least = least, .file = path});
        REQUIRE(log.has_value());
        use(**log);
    }
    std::ifstream in(path);
    std::vector<std::string> lines;
    for (std::string line; std::getline(in, line);) lines.push_back(line);
    return lines;
}

}  // namespace

TEST_CASE("one call is one line of JSON: time, level, event, and the fields in their order") {
    const auto lines = lines_of(Level::info, [](Log& log) {
        log.info("rule.removed", {{"nsg", std::string("prod-web")},
                                  {"count", std::int64_t{3}},
                                  {"took", 1.5},
                                  {"ours", true}});
    });

    REQUIRE(lines.size() == 1);
    const std::string& line = lines[0];
    const std::size_t rest = line.find(",\"level\"");
    CHECK(line.substr(rest) == R"(,"level":"info","event":"rule.removed","nsg":"prod-web",)"
                               R"("count":3,"took":1.5,"ours":true})");
    const std::string ts = nlohmann::json::parse(line).at("ts").get<std::string>();
    CHECK(ts.size() == std::string("2026-11-21T09:00:00.123Z").size());
    CHECK(parse_rfc3339(ts).has_value());
}

TEST_CASE("whatever a value holds, the line stays one line of JSON") {
    const std::string nasty = "a\"b\\c\nd\te\x01 %v {} \xff\xfe gr\xc3\xbc\xc3\x9f";
    const auto lines = lines_of(Level::info, [&](Log& log) {
        log.error("x.y",
                  {{"reason", nasty}, {"ts", std::string("mine")}, {"level", std::string("mine")}});
    });

    REQUIRE(lines.size() == 1);
    const auto line = nlohmann::json::parse(lines[0]);
    CHECK(line.at("level") == "error");
    CHECK(line.at("ts") != "mine");
    CHECK(line.at("reason") ==
          "a\"b\\c\nd\te\x01 %v {} \xef\xbf\xbd\xef\xbf\xbd gr\xc3\xbc\xc3\x9f");
}

TEST_CASE("what is below the least level is not written, and levels are parsed by name") {
    const auto lines = lines_of(Level::warn, [](Log& log) {
        log.debug("a");
        log.info("b");
        log.warn("c");
        log.error("d");
    });

    CHECK(lines.size() == 2);
    CHECK(telemetry::parse_level("debug").value() == Level::debug);
    CHECK(telemetry::parse_level("error").value() == Level::error);
    CHECK_FALSE(telemetry::parse_level("warning").has_value());
}

TEST_CASE("lines from many threads are whole, and those that were too many are counted") {
    const auto lines = lines_of(Level::info, [](Log& log) {
        std::vector<std::thread> threads;
        for (int t = 0; t < 4; ++t) {
            threads.emplace_back([&log, t] {
                for (int i = 0; i < 20'000; ++i) log.info("tick", {{"thread", std::int64_t{t}}});
            });
        }
        for (std::thread& thread : threads) thread.join();
        log.info("last");
    });

    std::int64_t ticks = 0;
    std::int64_t dropped = 0;
    for (const std::string& text : lines) {
        const auto line = nlohmann::json::parse(text);
        if (line.at("event") == "tick") ++ticks;
        if (line.at("event") == "log.dropped") dropped += line.at("lines").get<std::int64_t>();
    }
    CHECK(nlohmann::json::parse(lines.back()).at("event") == "last");
    // A line that tells of dropped ones can itself be dropped.
    CHECK(ticks + dropped <= 80'000 + 1000);
    CHECK(ticks >= 8000);
}

TEST_CASE("a log file that cannot be opened is refused with its path") {
    const auto log = telemetry::JsonLog::create({.file = "/proc/no/log"});

    REQUIRE_FALSE(log.has_value());
    CHECK(log.error().kind == ErrorKind::unavailable);
    CHECK(log.error().message.find("/proc/no/log") != std::string::npos);
}
