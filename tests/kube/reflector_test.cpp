#include "kube/reflector.hpp"

#include <doctest/doctest.h>

#include <algorithm>

#include "kube/world.hpp"

using namespace sallyport;
using namespace sallyport::kube;
using namespace std::chrono_literals;

namespace {

bool has_grant(const KubeWorld& world, const char* name) {
    return world.store->grant(in_payments(name)) != nullptr;
}

/// Answers every request of a kind from here on; the others pass.
auto refusing(const char* what, http::Response with) {
    return [what, with](const http::Request& request) {
        const bool hit = request.target.find(what) != request.target.npos;
        return hit ? Fate{.instead = with} : Fate{};
    };
}

}  // namespace

TEST_CASE("a kind is synced once its whole list was read, in pages") {
    KubeWorld world;
    for (int i = 0; i < 601; ++i) world.create_policy("p" + std::to_string(i));

    world.start();

    int seen = 0;
    world.store->each_policy([&](const JitPolicy&) { ++seen; });
    CHECK(seen == 601);
    const ObjectRef synced{.kind = Kind::policy, .key = {}};
    CHECK(std::ranges::count(world.changes, synced) == 1);
    CHECK(world.metrics.value("rest_client_requests_total", {"200", "GET"}) == 6);
}

TEST_CASE("what others create, change and delete is told and shows in the cache") {
    KubeWorld world;
    world.start();
    world.changes.clear();

    world.create_grant("a");
    world.run_for(1s);
    CHECK(has_grant(world, "a"));
    world.as_admin("PATCH", grants + "/a", {{"spec", {{"revoked", true}}}});
    world.run_for(1s);
    CHECK(world.store->grant(in_payments("a"))->revoked);
    world.as_admin("DELETE", grants + "/a");
    world.run_for(1s);

    CHECK_FALSE(has_grant(world, "a"));
    const ObjectRef ref{.kind = Kind::grant, .key = in_payments("a")};
    CHECK(std::ranges::count(world.changes, ref) == 3);
}

TEST_CASE("a broken watch goes on where it was: nothing is lost and nothing listed again") {
    KubeWorld world;
    world.start();

    for (int i = 0; i < 5; ++i) {
        world.network.break_streams();
        world.create_grant("g" + std::to_string(i));
        world.run_for(40s);
    }

    for (int i = 0; i < 5; ++i) CHECK(has_grant(world, ("g" + std::to_string(i)).c_str()));
    CHECK(world.relists("AccessGrant") == 1);
}

TEST_CASE(
    "a watch is asked to end after 300 to 600 s, and the next follows without a pause or a list") {
    KubeWorld world;
    std::vector<int> spans;
    world.network.before_send = [&](const http::Request& request) {
        const auto span = http::Target(request.target).query("timeoutSeconds");
        if (span) spans.push_back(std::stoi(*span));
        return Fate{};
    };
    world.start();

    world.run_for(2h);

    CHECK(spans.size() > 5 * 12);
    CHECK(*std::ranges::min_element(spans) >= 300);
    CHECK(*std::ranges::max_element(spans) <= 600);
    CHECK(std::ranges::min(spans) != std::ranges::max(spans));
    CHECK(world.relists("AccessGrant") == 1);
    CHECK(world.network.streams_open == 5);
}

TEST_CASE("a version too old is answered by a list at once, and what it does not have is deleted") {
    KubeWorld world(4);
    world.create_grant("goes");
    world.create_grant("stays");
    world.start();
    world.changes.clear();
    // The connection is gone while more happens than the server remembers.
    bool cut_off = true;
    world.network.before_send = [&](const http::Request& request) {
        return is_watch(request) && cut_off ? Fate{.way = Fate::Way::refused} : Fate{};
    };
    world.network.break_streams();
    world.run_for(2s);
    world.as_admin("DELETE", grants + "/goes");
    for (int i = 0; i < 10; ++i) world.create_grant("n" + std::to_string(i));
    CHECK(has_grant(world, "goes"));

    cut_off = false;
    world.run_for(60s);

    CHECK_FALSE(has_grant(world, "goes"));
    CHECK(has_grant(world, "stays"));
    CHECK(has_grant(world, "n9"));
    CHECK(world.relists("AccessGrant") == 2);
    const ObjectRef gone{.kind = Kind::grant, .key = in_payments("goes")};
    CHECK(std::ranges::count(world.changes, gone) == 1);
}

TEST_CASE("a server that answers 410 for ever is not asked in a hot loop") {
    KubeWorld world;
    world.start();
    world.network.before_send =
        refusing("watch=true", {.status = 410, .body = R"({"reason":"Expired"})"});
    world.network.break_streams();

    world.run_for(5min);

    CHECK(world.relists("AccessGrant") < 40);
    CHECK(world.bugs == 0);
    CHECK(world.relists("AccessGrant") > 5);
}

