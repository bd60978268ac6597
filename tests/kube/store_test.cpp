#include "kube/store.hpp"

#include <doctest/doctest.h>

#include <algorithm>

#include "kube/world.hpp"

using namespace sallyport;
using namespace sallyport::kube;
using namespace std::chrono_literals;

namespace {

ObjectRef grant_ref(const std::string& name) {
    return {.kind = Kind::grant, .key = in_payments(name)};
}

std::vector<std::string> finalizers(const Json& object) {
    return object["metadata"].value("finalizers", std::vector<std::string>());
}

GrantStatus a_status(Timestamp) {
    GrantStatus status;
    status.observed_generation = 1;
    status.phase = "Opening";
    status.message = "being opened";
    status.conditions = {{.type = "Ready", .status = Truth::unknown, .reason = "Opening"},
                         {.type = "Active", .status = Truth::no, .reason = "Opening"}};
    return status;
}

const Json* condition(const Json& object, const std::string& type) {
    for (const Json& each : object["status"]["conditions"]) {
        if (each["type"] == type) return &each;
    }
    return nullptr;
}

/// Counts writes that reach the wire, and does something before the first.
struct Writes {
    explicit Writes(KubeWorld& world, std::function<void()> before_first = {}) {
        world.network.before_send = [this, before_first](const http::Request& request) {
            if (request.method != "GET" && count++ == 0 && before_first) before_first();
            return Fate{};
        };
    }
    int count = 0;
};

}  // namespace

TEST_CASE(
    "a hold is put on and taken off beside other finalizers, and shows in the cache at once") {
    KubeWorld world;
    const Json grant = world.create_grant("a");
    world.as_admin("PATCH", grants + "/a",
                   {{"metadata", {{"finalizers", {"example.com/theirs"}}}}});
    world.start();

    CHECK(world.finish(world.store->set_hold(grant_ref("a"), world.uid_of(grant), true)));
    CHECK(world.store->grant(in_payments("a"))->meta.held());
    CHECK(finalizers(world.read(grants + "/a")) ==
          std::vector<std::string>{"example.com/theirs", std::string(hold_finalizer)});

    CHECK(world.finish(world.store->set_hold(grant_ref("a"), world.uid_of(grant), false)));
    CHECK_FALSE(world.store->grant(in_payments("a"))->meta.held());
    CHECK(finalizers(world.read(grants + "/a")) == std::vector<std::string>{"example.com/theirs"});
}

TEST_CASE("a hold that is as wanted costs no write") {
    KubeWorld world;
    const Json grant = world.create_grant("a");
    world.start();
    Writes writes(world);

    for (int i = 0; i < 2; ++i)
        CHECK(world.finish(world.store->set_hold(grant_ref("a"), world.uid_of(grant), true)));
    CHECK(writes.count == 1);
    for (int i = 0; i < 2; ++i)
        CHECK(world.finish(world.store->set_hold(grant_ref("a"), world.uid_of(grant), false)));
    CHECK(writes.count == 2);
}

TEST_CASE("a finalizer that somebody adds meanwhile is kept, whichever way the hold goes") {
    for (const bool held : {true, false}) {
        CAPTURE(held);
        KubeWorld world;
        Json grant = world.create_grant("a");
        if (!held) {
            world.as_admin("PATCH", grants + "/a",
                           {{"metadata", {{"finalizers", {hold_finalizer}}}}});
        }
        world.start();
        Json theirs = {{"metadata", {{"finalizers", {"example.com/theirs"}}}}};
        if (!held) theirs["metadata"]["finalizers"].push_back(hold_finalizer);
        Writes writes(world, [&] { world.as_admin("PATCH", grants + "/a", theirs); });

        CHECK(world.finish(world.store->set_hold(grant_ref("a"), world.uid_of(grant), held)));

        CHECK(writes.count == 2);
        const auto left = finalizers(world.read(grants + "/a"));
        CHECK(std::ranges::count(left, "example.com/theirs") == 1);
        CHECK(std::ranges::count(left, hold_finalizer) == (held ? 1 : 0));
    }
}

