#include <fmt/format.h>

#include "sim/monitor.hpp"
#include "sim/scenes.hpp"

using namespace sallyport;
using namespace sallyport::sim;
using namespace std::chrono_literals;

// Moments at which two things meet: an opening and the end, an opening and a closing of the same
// NSG, a write and the read before it.
namespace {

bool is_write_of(const http::Request& request, const char* method) {
    return request.origin == azure_origin && request.method == method &&
           request.target.find("/securityRules/") != std::string::npos;
}
bool is_read_of_groups(const http::Request& request) {
    return request.origin == azure_origin && request.method == "GET" &&
           request.target.find("/networkSecurityGroups") != std::string::npos &&
           request.target.find("/securityRules/") == std::string::npos;
}
http::Response refusal(int status, const std::string& code, const std::string& message = "No.") {
    http::Response answer{.status = status,
                          .body = json{{"error", {{"code", code}, {"message", message}}}}.dump()};
    answer.headers.set("Content-Type", "application/json");
    return answer;
}
SteadyTime on_steady_clock(World& world, Timestamp time) {
    return std::chrono::floor<seconds>(world.time.loop.steady_now()) + (time - world.now());
}

/// How many openings leave when the journal's answer comes so long after the grant's end.
std::size_t openings_with_answer_at(std::chrono::milliseconds after_the_end) {
    World world;
    Monitor monitor(world);
    start_ready(world);
    const Timestamp end = world.now() + 12s;
    const SteadyTime end_comes = on_steady_clock(world, end);
    bool looked = false;
    bool delayed = false;
    std::size_t left = 0;
    world.fate = [&](const http::Request& request) {
        const SteadyTime now = world.time.loop.steady_now();
        const std::string call = describe_call(request);
        support::Fate fate;
        if (is_write_of(request, "PUT")) {
            ++left;
            CHECK_TOLD(world, now < end_comes);
        }
        looked = looked || call == "kube GET " + grant_path("a");
        const bool is_last = looked && call.starts_with("kube PATCH") &&
                             call.find("/accessledgers/") != std::string::npos;
        if (is_last && !std::exchange(delayed, true)) {
            fate.delay = std::chrono::ceil<std::chrono::milliseconds>(end_comes - now -
                                                                      world.network.latency) +
                         after_the_end;
        }
        return fate;
    };
    json grant = World::a_grant("a");
    grant["spec"].erase("duration");
    grant["spec"]["notAfter"] = format_rfc3339(end);
    ask(world, grant);
    world.run_for(end + 30s - world.now());

    CHECK(delayed);
    CHECK_TOLD(world, world.our_rules().empty());
    check_no_complaint(monitor);
    return left;
}

}  // namespace

TEST_CASE("an opening whose last answer comes at the end of its grant does not leave any more") {
    // After so long the grant is read once more, and that takes 2 ms.
    CHECK(openings_with_answer_at(-4ms) == 2);
    for (const auto after : {-2ms, -1ms, 0ms, 1ms, 2ms, 500ms, 999ms, 1000ms}) {
        CAPTURE(after.count());
        CHECK(openings_with_answer_at(after) == 0);
    }
}

TEST_CASE("a closing leaves at its end, also while an opening on the same group takes a minute") {
    World world;
    Monitor monitor(world);
    start_ready(world);
    const Timestamp end = open_grant(world, "a", "1m");
    const SteadyTime end_comes = on_steady_clock(world, end);

    // given
    set_fault(world, {{"match", {{"method", "PUT"}, {"principal", "sallyport"}}},
                      {"effect", {{"operation", {{"end", "Succeeded"}, {"takesSeconds", 60}}}}}});
    std::size_t opened = 0;
    std::vector<SteadyTime> removals;
    world.fate = [&](const http::Request& request) {
        if (is_write_of(request, "PUT")) ++opened;
        if (is_write_of(request, "DELETE")) removals.push_back(world.time.loop.steady_now());
        return support::Fate{};
    };
    world.run_for(end - 10s - world.now());
    json other = World::a_grant("b", "1h");
    other["spec"]["network"]["sources"] = {"198.51.100.9/32"};
    ask(world, other);
    REQUIRE_TOLD(world, world.run_until([&] { return opened == 2; }, 5s));

    // when
    world.run_for(end + 1s - world.now());

    // then
    CHECK_TOLD(world, removals.size() == 2);
    for (const SteadyTime& left : removals) CHECK(left - end_comes < 100ms);
    CHECK_FALSE(world.reaches("198.51.100.9", "web01"));
    REQUIRE_TOLD(world, world.run_until([&] { return world.phase("a") == "Expired"; }, 30s));
    REQUIRE_TOLD(world, world.run_until([&] { return world.phase("b") == "Open"; }, 60s));
    check_no_complaint(monitor);
}

