#include <doctest/doctest.h>
#include <fmt/format.h>

#include <map>

#include "sim/operations.hpp"
#include "sim/plan_judge.hpp"
#include "sim/scenes.hpp"

using namespace sallyport;
using namespace sallyport::sim;
using namespace std::chrono_literals;

// S8: what may stand in metadata changes nothing that Sallyport does, and what may not is refused
// and named. Names and their grammar: Kubernetes, "Object Names and IDs", "Labels and Selectors".
namespace {

struct Written {
    std::string name;
    json metadata;           ///< a merge patch
    std::string place = {};  ///< what a refusal names; empty: it is taken
};

json texts(std::size_t count, const std::string& value) {
    json map = json::object();
    for (std::size_t i = 0; i < count; ++i) map["example.com/n" + std::to_string(i)] = value;
    return map;
}
/// Of somebody else's, beside ours.
json finalizers(std::size_t others) {
    json list = {"sallyport.dev/hold"};
    for (std::size_t i = 0; i < others; ++i) list.push_back("example.com/f" + std::to_string(i));
    return list;
}
json an_owner(const json& changes = json::object()) {
    json owner = {{"apiVersion", "v1"},
                  {"kind", "ConfigMap"},
                  {"name", "team"},
                  {"uid", "99999999-9999-4999-8999-999999999999"}};
    owner.merge_patch(changes);
    return owner;
}

std::vector<Written> legal() {
    const json owners =
        json::array({an_owner({{"controller", true}, {"blockOwnerDeletion", true}}), an_owner()});
    return {
        {"a label", {{"labels", {{"team", "payments"}}}}},
        {"odd labels",
         {{"labels", {{"example.com/Odd_Name.x-1", ""}, {"9", std::string(63, 'x')}}}}},
        {"a label like ours", {{"labels", {{"sallyport.dev/owner", "k7f2m3qa"}}}}},
        {"a label of Flux", {{"labels", {{"kustomize.toolkit.fluxcd.io/name", "x"}}}}},
        {"many labels", {{"labels", texts(300, "x")}}},
        {"a null among labels", {{"labels", {{"team", nullptr}}}}},
        {"an annotation", {{"annotations", {{"example.com/why", "because"}}}}},
        {"odd annotations",
         {{"annotations", {{"example.com/odd", "\u0001\u2028\"\\%s{}\n\U0001F511"}, {"x", ""}}}}},
        {"a long annotation", {{"annotations", {{"example.com/long", std::string(200000, 'x')}}}}},
        {"many annotations", {{"annotations", texts(1000, "x")}}},
        {"another's stamp",
         {{"annotations",
           {{"sallyport.dev/created-by", R"({"user":"mallory","uid":"m","groups":[]})"}}}}},
        {"a stamp that is none", {{"annotations", {{"sallyport.dev/created-by", "{"}}}}},
        {"what kubectl applied",
         {{"annotations", {{"kubectl.kubernetes.io/last-applied-configuration", "{}"}}}}},
        {"owners", {{"ownerReferences", owners}}},
        {"an owner that is the object's own kind",
         {{"ownerReferences", json::array({an_owner({{"apiVersion", "sallyport.dev/v1alpha1"},
                                                     {"kind", "CloudAccount"}})})}}},
        {"a finalizer of others", {{"finalizers", finalizers(1)}}},
        {"many finalizers of others", {{"finalizers", finalizers(300)}}},
        {"a prefix beside its name", {{"generateName", "x-"}}},
        {"what the server alone writes",
         {{"generation", 77},
          {"creationTimestamp", "2020-01-01T00:00:00Z"},
          {"deletionTimestamp", "2020-01-01T00:00:00Z"},
          {"deletionGracePeriodSeconds", 7},
          {"selfLink", "/x"},
          {"managedFields", json::array({{{"manager", "x"}}})}}},
        {"a member that nobody knows", {{"colour", "green"}}},
    };
}

std::vector<Written> illegal() {
    const auto owners = [](const json& changes) -> json {
        return {{"ownerReferences", json::array({an_owner(changes)})}};
    };
    return {
        {"a label's value with a blank", {{"labels", {{"a", "b c"}}}}, "metadata.labels"},
        {"a long label value", {{"labels", {{"a", std::string(64, 'x')}}}}, "metadata.labels"},
        {"a label with a blank", {{"labels", {{"a b", "c"}}}}, "metadata.labels"},
        {"a label without a name", {{"labels", {{"", "c"}}}}, "metadata.labels"},
        {"a label with two slashes", {{"labels", {{"a/b/c", "d"}}}}, "metadata.labels"},
        {"a label with a long name",
         {{"labels", {{std::string(64, 'x'), "d"}}}},
         "metadata.labels"},
        {"a number as a label", {{"labels", {{"a", 5}}}}, "metadata.labels"},
        {"a list of labels", {{"labels", {"a"}}}, "metadata.labels"},
        {"an object as a label", {{"labels", {{"a", {{"b", "c"}}}}}}, "metadata.labels"},
        {"an annotation with a blank", {{"annotations", {{"a b", "c"}}}}, "metadata.annotations"},
        {"a truth as an annotation", {{"annotations", {{"a", true}}}}, "metadata.annotations"},
        {"annotations as a text", {{"annotations", "a"}}, "metadata.annotations"},
        {"annotations that are too long",
         {{"annotations", {{"a", std::string(262144, 'x')}}}},
         "metadata.annotations"},
        {"a finalizer with a blank",
         {{"finalizers", {"sallyport.dev/hold", "a b"}}},
         "metadata.finalizers"},
        {"an empty finalizer", {{"finalizers", {"sallyport.dev/hold", ""}}}, "metadata.finalizers"},
        {"a number as a finalizer",
         {{"finalizers", {"sallyport.dev/hold", 5}}},
         "metadata.finalizers"},
        {"a text of finalizers", {{"finalizers", "sallyport.dev/hold"}}, "metadata.finalizers"},
        {"a map of finalizers", {{"finalizers", {{"a", "b"}}}}, "metadata.finalizers"},
        {"no finalizers", {{"finalizers", nullptr}}, "sallyport.dev/hold"},
        {"only others' finalizers", {{"finalizers", {"example.com/f"}}}, "sallyport.dev/hold"},
        {"an owner without a uid", owners({{"uid", nullptr}}), "metadata.ownerReferences.uid"},
        {"an owner without a name", owners({{"name", ""}}), "metadata.ownerReferences.name"},
        {"an owner without a kind", owners({{"kind", nullptr}}), "metadata.ownerReferences.kind"},
        {"an owner without a version", owners({{"apiVersion", ""}}),
         "metadata.ownerReferences.apiVersion"},
        {"a number as an owner's uid", owners({{"uid", 5}}), "metadata.ownerReferences.uid"},
        {"a text as an owner's control", owners({{"controller", "true"}}),
         "metadata.ownerReferences.controller"},
        {"a text as an owner", {{"ownerReferences", {"team"}}}, "metadata.ownerReferences"},
        {"owners as a map", {{"ownerReferences", an_owner()}}, "metadata.ownerReferences"},
        {"two that control",
         {{"ownerReferences", json::array({an_owner({{"controller", true}}),
                                           an_owner({{"controller", true}, {"name", "b"}})})}},
         "metadata.ownerReferences"},
        {"a prefix that is no name", {{"generateName", "A_"}}, "metadata.generateName"},
        {"a number as a prefix", {{"generateName", 5}}, "metadata.generateName"},
        {"another name", {{"name", "other"}}, "metadata.name"},
        {"a number as a name", {{"name", 5}}, "metadata.name"},
        {"another namespace", {{"namespace", "other"}}, "namespace"},
        {"another uid", {{"uid", "99999999-9999-4999-8999-999999999999"}}, "UID"},
        {"an older version", {{"resourceVersion", "1"}}, "modified"},
    };
}

const char* const kinds[] = {"CloudAccount", "JitPolicy", "AccessGrant"};

bool is_chosen(const std::string& plan) {
    const std::string only = setting("SALLYPORT_PLAN");
    return only.empty() || only == plan;
}

http::Response write(World& world, const std::string& path, const json& metadata) {
    return world.request("admin", "PATCH", path, json({{"metadata", metadata}}).dump(),
                         "application/merge-patch+json");
}

/// Without what was written: the object's metadata but for its name, uid and hold.
json beside_metadata(World& world) {
    json all = everything_of(world);
    for (const char* plural : {"cloudaccounts", "jitpolicies", "accessgrants"}) {
        for (json& object : all.at(plural)) {
            json& metadata = object.at("metadata");
            const std::string stamp =
                metadata.value("/annotations/sallyport.dev~1created-by"_json_pointer, "");
            metadata = {{"name", metadata.at("name")},
                        {"uid", metadata.at("uid")},
                        {"generation", metadata.at("generation")},
                        {"deleted", metadata.contains("deletionTimestamp")}};
            // Of grants alone it says who asks.
            if (object.at("kind") == "AccessGrant") metadata["stamp"] = stamp;
        }
    }
    return all;
}

struct Opened {
    Opened() : at(World::account(), World::a_policy()) {
        at.world.start_operator();
        REQUIRE_TOLD(at.world, at.rest());
        at.ask_for("g");
        REQUIRE_TOLD(at.world, at.rest());
        REQUIRE_TOLD(at.world, at.world.phase("g") == "Open");
    }
    OperatedWorld at;
};

#ifdef NDEBUG
constexpr std::size_t stride = 1;
#else
constexpr std::size_t stride = 7;  // unoptimised code and sanitizers
#endif

}  // namespace

