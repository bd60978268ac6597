#include "kube/events.hpp"

#include <doctest/doctest.h>

#include "kube/world.hpp"

using namespace sallyport;
using namespace sallyport::kube;
using namespace std::chrono_literals;

namespace {

Notice a_notice(const std::string& object = "a") {
    return {.about = {.kind = Kind::grant, .key = in_payments(object)},
            .uid = "9b0cfa0e-6a52-4b9e-9a2c-0d4f6c3f5f10",
            .warning = true,
            .reason = "CloseFailing",
            .note = "the port cannot be closed"};
}

Json events(KubeWorld& world, const std::string& ns = "payments") {
    return world.read("/api/v1/namespaces/" + ns + "/events")["items"];
}

}  // namespace

TEST_CASE(
    "an event stands in the object's namespace and names it as kubectl describe looks for it") {
    KubeWorld world;
    world.finish(world.store->notify(a_notice()));

    const Json items = events(world);
    REQUIRE(items.size() == 1);
    const Json& event = items[0];
    CHECK(event["involvedObject"]["kind"] == "AccessGrant");
    CHECK(event["involvedObject"]["name"] == "a");
    CHECK(event["involvedObject"]["namespace"] == "payments");
    CHECK(event["involvedObject"]["uid"] == a_notice().uid);
    CHECK(event["type"] == "Warning");
    CHECK(event["reason"] == "CloseFailing");
    CHECK(event["message"] == a_notice().note);
    CHECK(event["count"] == 1);
}

TEST_CASE("events about cluster-scoped objects stand in namespace default") {
    KubeWorld world;
    world.finish(
        world.store->notify({.about = {.kind = Kind::account, .key = {.ns = {}, .name = "prod"}},
                             .reason = "Ready",
                             .note = "signed in"}));

    const Json items = events(world, "default");
    REQUIRE(items.size() == 1);
    CHECK(items[0]["involvedObject"]["name"] == "prod");
    CHECK(items[0]["type"] == "Normal");
}

TEST_CASE("the same reason within ten minutes raises a count, later it is a new event") {
    KubeWorld world;
    for (int i = 0; i < 3; ++i) {
        Notice notice = a_notice();
        notice.note += " " + std::to_string(i);
        world.finish(world.store->notify(std::move(notice)));
        world.run_for(5min);
    }

    Json items = events(world);
    REQUIRE(items.size() == 1);
    CHECK(items[0]["count"] == 3);
    CHECK(items[0]["message"] == "the port cannot be closed 2");
    world.run_for(6min);
    world.finish(world.store->notify(a_notice()));
    items = events(world);
    CHECK(items.size() == 2);
}

TEST_CASE("an event that the server has forgotten is written anew") {
    KubeWorld world;
    world.finish(world.store->notify(a_notice()));
    world.as_admin("DELETE", "/api/v1/namespaces/payments/events/" +
                                 events(world)[0]["metadata"]["name"].get<std::string>());

    world.finish(world.store->notify(a_notice()));

    const Json items = events(world);
    REQUIRE(items.size() == 1);
    CHECK(items[0]["count"] == 1);
}

TEST_CASE(
    "about one object there are 25 writes at once and then one each 300 s; others are not held "
    "up") {
    KubeWorld world;
    for (int i = 0; i < 40; ++i) {
        Notice notice = a_notice();
        notice.reason = "Reason" + std::to_string(i);
        world.finish(world.store->notify(std::move(notice)));
    }
    CHECK(events(world).size() == 25);
    CHECK(world.metrics.value("sallyport_events_dropped_total") == 15);

    world.finish(world.store->notify(a_notice("b")));
    CHECK(events(world).size() == 26);
    world.run_for(301s);
    for (int i = 0; i < 3; ++i) {
        Notice notice = a_notice();
        notice.reason = "Later" + std::to_string(i);
        world.finish(world.store->notify(std::move(notice)));
    }
    CHECK(events(world).size() == 27);
}

TEST_CASE("a note of any length and any bytes is written, cut to its limit") {
    KubeWorld world;
    Notice notice = a_notice();
    notice.note = std::string(1020, 'x') + "äöü\xff";
    world.finish(world.store->notify(std::move(notice)));

    const Json items = events(world);
    REQUIRE(items.size() == 1);
    CHECK(items[0]["message"].get<std::string>().size() <= 1024);
    CHECK(items[0]["message"].get<std::string>().ends_with("..."));
}

TEST_CASE("an event that cannot be written costs nothing but a line") {
    KubeWorld world;
    world.network.before_send = [](const http::Request&) {
        return Fate{.way = Fate::Way::refused};
    };

    world.finish(world.store->notify(a_notice()));

    CHECK(world.log.count("event.not_written") == 1);
    CHECK(world.metrics.value("sallyport_events_dropped_total") == 1);
}
