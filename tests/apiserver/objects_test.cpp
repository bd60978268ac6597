#include <doctest/doctest.h>

#include "apiserver/world.hpp"

using namespace sallyport;
using namespace sallyport::apiserver;

TEST_CASE(
    "a grant that is created has a uid, a version, generation 1, defaults and no client status") {
    World world;

    Json object = grant("a");
    object["status"] = {{"phase", "Open"}};
    object["metadata"]["uid"] = "mine";
    const Answer made = world.post(grants, object);

    REQUIRE(made.status == 201);
    CHECK(made.body["metadata"]["uid"].get<std::string>().size() == 36);
    CHECK(made.body["metadata"]["generation"] == 1);
    CHECK(made.body["metadata"]["creationTimestamp"] == "2026-11-21T09:00:00Z");
    CHECK(made.body["spec"]["revoked"] == false);
    CHECK(made.body["status"] == Json({{"observedGeneration", -1}}));
    CHECK(world.get(std::string(grants) + "/a").body == made.body);
}

TEST_CASE(
    "the stamp is the caller's, whatever the client wrote, and nobody changes it afterwards") {
    World world;
    Json object = grant("a");
    object["metadata"]["annotations"] = {{"sallyport.dev/created-by", "{\"user\":\"mallory\"}"}};

    const Answer made = world.post(grants, object, alice);
    const Answer patched = world.merge(
        std::string(grants) + "/a",
        {{"metadata", {{"annotations", {{"sallyport.dev/created-by", nullptr}, {"x", "y"}}}}}});

    const std::string stamp =
        R"({"user":"alice","uid":"u-2","groups":["sallyport:requesters","payments-oncall",)"
        R"("system:authenticated"]})";
    REQUIRE(made.status == 201);
    CHECK(made.body["metadata"]["annotations"]["sallyport.dev/created-by"] == stamp);
    REQUIRE(patched.status == 200);
    CHECK(patched.body["metadata"]["annotations"]["sallyport.dev/created-by"] == stamp);
    CHECK(patched.body["metadata"]["annotations"]["x"] == "y");
}

TEST_CASE("an object with a finalizer waits for it, and goes when the controller takes it off") {
    World world;
    world.post(grants, grant("a"));
    const std::string path = std::string(grants) + "/a";
    const Json hold = {{"metadata", {{"finalizers", {"sallyport.dev/hold"}}}}};
    REQUIRE(world.merge(path, hold, controller).status == 200);

    const Answer deleted = world.remove(path, alice);
    const Answer refused = world.merge(path, {{"metadata", {{"finalizers", nullptr}}}});
    const Answer still = world.get(path);
    const Answer released =
        world.merge(path, {{"metadata", {{"finalizers", nullptr}}}}, controller);

    CHECK(deleted.status == 200);
    CHECK(deleted.body["metadata"]["deletionTimestamp"] == "2026-11-21T09:00:00Z");
    CHECK(deleted.body["metadata"]["generation"] == 2);
    CHECK(refused.status == 403);
    CHECK(still.status == 200);
    CHECK(released.status == 200);
    CHECK(world.get(path).status == 404);
}

TEST_CASE(
    "a change of status leaves generation and metadata alone, and a change of spec leaves status "
    "alone") {
    World world;
    world.post(grants, grant("a"));
    const std::string path = std::string(grants) + "/a";

    const Answer status = world.merge(path + "/status",
                                      {{"status", {{"phase", "Open"}}},
                                       {"spec", {{"revoked", true}}},
                                       {"metadata", {{"labels", {{"a", "b"}}}}}},
                                      controller);
    const Answer spec =
        world.merge(path, {{"status", {{"phase", "Closed"}}}, {"spec", {{"revoked", true}}}});

    REQUIRE(status.status == 200);
    CHECK(status.body["status"]["phase"] == "Open");
    CHECK(status.body["spec"]["revoked"] == false);
    CHECK_FALSE(status.body["metadata"].contains("labels"));
    CHECK(status.body["metadata"]["generation"] == 1);
    REQUIRE(spec.status == 200);
    CHECK(spec.body["status"]["phase"] == "Open");
    CHECK(spec.body["spec"]["revoked"] == true);
    CHECK(spec.body["metadata"]["generation"] == 2);
}

TEST_CASE("an update that changes nothing keeps its version and is no event") {
    World world;
    const Answer made = world.post(grants, grant("a"));

    const Answer again = world.merge(std::string(grants) + "/a", {{"spec", {{"revoked", false}}}});

    CHECK(again.body == made.body);
}
