#include <fmt/format.h>

#include "sim/scenes.hpp"

using namespace sallyport;
using namespace sallyport::sim;
using namespace std::chrono_literals;

// What the world around the operator can do: refuse, vanish, throttle, and tell the wrong time.
namespace {

void run_to(World& world, Timestamp time) { world.run_for(time - world.now()); }
bool nothing_left(World& world) { return world.our_rules().empty(); }
/// Until nothing of ours is left; gives how long after `end` that was.
seconds closed_after(World& world, Timestamp end, std::chrono::nanoseconds at_most) {
    REQUIRE_TOLD(world, world.run_until([&] { return nothing_left(world); }, at_most));
    return world.now() - end;
}

/// Answers 503 with a Retry-After, and checks that nothing is tried again before that.
struct Refusals {
    explicit Refusals(World& w) : world(w) {}

    support::Fate for_five_seconds(const http::Request& request) {
        const SteadyTime now = world.time.loop.steady_now();
        if (const auto before = last.find(request.target); before != last.end()) {
            CHECK(now - before->second >= 5s);
            ++tried_again;
        }
        last[request.target] = now;
        support::Fate fate{.instead = http::Response{.status = 503}};
        fate.instead->headers.set("Retry-After", "5");
        return fate;
    }

    World& world;
    std::map<std::string, SteadyTime> last;  ///< by what is called
    std::size_t tried_again = 0;
};

}  // namespace

TEST_CASE(
    "with Azure down at the end the alarm rises within 5 s, and it closes when Azure is back") {
    World world;
    start_ready(world);
    const std::string foreign = world.foreign_rules();
    const Timestamp end = open_grant(world, "a", "30s");
    cut_off(world, azure_origin);

    run_to(world, end + 5s);
    CHECK(world.metrics.value("sallyport_overdue_seconds") > 0);
    CHECK(world.metrics.value("sallyport_overdue_grants") == 1);
    run_to(world, end + 2min);
    CHECK_TOLD(world, world.phase("a") == "CloseFailing");
    CHECK(condition(world.grant("a"), "Stalled").value("status", "") == "True");
    CHECK(world.reaches(alice_at, "web01"));

    world.fate = {};
    const Timestamp back = world.now();
    CHECK(closed_after(world, back, 60s) <= 35s);
    REQUIRE_TOLD(world, world.run_until([&] { return world.phase("a") == "Expired"; }, 16min));
    world.run_for(2s);  // gauges are set once a second
    CHECK(world.metrics.value("sallyport_overdue_seconds") == 0);
    check_clean(world, foreign);
}

TEST_CASE("with the API server down at the end, the grant closes all the same") {
    World world;
    start_ready(world);
    const std::string foreign = world.foreign_rules();
    const Timestamp end = open_grant(world, "a", "30s");
    cut_off(world, kube_origin);
    world.network.break_streams();

    CHECK(closed_after(world, end, 90s) <= 30s);
    CHECK_FALSE(world.reaches(alice_at, "web01"));

    world.fate = {};
    REQUIRE_TOLD(world, world.run_until([&] { return world.phase("a") == "Expired"; }, 3min));
    check_clean(world, foreign);
}

TEST_CASE("throttled on every call, closings are tried on and done once they are let through") {
    World world;
    start_ready(world);
    const std::string foreign = world.foreign_rules();
    const Timestamp end = open_grant(world, "a", "30s");
    const std::size_t before = world.calls.size();
    set_fault(world,
              {{"match", {{"principal", "sallyport"}, {"operation", "(?!token).*"}}},
               {"effect", {{"status", 429}, {"code", "TooManyRequests"}, {"retryAfter", 7}}}});
    run_to(world, end + 60s);
    CHECK_TOLD(world, count_calls(world, before, "azure DELETE") >= 2);

    clear_faults(world);
    CHECK(closed_after(world, world.now(), 60s) <= 45s);
    check_clean(world, foreign);
}

