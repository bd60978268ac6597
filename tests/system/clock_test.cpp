#include "system/clock.hpp"

#include <doctest/doctest.h>

#include <set>

#include "support/real_world.hpp"
#include "system/random.hpp"

using namespace sallyport;
using namespace std::chrono_literals;

TEST_CASE(
    "the clock's sleeps end at or after their time, and a wall sleep at its longest at the "
    "latest") {
    support::RealWorld world;

    const SteadyTime begun = world.clock.steady_now();
    world.finish(world.clock.sleep_until(begun + 20ms));
    CHECK(world.clock.steady_now() >= begun + 20ms);

    const SteadyTime again = world.clock.steady_now();
    world.finish(world.clock.sleep_until_wall(world.clock.now() + 3600s, 20ms));
    CHECK(world.clock.steady_now() >= again + 20ms);
    CHECK(world.clock.steady_now() < again + 60s);
    world.finish(
        world.clock.sleep_until_wall(world.clock.now() - 3600s, 3600s * 1000));  // due already
    CHECK(world.clock.steady_now() < again + 60s);
}

TEST_CASE("random numbers do not repeat, and bytes come in the size asked for") {
    system::SystemRandom random;
    std::set<std::uint64_t> seen;

    for (int i = 0; i < 1000; ++i) seen.insert(random.next());

    CHECK(seen.size() == 1000);
    CHECK(random.bytes(1000).size() == 1000);
    CHECK(random.bytes(0).empty());
    CHECK(random.bytes(16) != random.bytes(16));
    for (int i = 0; i < 1000; ++i) {
        const double fraction = random.fraction();
        CHECK(fraction >= 0);
        CHECK(fraction < 1);
    }
}
