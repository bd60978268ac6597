#include <doctest/doctest.h>

#include <algorithm>

#include "azure/world.hpp"

using namespace sallyport;
using namespace sallyport::azure;
using namespace std::chrono_literals;

namespace {

/// Every GET is answered with this body.
auto answering(std::string body) {
    return [body](const http::Request& request) {
        return request.method == "GET" ? Fate{.instead = http::Response{.body = body}} : Fate{};
    };
}

}  // namespace

TEST_CASE("the four lists of a sweep, at subscription and at resource group") {
    for (const ArmScope& scope : {whole, rg_web}) {
        CAPTURE(scope.resource_group);
        ArmWorld world;

        const auto nsgs = world.finish(world.gateway->list_nsgs(scope));
        const auto nics = world.finish(world.gateway->list_nics(scope));
        const auto networks = world.finish(world.gateway->list_networks(scope));
        const auto machines = world.finish(world.gateway->list_machines(scope));

        REQUIRE(nsgs);
        CHECK(nsgs->size() == 4);
        const auto web = std::ranges::find(*nsgs, nsg("nsg-snet-web"), &NsgState::id);
        REQUIRE(web != nsgs->end());
        CHECK(web->rules.size() == 4);
        CHECK(web->default_rules.size() == 6);
        REQUIRE(nics);
        CHECK(nics->size() == 3);
        REQUIRE(networks);
        CHECK(networks->size() == (scope.resource_group.empty() ? 2 : 1));
        REQUIRE(machines);
        CHECK(machines->size() == 3);
    }
}

TEST_CASE("a list is all of its pages, whatever their size; an empty page is not the end") {
    ArmWorld world;
    world.sim("POST", "behaviour", {{"pageSize", 1}, {"firstPageEmpty", true}});

    const auto nsgs = world.finish(world.gateway->list_nsgs(whole));

    REQUIRE(nsgs);
    CHECK(nsgs->size() == 4);
    CHECK(world.metrics.value("sallyport_azure_requests_total", {"200", "GET"}) >= 5);
}

TEST_CASE("a list that fails on a later page is no list") {
    ArmWorld world;
    world.sim("POST", "behaviour", {{"pageSize", 1}});
    int pages = 0;
    world.network.before_send = [&](const http::Request& request) {
        const bool third = request.method == "GET" && ++pages == 3;
        return third ? Fate{.way = Fate::Way::lost_reply} : Fate{};
    };

    const auto nsgs = world.finish(world.gateway->list_nsgs(whole));

    REQUIRE_FALSE(nsgs);
    CHECK(nsgs.error().kind == ErrorKind::unavailable);
}

TEST_CASE("a list whose pages lead round in a circle ends, and is no list") {
    ArmWorld world;
    int lists = 0;
    world.network.before_send = [&](const http::Request& request) {
        if (request.method != "GET") return Fate{};
        const char* const next = ++lists % 2 == 0 ? "https://azure.test/a" : "https://azure.test/b";
        const Json page = {{"value", Json::array()}, {"nextLink", next}};
        return Fate{.instead = http::Response{.body = page.dump()}};
    };

    const auto nsgs = world.finish(world.gateway->list_nsgs(whole));

    REQUIRE_FALSE(nsgs);
    CHECK(nsgs.error().kind == ErrorKind::unavailable);
    CHECK(lists <= 4);
}

TEST_CASE("a link to another origin is not followed, and our token does not go there") {
    for (const char* link :
         {"https://elsewhere.test/page2", "http://azure.test/page2", "//elsewhere.test/",
          "https://azure.test@elsewhere.test/", "https://azure.test:8443/page2"}) {
        CAPTURE(link);
        ArmWorld world;
        std::vector<std::string> origins;
        world.network.before_send = [&](const http::Request& request) {
            origins.push_back(request.origin);
            if (request.method != "GET") return Fate{};
            const Json page = {{"value", Json::array()}, {"nextLink", link}};
            return Fate{.instead = http::Response{.body = page.dump()}};
        };

        const auto nsgs = world.finish(world.gateway->list_nsgs(whole));
        const auto polled = world.finish(world.gateway->poll(link));

        REQUIRE_FALSE(nsgs);
        CHECK(nsgs.error().code == "ForeignLink");
        REQUIRE_FALSE(polled);
        CHECK(polled.error().code == "ForeignLink");
        CHECK(std::ranges::count(origins, origin) == std::ssize(origins));
    }
}

