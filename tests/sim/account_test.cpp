#include <fmt/format.h>

#include "sim/scenes.hpp"

using namespace sallyport;
using namespace sallyport::sim;
using namespace std::chrono_literals;

// What an account says of itself when its spec, its secret or its object changes.
namespace {

const std::string account_path = "/apis/sallyport.dev/v1alpha1/cloudaccounts/prod";

json read_account(World& world) { return world.get(account_path); }
std::string of_ready(World& world, const char* member) {
    const json ready = condition(read_account(world), "Ready");
    return ready.is_null() ? "" : ready.value(member, "");
}
std::string ready_is(World& world) { return of_ready(world, "status"); }
std::string ready_why(World& world) { return of_ready(world, "reason"); }
json with_secret(const char* name) {
    return {{"spec",
             {{"azure", {{"identity", {{"clientSecret", {{"secretRef", {{"name", name}}}}}}}}}}}};
}

/// Ready=True about the newest generation.
bool claims_ready(World& world) {
    const json account = read_account(world);
    return ready_is(world) == "True" &&
           account.at("status").at("observedGeneration") == account.at("metadata").at("generation");
}

}  // namespace

TEST_CASE("an account says which machines in its scope are covered, and when that was last read") {
    World world;
    start_ready(world);
    const auto covered = [&](int configured, int not_configured) {
        const json status = read_account(world).value("status", json());
        return status.value("coverage", json()) == json{{"configured", configured},
                                                        {"notConfigured", not_configured},
                                                        {"unsupported", 0}} &&
               status.contains("lastSweep");
    };
    REQUIRE_TOLD(world, world.run_until([&] { return covered(2, 0); }, 10s));
    CHECK(read_account(world).at("status").value("message", "") == "");

    world.remove("/apis/sallyport.dev/v1alpha1/namespaces/payments/jitpolicies/web-ssh");
    REQUIRE_TOLD(world, world.run_until([&] { return covered(0, 2); }, 70s));
    const std::string message = read_account(world).at("status").at("message");
    CHECK(message.starts_with("machines in scope that no JitPolicy names: 2; OrphanLockdown: "));
}

TEST_CASE("an account says how many network security groups are in its scope") {
    World world;
    start_ready(world);
    const auto told = [&] {
        return read_account(world).value("/status/surfaces"_json_pointer, 0) ==
               static_cast<int>(world.azure_state().at("value").size());
    };
    CHECK_TOLD(world, world.run_until(told, 65s));
    CHECK(world.azure_state().at("value").size() == 2);
}

TEST_CASE("a new spec whose secret is missing is not Ready, and the old credential still closes") {
    World world;
    start_ready(world);
    const Timestamp end = open_grant(world, "a", "1m");

    patch(world, account_path, with_secret("nowhere"));
    const bool claimed = world.run_until([&] { return claims_ready(world); }, 30s);
    CHECK_FALSE_MESSAGE(claimed, world.story());
    CHECK_TOLD(world, ready_is(world) == "False");

    world.run_for(end - world.now());
    REQUIRE_TOLD(world, world.run_until([&] { return world.our_rules().empty(); }, 30s));
    CHECK_FALSE(world.reaches(alice_at, "web01"));
    REQUIRE_TOLD(world, world.run_until([&] { return world.phase("a") == "Expired"; }, 30s));

    patch(world, account_path, with_secret("azure-prod"));
    REQUIRE_TOLD(world, world.run_until([&] { return claims_ready(world); }, 65s));
}

TEST_CASE("a new credential that cannot sign in is not Ready, and the old one still closes") {
    World world;
    start_ready(world);
    const Timestamp end = open_grant(world, "a", "2m");

    patch(world, account_path,
          {{"spec", {{"azure", {{"tenantId", "00000000-0000-0000-0000-aaaaaaaaaaaa"}}}}}});
    const bool claimed = world.run_until([&] { return claims_ready(world); }, 60s);
    CHECK_FALSE_MESSAGE(claimed, world.story());
    CHECK_TOLD(world, ready_is(world) == "False");
    ask(world, World::a_grant("b", "1h"));

    world.run_for(end - world.now());
    REQUIRE_TOLD(world, world.run_until([&] { return world.our_rules().empty(); }, 5s));
    REQUIRE_TOLD(world, world.run_until([&] { return world.phase("a") == "Expired"; }, 30s));
    CHECK_TOLD(world, world.phase("b") != "Open");
    CHECK_FALSE(world.reaches(alice_at, "web01"));
}

TEST_CASE("a new spec for another subscription that cannot be opened proves no rule gone") {
    World world;
    start_ready(world);
    open_grant(world, "a", "1h");
    json change = with_secret("nowhere");
    change.at("spec").at("azure")["subscriptionId"] = "99999999-2222-2222-2222-222222222222";

    patch(world, account_path, change);
    world.run_for(3min);

    CHECK_TOLD(world, ready_is(world) == "False");
    CHECK(world.reaches(alice_at, "web01"));
    const json record = record_of(world, "a");
    CHECK_TOLD(world, !record.contains("/status/closedAt"_json_pointer));
}

TEST_CASE("an endpoint that is not allowed has a reason of its own") {
    World world;
    start_ready(world);
    patch(world, account_path,
          {{"spec",
            {{"azure",
              {{"endpoints",
                {{"resourceManager", "https://elsewhere.test"}, {"authority", azure_origin}}}}}}}});
    REQUIRE_TOLD(world,
                 world.run_until([&] { return ready_why(world) == "EndpointNotAllowed"; }, 30s));
    CHECK(ready_is(world) == "False");
}

TEST_CASE("an account that is deleted and made again is another one, at an equal generation too") {
    World world;
    start_ready(world);
    const json before = read_account(world);
    world.remove(account_path);
    REQUIRE_TOLD(world, world.run_until([&] { return read_account(world).is_null(); }, 30s));

    json again = World::account();
    again.merge_patch(with_secret("nowhere"));
    world.apply(again);
    REQUIRE(read_account(world).at("metadata").at("generation") ==
            before.at("metadata").at("generation"));
    const bool claimed = world.run_until([&] { return claims_ready(world); }, 30s);
    CHECK_FALSE_MESSAGE(claimed, world.story());
    CHECK_TOLD(world, ready_is(world) == "False");
}

TEST_CASE("a write that never left is in no record") {
    World world;
    start_ready(world);
    open_grant(world, "a", "1h");
    world.fate = [](const http::Request& request) {
        const std::string call = describe_call(request);
        const bool looks = call.starts_with("kube GET") && call.ends_with("/accessgrants/a");
        return looks ? support::Fate{.way = support::Fate::Way::refused} : support::Fate{};
    };
    for (const std::string& rule : world.our_rules()) {
        const auto slash = rule.find('/');
        delete_rule(world, rule.substr(0, slash), rule.substr(slash + 1));
    }
    world.run_for(90s);
    REQUIRE(world.our_rules().empty());  // its repairs could not leave
    world.fate = nullptr;
    world.run_for(2min);
    CHECK_TOLD(world, record_of(world, "a").dump().find("1970-") == std::string::npos);
}
