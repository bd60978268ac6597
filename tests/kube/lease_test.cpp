#include "kube/lease.hpp"

#include "kube/world.hpp"

using namespace sallyport;
using namespace sallyport::kube;
using namespace std::chrono_literals;

namespace {

constexpr const char* path =
    "/apis/coordination.k8s.io/v1/namespaces/sallyport-system/leases/sallyport-controller";

/// One process that wants to lead. `reachable` is its own way to the API server.
struct Candidate {
    Candidate(KubeWorld& world, std::string identity)
        : client(world.clock, world.metrics, *world.transport,
                 {.origin = origin,
                  .token = Secret(token),
                  .timeout = Lease::renew_deadline / 2,
                  .list_timeout = Lease::renew_deadline / 2}),
          lease({world.loop, world.clock, world.random, world.log, world.metrics, world.background},
                client, {.identity = std::move(identity)}),
          tasks(world.loop, [&world](std::exception_ptr) { ++world.bugs; }) {
        lease.on_change([this] { ++told; });
        lease.start(tasks);
    }

    int told = 0;
    Client client;
    Lease lease;
    Scope tasks;
};

struct LeaseWorld : KubeWorld {
    LeaseWorld() { Lease::declare_metrics(metrics); }
    Json spec() { return read(path).at("spec"); }
    bool run_until_leads(const Candidate& candidate, std::chrono::seconds at_most) {
        return run_until([&] { return candidate.lease.leads(); }, at_most);
    }
    /// Nothing of anybody arrives from now on.
    void cut() {
        network.before_send = [](const http::Request&) {
            return Fate{.way = Fate::Way::swallowed};
        };
    }
};

}  // namespace

TEST_CASE("the first candidate leads, and the Lease says so") {
    LeaseWorld world;
    Candidate a(world, "a");

    REQUIRE(world.run_until_leads(a, 1s));

    CHECK(a.lease.may_open());
    CHECK(a.told == 1);
    const Json spec = world.spec();
    CHECK(spec.at("holderIdentity") == "a");
    CHECK(spec.at("leaseDurationSeconds") == 15);
    CHECK(spec.at("leaseTransitions") == 0);
    CHECK(world.metrics.value("leader_election_master_status", {"sallyport-controller"}) == 1);
}

TEST_CASE("of two candidates at the same moment one leads, and the other never while it renews") {
    LeaseWorld world;
    Candidate a(world, "a");
    Candidate b(world, "b");

    for (int i = 0; i < 600; ++i) {
        world.run_for(500ms);
        CHECK_FALSE((a.lease.leads() && b.lease.leads()));
    }

    CHECK(a.lease.leads() != b.lease.leads());
    CHECK(world.spec().at("leaseTransitions") == 0);
}

TEST_CASE("a standby waits until the Lease has not changed for 15 s of its own clock") {
    LeaseWorld world;
    auto a = std::make_unique<Candidate>(world, "a");
    REQUIRE(world.run_until_leads(*a, 1s));
    Candidate b(world, "b");
    world.run_for(5s);
    // What the Lease says of time means nothing: clocks differ.
    SUBCASE("renewed in the past, it says") {
        Json lease = world.read(path);
        lease["spec"]["renewTime"] = "2001-01-01T00:00:00.000000Z";
        world.as_admin("PUT", path, lease, 200);
    }
    SUBCASE("renewed in the future, it says") {
        Json lease = world.read(path);
        lease["spec"]["renewTime"] = "2101-01-01T00:00:00.000000Z";
        world.as_admin("PUT", path, lease, 200);
    }
    a.reset();  // killed

    world.run_for(12s);
    CHECK_FALSE(b.lease.leads());
    REQUIRE(world.run_until_leads(b, 8s));  // 15 s, and two tries of at most 2.4 s

    CHECK(world.spec().at("holderIdentity") == "b");
    CHECK(world.spec().at("leaseTransitions") == 1);
}

TEST_CASE("without renewal nothing opens after 5 s, and 10 s end the leadership for good") {
    LeaseWorld world;
    Candidate a(world, "a");
    REQUIRE(world.run_until_leads(a, 1s));
    world.cut();
    SUBCASE("requests hang") {}
    SUBCASE("requests fail") {
        world.network.before_send = [](const http::Request&) {
            return Fate{.way = Fate::Way::refused};
        };
    }

    world.run_for(5100ms);
    CHECK_FALSE(a.lease.may_open());
    CHECK(a.lease.leads());
    world.run_for(5s);
    CHECK_FALSE(a.lease.leads());
    CHECK(a.lease.lost());
    CHECK(a.told == 2);

    world.network.before_send = {};
    world.run_for(1min);
    CHECK_FALSE(a.lease.leads());
    CHECK(world.metrics.value("leader_election_master_status", {"sallyport-controller"}) == 0);
}

TEST_CASE("an answer that took too long is no renewal") {
    LeaseWorld world;
    Candidate a(world, "a");
    REQUIRE(world.run_until_leads(a, 1s));

    // Carried out each time, and answered 4.9 s later: by then it is worth 5.1 s.
    world.network.before_send = [](const http::Request&) { return Fate{.delay = 4900ms}; };
    for (int i = 0; i < 200; ++i) {
        world.run_for(500ms);
        // Never is it believed for longer than the server's Lease lasts for others.
        if (a.lease.leads()) CHECK(world.spec().at("holderIdentity") == "a");
    }
}

TEST_CASE("what was given back is taken at the next try") {
    LeaseWorld world;
    Candidate a(world, "a");
    REQUIRE(world.run_until_leads(a, 1s));
    Candidate b(world, "b");
    world.run_for(3s);

    world.finish(a.lease.release());

    CHECK_FALSE(a.lease.leads());
    CHECK(world.run_until_leads(b, 3s));
}

TEST_CASE("who finds another in the Lease does not lead any more") {
    LeaseWorld world;
    Candidate a(world, "a");
    REQUIRE(world.run_until_leads(a, 1s));
    Json lease = world.read(path);
    lease["spec"]["holderIdentity"] = "stranger";
    world.as_admin("PUT", path, lease, 200);

    REQUIRE(world.run_until([&] { return a.lease.lost(); }, 3s));
    CHECK_FALSE(a.lease.leads());
    CHECK(world.spec().at("holderIdentity") == "stranger");
}

TEST_CASE("a Lease that somebody deleted is made again by who leads") {
    LeaseWorld world;
    Candidate a(world, "a");
    REQUIRE(world.run_until_leads(a, 1s));
    SUBCASE("alone") { world.as_admin("DELETE", path, nullptr, 200); }
    SUBCASE("and not by a standby, whenever that looks") {
        Candidate b(world, "b");
        for (int i = 0; i < 40; ++i) {
            world.run_for(std::chrono::milliseconds(1500 + 70 * i));
            if (!world.read(path).is_null() && world.read(path).contains("spec"))
                world.as_admin("DELETE", path, nullptr, 200);
            for (int step = 0; step < 30; ++step) {
                world.run_for(100ms);
                REQUIRE_FALSE(b.lease.leads());
            }
        }
    }

    world.run_for(5s);

    CHECK(a.lease.leads());
    CHECK(world.spec().at("holderIdentity") == "a");
}