TEST_CASE("the same origin in another spelling is followed, the rest of the link as it came") {
    ArmWorld world;
    bool second = false;
    world.network.before_send = [&](const http::Request& request) {
        if (request.method != "GET") return Fate{};
        second = request.target == "/page2?x=%2F&y";
        Json page = {{"value", Json::array()}};
        if (!second) page["nextLink"] = "https://AZURE.test:443/page2?x=%2F&y";
        return Fate{.instead = http::Response{.body = page.dump()}};
    };

    CHECK(world.finish(world.gateway->list_nsgs(whole)));
    CHECK(second);
}

TEST_CASE("a list with an item that cannot be read fails as a whole, and the item is logged") {
    ArmWorld world;
    world.network.before_send = answering(R"({"value":[{"id":"no id at all","properties":{}}]})");

    const auto nsgs = world.finish(world.gateway->list_nsgs(whole));

    REQUIRE_FALSE(nsgs);
    CHECK(nsgs.error().kind == ErrorKind::unavailable);
    CHECK(nsgs.error().code == "UndecodableItem");
    CHECK(world.log.count("azure.item_undecodable") == 1);
}

TEST_CASE("an answer that is no JSON, or half of one, is unavailable") {
    for (const char* body : {"", "<html>", R"({"value":[{"id":)", "[]", "null"}) {
        CAPTURE(body);
        ArmWorld world;
        world.network.before_send = answering(body);

        const auto list = world.finish(world.gateway->list_nsgs(whole));
        const auto one = world.finish(world.gateway->read(nsg("nsg-web01")));

        REQUIRE_FALSE(list);
        CHECK(list.error().kind == ErrorKind::unavailable);
        REQUIRE_FALSE(one);
        CHECK(one.error().kind == ErrorKind::unavailable);
    }
}

TEST_CASE("preflight: permissions, locks and deny assignments are read") {
    ArmWorld world;
    const auto permissions = world.finish(world.gateway->permissions(rg_web));
    const auto locks = world.finish(world.gateway->locks(rg_web));
    const auto denials = world.finish(world.gateway->deny_assignments(rg_web));

    REQUIRE(permissions);
    REQUIRE_FALSE(permissions->empty());
    const auto& actions = permissions->front().actions;
    CHECK(std::ranges::count(actions, "Microsoft.Network/networkSecurityGroups/securityRules/*") ==
          1);
    REQUIRE(locks);
    CHECK(locks->empty());
    REQUIRE(denials);
    CHECK(denials->empty());
}

TEST_CASE("service tags come with their addresses, by names in lower case") {
    ArmWorld world;
    const auto tags = world.finish(world.gateway->service_tags(subscription, "westeurope"));
    REQUIRE(tags);
    REQUIRE(tags->contains("azuremonitor"));
    CHECK(tags->at("azuremonitor").contains(Address::parse("20.38.1.1").value()));
    CHECK(tags->contains("storage.westeurope"));
}

TEST_CASE("decoding a long list lets other work in between its items") {
    ArmWorld world;
    REQUIRE(world.finish(world.gateway->list_nsgs(whole)));
    Json page = {{"value", Json::array()}};
    for (int i = 0; i < 500; ++i) {
        page["value"].push_back({{"id", nsg("n" + std::to_string(i)).text()},
                                 {"name", "n"},
                                 {"location", "westeurope"},
                                 {"properties", {{"securityRules", Json::array()}}}});
    }
    world.network.before_send = answering(page.dump());
    std::size_t listed = 0;
    struct Run {
        static Task<void> list(Gateway& gateway, std::size_t& count) {
            const auto nsgs = co_await gateway.list_nsgs(whole);
            count = nsgs ? nsgs->size() : 1;
        }
        static Task<void> count_turns(Loop& loop, const std::size_t& listed, int& turns) {
            while (listed == 0) {
                ++turns;
                co_await loop.yield();
            }
        }
        static Task<void> after(Loop& loop, SteadyTime due, const std::size_t& listed, int& turns) {
            co_await loop.sleep_until(due);
            co_await count_turns(loop, listed, turns);
        }
    };
    int turns = 0;

    world.scope.start(Run::list(*world.gateway, listed));
    world.scope.start(Run::after(world.loop, world.loop.steady_now() + 2ms, listed, turns));
    world.run_for(1s);

    CHECK(listed == 500);
    CHECK(turns >= 500);
}
