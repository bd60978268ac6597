#include "sim/scenes.hpp"

using namespace sallyport;
using namespace sallyport::sim;
using namespace std::chrono_literals;

// Azure says that there is no such network security group. It may be so, or not.
namespace {

constexpr const char* network =
    "/subscriptions/22222222-2222-2222-2222-222222222222/resourceGroups/rg-web/providers/"
    "Microsoft.Network/";
constexpr const char* version = "?api-version=2024-01-01";

bool is_about(const http::Request& request, const std::string& nsg) {
    return request.origin == azure_origin && request.target.find("/" + nsg) != std::string::npos;
}
http::Response not_there() {
    http::Response answer{.status = 404,
                          .body = R"({"error":{"code":"ResourceNotFound","message":"No."}})"};
    answer.headers.set("Content-Type", "application/json");
    return answer;
}
void take_off(World& world, const std::string& resource) {
    const std::string target = network + resource + version;
    json changed = json::parse(world.azure("GET", target).body);
    changed.at("properties").erase("networkSecurityGroup");
    const http::Response taken = world.azure("PUT", target, changed);
    REQUIRE_MESSAGE(taken.status < 300, taken.body);
}

}  // namespace

TEST_CASE(
    "a group that is said not to exist, and that a machine refers to, is no proof of closed") {
    World world;
    start_ready(world);
    open_grant(world, "a", "1h");
    // Everything about this group alone is answered 404: its removal, and the read after it.
    world.fate = [](const http::Request& request) {
        const bool hit = is_about(request, "nsg-web01");
        return support::Fate{.instead = hit ? std::optional(not_there()) : std::nullopt};
    };
    world.request("admin", "DELETE", grant_path("a"));
    for (int i = 0; i < 40; ++i) {
        world.run_for(5s);
        REQUIRE_TOLD(world, world.our_rules().size() == 1);
        REQUIRE_TOLD(world, !world.grant("a").is_null());
        REQUIRE_TOLD(world, !record_of(world, "a").at("status").contains("closedAt"));
    }
    world.fate = {};
    REQUIRE_TOLD(world, world.run_until([&] { return world.grant("a").is_null(); }, 3min));
    CHECK(world.our_rules().empty());
    CHECK(world.log.errors == 0);
}

TEST_CASE("a group that was taken off its machine and deleted closes what was open on it") {
    World world;
    start_ready(world);
    open_grant(world, "a", "1h");
    take_off(world, "networkInterfaces/nic-web01");
    const http::Response deleted =
        world.azure("DELETE", std::string(network) + "networkSecurityGroups/nsg-web01" + version);
    REQUIRE_MESSAGE(deleted.status < 300, deleted.body);
    world.run_for(3s);
    world.request("admin", "DELETE", grant_path("a"));
    REQUIRE_TOLD(world, world.run_until([&] { return world.grant("a").is_null(); }, 2min));
    CHECK(world.our_rules().empty());
    CHECK(world.log.errors == 0);
}

TEST_CASE("a list of groups that fails does not say that there are none") {
    World world;
    start_ready(world);
    open_grant(world, "a", "1h");
    // No machine refers to it any more: that it is listed is all that tells of it.
    take_off(world, "networkInterfaces/nic-web01");
    world.fate = [](const http::Request& request) {
        const bool removes = request.method == "DELETE" && is_about(request, "nsg-web01");
        const bool reads = request.method == "GET" && request.origin == azure_origin &&
                           request.target.find("/networkSecurityGroups") != std::string::npos &&
                           request.target.find("nsg-subnet") == std::string::npos;
        const bool hit = removes || reads;
        return hit ? support::Fate{.instead = http::Response{.status = 503}} : support::Fate{};
    };
    world.request("admin", "DELETE", grant_path("a"));
    for (int i = 0; i < 40; ++i) {
        world.run_for(5s);
        REQUIRE_TOLD(world, !world.grant("a").is_null());
        REQUIRE_TOLD(world, !record_of(world, "a").contains("/status/closedAt"_json_pointer));
    }
    CHECK(world.our_rules().size() == 1);
    world.fate = {};
    // A removal without an answer may land a quarter of an hour later.
    REQUIRE_TOLD(world, world.run_until([&] { return world.grant("a").is_null(); }, 20min));
    CHECK(world.our_rules().empty());
    CHECK(world.log.errors == 0);
}
