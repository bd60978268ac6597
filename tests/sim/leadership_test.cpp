#include "sim/replicas.hpp"
#include "sim/scenes.hpp"

using namespace sallyport;
using namespace sallyport::sim;
using namespace std::chrono_literals;

// Two replicas, one Lease. What must hold in all of it: at most one leads; nothing opens by a
// process whose Lease is older than 5 s, and nothing at all is written by one that does not lead;
// the grant's rule is there once, and ends in time whoever leads then.
namespace {

/// The longest that nobody leads after a leader died: the Lease's duration and two tries.
constexpr auto failover = 20s;

void check_departures(ReplicatedWorld& world) {
    CHECK_FALSE(world.departed.empty());
    for (const Departed& write : world.departed) {
        INFO(write.replica, " ", write.call, " ", format_rfc3339(write.at));
        CHECK(write.leads);
        if (write.call.find(" PUT ") != std::string::npos) CHECK(write.may_open);
    }
}

bool opens(ReplicatedWorld& world, std::chrono::seconds at_most) {
    return world.tend_until([&] { return world.phase("a") == "Open"; }, at_most);
}

/// Open until its end, closed after it, once.
void check_whole_life(ReplicatedWorld& world, Timestamp end) {
    CHECK_TOLD(world, world.reaches(alice_at, "web01"));
    CHECK(world.our_rules().size() == 2);  // the NIC's NSG and the subnet's
    world.tend_for(end - world.now() + failover);
    CHECK_TOLD(world, !world.reaches(alice_at, "web01"));
    CHECK(world.our_rules().empty());
    const bool ended =
        world.tend_until([&] { return world.phase("a") == "Expired"; }, std::chrono::seconds(30));
    CHECK_TOLD(world, ended);
    check_departures(world);
    CHECK(world.time.bugs == 0);
}

Timestamp end_of(ReplicatedWorld& world) {
    return *parse_rfc3339(world.grant("a").at("status").at("expirationTime").get<std::string>());
}

}  // namespace

TEST_CASE("one of two replicas does everything, the other nothing") {
    ReplicatedWorld world;
    start_two(world);
    const std::string first = world.leader();

    ask(world, World::a_grant("a", "5m"));
    REQUIRE_TOLD(world, opens(world, 30s));

    for (const Departed& write : world.departed) CHECK(write.replica == first);
    check_whole_life(world, end_of(world));
    CHECK(world.leader() == first);
}

TEST_CASE("a leader that is killed while it opens is followed by one that finishes it") {
    ReplicatedWorld world;
    start_two(world);
    const std::string first = world.leader();
    ask(world, World::a_grant("a", "5m"));
    const auto puts = [&] {
        return std::ranges::count_if(world.departed, [](const Departed& write) {
            return write.call.find("PUT") != std::string::npos &&
                   write.call.find("deny") == std::string::npos;
        });
    };
    const auto before = puts();
    std::chrono::milliseconds later{};
    SUBCASE("as the PUT leaves") { later = 0ms; }
    SUBCASE("while the operation runs") { later = 500ms; }
    REQUIRE(world.run_until([&] { return puts() > before; }, 30s));
    world.run_for(later);
    world.kill(first);

    REQUIRE_TOLD(world, opens(world, failover + 15min));

    CHECK(world.leader() != first);
    check_whole_life(world, end_of(world));
}

TEST_CASE("a leader that is killed before an end is followed by one that keeps it") {
    ReplicatedWorld world;
    start_two(world);
    ask(world, World::a_grant("a", "5m"));
    REQUIRE_TOLD(world, opens(world, 30s));
    const Timestamp end = end_of(world);
    world.tend_for(end - world.now() - 1s);

    world.kill(world.leader());

    world.tend_for(1s + failover + 3s);
    CHECK_TOLD(world, !world.reaches(alice_at, "web01"));
    check_departures(world);
}

TEST_CASE(
    "a leader cut off from the API server alone opens nothing after 5 s, writes nothing "
    "after 10 s") {
    ReplicatedWorld world;
    start_two(world);
    const std::string first = world.leader();
    ask(world, World::a_grant("a", "30m"));
    REQUIRE_TOLD(world, opens(world, 30s));
    world.replicas.at(first).way->cut = {kube_origin};  // Azure it still reaches
    const Timestamp cut = world.now();

    // Somebody takes the rules away: who repairs them?
    world.tend_for(6s);
    for (const std::string& rule : world.our_rules()) {
        const std::size_t slash = rule.find('/');
        delete_rule(world, rule.substr(0, slash), rule.substr(slash + 1));
    }
    REQUIRE(world.tend_until([&] { return !world.reaches(alice_at, "web01"); }, 30s));
    const bool repaired = world.tend_until(
        [&] { return world.our_rules().size() == 2 && world.reaches(alice_at, "web01"); }, 3min);

    CHECK_TOLD(world, repaired);
    CHECK(world.leader() != first);
    for (const Departed& write : world.departed) {
        if (write.at > cut + 5s) CHECK(write.replica != first);
    }
    check_departures(world);
}

