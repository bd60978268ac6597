#include <doctest/doctest.h>

#include "apiserver/world.hpp"

using namespace sallyport;
using namespace sallyport::apiserver;

namespace {

/// `ADDED a, MODIFIED a`.
std::string summary(const std::vector<Json>& events) {
    std::string text;
    for (const Json& event : events) {
        const Json& metadata = event["object"]["metadata"];
        if (!text.empty()) text += ", ";
        text += event["type"].get<std::string>();
        if (metadata.contains("name")) text += " " + metadata["name"].get<std::string>();
    }
    return text;
}

std::string version_of(World& world) {
    return world.get(grants).body["metadata"]["resourceVersion"].get<std::string>();
}

std::string watch_from(const std::string& version, const std::string& more = "") {
    return std::string(grants) + "?watch=true&resourceVersion=" + version + more;
}

const std::string table =
    "application/json;as=Table;v=v1;g=meta.k8s.io,application/"
    "json;as=Table;v=v1beta1;g=meta.k8s.io,"
    "application/json";

}  // namespace

TEST_CASE("a watch tells what was created, changed and removed since its version, in order") {
    World world;
    world.post(grants, grant("before"));
    const auto stream = world.watch(watch_from(version_of(world)));

    world.post(grants, grant("a"));
    world.merge(std::string(grants) + "/a", {{"spec", {{"revoked", true}}}});
    world.post(policies, policy("p"));
    const Answer made = world.post(grants, grant("b"));
    world.remove(std::string(grants) + "/a");
    const std::vector<Json> events = world.lines(*stream);

    CHECK(summary(events) == "ADDED a, MODIFIED a, ADDED b, DELETED a");
    CHECK(events[2]["object"] == made.body);
    // The last state of what is gone carries the version of its going.
    CHECK(std::stoul(events[3]["object"]["metadata"]["resourceVersion"].get<std::string>()) >
          std::stoul(made.body["metadata"]["resourceVersion"].get<std::string>()));
    CHECK(events[3]["object"]["spec"]["revoked"] == true);
}

TEST_CASE("a watch is woken by changes of its kind only") {
    World world;
    const auto stream = world.watch(watch_from(version_of(world)));
    int wakes = 0;
    stream->on_more([&wakes] { ++wakes; });

    world.post(policies, policy("p"));
    const int after_another_kind = wakes;
    world.post(grants, grant("a"));

    CHECK(after_another_kind == 0);
    CHECK(wakes == 1);
    CHECK(summary(world.lines(*stream)) == "ADDED a");
    CHECK(world.lines(*stream).empty());
}

TEST_CASE("a watch goes on where another one ended") {
    World world;
    const std::string from = version_of(world);
    world.post(grants, grant("a"));
    const auto first = world.watch(watch_from(from));
    const std::vector<Json> seen = world.lines(*first);
    world.post(grants, grant("b"));

    const auto second =
        world.watch(watch_from(seen.back()["object"]["metadata"]["resourceVersion"]));

    CHECK(summary(world.lines(*second)) == "ADDED b");
}

TEST_CASE("an object that begins to match a selector is ADDED, one that ceases to is DELETED") {
    World world;
    const auto stream = world.watch(watch_from(version_of(world), "&labelSelector=team%3Dred"));
    const std::string path = std::string(grants) + "/a";

    world.post(grants, grant("a"));
    world.merge(path, {{"metadata", {{"labels", {{"team", "red"}}}}}});
    world.merge(path, {{"metadata", {{"labels", {{"other", "x"}}}}}});
    const Answer left = world.merge(path, {{"metadata", {{"labels", {{"team", "blue"}}}}}});
    world.remove(path);
    const std::vector<Json> events = world.lines(*stream);

    REQUIRE(summary(events) == "ADDED a, MODIFIED a, DELETED a");
    CHECK(events[2]["object"]["metadata"]["labels"]["team"] == "red");
    CHECK(events[2]["object"]["metadata"]["resourceVersion"] ==
          left.body["metadata"]["resourceVersion"]);
}