TEST_CASE("a line that is no JSON, or is cut off, costs a new watch and no event") {
    struct Row {
        const char* why;
        void (*spoil)(std::string&);
        bool connection_lives;
    };
    for (const Row& row :
         {Row{"no JSON", [](std::string& bytes) { bytes.insert(5, "}{"); }, true},
          Row{"cut mid-line", [](std::string& bytes) { bytes.resize(bytes.size() / 2); }, false},
          Row{"not an event", [](std::string& bytes) { bytes.insert(0, "[]\n"); }, true}}) {
        CAPTURE(row.why);
        KubeWorld world;
        world.start();
        int spoilt = 0;
        world.network.on_stream_bytes = [&](const http::Request& request, std::string& bytes) {
            if (request.target.find("accessgrants") == request.target.npos || spoilt++ > 0)
                return true;
            row.spoil(bytes);
            return row.connection_lives;
        };

        world.create_grant("a");
        world.run_for(10s);

        CHECK(spoilt >= 1);
        CHECK(has_grant(world, "a"));
        CHECK(world.relists("AccessGrant") == 1);
    }
}

TEST_CASE("an ERROR event of 410 lists anew, another one watches again") {
    for (const int code : {410, 500}) {
        CAPTURE(code);
        KubeWorld world;
        world.start();
        int spoilt = 0;
        world.network.on_stream_bytes = [&](const http::Request& request, std::string& bytes) {
            if (request.target.find("accessgrants") == request.target.npos || spoilt++ > 0)
                return true;
            const Json status = {{"kind", "Status"}, {"code", code}, {"message", "planted"}};
            bytes = Json{{"type", "ERROR"}, {"object", status}}.dump() + "\n";
            return true;
        };

        world.create_grant("a");
        world.run_for(10s);

        CHECK(has_grant(world, "a"));
        CHECK(world.relists("AccessGrant") == (code == 410 ? 2 : 1));
    }
}

TEST_CASE(
    "a failing list is tried again after 0.8 s, doubling to 30 s, each with as much again by "
    "chance") {
    KubeWorld world;
    std::vector<SteadyTime> tries;
    world.network.before_send = [&](const http::Request& request) {
        if (request.target.find("accessgrants") == request.target.npos) return Fate{};
        tries.push_back(world.loop.steady_now());
        return Fate{.instead = http::Response{.status = 503}};
    };

    world.store->start(world.reflectors);
    world.run_for(10min);

    REQUIRE(tries.size() > 8);
    std::chrono::duration<double> expected = 800ms;
    for (std::size_t i = 1; i < tries.size(); ++i) {
        const std::chrono::duration<double> gap = tries[i] - tries[i - 1];
        CAPTURE(i);
        CHECK(gap >= expected);
        CHECK(gap <= 2 * expected + 0.1s);
        expected = std::min<std::chrono::duration<double>>(2 * expected, 30s);
    }
    CHECK_FALSE(world.store->synced(Kind::grant));
    CHECK(world.store->synced(Kind::policy));
}

TEST_CASE("Retry-After is waited for") {
    KubeWorld world;
    std::vector<SteadyTime> tries;
    world.network.before_send = [&](const http::Request& request) {
        if (request.target.find("accessgrants") == request.target.npos) return Fate{};
        tries.push_back(world.loop.steady_now());
        return Fate{.instead = http::Response{.status = 429, .headers = {{"Retry-After", "20"}}}};
    };

    world.store->start(world.reflectors);
    world.run_for(1min);

    REQUIRE(tries.size() >= 2);
    CHECK(tries[1] - tries[0] >= 20s);
}

TEST_CASE("a list that ends in the middle is no list") {
    KubeWorld world;
    world.create_grant("a");
    int lists = 0;
    world.network.before_send = [&](const http::Request& request) {
        if (request.target.find("accessgrants") == request.target.npos || lists++ > 0)
            return Fate{};
        return Fate{.instead =
                        http::Response{.body = R"({"metadata":{"resourceVersion":"9"},"items":[)"}};
    };

    world.store->start(world.reflectors);
    world.run_for(500ms);
    CHECK_FALSE(world.store->synced(Kind::grant));
    world.run_for(5s);

    CHECK(world.store->synced(Kind::grant));
    CHECK(has_grant(world, "a"));
}

TEST_CASE("a server that was set back to an earlier state is believed") {
    KubeWorld world;
    for (int i = 0; i < 50; ++i) world.create_grant("old" + std::to_string(i));
    world.start();
    CHECK(has_grant(world, "old7"));

    world.replace_server();
    world.create_grant("old7");
    const Json fresh = world.create_grant("new");
    world.run_for(2min);

    CHECK(has_grant(world, "new"));
    REQUIRE(has_grant(world, "old7"));
    CHECK(world.store->grant(in_payments("old7"))->meta.resource_version ==
          world.read(grants + "/old7")["metadata"]["resourceVersion"].get<std::string>());
    CHECK_FALSE(has_grant(world, "old8"));
}

TEST_CASE("an idle hour asks for nothing but the next watch, and writes nothing") {
    KubeWorld world;
    world.create_grant("a");
    world.start();
    const double lists = world.metrics.value("rest_client_requests_total", {"200", "GET"});
    const std::size_t before = world.network.sent;

    world.run_for(1h);

    CHECK(world.metrics.value("rest_client_requests_total", {"200", "GET"}) == lists);
    CHECK(world.network.sent - before <= 5 * 13);
    CHECK(world.bugs == 0);
    CHECK(world.network.handler_failures == 0);
}
