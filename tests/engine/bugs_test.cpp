#include "engine/bugs.hpp"

#include <doctest/doctest.h>

#include "base/check.hpp"
#include "support/memory_world.hpp"
#include "support/simulated_time.hpp"

using namespace sallyport;

namespace {

Task<void> break_an_invariant() {
    check(false, "this holds");
    co_return;
}

}  // namespace

TEST_CASE(
    "a bug that leaves a task is counted and logged with where it was, and nothing else ends") {
    support::SimulatedTime time;
    Loop loop{time};
    support::KeptLog log;
    support::KeptMetrics metrics;
    engine::declare_bug_metric(metrics);
    Scope scope(loop, engine::on_bug(log, metrics, "lane", "nsg-web"));

    scope.start(break_an_invariant());
    scope.start(break_an_invariant());
    loop.run_ready();

    CHECK(metrics.value("sallyport_bugs_total") == 2);
    CHECK(log.errors == 2);
    REQUIRE(log.lines.size() == 2);
    CHECK(log.lines[0].starts_with("bug where=lane key=nsg-web what="));
    CHECK(log.lines[0].find("this holds") != std::string::npos);
}