TEST_CASE("a closing leaves at once, also while its own rule is being narrowed for a minute") {
    World world;
    Monitor monitor(world);
    start_ready(world);
    open_grant(world, "a", "1h");

    // given: what somebody widened is being put right
    set_fault(world, {{"match", {{"method", "PUT"}, {"principal", "sallyport"}}},
                      {"effect", {{"operation", {{"end", "Succeeded"}, {"takesSeconds", 60}}}}}});
    const std::string path = world.our_rules().front();
    const std::size_t slash = path.find('/');
    json rule = {{"properties", find_rule(world, path).at("properties")}};
    rule["properties"]["sourceAddressPrefix"] = "*";
    rule["properties"].erase("sourceAddressPrefixes");
    world.azure("PUT", rule_path(path.substr(0, slash), path.substr(slash + 1)), rule);
    bool narrowed = false;
    std::size_t removals = 0;
    world.fate = [&](const http::Request& request) {
        narrowed = narrowed || is_write_of(request, "PUT");
        if (is_write_of(request, "DELETE")) ++removals;
        return support::Fate{};
    };
    REQUIRE_TOLD(world, world.run_until([&] { return narrowed; }, 70s));

    // when
    patch(world, grant_path("a"), {{"spec", {{"revoked", true}}}});
    world.run_for(1s);

    // then
    CHECK_TOLD(world, removals == 2);
    check_no_complaint(monitor);
}

TEST_CASE("what was read before a rule was written does not prove that the rule is gone") {
    World world;
    Monitor monitor(world);
    start_ready(world);

    // given: an opening succeeds, and no group is read any more since it left
    bool throttled = false;
    bool locked = false;
    world.fate = [&](const http::Request& request) {
        throttled = throttled || is_write_of(request, "PUT");
        support::Fate fate;
        const bool writes = is_write_of(request, "PUT") || is_write_of(request, "DELETE");
        if (throttled && is_read_of_groups(request)) fate.instead = refusal(429, "TooManyRequests");
        if (locked && writes)
            fate.instead = refusal(409, "ScopeLocked", "the following scope(s) are locked: '/x'");
        return fate;
    };
    ask(world, World::a_grant("a", "1h"));
    const auto is_in_force = [&] { return world.reaches(alice_at, "web01"); };
    REQUIRE_TOLD(world, world.run_until(is_in_force, 10s));
    world.run_for(3s);

    // when: it is deleted, and its rules cannot be taken away
    locked = true;
    monitor.disturb_azure(20min);
    world.remove(grant_path("a"));

    // then: nobody says that it is closed
    for (int i = 0; i < 30; ++i) {
        world.run_for(5s);
        REQUIRE(is_in_force());
        REQUIRE_TOLD(world, !world.grant("a").is_null());
        REQUIRE_TOLD(world, !record_of(world, "a").contains("/status/closedAt"_json_pointer));
    }
    world.fate = {};
    REQUIRE_TOLD(world, world.run_until([&] { return world.grant("a").is_null(); }, 10min));
    CHECK_FALSE(is_in_force());
    // What was made harmless while a lock was believed goes once it is not any more.
    CHECK_TOLD(world, world.run_until([&] { return world.our_rules().empty(); }, 6min));
    check_no_complaint(monitor);
}

TEST_CASE(
    "a removal that is answered with 404 is believed when a read shows that the rule is gone") {
    World world;
    Monitor monitor(world);
    start_ready(world);
    open_grant(world, "a", "1h");
    std::map<std::string, int> refused;
    world.fate = [&](const http::Request& request) {
        support::Fate fate;
        // Of the rule itself, and it is there: for a while Azure's parts do not agree.
        if (is_write_of(request, "DELETE") && refused[request.target]++ < 3) {
            const std::string path(http::Target(request.target).path());
            fate.instead = refusal(404, "NotFound", "Resource " + path + " not found.");
        }
        return fate;
    };
    monitor.disturb_azure(60s);
    world.remove(grant_path("a"));
    for (int i = 0; i < 50; ++i) {
        world.run_for(100ms);
        if (world.our_rules().size() == 2) REQUIRE_TOLD(world, !world.grant("a").is_null());
    }
    REQUIRE_TOLD(world, world.run_until([&] { return world.grant("a").is_null(); }, 60s));
    CHECK(refused.size() == 2);
    CHECK(world.our_rules().empty());
    check_no_complaint(monitor);
}
