#include "telemetry/prometheus_metrics.hpp"

#include <doctest/doctest.h>

#include <limits>
#include <thread>

#include "base/check.hpp"

using namespace sallyport;
using telemetry::PrometheusMetrics;

TEST_CASE("metrics are rendered as Prometheus reads them, by name, with help and type") {
    PrometheusMetrics metrics;
    metrics.declare({.name = "writes_total",
                     .kind = MetricKind::counter,
                     .help = "Writes.",
                     .labels = {"effect", "code"}});
    metrics.declare(
        {.name = "overdue_seconds", .kind = MetricKind::gauge, .help = "Age of\nthe \\ oldest."});

    metrics.increment("writes_total", {"closes", "200"});
    metrics.add("writes_total", {"closes", "200"}, 2);
    metrics.increment("writes_total", {"opens", "a\"b\\c\nd"});
    metrics.set("overdue_seconds", {}, 1.5);

    CHECK(metrics.render() ==
          "# HELP overdue_seconds Age of\\nthe \\\\ oldest.\n"
          "# TYPE overdue_seconds gauge\n"
          "overdue_seconds 1.5\n"
          "# HELP writes_total Writes.\n"
          "# TYPE writes_total counter\n"
          "writes_total{effect=\"closes\",code=\"200\"} 3\n"
          "writes_total{effect=\"opens\",code=\"a\\\"b\\\\c\\nd\"} 1\n");
}

TEST_CASE(
    "a histogram's buckets are cumulative, a bound belongs to its bucket, and +Inf is the count") {
    PrometheusMetrics metrics;
    metrics.declare({.name = "turn_seconds",
                     .kind = MetricKind::histogram,
                     .help = "h",
                     .labels = {"lane"},
                     .buckets = {0.1, 1}});

    for (const double value : {0.05, 0.1, 0.5, 7.0}) metrics.observe("turn_seconds", {"a"}, value);

    CHECK(metrics.render() ==
          "# HELP turn_seconds h\n"
          "# TYPE turn_seconds histogram\n"
          "turn_seconds_bucket{lane=\"a\",le=\"0.1\"} 2\n"
          "turn_seconds_bucket{lane=\"a\",le=\"1\"} 3\n"
          "turn_seconds_bucket{lane=\"a\",le=\"+Inf\"} 4\n"
          "turn_seconds_sum{lane=\"a\"} 7.65\n"
          "turn_seconds_count{lane=\"a\"} 4\n");
}

TEST_CASE(
    "a metric without labels is there from its declaration on, at 0; numbers are spelt in full") {
    PrometheusMetrics metrics;
    metrics.declare({.name = "a_total", .kind = MetricKind::counter, .help = "h"});
    metrics.declare({.name = "b", .kind = MetricKind::gauge, .help = "h"});
    metrics.declare({.name = "c", .kind = MetricKind::gauge, .help = "h", .labels = {"x"}});
    metrics.declare({.name = "d", .kind = MetricKind::histogram, .help = "h"});
    const auto line = [&](double value) {
        metrics.set("b", {}, value);
        const std::string text = metrics.render();
        const std::size_t at = text.find("\nb ") + 3;
        return text.substr(at, text.find('\n', at) - at);
    };

    CHECK(metrics.render().find("\na_total 0\n") != std::string::npos);
    CHECK(metrics.render().find("\nd_bucket{le=\"+Inf\"} 0\nd_sum 0\nd_count 0\n") !=
          std::string::npos);
    CHECK(metrics.render().find("\nc{") == std::string::npos);
    CHECK(line(1'795'000'000) == "1795000000");
    CHECK(line(std::numeric_limits<double>::infinity()) == "+Inf");
    CHECK(line(-std::numeric_limits<double>::infinity()) == "-Inf");
    CHECK(line(std::numeric_limits<double>::quiet_NaN()) == "NaN");
}

TEST_CASE("a metric that is used otherwise than declared is a bug") {
    PrometheusMetrics metrics;
    metrics.declare({.name = "c_total", .kind = MetricKind::counter, .help = "h", .labels = {"x"}});

    CHECK_THROWS_AS(metrics.increment("d_total", {"a"}), Bug);
    CHECK_THROWS_AS(metrics.increment("c_total"), Bug);
    CHECK_THROWS_AS(metrics.increment("c_total", {"a", "b"}), Bug);
    CHECK_THROWS_AS(metrics.set("c_total", {"a"}, 1), Bug);
    CHECK_THROWS_AS(metrics.observe("c_total", {"a"}, 1), Bug);
    CHECK_THROWS_AS(metrics.add("c_total", {"a"}, -1), Bug);
    CHECK_THROWS_AS(metrics.declare({.name = "c_total", .kind = MetricKind::counter, .help = "h"}),
                    Bug);
    for (const char* name : {"", "1a", "a-b", "a b"}) {
        CHECK_THROWS_AS(metrics.declare({.name = name, .kind = MetricKind::gauge, .help = "h"}),
                        Bug);
    }
    CHECK_THROWS_AS(
        metrics.declare({.name = "g", .kind = MetricKind::gauge, .help = "h", .labels = {"a:b"}}),
        Bug);
    CHECK_THROWS_AS(
        metrics.declare({.name = "g", .kind = MetricKind::gauge, .help = "h", .buckets = {1}}),
        Bug);
    CHECK_THROWS_AS(
        metrics.declare(
            {.name = "h", .kind = MetricKind::histogram, .help = "h", .buckets = {2, 1}}),
        Bug);
    for (std::size_t i = 0; i < PrometheusMetrics::series_max; ++i)
        metrics.increment("c_total", {std::to_string(i)});
    CHECK_THROWS_AS(metrics.increment("c_total", {"one more"}), Bug);
}

TEST_CASE("counts from many threads are all there") {
    PrometheusMetrics metrics;
    metrics.declare({.name = "c_total", .kind = MetricKind::counter, .help = "h", .labels = {"x"}});
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t) {
        threads.emplace_back([&] {
            for (int i = 0; i < 1000; ++i) metrics.increment("c_total", {i % 2 == 0 ? "a" : "b"});
        });
    }
    for (std::thread& thread : threads) thread.join();

    CHECK(metrics.render().find("c_total{x=\"a\"} 2000\nc_total{x=\"b\"} 2000\n") !=
          std::string::npos);
}

TEST_CASE("the listing names every metric that is declared") {
    PrometheusMetrics metrics;
    metrics.declare(
        {.name = "c_total", .kind = MetricKind::counter, .help = "Counts.", .labels = {"x", "y"}});

    CHECK(metrics.listing() ==
          "| metric | kind | labels | meaning |\n|---|---|---|---|\n"
          "| `c_total` | counter | `x`, `y` | Counts. |\n");
}
