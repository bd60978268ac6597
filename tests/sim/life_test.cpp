#include <doctest/doctest.h>

#include <algorithm>

#include "sim/world.hpp"

using namespace sallyport;
using namespace sallyport::sim;
using namespace std::chrono_literals;

// The story of a run that did not come to where it should.
#define REQUIRE_TOLD(world, condition) REQUIRE_MESSAGE((condition), (world).story())

TEST_CASE("W1: a grant opens its port to its source and to no other, and closes at its end") {
    World world;
    world.set_up();
    world.start_operator();
    REQUIRE_TOLD(world, world.run_until([&] {
        return world.policy("web-ssh").value("/status/phase"_json_pointer, "") == "Ready";
    }));
    const std::string foreign = world.foreign_rules();
    CHECK_FALSE(world.reaches("198.51.100.7", "web01"));

    const json created = world.create_as("alice", World::a_grant("alice-web01", "10m"));
    REQUIRE(created.at("kind") == "AccessGrant");
    REQUIRE_TOLD(world, world.run_until([&] { return world.phase("alice-web01") == "Open"; }, 30s));

    CHECK(world.reaches("198.51.100.7", "web01"));
    CHECK_FALSE(world.reaches("198.51.100.8", "web01"));
    CHECK_FALSE(world.reaches("198.51.100.7", "web02"));
    CHECK_FALSE(world.reaches("198.51.100.7", "web01", 23));
    const json open = world.grant("alice-web01");
    const Timestamp end = *parse_rfc3339(open.at("status").at("expirationTime").get<std::string>());

    REQUIRE(world.run_until([&] { return world.now() >= end; }, 11min));
    REQUIRE_TOLD(world, world.run_until([&] { return world.our_rules().empty(); }, 30s));
    REQUIRE_TOLD(world,
                 world.run_until([&] { return world.phase("alice-web01") == "Expired"; }, 30s));
    CHECK(world.now() - end <= 30s);
    CHECK_FALSE(world.reaches("198.51.100.7", "web01"));
    CHECK(world.foreign_rules() == foreign);
    CHECK(world.log.errors == 0);
    CHECK(world.time.bugs == 0);
}