TEST_CASE("releasing what is gone is success, holding it is not") {
    KubeWorld world;
    const std::string old = world.uid_of(world.create_grant("a"));
    world.start();
    world.as_admin("DELETE", grants + "/a");
    world.create_grant("a");

    CHECK(world.finish(world.store->set_hold(grant_ref("a"), old, false)));
    const auto held = world.finish(world.store->set_hold(grant_ref("a"), old, true));
    REQUIRE_FALSE(held);
    CHECK(held.error().kind == ErrorKind::not_found);
    CHECK(finalizers(world.read(grants + "/a")).empty());
}

TEST_CASE("releasing a deleted object lets it go, and it does not come back into the cache") {
    KubeWorld world;
    const Json grant = world.create_grant("a");
    world.start();
    REQUIRE(world.finish(world.store->set_hold(grant_ref("a"), world.uid_of(grant), true)));
    world.as_admin("DELETE", grants + "/a");
    world.run_for(1s);
    CHECK(world.store->grant(in_payments("a"))->meta.deleted);

    CHECK(world.finish(world.store->set_hold(grant_ref("a"), world.uid_of(grant), false)));
    world.run_for(1s);

    world.as_admin("GET", grants + "/a", nullptr, 404);
    CHECK(world.store->grant(in_payments("a")) == nullptr);
}

TEST_CASE("a status is published once; the same again sends nothing") {
    KubeWorld world;
    const Json grant = world.create_grant("a");
    world.start();
    Writes writes(world);
    const GrantStatus status = a_status(world.clock.now());

    CHECK(world.finish(world.store->publish_grant(in_payments("a"), world.uid_of(grant), status)));
    CHECK(writes.count == 1);
    for (int i = 0; i < 3; ++i) {
        world.run_for(1h);
        CHECK(world.finish(
            world.store->publish_grant(in_payments("a"), world.uid_of(grant), status)));
    }

    CHECK(writes.count == 1);
    CHECK(world.read(grants + "/a")["status"]["phase"] == "Opening");
}

TEST_CASE("only what differs is sent, and what goes is a null") {
    KubeWorld world;
    const Json grant = world.create_grant("a");
    world.start();
    GrantStatus status = a_status(world.clock.now());
    REQUIRE(
        world.finish(world.store->publish_grant(in_payments("a"), world.uid_of(grant), status)));
    Json sent;
    world.network.before_send = [&](const http::Request& request) {
        if (request.method == "PATCH") sent = Json::parse(request.body);
        return Fate{};
    };

    status.phase = "Open";
    status.message = {};
    CHECK(world.finish(world.store->publish_grant(in_payments("a"), world.uid_of(grant), status)));

    CHECK(sent["status"] == Json{{"phase", "Open"}, {"message", nullptr}});
    CHECK(sent["metadata"]["uid"] == world.uid_of(grant));
    CHECK_FALSE(world.read(grants + "/a")["status"].contains("message"));
}

TEST_CASE("lastTransitionTime moves with the condition's status only") {
    KubeWorld world;
    const Json grant = world.create_grant("a");
    world.start();
    GrantStatus status = a_status(world.clock.now());
    REQUIRE(
        world.finish(world.store->publish_grant(in_payments("a"), world.uid_of(grant), status)));
    const Json before = world.read(grants + "/a");
    world.run_for(10min);

    status.conditions[0].message = "another message";
    status.conditions[1].status = Truth::yes;
    CHECK(world.finish(world.store->publish_grant(in_payments("a"), world.uid_of(grant), status)));

    const Json after = world.read(grants + "/a");
    REQUIRE(condition(after, "Ready"));
    CHECK((*condition(after, "Ready"))["lastTransitionTime"] ==
          (*condition(before, "Ready"))["lastTransitionTime"]);
    CHECK((*condition(after, "Ready"))["message"] == "another message");
    CHECK((*condition(after, "Active"))["lastTransitionTime"] == format_rfc3339(world.clock.now()));
}