TEST_CASE("a wall clock that jumps an hour ahead ends what is over by it, at once") {
    World world;
    start_ready(world);
    const std::string foreign = world.foreign_rules();
    open_grant(world, "a", "30m");
    world.jump(1h);
    CHECK(closed_after(world, world.now(), 60s) <= 10s);
    REQUIRE_TOLD(world, world.run_until([&] { return world.phase("a") == "Expired"; }, 60s));

    // Back again: what has ended does not open, though its end lies ahead once more.
    world.jump(-1h);
    world.run_for(5min);
    CHECK_TOLD(world, nothing_left(world));
    CHECK_FALSE(world.reaches(alice_at, "web01"));
    check_clean(world, foreign);
}

TEST_CASE("a wall clock that is set back 20 s while a grant closes does not open it again") {
    World world;
    start_ready(world);
    const std::string foreign = world.foreign_rules();
    const Timestamp end = open_grant(world, "a", "30s");
    run_to(world, end);
    const std::size_t before = world.calls.size();
    REQUIRE_TOLD(world,
                 world.run_until([&] { return count_calls(world, 0, "azure DELETE") > 0; }, 2s));
    world.operators_clock.jump(-20s);
    world.run_for(2min);
    CHECK_TOLD(world, nothing_left(world));
    CHECK_TOLD(world, count_calls(world, before, "azure PUT") == 0);
    CHECK_TOLD(world, world.phase("a") == "Expired");
    check_clean(world, foreign);
}

TEST_CASE(
    "a wall clock that jumps an hour back makes no end earlier, and none is missed after it") {
    World world;
    start_ready(world);
    const std::string foreign = world.foreign_rules();
    const Timestamp end = open_grant(world, "a", "5m");
    world.jump(-1h);
    world.run_for(2min);
    CHECK_TOLD(world, world.phase("a") == "Open");
    world.jump(1h);
    run_to(world, end);
    CHECK(closed_after(world, end, 60s) <= 30s);
    check_clean(world, foreign);
}

TEST_CASE("nothing opens while the clocks differ by more than 30 s, and what is open closes") {
    World world;
    start_ready(world);
    const Timestamp end = open_grant(world, "a", "3m");
    world.api_clock_ahead = 31s;
    world.run_for(30s);
    const std::size_t before = world.calls.size();

    ask(world, World::a_grant("b", "10m"));
    world.run_for(1min);
    CHECK_TOLD(world, count_calls(world, before, "azure PUT") == 0);
    CHECK_TOLD(world,
               world.grant("b").at("status").dump().find("ClockOutOfStep") != std::string::npos);
    CHECK(world.metrics.value("sallyport_api_clock_offset_seconds") == 31);
    run_to(world, end);
    CHECK(closed_after(world, end, 60s) <= 30s);

    world.api_clock_ahead = 0s;
    REQUIRE_TOLD(world, world.run_until([&] { return world.phase("b") == "Open"; }, 3min));
}

TEST_CASE("with a full disk nothing opens, and closings go on") {
    World world;
    start_ready(world);
    const std::string foreign = world.foreign_rules();
    const Timestamp end = open_grant(world, "a", "1m");
    world.files.refuse = true;

    ask(world, World::a_grant("b", "10m"));
    const std::size_t before = world.calls.size();
    run_to(world, end);
    CHECK(closed_after(world, end, 60s) <= 30s);
    world.run_for(1min);
    CHECK_TOLD(world, count_calls(world, before, "azure PUT") == 0);
    CHECK_FALSE(world.reaches(alice_at, "web01"));
    CHECK_TOLD(world, world.phase("a") == "Expired");

    world.files.refuse = false;
    REQUIRE_TOLD(world, world.run_until([&] { return world.phase("b") == "Open"; }, 3min));
    check_clean(world, foreign);
}

TEST_CASE("a journal that lacks what the ledger's head names lets nothing open") {
    World world;
    start_ready(world);
    const Timestamp end = open_grant(world, "a", "1m");
    world.crash();
    world.files.files.clear();
    world.start_operator();
    world.run_for(20s);
    const std::size_t before = world.calls.size();

    ask(world, World::a_grant("b", "10m"));
    run_to(world, end);
    CHECK(closed_after(world, end, 60s) <= 30s);
    world.run_for(1min);
    CHECK_TOLD(world, count_calls(world, before, "azure PUT") == 0);
    CHECK_TOLD(world, world.grant("b").at("status").dump().find("Ledger") != std::string::npos);
    CHECK(world.log.errors == 0);

    // The way that the message names.
    CHECK_TOLD(world,
               world.grant("b").at("status").dump().find(
                   "kubectl delete accessledger prod -n sallyport-system") != std::string::npos);
    world.remove("/apis/sallyport.dev/v1alpha1/namespaces/sallyport-system/accessledgers/prod");
    REQUIRE_TOLD(world, world.run_until([&] { return world.phase("b") == "Open"; }, 2min));
    CHECK(world.reaches(alice_at, "web01"));
}

