#include "sim/monitor.hpp"
#include "sim/scenes.hpp"

using namespace sallyport;
using namespace sallyport::sim;
using namespace std::chrono_literals;

// What a policy allows a requester to have open, however fast it is asked for.

TEST_CASE("grants that are asked for at once open no more than their requester may have") {
    World world;
    Monitor monitor(world);
    start_ready(world, {{"request", {{"maxActivePerRequester", 1}}}});

    for (const char* name : {"a", "b", "c"}) ask(world, World::a_grant(name));
    world.run_for(20s);

    REQUIRE_TOLD(world, world.records().size() == 1);
    int open = 0;
    for (const char* name : {"a", "b", "c"}) {
        const bool is_open = world.phase(name) == "Open";
        open += is_open ? 1 : 0;
        if (is_open) continue;
        CHECK(condition(world.grant(name), "Ready").value("reason", "") == "TooManyActive");
    }
    CHECK_TOLD(world, open == 1);
    check_no_complaint(monitor);
}