TEST_CASE("operations: what may stand in metadata changes nothing that is done") {
    int ran = 0;
    std::size_t walked = 0;
    for (const Written& each : legal()) {
        for (const char* kind : kinds) {
            const std::string plan = fmt::format("S8/{}.metadata={}", kind, each.name);
            const bool has_turn = walked++ % stride == 0 || !setting("SALLYPORT_PLAN").empty();
            if (!has_turn || !is_chosen(plan)) continue;
            CAPTURE(plan);
            ++ran;
            Opened opened;
            World& world = opened.at.world;
            const json before = beside_metadata(world);
            const SteadyTime last_write = opened.at.monitor.last_write();
            const http::Response answer = write(world, path_of(base_of(kind)), each.metadata);
            REQUIRE_MESSAGE(answer.status == 200, answer.body);
            world.run_for(2min);
            CHECK_TOLD(world, beside_metadata(world) == before);
            CHECK_TOLD(world, opened.at.monitor.last_write() == last_write);
            // The next process reads it as well, and an early end is heard.
            world.crash();
            world.start_operator();
            world.run_for(2min);
            CHECK_TOLD(world, beside_metadata(world) == before);
            patch(world, grant_path("g"), {{"spec", {{"revoked", true}}}});
            CHECK_TOLD(world, world.run_until([&] { return world.phase("g") == "Revoked"; }, 30s));
            const std::string wrong = opened.at.complaint();
            CHECK_MESSAGE(wrong.empty(), wrong);
        }
    }
    MESSAGE("metadata: plans ran S8 ", ran);
}

