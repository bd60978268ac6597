#include <fmt/format.h>

#include "base/text.hpp"
#include "model/mark.hpp"
#include "sim/scenes.hpp"

using namespace sallyport;
using namespace sallyport::sim;
using namespace std::chrono_literals;

// What other people do to rules, policies and accounts while grants are open.
namespace {

const std::string web_ssh_path =
    "/apis/sallyport.dev/v1alpha1/namespaces/payments/jitpolicies/web-ssh";
const std::string prod_path = "/apis/sallyport.dev/v1alpha1/cloudaccounts/prod";

bool none_left(World& world) { return world.our_rules().empty(); }
std::string rule_on(World& world, const std::string& nsg) {
    for (const std::string& rule : world.our_rules()) {
        if (rule.starts_with(nsg + "/")) return rule.substr(nsg.size() + 1);
    }
    return "";
}
bool says(const json& object, const std::string& word) {
    return object.value("status", json()).dump().find(word) != std::string::npos;
}

}  // namespace

TEST_CASE("drift: a rule that somebody widened is put back within a sweep") {
    World world;
    start_ready(world);
    open_grant(world, "a", "1h");
    const std::string name = rule_on(world, "nsg-web01");
    json rule = find_rule(world, "nsg-web01/" + name);
    rule.at("properties")["sourceAddressPrefix"] = "*";
    put_rule(world, "nsg-web01", name, rule);
    world.run_for(2s);

    const auto back = [&] {
        return find_rule(world, "nsg-web01/" + name).at("properties").at("sourceAddressPrefix") !=
               "*";
    };
    REQUIRE_TOLD(world, world.run_until(back, 65s));
    world.run_for(10s);
    CHECK_TOLD(world, world.phase("a") == "Open");
    CHECK(world.reaches(alice_at, "web01"));
    CHECK_FALSE(world.reaches("198.51.100.8", "web01"));
    CHECK(world.log.errors == 0);
}

TEST_CASE("drift: the write that narrows a rule is in the record before it leaves") {
    World world;
    start_ready(world);
    open_grant(world, "a", "1h");
    const std::string name = rule_on(world, "nsg-web01");
    json rule = find_rule(world, "nsg-web01/" + name);
    rule.at("properties")["sourceAddressPrefix"] = "*";
    put_rule(world, "nsg-web01", name, rule);
    int narrowed = 0;
    world.fate = [&](const http::Request& request) {
        const bool narrows = request.method == "PUT" && request.origin == azure_origin;
        if (narrows) {
            ++narrowed;
            // Begun, and its end not told: what starts now counts it as in flight.
            bool is_told = false;
            const json record = record_of(world, "a");  // outlives the loop over its members
            for (const json& surface : record.at("status").at("surfaces")) {
                for (const json& write : surface.at("writes"))
                    is_told |= write.at("effect") == "closes" && !write.contains("ended");
            }
            CHECK_TOLD(world, is_told);
        }
        return support::Fate{};
    };
    world.run_for(65s);
    CHECK(narrowed == 1);
    CHECK_TOLD(world, world.phase("a") == "Open");
    CHECK_FALSE(world.reaches("198.51.100.8", "web01"));
    CHECK(world.log.errors == 0);
}

TEST_CASE("drift: without the API server a widened rule goes, and comes back as it was asked for") {
    World world;
    start_ready(world);
    open_grant(world, "a", "1h");
    const std::string name = rule_on(world, "nsg-web01");
    json rule = find_rule(world, "nsg-web01/" + name);
    rule.at("properties")["sourceAddressPrefix"] = "*";
    cut_off(world, kube_origin);
    world.network.break_streams();
    put_rule(world, "nsg-web01", name, rule);
    REQUIRE_TOLD(world, world.run_until([&] { return rule_on(world, "nsg-web01").empty(); }, 80s));
    world.fate = {};
    REQUIRE_TOLD(world,
                 world.run_until([&] { return !rule_on(world, "nsg-web01").empty(); }, 2min));
    world.run_for(5s);
    CHECK_TOLD(world, world.phase("a") == "Open");
    CHECK(world.reaches(alice_at, "web01"));
    CHECK_FALSE(world.reaches("198.51.100.8", "web01"));
    CHECK(world.log.errors == 0);
}

TEST_CASE("drift: an opening that is removed is put back 3 times, then the grant ends") {
    World world;
    start_ready(world);
    open_grant(world, "a", "1h");
    for (int time = 0; time < 3; ++time) {
        delete_rule(world, "nsg-web01", rule_on(world, "nsg-web01"));
        world.run_for(2s);
        REQUIRE(rule_on(world, "nsg-web01").empty());
        const auto back = [&] { return !rule_on(world, "nsg-web01").empty(); };
        REQUIRE_TOLD(world, world.run_until(back, 65s));
        world.run_for(5s);
        REQUIRE_TOLD(world, world.phase("a") == "Open");
    }
    delete_rule(world, "nsg-web01", rule_on(world, "nsg-web01"));
    REQUIRE_TOLD(world, world.run_until([&] { return world.phase("a") == "RemovedBy"; }, 2min));
    CHECK(none_left(world));
    CHECK(world.log.errors == 0);
}