TEST_CASE("version 0 or none begins with what is there") {
    World world;
    world.post(grants, grant("a"));

    const auto zero = world.watch(watch_from("0", "&fieldSelector=metadata.name%3Da"));
    const auto none = world.watch(std::string(grants) + "?watch=1");

    CHECK(summary(world.lines(*zero)) == "ADDED a");
    CHECK(summary(world.lines(*none)) == "ADDED a");
}

TEST_CASE("initial events end with a bookmark that says so") {
    World world;
    world.post(grants, grant("a"));

    const auto stream = world.watch(std::string(grants) +
                                    "?watch=true&sendInitialEvents=true&resourceVersionMatch="
                                    "NotOlderThan&allowWatchBookmarks=true");
    const std::vector<Json> events = world.lines(*stream);

    REQUIRE(summary(events) == "ADDED a, BOOKMARK");
    CHECK(events[1]["object"]["kind"] == "AccessGrant");
    CHECK(events[1]["object"]["metadata"]["annotations"]["k8s.io/initial-events-end"] == "true");
    CHECK(events[1]["object"]["metadata"]["resourceVersion"] == version_of(world));
}

TEST_CASE("bookmarks carry a quiet watch along, so that it can go on after the history is gone") {
    World world(3);
    const auto stream = world.watch(watch_from(version_of(world), "&allowWatchBookmarks=true"));
    world.lines(*stream);
    for (int i = 0; i < 3; ++i) world.post(policies, policy("p" + std::to_string(i)));

    world.advance(seconds(61));
    const std::vector<Json> events = world.lines(*stream);

    REQUIRE(summary(events) == "BOOKMARK");
    CHECK(events[0]["object"]["metadata"]["resourceVersion"] == version_of(world));
}

TEST_CASE("a version older than the history is 410 at the start, and an ERROR event later") {
    World world(3);
    const std::string old = version_of(world);
    const auto stream = world.watch(watch_from(old));
    for (int i = 0; i < 5; ++i) world.post(grants, grant("g" + std::to_string(i)));

    const Answer refused = world.get(watch_from(old));
    const std::vector<Json> events = world.lines(*stream);

    CHECK(refused.status == 410);
    CHECK(refused.reason() == "Expired");
    CHECK(refused.message().starts_with("too old resource version: "));
    REQUIRE(events.size() == 1);
    CHECK(events[0]["type"] == "ERROR");
    CHECK(events[0]["object"]["code"] == 410);
    CHECK(stream->take(world.now).ended);
}

TEST_CASE("a restart keeps versions going up, and watches from before it list again") {
    World world;
    const std::string old = version_of(world);
    world.post(grants, grant("a"));
    const std::string newest = version_of(world);

    world.restart();

    CHECK(version_of(world) == newest);
    CHECK(world.get(watch_from(old)).status == 410);
    const auto stream = world.watch(watch_from(newest));
    world.post(grants, grant("b"));
    CHECK(summary(world.lines(*stream)) == "ADDED b");
}

TEST_CASE("a watch ends after the time that was asked for") {
    World world;
    const auto stream = world.watch(watch_from(version_of(world), "&timeoutSeconds=30"));

    CHECK_FALSE(stream->take(world.now + seconds(29)).ended);
    CHECK(stream->take(world.now + seconds(30)).ended);
}

TEST_CASE("a watch as a Table sends its columns once") {
    World world;
    const auto stream = world.watch(watch_from("0"), {.accept = table});
    world.post(grants, grant("a"));
    world.post(grants, grant("b"));

    const std::vector<Json> events = world.lines(*stream);

    REQUIRE(events.size() == 2);
    CHECK(events[0]["object"]["columnDefinitions"][1]["name"] == "State");
    CHECK(events[1]["object"]["columnDefinitions"].is_null());
    CHECK(events[1]["object"]["rows"][0]["cells"][0] == "b");
}