TEST_CASE("a status that somebody changed meanwhile is put right against the newest one") {
    KubeWorld world;
    const Json grant = world.create_grant("a");
    world.start();
    Writes writes(world, [&] {
        world.as_admin("PATCH", grants + "/a", {{"spec", {{"revoked", true}}}});
    });

    CHECK(world.finish(world.store->publish_grant(in_payments("a"), world.uid_of(grant),
                                                  a_status(world.clock.now()))));

    CHECK(writes.count == 2);
    const Json live = world.read(grants + "/a");
    CHECK(live["status"]["phase"] == "Opening");
    CHECK(live["spec"]["revoked"] == true);
}

TEST_CASE("policies and accounts are published to as well; an object of another uid is not") {
    KubeWorld world;
    const Json policy = world.create_policy("web-ssh");
    const Json account = world.create_account("prod");
    world.start();
    PolicyStatus policy_status;
    policy_status.observed_generation = 1;
    policy_status.phase = "Ready";
    AccountStatus account_status;
    account_status.observed_generation = 1;
    account_status.owner = "k7f2m3qa";

    CHECK(world.finish(
        world.store->publish_policy(in_payments("web-ssh"), world.uid_of(policy), policy_status)));
    CHECK(
        world.finish(world.store->publish_account("prod", world.uid_of(account), account_status)));
    const auto other =
        world.finish(world.store->publish_account("prod", "some-other-uid", account_status));

    CHECK(world.read(accounts + "/prod")["status"]["owner"] == "k7f2m3qa");
    CHECK(world.read(policies + "/web-ssh")["status"]["observedGeneration"] == 1);
    REQUIRE_FALSE(other);
    CHECK(other.error().kind == ErrorKind::not_found);
}

TEST_CASE("what cannot be decoded is not absent: uid, generation and message are told") {
    KubeWorld world;
    const Json policy = world.create_policy("web-ssh");
    world.create_policy("other");
    world.start();
    world.as_admin("PATCH", policies + "/web-ssh",
                   {{"spec", {{"network", {{"ports", Json::array({{{"port", "22-70000"}}})}}}}}},
                   200);
    world.run_for(1s);

    const auto unread = world.store->undecodable({Kind::policy, in_payments("web-ssh")});

    REQUIRE(unread);
    CHECK(world.store->policy(in_payments("web-ssh")) == nullptr);
    CHECK(unread->uid == world.uid_of(policy));
    CHECK(unread->generation == world.read(policies + "/web-ssh")["metadata"]["generation"]);
    CHECK(unread->generation == 2);
    CHECK(unread->message.find("spec.network.ports[0].port") != std::string::npos);
    CHECK(unread->message.find("70000") != std::string::npos);
    std::vector<std::string> all;
    world.store->each_undecodable([&](const ObjectRef& ref) { all.push_back(ref.key.name); });
    CHECK(all == std::vector<std::string>{"web-ssh"});
}

TEST_CASE("an undone status shows as a change and is published again") {
    KubeWorld world;
    const Json grant = world.create_grant("a");
    world.start();
    const GrantStatus status = a_status(world.clock.now());
    REQUIRE(
        world.finish(world.store->publish_grant(in_payments("a"), world.uid_of(grant), status)));
    world.as_admin("PATCH", grants + "/a/status",
                   {{"status", {{"phase", "Open"}, {"closedAt", "2026-11-21T09:00:00Z"}}}});
    world.run_for(1s);

    CHECK(world.finish(world.store->publish_grant(in_payments("a"), world.uid_of(grant), status)));

    const Json live = world.read(grants + "/a");
    CHECK(live["status"]["phase"] == "Opening");
    CHECK_FALSE(live["status"].contains("closedAt"));
}