TEST_CASE("drift.open: End ends a grant the first time its opening is removed") {
    World world;
    start_ready(world, {{"drift", {{"open", "End"}}}});
    open_grant(world, "a", "1h");
    delete_rule(world, "nsg-subnet", rule_on(world, "nsg-subnet"));
    REQUIRE_TOLD(world, world.run_until([&] { return world.phase("a") == "RemovedBy"; }, 2min));
    CHECK(none_left(world));
    CHECK(world.log.errors == 0);
}

TEST_CASE("drift: a foreign rule in front that opens a closed port is named on the policy") {
    World world;
    start_ready(world);
    for (const char* nsg : {"nsg-subnet", "nsg-web01"}) {
        put_rule(world, nsg, "sesame", a_rule(150, "Allow", "*"));
    }
    REQUIRE_TOLD(world,
                 world.run_until([&] { return says(world.policy("web-ssh"), "sesame"); }, 65s));
    CHECK(condition(world.policy("web-ssh"), "Closed").value("reason", "") == "Shadowed");
    CHECK_FALSE(find_rule(world, "nsg-web01/sesame").is_null());
    CHECK(world.log.errors == 0);
}

TEST_CASE("drift: a lockdown that is deleted is put back") {
    World world;
    start_ready(world);
    const std::vector<std::string> lockdown = world.our_rules(false);
    REQUIRE(lockdown.size() == 2);
    for (const std::string& rule : lockdown) {
        const auto slash = rule.find('/');
        delete_rule(world, rule.substr(0, slash), rule.substr(slash + 1));
    }
    world.run_for(2s);
    REQUIRE(world.our_rules(false).empty());
    REQUIRE_TOLD(world, world.run_until([&] { return world.our_rules(false) == lockdown; }, 70s));
    CHECK(world.log.errors == 0);
}

TEST_CASE("drift: a lockdown that somebody keeps deleting is called a fight, and still put back") {
    World world;
    start_ready(world);
    const std::vector<std::string> lockdown = world.our_rules(false);
    const auto is_back = [&] { return world.our_rules(false) == lockdown; };
    const auto told = [&] { return says(world.get(web_ssh_path), "Fight(unknown)"); };
    const auto delete_one = [&] {
        const auto slash = lockdown.front().find('/');
        delete_rule(world, lockdown.front().substr(0, slash), lockdown.front().substr(slash + 1));
        world.run_for(2s);
        REQUIRE_FALSE(is_back());
    };
    for (int time = 0; time < 3; ++time) {
        CHECK_FALSE(told());
        delete_one();
        REQUIRE_TOLD(world, world.run_until(is_back, 70s));
        world.run_for(70s);
    }
    CHECK_TOLD(world, told());

    delete_one();
    REQUIRE_TOLD(world, world.run_until(is_back, 130s));
    world.run_for(125min);
    CHECK_FALSE(told());
    CHECK(world.log.errors == 0);
}

TEST_CASE("a policy that no longer names the grant's source closes it within a sweep") {
    World world;
    start_ready(world);
    open_grant(world, "a", "1h");
    patch(world, web_ssh_path,
          {{"spec", {{"network", {{"sources", {{"within", {"198.51.103.0/24"}}}}}}}}});
    REQUIRE_TOLD(world, world.run_until([&] { return world.phase("a") == "PolicyNarrowed"; }, 60s));
    CHECK(none_left(world));

    // Widened again, it stays closed.
    patch(world, web_ssh_path,
          {{"spec", {{"network", {{"sources", {{"within", {"198.51.100.0/22"}}}}}}}}});
    world.run_for(2min);
    CHECK_TOLD(world, none_left(world));
    CHECK(world.log.errors == 0);
}

TEST_CASE("a maximum that becomes shorter moves the end of an open grant earlier") {
    World world;
    start_ready(world);
    const Timestamp opened = world.now();
    open_grant(world, "a", "1h");
    const json ports = json::array({{{"port", 22}, {"protocol", "Tcp"}, {"maxDuration", "10m"}}});
    patch(world, web_ssh_path, {{"spec", {{"network", {{"ports", ports}}}}}});
    world.run_for(5min);
    CHECK_TOLD(world, world.phase("a") == "Open");
    REQUIRE_TOLD(world, world.run_until([&] { return none_left(world); }, 11min));
    CHECK(world.now() - opened <= 15min + 30s);
    CHECK(world.log.errors == 0);
}

TEST_CASE("a policy that is deleted ends its grants before it goes") {
    World world;
    start_ready(world);
    const std::string foreign = world.foreign_rules();
    open_grant(world, "a", "1h");
    world.remove(web_ssh_path);
    CHECK_FALSE(world.policy("web-ssh").is_null());
    REQUIRE_TOLD(world, world.run_until([&] { return world.policy("web-ssh").is_null(); }, 2min));
    CHECK(none_left(world));
    CHECK_TOLD(world, world.phase("a") == "PolicyDeleted");
    check_clean(world, foreign);
}