TEST_CASE("operations: what may not stand in metadata is refused, named, and changes nothing") {
    Opened opened;
    World& world = opened.at.world;
    const json before = everything_of(world);
    const SteadyTime last_write = opened.at.monitor.last_write();
    int ran = 0;
    for (const Written& each : illegal()) {
        for (const char* kind : kinds) {
            const std::string plan = fmt::format("S8/{}.metadata={}", kind, each.name);
            if (!is_chosen(plan)) continue;
            if (each.name == "another namespace" && std::string(kind) == "CloudAccount") continue;
            CAPTURE(plan);
            ++ran;
            const std::string path = path_of(base_of(kind));
            const std::string old = world.get(path).dump();
            const http::Response answer = write(world, path, each.metadata);
            CHECK_MESSAGE(answer.status >= 400, answer.body);
            CHECK_MESSAGE(answer.status < 500, answer.body);
            CHECK_MESSAGE(answer.body.find(each.place) != std::string::npos, answer.body);
            CHECK(world.get(path).dump() == old);
            // The same when it is made.
            json fresh = base_of(kind);
            fresh["metadata"]["name"] = "fresh";
            fresh["metadata"].merge_patch(each.metadata);
            const bool on_update_only = each.place == "sallyport.dev/hold" || each.place == "UID" ||
                                        each.place == "modified" || each.name == "another name";
            if (on_update_only) continue;
            const http::Response made = world.request(
                "alice", "POST", path.substr(0, path.rfind('/')) + "?dryRun=All", fresh.dump());
            if (std::string(kind) != "AccessGrant") continue;  // alice may not make others
            CHECK_MESSAGE(made.status >= 400, made.body);
            CHECK_MESSAGE(made.body.find(each.place) != std::string::npos, made.body);
        }
    }
    world.run_for(2min);
    CHECK(everything_of(world) == before);
    CHECK(opened.at.monitor.last_write() == last_write);
    MESSAGE("metadata: plans ran S8 ", ran);
}