TEST_CASE("under a delete lock an ended rule is made to match nothing, and goes with the lock") {
    World world;
    start_ready(world);
    const std::string foreign = world.foreign_rules();
    const std::string lock =
        "/subscriptions/22222222-2222-2222-2222-222222222222/resourceGroups/rg-web/providers/"
        "Microsoft.Authorization/locks/keep?api-version=2016-09-01";
    const Timestamp end = open_grant(world, "a", "1m");
    const json level = {{"properties", {{"level", "CanNotDelete"}}}};
    REQUIRE(world.azure("PUT", lock, level).status < 300);

    run_to(world, end + 30s);
    CHECK_FALSE(world.reaches(alice_at, "web01"));
    REQUIRE_TOLD(world, world.our_rules().size() == 2);
    for (const std::string& rule : world.our_rules()) {
        CHECK(find_rule(world, rule).at("properties").at("access") == "Deny");
    }

    REQUIRE(world.azure("DELETE", lock).status < 300);
    REQUIRE_TOLD(world, world.run_until([&] { return nothing_left(world); }, 7min));
    check_clean(world, foreign);
}

TEST_CASE(
    "a priority that somebody takes at the same moment costs another number, not the opening") {
    World world;
    start_ready(world);
    const std::size_t before = world.calls.size();
    bool raced = false;
    world.fate = [&](const http::Request& request) {
        const bool puts =
            request.method == "PUT" && request.target.find("nsg-web01") != std::string::npos;
        if (puts && !raced) {
            raced = true;
            const int priority = json::parse(request.body).at("properties").at("priority");
            put_rule(world, "nsg-web01", "racer", a_rule(priority, "Allow", "203.0.113.9", 443));
        }
        return support::Fate{};
    };
    open_grant(world, "a");
    CHECK(raced);
    CHECK(world.reaches(alice_at, "web01"));
    CHECK(count_calls(world, before, "azure PUT", "nsg-web01/") >= 2);
    CHECK_FALSE(find_rule(world, "nsg-web01/racer").is_null());
    CHECK(world.log.errors == 0);
}

TEST_CASE("an opening that is refused five times opens once it is let through") {
    World world;
    start_ready(world);
    int refused = 0;
    world.fate = [&](const http::Request& request) {
        const bool puts =
            request.method == "PUT" && request.target.find("nsg-web01") != std::string::npos;
        if (!puts || refused == 5) return support::Fate{};
        ++refused;
        return support::Fate{.instead = http::Response{.status = 503}};
    };
    ask(world, World::a_grant("a", "1h"));
    REQUIRE_TOLD(world, world.run_until([&] { return world.phase("a") == "Open"; }, 2min));
    CHECK(refused == 5);
}

TEST_CASE("a rule that was taken away once is put back, however often that is refused") {
    World world;
    start_ready(world);
    open_grant(world, "a", "1h");
    const std::string rule = world.our_rules().front();
    const std::size_t slash = rule.find('/');
    set_fault(world, {{"match", {{"method", "PUT"}, {"principal", "sallyport"}}},
                      {"times", 5},
                      {"effect", {{"status", 503}}}});
    delete_rule(world, rule.substr(0, slash), rule.substr(slash + 1));
    world.run_for(2s);
    REQUIRE(world.our_rules().size() == 1);
    REQUIRE_TOLD(world, world.run_until([&] { return world.our_rules().size() == 2; }, 4min));
    world.run_for(5s);
    CHECK_TOLD(world, world.phase("a") == "Open");
    CHECK(world.reaches(alice_at, "web01"));
}