TEST_CASE("a live read tells absence from failure") {
    KubeWorld world;
    world.create_grant("a");

    const auto there = world.finish(world.store->read_grant(in_payments("a")));
    const auto absent = world.finish(world.store->read_grant(in_payments("b")));
    world.network.before_send = [](const http::Request&) {
        return Fate{.way = Fate::Way::refused};
    };
    const auto failed = world.finish(world.store->read_grant(in_payments("a")));

    REQUIRE(there);
    CHECK((*there)->policy == "web-ssh");
    REQUIRE(absent);
    CHECK_FALSE(*absent);
    REQUIRE_FALSE(failed);
    CHECK(failed.error().kind == ErrorKind::unavailable);
}

TEST_CASE(
    "a grant is deleted by its uid: another one of its name stays, an absent one is success") {
    KubeWorld world;
    const std::string old = world.uid_of(world.create_grant("a"));
    world.as_admin("DELETE", grants + "/a");
    const std::string now = world.uid_of(world.create_grant("a"));
    world.start();

    CHECK(world.finish(world.store->delete_grant(in_payments("a"), old)));
    world.as_admin("GET", grants + "/a", nullptr, 200);
    CHECK(world.finish(world.store->delete_grant(in_payments("a"), now)));
    world.as_admin("GET", grants + "/a", nullptr, 404);
    CHECK(world.finish(world.store->delete_grant(in_payments("a"), now)));
}

TEST_CASE("secrets and config maps are read by key, and a missing one is told by name") {
    KubeWorld world;
    const std::string core = "/api/v1/namespaces/sallyport-system/";
    world.as_admin("POST", core + "secrets",
                   {{"apiVersion", "v1"},
                    {"kind", "Secret"},
                    {"metadata", {{"name", "azure-prod"}}},
                    {"stringData", {{"clientSecret", "s3cret~value"}}}},
                   201);
    world.as_admin("POST", core + "configmaps",
                   {{"apiVersion", "v1"},
                    {"kind", "ConfigMap"},
                    {"metadata", {{"name", "azure-ca"}}},
                    {"data", {{"ca.pem", "-----BEGIN"}}}},
                   201);

    CHECK(world.finish(world.store->read_secret("azure-prod", "clientSecret")).value().reveal() ==
          "s3cret~value");
    CHECK(world.finish(world.store->read_config_map("azure-ca", "ca.pem")).value() == "-----BEGIN");
    const auto no_key = world.finish(world.store->read_secret("azure-prod", "other"));
    const auto no_secret = world.finish(world.store->read_secret("azure-dev", "clientSecret"));

    REQUIRE_FALSE(no_key);
    CHECK(no_key.error().kind == ErrorKind::not_found);
    CHECK(no_key.error().message == "secret sallyport-system/azure-prod has no key \"other\"");
    REQUIRE_FALSE(no_secret);
    CHECK(no_secret.error().kind == ErrorKind::not_found);
    CHECK(no_secret.error().message.find("sallyport-system/azure-dev") != std::string::npos);
    CHECK_FALSE(world.log.mentions("s3cret"));
}

TEST_CASE("the server's clock is compared with ours at every answer") {
    KubeWorld world;
    CHECK_FALSE(world.store->clock_offset());
    world.front.ahead = 42s;
    world.start();
    CHECK(world.store->clock_offset() == 42s);

    world.clock.jump(100s);
    REQUIRE(world.finish(world.store->read_record("none")));

    // Both moved: the server here tells our own time.
    CHECK(world.store->clock_offset() == 42s);

    // Ours was set, and no answer has come since: that is known all the same.
    world.run_for(3s);
    world.clock.jump(-1h);
    CHECK(world.store->clock_offset() == 3642s);
}

TEST_CASE("no log line has the token, whatever fails") {
    KubeWorld world;
    int n = 0;
    world.network.before_send = [&](const http::Request&) {
        return ++n % 3 == 0 ? Fate{}
                            : Fate{.instead = http::Response{.status = n % 2 == 0 ? 401 : 500}};
    };
    world.store->start(world.reflectors);
    world.run_for(10min);

    CHECK_FALSE(world.log.lines.empty());
    CHECK_FALSE(world.log.mentions(token));
}