TEST_CASE("a leader that cannot renew its Lease, and reaches all else, opens nothing after 5 s") {
    ReplicatedWorld world;
    start_two(world);
    world.fate = [](const http::Request& request) {
        const bool renews =
            request.target.find("/leases/") != std::string::npos && request.method == "PUT";
        return renews ? support::Fate{.way = support::Fate::Way::refused} : support::Fate{};
    };
    world.tend_for(6s);
    REQUIRE_FALSE(world.leader().empty());
    ask(world, World::a_grant("a", "30m"));
    world.tend_for(2s);
    world.fate = {};

    REQUIRE_TOLD(world, opens(world, 60s));

    check_departures(world);
}

TEST_CASE("an API server that is away for a while") {
    ReplicatedWorld world;
    start_two(world);
    const std::string first = world.leader();
    ask(world, World::a_grant("a", "10m"));
    REQUIRE_TOLD(world, opens(world, 30s));
    std::chrono::seconds away{};
    bool stays = false;
    SUBCASE("4 s: nobody notices") {
        away = 4s;
        stays = true;
    }
    SUBCASE("12 s: nobody leads meanwhile, then somebody does") { away = 12s; }
    SUBCASE("20 s: the same") { away = 20s; }
    for (auto& [name, replica] : world.replicas) replica.way->cut = {kube_origin};
    world.tend_for(away);
    if (!stays) CHECK(world.leader().empty());
    for (auto& [name, replica] : world.replicas) replica.way->cut.clear();

    // New processes have first to see for 15 s that the old holder does not renew; a request that
    // hung takes 5 s to be given up.
    REQUIRE(world.tend_until([&] { return !world.leader().empty(); }, failover + 5s));
    if (stays) CHECK(world.leader() == first);
    check_whole_life(world, end_of(world));
}

TEST_CASE("a Lease that somebody meddles with") {
    const char* lease =
        "/apis/coordination.k8s.io/v1/namespaces/sallyport-system/leases/sallyport-controller";
    ReplicatedWorld world;
    start_two(world);
    ask(world, World::a_grant("a", "10m"));
    REQUIRE_TOLD(world, opens(world, 30s));
    SUBCASE("deleted by hand") { world.remove(lease); }
    SUBCASE("taken by a stranger, who never comes") {
        patch(world, lease, {{"spec", {{"holderIdentity", "stranger"}}}});
        world.tend_for(6s);
        CHECK(world.leader().empty());
    }
    REQUIRE(world.tend_until([&] { return !world.leader().empty(); }, failover));
    check_whole_life(world, end_of(world));
}

TEST_CASE("a leader that is asked to end hands over within the next try") {
    ReplicatedWorld world;
    start_two(world);
    ask(world, World::a_grant("a", "5m"));
    REQUIRE_TOLD(world, opens(world, 30s));
    const Timestamp end = end_of(world);

    world.terminate(world.leader());

    CHECK(world.tend_until([&] { return !world.leader().empty(); }, 3s));
    check_whole_life(world, end);
}

TEST_CASE("a standby whose cache is old opens nothing that was revoked meanwhile") {
    ReplicatedWorld world;
    start_two(world);
    const std::string first = world.leader();
    const std::string second = world.standby();
    // Cut from Azure, the leader cannot open; so the grant is decided, and waits.
    world.replicas.at(first).way->cut = {azure_origin};
    ask(world, World::a_grant("a", "30m"));
    world.tend_for(20s);
    // The standby's watches are silent from now on; its other requests arrive.
    world.network.on_stream_bytes = [](const http::Request&, std::string& bytes) {
        bytes.clear();
        return true;
    };
    patch(world, grant_path("a"), {{"spec", {{"revoked", true}}}});
    const std::size_t so_far = world.departed.size();
    world.kill(first);
    REQUIRE(world.tend_until([&] { return world.leader() == second; }, failover));

    for (int i = 0; i < 120; ++i) {
        world.tend_for(1s);
        REQUIRE_TOLD(world, !world.reaches(alice_at, "web01"));
    }
    for (std::size_t i = so_far; i < world.departed.size(); ++i) {
        CHECK(world.departed[i].call.find(" PUT ") == std::string::npos);
    }
}

TEST_CASE("the overdue age shows on a standby, too, when nobody leads") {
    ReplicatedWorld world;
    start_two(world);
    ask(world, World::a_grant("a", "1m"));
    REQUIRE_TOLD(world, opens(world, 30s));
    const std::string second = world.standby();
    world.kill(world.leader());
    // The standby reads, but its renewals are refused: it never leads.
    world.fate = [](const http::Request& request) {
        const bool lease = request.target.find("/leases/") != std::string::npos;
        return support::Fate{.way = lease && request.method == "PUT"
                                        ? support::Fate::Way::refused
                                        : support::Fate::Way::delivered};
    };

    world.tend_for(90s);

    CHECK(world.leader().empty());
    CHECK(world.metrics.value("sallyport_overdue_grants") == 1);
    CHECK(world.metrics.value("sallyport_overdue_seconds") >= 20);
}
