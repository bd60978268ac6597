#include <fmt/format.h>

#include <set>

#include "sim/faults.hpp"
#include "sim/monitor.hpp"
#include "sim/scenes.hpp"

using namespace sallyport;
using namespace sallyport::sim;
using namespace std::chrono_literals;

// What the operator is told late, out of order, or not at all: that an object is gone, that another
// has its name, that what it wrote was written.
namespace {

bool no_rules(World& world) { return world.our_rules().empty(); }
bool puts_a_rule(const http::Request& request) {
    return request.origin == azure_origin && request.method == "PUT";
}
bool opens_watch(const http::Request& request) {
    return request.target.find("watch=true") != std::string::npos;
}
http::Response watch_is_gone() {
    return {.status = 410,
            .body = R"({"kind":"Status","status":"Failure","reason":"Expired","code":410})"};
}
/// The record of the only grant says that it was closed, and why.
bool is_recorded_closed(World& world) {
    const json record = record_of(world, "a");
    return record.contains("/status/closedAt"_json_pointer) &&
           record.value("/status/endReason"_json_pointer, "") == "Deleted";
}

/// What the operator writes, by class of call, in a life of a grant; and what was refused with 409.
struct Written {
    std::map<std::string, int> writes;
    int conflicts = 0;
};
Written written_with(std::chrono::milliseconds lag) {
    World world;
    Monitor monitor(world);
    Written written;
    world.network.stream_lag = lag;
    world.after_reply = [&](const http::Request& request, const http::Response& response) {
        if (request.method == "GET" || request.target.find("/events") != std::string::npos) return;
        ++written.writes[call_class(request)];
        if (response.status == 409) ++written.conflicts;
    };
    start_ready(world);
    open_grant(world, "a", "1m");
    REQUIRE_TOLD(world, world.run_until([&] { return world.phase("a") == "Expired"; }, 2min));
    world.run_for(1min);
    CHECK(no_rules(world));
    check_no_complaint(monitor);
    return written;
}

}  // namespace

TEST_CASE("a grant whose hold is torn off, and that goes at once, closes at once") {
    World world;
    Monitor monitor(world);
    start_ready(world);
    open_grant(world, "a", "1h");

    tear_off(world, "a");
    REQUIRE(world.grant("a").is_null());

    REQUIRE_TOLD(world, world.run_until([&] { return no_rules(world); }, 3s));
    CHECK_FALSE(world.reaches(alice_at, "web01"));
    world.run_for(5s);
    CHECK_TOLD(world, is_recorded_closed(world));
    check_no_complaint(monitor);
}

TEST_CASE("a deletion that no watch told of is heard from the next list, and closes") {
    World world;
    Monitor monitor(world);
    start_ready(world);
    open_grant(world, "a", "1h");

    // given: nothing arrives any more, and the object goes
    bool silent = true;
    world.network.is_silent = [&](const http::Request&) { return silent; };
    monitor.disturb_kube(20s);
    tear_off(world, "a");
    world.run_for(20s);
    REQUIRE(world.our_rules().size() == 2);

    // when: what happened since is not kept, and is listed anew
    std::set<std::string> told;
    world.fate = [&](const http::Request& request) {
        const bool gone = opens_watch(request) && told.insert(call_class(request)).second;
        return gone ? support::Fate{.instead = watch_is_gone()} : support::Fate{};
    };
    silent = false;
    world.network.break_streams();

    // then
    REQUIRE_TOLD(world, world.run_until([&] { return no_rules(world); }, 10s));
    CHECK(told.size() == 5);
    world.run_for(5s);
    CHECK_TOLD(world, is_recorded_closed(world));
    check_no_complaint(monitor);
}

