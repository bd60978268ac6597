#include "sim/scenes.hpp"

using namespace sallyport;
using namespace sallyport::sim;
using namespace std::chrono_literals;

namespace {

constexpr const char* accounts = "/apis/sallyport.dev/v1alpha1/cloudaccounts/";

json second_account() {
    json account = World::account();
    account["metadata"]["name"] = "twin";
    return account;
}

}  // namespace

TEST_CASE("a second account of a subscription opens nothing, and leaves the first one's rules") {
    World world;
    start_ready(world);
    world.run_for(1min);  // the twin is younger
    world.apply(second_account());
    world.run_for(1min);

    const json twin = world.get(std::string(accounts) + "twin");
    CHECK_TOLD(world, condition(twin, "Ready").at("reason") == "SubscriptionTaken");
    CHECK(
        condition(twin, "Ready").at("message").get<std::string>().find("belongs to CloudAccount") !=
        std::string::npos);
    open_grant(world, "a");
    for (int i = 0; i < 120; ++i) {
        world.run_for(1s);
        REQUIRE_TOLD(world, world.reaches(alice_at, "web01"));
    }
    CHECK(count_calls(world, 0, "azure DELETE") == 0);
    CHECK(condition(world.get(std::string(accounts) + "prod"), "Ready").at("status") == "True");

    // The second one gone, everything is as before; and a grant's end is kept.
    world.remove(std::string(accounts) + "twin");
    world.run_for(10min);
    CHECK_TOLD(world, world.phase("a") == "Expired");
    CHECK(world.our_rules().empty());
}

TEST_CASE("an account that is gone is swept no more, and one of its name starts anew") {
    World world;
    start_ready(world);
    world.run_for(1min);
    world.apply(second_account());
    world.run_for(2min);
    world.remove(std::string(accounts) + "twin");
    world.run_for(2min);
    CHECK(std::ranges::count_if(world.log.lines, [](const std::string& line) {
              return line.starts_with("account.retired");
          }) == 1);
    const std::size_t before = world.calls.size();
    world.run_for(10min);
    const std::size_t alone = world.calls.size() - before;

    world.apply(second_account());
    world.run_for(1min);

    CHECK(condition(world.get(std::string(accounts) + "twin"), "Ready").at("reason") ==
          "SubscriptionTaken");
    INFO(alone, " calls in ten minutes of one account");
    CHECK(alone < 10 * 60 / 10 * 8);
}

TEST_CASE("an account that cannot be read says so, and goes on as it was") {
    World world;
    start_ready(world);
    open_grant(world, "a", "5m");
    // The schema takes it; bands must not overlap.
    patch(world, std::string(accounts) + "prod",
          {{"spec", {{"priorities", {{"lockdownAbove", {{"from", 400}, {"to", 999}}}}}}}});
    world.run_for(1min);

    const json ready = condition(world.get(std::string(accounts) + "prod"), "Ready");
    CHECK_TOLD(world, ready.at("status") == "False");
    world.run_for(5min);
    CHECK_TOLD(world, !world.reaches(alice_at, "web01"));
    CHECK(world.our_rules().empty());
}

TEST_CASE("a policy or grant that cannot be read says so, also to a process that finds it there") {
    World world;
    start_ready(world);
    world.crash();
    const json ports = {{"network", {{"ports", json::array({{{"port", "22-70000"}}})}}}};
    json policy = World::a_policy();
    policy["metadata"]["name"] = "other";
    policy["spec"].merge_patch(ports);
    world.apply(policy);
    json grant = World::a_grant("a");
    grant["spec"].merge_patch(ports);
    ask(world, grant);

    world.start_operator();
    world.run_for(1min);
    grant["metadata"]["name"] = "b";
    ask(world, grant);
    world.run_for(1min);

    for (const json& object : {world.policy("other"), world.grant("a"), world.grant("b")}) {
        CHECK_TOLD(world, condition(object, "Stalled").at("reason") == "SpecInvalid");
        CHECK(object.at("status").at("observedGeneration") ==
              object.at("metadata").at("generation"));
        const std::string message = condition(object, "Ready").at("message");
        CHECK(message.find("spec.network.ports[0].port") != std::string::npos);
    }
    CHECK(world.records().empty());
    CHECK(world.our_rules().empty());
    CHECK(condition(world.policy("web-ssh"), "Ready").at("status") == "True");
}

TEST_CASE("what cannot be read is told so again, if the first attempt to tell it failed") {
    World world;
    start_ready(world);
    int refused = 0;
    world.fate = [&](const http::Request& request) {
        const bool status =
            request.method == "PATCH" &&
            (request.target.find("/jitpolicies/other/status") != std::string::npos ||
             request.target.find("/cloudaccounts/prod/status") != std::string::npos);
        if (!status || refused >= 4) return support::Fate{};
        ++refused;
        return support::Fate{.instead = http::Response{.status = 503}};
    };
    json policy = World::a_policy();
    policy["metadata"]["name"] = "other";
    policy["spec"]["network"]["ports"] = json::array({{{"port", "22-70000"}}});
    world.apply(policy);
    patch(world, std::string(accounts) + "prod",
          {{"spec", {{"priorities", {{"lockdownAbove", {{"from", 400}, {"to", 999}}}}}}}});
    world.run_for(1min);

    REQUIRE(refused == 4);
    CHECK_TOLD(world, condition(world.policy("other"), "Stalled").at("reason") == "SpecInvalid");
    const json account = world.get(std::string(accounts) + "prod");
    CHECK_TOLD(world, condition(account, "Ready").at("reason") == "SpecInvalid");
}

TEST_CASE("a beginning centuries ahead is looked at no more often than any other") {
    World world;
    start_ready(world);
    json grant = World::a_grant("a");
    grant["spec"]["notBefore"] = "2999-01-01T00:00:00Z";
    ask(world, grant);
    world.run_for(1min);
    const double before = world.metrics.value("sallyport_looks_total{grant,succeeded}");

    world.run_for(2h);

    CHECK(world.phase("a") == "Scheduled");
    CHECK(world.metrics.value("sallyport_looks_total{grant,succeeded}") - before < 20);
}

TEST_CASE("what was read before Azure began to throttle proves nothing after a while") {
    World world;
    start_ready(world);
    open_grant(world, "a", "2h");
    set_fault(world, {{"match", {{"method", "GET"}}},
                      {"effect", {{"status", 429}, {"retryAfter", 3600}}}});
    world.run_for(10min);

    CHECK_TOLD(world, condition(world.grant("a"), "Ready").at("status") != "True");
    const json policy = world.policy("web-ssh");
    CHECK_TOLD(world, condition(policy, "Closed").at("status") != "True");
}
