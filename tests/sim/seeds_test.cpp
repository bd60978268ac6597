#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <chrono>

#include "sim/plan_judge.hpp"
#include "sim/shrink.hpp"
#include "sim/swarm.hpp"

using namespace sallyport;
using namespace sallyport::sim;

// S9: random seeds. `make sim SEED=…` replays one, `make sim SEEDS=… FIRST_SEED=…` runs many.
namespace {

#ifdef NDEBUG
constexpr std::uint64_t usual_seeds = 2000;
#else
constexpr std::uint64_t usual_seeds = 8;
#endif
constexpr std::size_t shrinking_tries = 200;
constexpr std::uint64_t shards = 4;  ///< cases that ctest runs side by side

/// The name of what is violated, without how.
std::string head_of(const std::string& wrong) { return wrong.substr(0, wrong.find(':')); }

/// What is left of a failing seed when all has been left out that it fails without.
std::string shrunk(std::uint64_t seed, const Schedule& schedule, const std::string& wrong) {
    const auto fails = [&](const std::vector<std::size_t>& numbers) {
        const Schedule fewer = schedule.part(numbers);
        Swarm again(seed, &fewer);
        return head_of(again.play()) == head_of(wrong);
    };
    const Schedule least = schedule.part(shrink(schedule.size(), fails, shrinking_tries));
    Swarm last(seed, &least);
    const std::string still = last.play();
    return fmt::format("seed {}: {}\nof {} acts and faults these are left:\n{}{}", seed, still,
                       schedule.size(), last.tell(least), last.told());
}

void run_seeds(std::uint64_t shard) {
    const std::uint64_t only = setting("SALLYPORT_SEED", 0);
    const bool alone = only != 0;
    const bool chosen = alone || !setting("SALLYPORT_SEEDS").empty();
    if (chosen && shard != 0) return;  // whoever chooses, shares out
    const std::uint64_t first = alone ? only : setting("SALLYPORT_FIRST_SEED", 1);
    const std::uint64_t count = alone ? 1 : setting("SALLYPORT_SEEDS", usual_seeds);
    const std::uint64_t step = chosen ? 1 : shards;
    int failed = 0;
    std::uint64_t ran = 0;
    std::chrono::nanoseconds lived{0};
    const auto began = std::chrono::steady_clock::now();
    for (std::uint64_t seed = first + shard; seed < first + count; seed += step) {
        Swarm swarm(seed);
        const std::string wrong = swarm.play();
        ++ran;
        lived += swarm.lived();
        if (alone) MESSAGE("trace ", fmt::format("{:016x}", swarm.trace()));
        if (wrong.empty()) continue;
        ++failed;
        MESSAGE("FAILED seed ", seed, ": ", wrong.substr(0, 300));
        if (failed == 1) {
            MESSAGE(shrunk(seed, swarm.happened(), wrong), "make sim SEED=", seed);
        }
    }
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - began;
    const std::chrono::duration<double, std::ratio<3600>> hours = lived;
    MESSAGE(ran, " seeds, ", fmt::format("{:.1f}", hours.count()), " simulated hours, ",
            fmt::format("{:.2f}", hours.count() / std::max(took.count(), 1e-3)), " a second");
    CHECK(failed == 0);
}

}  // namespace

TEST_CASE("seeds: safe while everything fails, and at rest after all is healed (1 of 4)") {
    run_seeds(0);
}
TEST_CASE("seeds: safe while everything fails, and at rest after all is healed (2 of 4)") {
    run_seeds(1);
}
TEST_CASE("seeds: safe while everything fails, and at rest after all is healed (3 of 4)") {
    run_seeds(2);
}
TEST_CASE("seeds: safe while everything fails, and at rest after all is healed (4 of 4)") {
    run_seeds(3);
}

TEST_CASE("the same seed gives the same trace twice, and another seed another") {
    const auto trace_of = [](std::uint64_t seed) {
        Swarm swarm(seed);
        swarm.play();
        return swarm.trace();
    };
    const std::uint64_t once = trace_of(7);
    CHECK(trace_of(7) == once);
    CHECK(trace_of(8) != once);
}

TEST_CASE("what a seed met with, played again without a die, gives the same trace") {
    for (const std::uint64_t seed : {3U, 11U, 29U}) {
        Swarm first(seed);
        first.play();
        const Schedule all = first.happened();
        Swarm second(seed, &all);
        second.play();
        CHECK(second.trace() == first.trace());
    }
}

TEST_CASE("shrinking leaves what a failure needs, and nothing else") {
    std::size_t asked = 0;
    const auto needs = [&](std::vector<std::size_t> needed) {
        return [needed = std::move(needed), &asked](const std::vector<std::size_t>& some) {
            ++asked;
            return std::ranges::includes(some, needed);
        };
    };
    CHECK(shrink(100, needs({3, 64, 65}), 500) == std::vector<std::size_t>{3, 64, 65});
    CHECK(shrink(1, needs({0}), 500) == std::vector<std::size_t>{0});
    CHECK(shrink(100, needs({}), 500).empty());
    asked = 0;
    CHECK(shrink(100, needs({3, 64, 65}), 5).size() >= 3);
    CHECK(asked <= 5);
}

/// For whoever compares builds: tests/sim/same_traces.cmake.
TEST_CASE("traces: of the first seeds" * doctest::skip()) {
    const std::uint64_t count = setting("SALLYPORT_TRACES", 12);
    for (std::uint64_t seed = 1; seed <= count; ++seed) {
        Swarm swarm(seed);
        swarm.play();
        MESSAGE("trace of seed ", seed, " is ", fmt::format("{:016x}", swarm.trace()));
    }
    CHECK(count > 0);
}