TEST_CASE(
    "a connection that died without a word is noticed within 90 s, and what it missed is heard") {
    World world;
    Monitor monitor(world);
    start_ready(world);
    open_grant(world, "a", "1h");

    // given: the connections of now tell nothing any more; new ones would
    std::set<std::string> dead;
    bool dying = true;
    world.network.is_silent = [&](const http::Request& watch) {
        if (dying) dead.insert(watch.target);
        return dead.contains(watch.target);
    };
    world.run_for(1s);
    dying = false;
    REQUIRE(dead.size() >= 5);

    // when
    monitor.disturb_kube(92s);
    patch(world, grant_path("a"), {{"spec", {{"revoked", true}}}});

    // then
    REQUIRE_TOLD(world, world.run_until([&] { return no_rules(world); }, 95s));
    world.run_for(5s);
    CHECK_TOLD(world, world.phase("a") == "Revoked");
    check_no_complaint(monitor);
}

TEST_CASE("a policy that is gone, and no watch tells it, is let go once and not again and again") {
    World world;
    Monitor monitor(world);
    start_ready(world);

    // given: its deletion is heard, and nothing after the hold is let go
    const auto lets_go = [](const http::Request& request) {
        return request.method == "PATCH" && request.target.find("/status") == std::string::npos &&
               call_class(request) == "kube:PATCH:jitpolicies";
    };
    bool silent = false;
    int times = 0;
    monitor.disturb_kube(60s);
    world.network.is_silent = [&](const http::Request&) { return silent; };
    world.fate = [&](const http::Request& request) {
        if (lets_go(request)) silent = true, ++times;
        return support::Fate{};
    };
    world.remove("/apis/sallyport.dev/v1alpha1/namespaces/payments/jitpolicies/web-ssh");
    world.run_for(30s);

    CHECK(world.policy("web-ssh").is_null());
    CHECK(times == 1);
    check_no_complaint(monitor);
}

TEST_CASE("an opening that waits does not leave once another object has its grant's name") {
    World world;
    Monitor monitor(world);
    start_ready(world);

    // given: a grant that is decided and recorded, whose opening Azure refuses for now
    bool refused = true;
    std::size_t left = 0;
    world.fate = [&](const http::Request& request) {
        if (!puts_a_rule(request)) return support::Fate{};
        ++left;
        support::Fate fate;
        if (refused) fate.instead = http::Response{.status = 503};
        return fate;
    };
    ask(world, World::a_grant("a", "1h"));
    REQUIRE_TOLD(world, world.run_until([&] { return left > 0; }, 10s));
    REQUIRE(world.records().size() == 1);

    // when: another object gets its name while no watch tells of it, and Azure is well again
    bool silent = true;
    world.network.is_silent = [&](const http::Request&) { return silent; };
    tear_off(world, "a");
    const json again = world.create_as("alice", World::a_grant("a", "1h"));
    REQUIRE(again.value("kind", "") == "AccessGrant");
    const std::size_t before = world.calls.size();
    refused = false;
    left = 0;
    world.run_for(60s);

    // then: it was looked at live, and nothing left
    CHECK(count_calls(world, before, "kube GET", "/accessgrants/a") > 0);
    CHECK_TOLD(world, left == 0);
    silent = false;
    world.network.break_streams();
    REQUIRE_TOLD(world, world.run_until([&] { return world.phase("a") == "AlreadyUsed"; }, 60s));
    CHECK_TOLD(world, left == 0);
    CHECK(no_rules(world));
    check_no_complaint(monitor);
}

TEST_CASE("a watch that lags behind the operator's own writes costs no write more") {
    const Written usual = written_with(0ms);
    CHECK(usual.conflicts == 0);
    for (const auto lag : {300ms, 1000ms, 3000ms}) {
        CAPTURE(lag.count());
        const Written lagging = written_with(lag);
        CHECK(lagging.conflicts == 0);
        for (const auto& [call, count] : usual.writes) {
            CAPTURE(call);
            const auto found = lagging.writes.find(call);
            REQUIRE(found != lagging.writes.end());
            CHECK(found->second == count);
        }
        CHECK(lagging.writes.size() == usual.writes.size());
    }
}