TEST_CASE("operations: odd names are names: all is as under usual ones") {
    if (!is_chosen("S8/names")) return;
    const std::string names[] = {"0", "true", "null", "a.b-c.d0", std::string(63, 'x'), "x--y"};
    const json usual = undisturbed_world().of_a;
    for (const std::string& name : names) {
        CAPTURE(name);
        json policy = World::a_policy();
        json grant = grant_of("a");
        for (json* each : {&policy, &grant}) (*each)["metadata"]["name"] = name;
        grant["spec"]["policyRef"]["name"] = name;
        OperatedWorld at(World::account(), policy);
        at.world.start_operator();
        REQUIRE_TOLD(at.world, at.rest());
        ask(at.world, grant);
        REQUIRE_TOLD(at.world, at.rest());
        const std::string wrong = at.complaint();
        CHECK_MESSAGE(wrong.empty(), wrong << at.monitor.told());
        CHECK(at.outcome(name) == usual);
        at.world.remove(grant_path(name));
        CHECK_TOLD(at.world,
                   at.world.run_until([&] { return at.world.phase(name) == "gone"; }, 30s));
        CHECK(at.world.our_rules().empty());
    }
}

TEST_CASE("operations: an account may have an odd name") {
    if (!is_chosen("S8/names")) return;
    for (const std::string& name : {std::string("0"), std::string("a.b"), std::string(63, 'x')}) {
        CAPTURE(name);
        World world;
        world.set_up({{"accountRef", {{"name", name}}}});
        world.remove(path_of(World::account()));
        json account = World::account();
        account["metadata"]["name"] = name;
        world.apply(account);
        world.start_operator();
        world.run_for(30s);
        const Timestamp end = open_grant(world, "a");
        const std::string journal = world.files.files["journal/" + name + ".jsonl"];
        CHECK(journal.find("rule.opening") != std::string::npos);
        world.run_for(end - world.now());
        CHECK_TOLD(world, world.run_until([&] { return world.phase("a") == "Expired"; }, 30s));
        CHECK(world.our_rules().empty());
        CHECK(world.log.errors == 0);
    }
}

TEST_CASE("operations: a grant whose name the server made up is a grant like others") {
    if (!is_chosen("S8/generateName")) return;
    for (const std::string prefix : {"g-", "alice.", "x"}) {
        CAPTURE(prefix);
        OperatedWorld at(World::account(), World::a_policy());
        at.world.start_operator();
        REQUIRE_TOLD(at.world, at.rest());
        json grant = grant_of("a");
        grant["metadata"].erase("name");
        grant["metadata"]["generateName"] = prefix;
        const json made = at.world.create_as("alice", grant);
        if (prefix == "alice.") {  // a real server refuses it too: it is no beginning of a name
            CHECK_MESSAGE(
                made.value("message", "").find("metadata.generateName") != std::string::npos,
                made.dump());
            continue;
        }
        REQUIRE_MESSAGE(made.value("kind", "") == "AccessGrant", made.dump());
        const std::string name = made.at("metadata").at("name");
        CHECK(name.starts_with(prefix));
        REQUIRE_TOLD(at.world, at.rest());
        CHECK(at.outcome(name) == undisturbed_world().of_a);
        CHECK(at.complaint() == "");
    }
}

TEST_CASE("operations: what others hold goes with them, and is closed before") {
    for (const char* kind : kinds) {
        if (!is_chosen(std::string("S8/held.") + kind)) continue;
        CAPTURE(kind);
        Opened opened;
        World& world = opened.at.world;
        const std::string path = path_of(base_of(kind));
        REQUIRE(write(world, path, {{"finalizers", finalizers(2)}}).status == 200);
        world.remove(path);
        const auto is_let_go = [&] {
            const json left = world.get(path).value("/metadata/finalizers"_json_pointer, json());
            return left == json({"example.com/f0", "example.com/f1"});
        };
        CHECK_TOLD(world, world.run_until(is_let_go, 3min));
        CHECK_TOLD(world, world.our_rules().empty());
        CHECK_FALSE(world.reaches("198.51.100.13", "web01"));
        world.run_for(5min);
        CHECK_TOLD(world, is_let_go());
        REQUIRE(write(world, path, {{"finalizers", nullptr}}).status == 200);
        CHECK(world.get(path).is_null());
        world.run_for(2min);
        const std::string wrong = opened.at.complaint();
        CHECK_MESSAGE(wrong.empty(), wrong);
    }
}