TEST_CASE("the rows of a Table carry what was asked for: metadata, the whole object, or nothing") {
    World world;
    world.post(grants, grant("a"));
    const auto row = [&world](const std::string& query) {
        return world.get(std::string(grants) + query, {.accept = table}).body["rows"][0]["object"];
    };

    // kubectl get --sort-by .spec.policyRef.name reads that field from here.
    CHECK(row("?includeObject=Object")["spec"]["policyRef"]["name"] == "web-ssh");
    CHECK(row("?includeObject=Object")["kind"] == "AccessGrant");
    CHECK(row("")["kind"] == "PartialObjectMetadata");
    CHECK_FALSE(row("?includeObject=Metadata").contains("spec"));
    CHECK(row("?includeObject=None").is_null());
    CHECK(world.get(std::string(grants) + "/a?includeObject=Object", {.accept = table})
              .body["rows"][0]["object"]["kind"] == "AccessGrant");
    CHECK(world.get(std::string(grants) + "?includeObject=Some", {.accept = table}).status == 400);
    const auto stream = world.watch(watch_from("0", "&includeObject=Object"), {.accept = table});
    CHECK(world.lines(*stream)[0]["object"]["rows"][0]["object"]["kind"] == "AccessGrant");
}

TEST_CASE("a list comes in pages that together are the whole, with the version of the first") {
    World world;
    for (int i = 0; i < 7; ++i) world.post(grants, grant("g" + std::to_string(i)));
    const std::string version = version_of(world);

    std::string names;
    std::string from;
    int pages = 0;
    do {
        const Answer page = world.get(std::string(grants) + "?limit=3&continue=" + from);
        REQUIRE(page.status == 200);
        for (const Json& item : page.body["items"]) names += item["metadata"]["name"];
        CHECK(page.body["metadata"]["resourceVersion"] == version);
        if (pages == 0) CHECK(page.body["metadata"]["remainingItemCount"] == 4);
        from = page.body["metadata"].value("continue", "");
        // What happens between two pages is what a watch from that version tells.
        if (pages == 0) world.post(grants, grant("a-late-one"));
        ++pages;
    } while (!from.empty());

    CHECK(pages == 3);
    CHECK(names == "g0g1g2g3g4g5g6");
    CHECK(world.get(std::string(grants) + "?limit=3&continue=nonsense").status == 400);
}

TEST_CASE("lists select by labels and fields") {
    World world;
    for (const char* name : {"a", "b", "c"}) {
        Json object = grant(name);
        object["metadata"]["labels"] = {{"name", name}, {"env", "prod"}};
        if (name == std::string("c")) object["spec"]["policyRef"]["name"] = "other";
        world.post(grants, object);
    }
    const auto count = [&world](const std::string& query) {
        const Answer answer = world.get(std::string(grants) + "?" + query);
        return answer.status == 200 ? static_cast<int>(answer.body["items"].size())
                                    : -answer.status;
    };

    CHECK(count("labelSelector=name%3Da") == 1);
    CHECK(count("labelSelector=name%3D%3Da") == 1);
    CHECK(count("labelSelector=name!%3Da") == 2);
    CHECK(count("labelSelector=name%20in%20(a,b),env%3Dprod") == 2);
    CHECK(count("labelSelector=name%20notin%20(a,b)") == 1);
    CHECK(count("labelSelector=!team") == 3);
    CHECK(count("labelSelector=env,!name") == 0);
    CHECK(count("labelSelector=%3Dx") == -400);
    CHECK(count("fieldSelector=metadata.name%3Da") == 1);
    CHECK(count("fieldSelector=metadata.name!%3Da,metadata.namespace%3Dpayments") == 2);
    CHECK(count("fieldSelector=spec.policyRef.name%3Dother") == 1);
    CHECK(count("fieldSelector=spec.justification%3Dx") == -400);
}