TEST_CASE("an account that is Paused or only observes opens nothing and closes what is due") {
    for (const char* mode : {"Paused", "Observe"}) {
        CAPTURE(mode);
        World world;
        start_ready(world);
        const Timestamp end = open_grant(world, "a", "1m");
        patch(world, prod_path, {{"spec", {{"mode", mode}}}});
        world.run_for(2s);
        const std::size_t before = world.calls.size();
        ask(world, World::a_grant("b", "10m"));
        world.run_for(end - world.now());
        REQUIRE_TOLD(world, world.run_until([&] { return none_left(world); }, 30s));
        world.run_for(30s);
        CHECK_TOLD(world, count_calls(world, before, "azure PUT") == 0);
        CHECK_FALSE(world.reaches(alice_at, "web01"));
        CHECK(world.log.errors == 0);
    }
}

TEST_CASE("the end of one grant leaves what another still lets in, and says so") {
    World world;
    start_ready(world);
    open_grant(world, "a", "1m");
    open_grant(world, "b", "10m");
    REQUIRE_TOLD(world, world.run_until([&] { return world.phase("a") == "Expired"; }, 2min));
    CHECK(world.reaches(alice_at, "web01"));
    CHECK_TOLD(world, says(world.grant("a"), "StillOpenBy"));
    REQUIRE_TOLD(world, world.run_until([&] { return world.phase("b") == "Expired"; }, 11min));
    CHECK_FALSE(world.reaches(alice_at, "web01"));
    CHECK(none_left(world));
    CHECK(world.log.errors == 0);
}

TEST_CASE("a machine with both families opens to a source of either") {
    std::string estate = World::small_estate();
    const auto put = [&](const std::string& from, const std::string& to) {
        const auto at = estate.find(from);
        REQUIRE(at != estate.npos);
        estate.replace(at, from.size(), to);
    };
    put("[10.0.0.0/16]", "[10.0.0.0/16, 'fd00:1::/48']");
    put("[10.0.1.0/24]", "[10.0.1.0/24, 'fd00:1:0:1::/64']");
    put("address: 10.0.1.4}", "address: 10.0.1.4}, {subnet: vnet/web, address: 'fd00:1:0:1::4'}");
    World world(1, estate);
    start_ready(world, {{"network",
                         {{"sources",
                           {{"within", {"198.51.100.0/22", "2001:db8::/32"}},
                            {"widest", {{"ipv4", 28}, {"ipv6", 64}}}}}}}});
    json grant = World::a_grant("a", "1m");
    grant.at("spec").at("network")["sources"] = {"198.51.100.7/32", "2001:db8::7/128"};
    ask(world, grant);
    REQUIRE_TOLD(world, world.run_until([&] { return world.phase("a") == "Open"; }, 30s));
    CHECK(world.reaches(alice_at, "web01"));
    CHECK(world.reaches("2001:db8::7", "web01"));
    CHECK_FALSE(world.reaches("2001:db8::8", "web01"));
    REQUIRE_TOLD(world, world.run_until([&] { return world.phase("a") == "Expired"; }, 2min));
    CHECK_FALSE(world.reaches("2001:db8::7", "web01"));
    CHECK(none_left(world));
    CHECK(world.log.errors == 0);
}

TEST_CASE("a rule with our mark and no record is removed; another owner's is left alone") {
    World world;
    start_ready(world);
    const json system = world.get("/api/v1/namespaces/kube-system");
    const Owner ours = Owner::of_cluster(system.at("metadata").at("uid").get<std::string>());
    const Owner others = Owner::of_cluster("00000000-0000-4000-8000-000000000000");
    const std::string uid = "11111111-2222-4333-8444-555555555555";
    std::vector<std::string> names;
    for (const Owner& owner : {ours, others}) {
        const Mark mark{
            .owner = owner.text(), .uid = uid, .end = world.now() + 1h, .subject = "x/y"};
        json rule = a_rule(owner == ours ? 300 : 301, "Allow", alice_at);
        rule.at("properties")["description"] = mark.text();
        names.push_back(RuleName::of(owner, uid, 0).text());
        for (const char* nsg : {"nsg-subnet", "nsg-web01"})
            put_rule(world, nsg, names.back(), rule);
    }
    world.run_for(70s);
    for (const char* nsg : {"nsg-subnet/", "nsg-web01/"}) {
        CHECK_TOLD(world, find_rule(world, nsg + names[0]).is_null());
        CHECK_TOLD(world, !find_rule(world, nsg + names[1]).is_null());
    }
    CHECK(world.log.errors == 0);
}

TEST_CASE("under a Manual policy a grant awaits approval and never opens") {
    World world;
    const json stages = json::array(
        {{{"name", "lead"}, {"approvers", {{"groups", {"payments-leads"}}}}, {"required", 1}}});
    start_ready(world, {{"approval", {{"mode", "Manual"}, {"stages", stages}}}});
    const std::size_t before = world.calls.size();
    ask(world, World::a_grant("a", "10m"));
    world.run_for(5min);
    CHECK_TOLD(world, world.phase("a") == "AwaitingApproval");
    CHECK(count_calls(world, before, "azure PUT") == 0);
    CHECK_FALSE(world.reaches(alice_at, "web01"));
    CHECK(world.log.errors == 0);
}