TEST_CASE("what Azure refused at one moment is not tried again at one moment") {
    World world;
    start_ready(world);
    std::map<std::string, std::vector<SteadyTime>> tries;  // by NSG
    world.fate = [&](const http::Request& request) {
        if (request.method != "PUT") return support::Fate{};
        const bool subnets = request.target.find("nsg-subnet") != std::string::npos;
        tries[subnets ? "nsg-subnet" : "nsg-web01"].push_back(world.time.loop.steady_now());
        return support::Fate{.instead = http::Response{.status = 503}};
    };
    ask(world, World::a_grant("a", "1h"));
    world.run_for(30s);

    const std::vector<SteadyTime>& one = tries["nsg-subnet"];
    const std::vector<SteadyTime>& other = tries["nsg-web01"];
    REQUIRE(std::min(one.size(), other.size()) >= 4);
    for (std::size_t i = 1; i < std::min(one.size(), other.size()); ++i) {
        CHECK(one[i] - one[i - 1] != other[i] - other[i - 1]);
        CHECK(one[i] - one[i - 1] > 100ms);
    }
}

TEST_CASE("Azure is left alone for as long as it asks") {
    World world;
    start_ready(world);
    Refusals refused(world);
    world.fate = [&](const http::Request& request) {
        if (request.origin != azure_origin || request.method == "GET") return support::Fate{};
        return refused.for_five_seconds(request);
    };
    ask(world, World::a_grant("a", "1h"));
    world.run_for(60s);
    CHECK(refused.tried_again >= 6);
}

TEST_CASE("that an opening ends well says nothing of how long Azure wants no removal") {
    World world;
    start_ready(world);
    Refusals refused(world);
    world.fate = [&](const http::Request& request) {
        if (request.origin != azure_origin || request.method != "DELETE") return support::Fate{};
        return refused.for_five_seconds(request);
    };
    ask(world, World::a_grant("a", "1h"));
    const std::size_t before = world.calls.size();
    REQUIRE(world.run_until([&] { return count_calls(world, before, "azure PUT") == 2; }, 10s));
    world.remove(grant_path("a"));  // while both operations are under way
    world.run_for(30s);
    CHECK(refused.last.size() == 2);
    CHECK(refused.tried_again >= 4);
}

TEST_CASE("that an opening cannot be followed says nothing of how long Azure wants no removal") {
    World world;
    start_ready(world);
    Refusals refused(world);
    world.fate = [&](const http::Request& request) {
        if (request.origin != azure_origin) return support::Fate{};
        if (request.target.find("/operations/") != std::string::npos)
            return support::Fate{.instead = http::Response{.status = 500}};
        if (request.method != "DELETE") return support::Fate{};
        return refused.for_five_seconds(request);
    };
    ask(world, World::a_grant("a", "1h"));
    const std::size_t before = world.calls.size();
    REQUIRE(world.run_until([&] { return count_calls(world, before, "azure PUT") == 2; }, 10s));
    world.remove(grant_path("a"));
    world.run_for(30s);
    CHECK(refused.last.size() == 2);
    CHECK(refused.tried_again >= 4);
}

TEST_CASE("a rule that no read shows is not removed again and again against a lock") {
    World world;
    start_ready(world);
    world.fate = [](const http::Request& request) {
        support::Fate fate;
        if (request.origin != azure_origin) return fate;
        if (request.method == "PUT") fate.way = support::Fate::Way::swallowed;
        if (request.method == "DELETE") {
            const json error = {{"code", "ScopeLocked"}, {"message", "the scope(s) are locked"}};
            fate.instead = http::Response{.status = 409, .body = json{{"error", error}}.dump()};
        }
        return fate;
    };
    ask(world, World::a_grant("a", "1h"));
    const std::size_t before = world.calls.size();
    REQUIRE(world.run_until([&] { return count_calls(world, before, "azure PUT") >= 2; }, 10s));
    world.remove(grant_path("a"));
    world.run_for(2min);
    const std::size_t tried = count_calls(world, before, "azure DELETE");
    CHECK_TOLD(world, tried >= 6);  // the write may land until 15 min have passed
    CHECK_TOLD(world, tried <= 40);
}
