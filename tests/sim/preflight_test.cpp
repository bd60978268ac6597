#include <fmt/format.h>

#include "sim/scenes.hpp"

using namespace sallyport;
using namespace sallyport::sim;
using namespace std::chrono_literals;

// What stands in the way of a policy's writes is told before anything has to be closed, and never
// keeps anything from being closed.
namespace {

const std::string group_path =
    "/subscriptions/22222222-2222-2222-2222-222222222222/resourceGroups/rg-web";
const std::string lock_path =
    group_path + "/providers/Microsoft.Authorization/locks/keep?api-version=2016-09-01";

void put_lock(World& world, const char* level) {
    const http::Response answer =
        world.azure("PUT", lock_path, {{"properties", {{"level", level}}}});
    REQUIRE_MESSAGE(answer.status < 300, answer.body);
}

/// The small estate, with something more about the operator's identity and about who may not what.
std::string estate_where(const std::string& identity, const std::string& denials = "") {
    std::string text = World::small_estate();
    const std::string secret = "secret: sallyport-secret";
    text.replace(text.find(secret), secret.size(), secret + identity);
    return denials + text;
}

json preflight(World& world) { return condition(world.policy("web-ssh"), "Preflight"); }
std::string message(World& world) { return preflight(world).value("message", ""); }

}  // namespace

TEST_CASE("a lock over a policy's group is told with its id and what it does, and stops nothing") {
    struct Row {
        const char* level;
        const char* effect;
    };
    for (const Row& row : {Row{"CanNotDelete", "ended rules are rewritten to match nothing"},
                           Row{"ReadOnly", "rules can be neither written nor removed"}}) {
        CAPTURE(row.level);
        World world;
        put_lock(world, row.level);
        world.set_up();
        world.start_operator();
        REQUIRE_TOLD(world, world.run_until([&] { return !preflight(world).is_null(); }));

        CHECK(preflight(world).at("status") == "False");
        CHECK(preflight(world).at("reason") == "Locked");
        CHECK(message(world).find(group_path) != std::string::npos);
        CHECK(message(world).find(row.effect) != std::string::npos);
        check_reasons(world);
    }
}

TEST_CASE("without findings there is no Preflight condition") {
    World world;
    start_ready(world);
    CHECK(preflight(world).is_null());
}

TEST_CASE("an action that the identity lacks is named on the policy, and nothing else is missed") {
    World world(1,
                estate_where(", permissions: [{actions: ['*'], notActions: "
                             "[Microsoft.Network/networkSecurityGroups/securityRules/delete]}]"));
    start_ready(world);

    REQUIRE_TOLD(world, !preflight(world).is_null());
    CHECK(preflight(world).at("reason") == "MissingPermission");
    CHECK(message(world) ==
          "the account's identity lacks "
          "Microsoft.Network/networkSecurityGroups/securityRules/delete on resource group rg-web");
    CHECK(world.policy("web-ssh").at("status").at("phase") == "Ready");
    check_reasons(world);
}

TEST_CASE("a deny assignment is told if it covers an action that is needed, and only then") {
    const auto with = [](const char* action) {
        return estate_where("", fmt::format("denyAssignments:\n- {{name: blueprint, scope: {}, "
                                            "actions: ['{}'], excludedPrincipals: [sallyport]}}\n",
                                            group_path, action));
    };
    World world(1, with("Microsoft.Network/*/write"));
    start_ready(world);

    REQUIRE_TOLD(world, !preflight(world).is_null());
    CHECK(preflight(world).at("reason") == "DenyAssignment");
    CHECK(message(world).find("securityRules/write on resource group rg-web") != std::string::npos);

    World other(1, with("Microsoft.Storage/*"));
    start_ready(other);
    CHECK(preflight(other).is_null());
}

TEST_CASE("a right that is lost later is found again by the first refused write") {
    World world;
    start_ready(world);
    const std::string foreign = world.foreign_rules();
    REQUIRE(preflight(world).is_null());
    const Timestamp end = open_grant(world, "a", "2m");
    put_lock(world, "ReadOnly");

    world.run_for(end + 1min - world.now());

    CHECK_TOLD(world, world.reaches(alice_at, "web01"));
    CHECK_TOLD(world, world.phase("a") == "CloseFailing");
    CHECK_TOLD(world, preflight(world).value("reason", "") == "Locked");
    CHECK(condition(world.grant("a"), "Stalled").value("message", "").find("lock") !=
          std::string::npos);

    REQUIRE(world.azure("DELETE", lock_path).status < 300);
    REQUIRE_TOLD(world, world.run_until([&] { return world.our_rules().empty(); }, 10min));
    check_clean(world, foreign);
}
