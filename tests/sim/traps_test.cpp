#include "sim/monitor.hpp"
#include "sim/scenes.hpp"

using namespace sallyport;
using namespace sallyport::sim;
using namespace std::chrono_literals;

// Moments in which one wrong belief would do: what was asked for stands and does not let in, lets
// in and does not stand, has another one's name.
namespace {

void put_on_both(World& world, const std::string& name, const json& rule) {
    for (const char* nsg : {"nsg-subnet", "nsg-web01"}) put_rule(world, nsg, name, rule);
}
bool is_put(const http::Request& request) {
    return request.origin == azure_origin && request.method == "PUT";
}

}  // namespace

TEST_CASE("a grant whose rules stand behind somebody's deny is not called opened") {
    World world;
    Monitor monitor(world);
    start_ready(world);
    bool denied = false;
    world.fate = [&](const http::Request& request) {
        if (is_put(request) && !std::exchange(denied, true))
            put_rule(world, "nsg-web01", "other", a_rule(120, "Deny", "198.51.100.0/24"));
        return support::Fate{};
    };
    ask(world, World::a_grant("a", "1h"));
    world.run_for(90s);

    REQUIRE(denied);
    CHECK_FALSE(world.reaches(alice_at, "web01"));
    CHECK_FALSE(record_of(world, "a").contains("/status/openedAt"_json_pointer));
    check_no_complaint(monitor);
}

TEST_CASE("a grant that somebody else's rules let in is not called opened before its own stand") {
    World world;
    Monitor monitor(world);
    start_ready(world);
    put_on_both(world, "other", a_rule(120, "Allow", "198.51.100.0/24"));
    world.run_for(65s);  // a sweep has seen it
    bool held_up = true;
    world.fate = [&](const http::Request& request) {
        const bool refused = held_up && is_put(request);
        return refused ? support::Fate{.instead = http::Response{.status = 503}} : support::Fate{};
    };
    ask(world, World::a_grant("a", "1h"));
    world.run_for(20s);
    REQUIRE(world.our_rules().empty());
    CHECK_FALSE(record_of(world, "a").contains("/status/openedAt"_json_pointer));

    held_up = false;
    REQUIRE_TOLD(world, world.run_until([&] { return world.phase("a") == "Open"; }, 90s));
    CHECK(world.our_rules().size() == 2);
    check_no_complaint(monitor);
}

TEST_CASE("what a lockdown excepts is not cut while it is written") {
    World world;
    world.set_up({{"network",
                   {{"lockdown", {{"exceptions", json::array({{{"cidr", "203.0.113.9/32"}}})}}}}}});
    put_on_both(world, "all", a_rule(1000, "Allow", "*"));
    world.run_for(5s);
    world.start_operator();
    const auto is_ready = [&] {
        return world.policy("web-ssh").value("/status/phase"_json_pointer, "") == "Ready";
    };
    for (int i = 0; i < 600 && !is_ready(); ++i) {
        world.run_for(50ms);
        REQUIRE_TOLD(world, world.reaches("203.0.113.9", "web01"));
    }
    CHECK_TOLD(world, is_ready());
    CHECK_FALSE(world.reaches("203.0.113.10", "web01"));
}

TEST_CASE("the removal of an ended grant that lands late takes no other of its name along") {
    World world;
    start_ready(world, {{"retainEndedGrants", "60s"}});
    open_grant(world, "a", "10s");
    std::optional<SteadyTime> left;
    world.fate = [&](const http::Request& request) {
        const bool removes = describe_call(request).starts_with("kube DELETE") &&
                             request.target.find("/accessgrants/a") != std::string::npos;
        if (!removes || left) return support::Fate{};
        left = world.time.loop.steady_now();
        return support::Fate{.delay = 60s};  // later than the operator waits for an answer
    };
    REQUIRE(world.run_until([&] { return left && world.grant("a").is_null(); }, 3min));
    REQUIRE(world.time.loop.steady_now() < *left + 55s);
    const json again = world.create_as("alice", World::a_grant("a", "1h"));
    world.run_for(60s);
    const json now = world.grant("a");
    REQUIRE_TOLD(world, !now.is_null());
    CHECK(now.at("metadata").at("uid") == again.at("metadata").at("uid"));
}

TEST_CASE("a rule that cannot be removed yet keeps its number") {
    World world;
    Monitor monitor(world);
    start_ready(world);
    const Timestamp end = open_grant(world, "a", "10s");
    world.fate = [](const http::Request& request) {
        const bool removes = request.origin == azure_origin && request.method == "DELETE";
        return removes ? support::Fate{.instead = http::Response{.status = 503}} : support::Fate{};
    };
    monitor.disturb_azure(60s);
    world.run_for(end + 5s - world.now());
    REQUIRE(world.our_rules().size() == 2);
    for (const char* name : {"b", "c"}) {
        json other = World::a_grant(name, "1h");
        other.at("spec").at("network")["sources"] = {"198.51.100.9/32"};
        ask(world, other);
    }
    const auto both = [&] { return world.phase("b") == "Open" && world.phase("c") == "Open"; };
    REQUIRE_TOLD(world, world.run_until(both, 40s));
    check_no_complaint(monitor);
}
