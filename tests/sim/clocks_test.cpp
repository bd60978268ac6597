#include "sim/scenes.hpp"

using namespace sallyport;
using namespace sallyport::sim;
using namespace std::chrono_literals;

// A machine that does not know what time it is: ends come by the later of its clock and the API
// server's, once the two are out of step.
namespace {

constexpr std::chrono::seconds to_1970{1'795'000'000};

/// How long after the true `end` nothing of ours was left.
seconds gone_after(World& world, Timestamp end) {
    REQUIRE_TOLD(
        world, world.run_until([&] { return world.our_rules().empty(); }, end + 60s - world.now()));
    return world.now() - end;
}

}  // namespace

TEST_CASE("a machine whose clock is set an hour back closes in time all the same") {
    World world;
    start_ready(world);
    const std::string foreign = world.foreign_rules();
    const Timestamp end = open_grant(world, "a", "3m");
    world.operators_clock.jump(-1h);

    CHECK(gone_after(world, end) <= 3s);
    REQUIRE_TOLD(world, world.run_until([&] { return world.phase("a") == "Expired"; }, 60s));
    check_clean(world, foreign);

    // And opens nothing before they agree.
    ask(world, World::a_grant("b", "10m"));
    world.run_for(1min);
    CHECK_TOLD(world, world.our_rules().empty());
    world.operators_clock.jump(1h);
    REQUIRE_TOLD(world, world.run_until([&] { return world.phase("b") == "Open"; }, 3min));
}

TEST_CASE("a clock that is set back while the API server cannot be reached makes no end late") {
    World world;
    start_ready(world);
    const Timestamp end = open_grant(world, "a", "3m");
    cut_off(world, kube_origin);
    world.network.break_streams();
    world.operators_clock.jump(-1h);
    CHECK(gone_after(world, end) <= 3s);
}

TEST_CASE("a machine that starts in 1970 closes in time, and writes no time of 1970") {
    World world;
    start_ready(world);
    const std::string foreign = world.foreign_rules();
    const Timestamp end = open_grant(world, "a", "3m");
    world.crash();
    world.operators_clock.jump(-to_1970);
    world.start_operator();

    CHECK(gone_after(world, end) <= 3s);
    REQUIRE_TOLD(world, world.run_until([&] { return world.phase("a") == "Expired"; }, 60s));
    for (const json& record : world.records())
        CHECK(record.dump().find("\"1970-") == std::string::npos);
    CHECK_MESSAGE(world.grant("a").dump().find("\"1970-") == std::string::npos,
                  world.grant("a").dump());
    check_clean(world, foreign);
}

TEST_CASE("a machine that is ahead of the API server closes early, never late") {
    World world;
    start_ready(world);
    const Timestamp end = open_grant(world, "a", "3m");
    world.operators_clock.jump(60s);
    REQUIRE_TOLD(world, world.run_until([&] { return world.our_rules().empty(); }, 3min));
    CHECK(world.now() <= end);
}
