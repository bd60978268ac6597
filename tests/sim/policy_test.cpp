#include "sim/scenes.hpp"

using namespace sallyport;
using namespace sallyport::sim;
using namespace std::chrono_literals;

// What a policy says of its ports, and what becomes of its lockdown.
namespace {

const std::string policy_path =
    "/apis/sallyport.dev/v1alpha1/namespaces/payments/jitpolicies/web-ssh";
const std::string lock_path =
    "/subscriptions/22222222-2222-2222-2222-222222222222/resourceGroups/rg-web/providers/"
    "Microsoft.Authorization/locks/keep?api-version=2016-09-01";
constexpr const char* stranger_at = "8.8.8.8";

json jump_host() { return json::array({{{"cidr", "10.9.0.0/24"}, {"reason", "jump host"}}}); }

std::string closed_is(World& world) {
    const json closed = condition(world.policy("web-ssh"), "Closed");
    return closed.is_null() ? "" : closed.value("status", "");
}

void put_lock(World& world, const char* level) {
    const json body = {{"properties", {{"level", level}}}};
    REQUIRE(world.azure("PUT", lock_path, body).status < 300);
}
void take_lock(World& world) { REQUIRE(world.azure("DELETE", lock_path).status < 300); }

/// Of the lockdown on an NSG: the one that lets its exception in.
std::string exception_on(World& world, const std::string& nsg) {
    for (const std::string& rule : world.our_rules(false)) {
        if (!rule.starts_with(nsg + "/")) continue;
        if (find_rule(world, rule).at("properties").at("access") == "Allow") return rule;
    }
    return "";
}

bool policy_is_gone(World& world) { return world.policy("web-ssh").is_null(); }

}  // namespace

TEST_CASE("drift.closed: Report writes the first lockdown, exceptions and all") {
    World world;
    start_ready(world, {{"drift", {{"closed", "Report"}}},
                        {"network", {{"lockdown", {{"exceptions", jump_host()}}}}}});
    CHECK_TOLD(world, world.our_rules(false).size() == 4);  // an exception and a deny on each NSG
    CHECK_FALSE(world.reaches("10.0.0.9", "web01"));
    CHECK(world.reaches("10.9.0.1", "web01"));
    REQUIRE_TOLD(world, world.run_until([&] { return closed_is(world) == "True"; }, 65s));
    CHECK(world.log.errors == 0);
}

TEST_CASE(
    "drift.closed: Report leaves drift alone, and writes what an edit of the policy asks for") {
    const std::vector<const char*> processes = {"the same process", "the next process"};
    for (const char* process : processes) {
        CAPTURE(process);
        World world;
        start_ready(world, {{"drift", {{"closed", "Report"}}},
                            {"network", {{"lockdown", {{"exceptions", jump_host()}}}}}});
        REQUIRE_TOLD(world, world.run_until([&] { return closed_is(world) == "True"; }, 65s));
        json widened = find_rule(world, exception_on(world, "nsg-subnet"));
        widened.at("properties")["sourceAddressPrefix"] = "10.9.0.0/16";
        const std::string rule = exception_on(world, "nsg-subnet");
        put_rule(world, "nsg-subnet", rule.substr(rule.find('/') + 1), widened);
        world.run_for(5min);
        const auto source = [&] {
            return find_rule(world, exception_on(world, "nsg-subnet"))
                .at("properties")
                .value("sourceAddressPrefix", "");
        };
        REQUIRE_TOLD(world, source() == "10.9.0.0/16");  // drift: only reported

        if (process == processes.back()) world.crash();
        json exceptions = jump_host();
        exceptions.at(0)["cidr"] = "10.9.0.2/32";
        patch(world, policy_path,
              {{"spec", {{"network", {{"lockdown", {{"exceptions", exceptions}}}}}}}});
        if (process == processes.back()) world.start_operator();

        CHECK_TOLD(world, world.run_until([&] { return world.reaches("10.9.0.2", "web01"); }, 65s));
        CHECK_TOLD(world, world.run_until([&] { return closed_is(world) == "True"; }, 65s));
        CHECK_TOLD(world, !world.reaches("10.9.0.1", "web01"));
        CHECK_TOLD(world, world.log.errors == 0);
    }
}

TEST_CASE(
    "an exception that somebody widens to the whole Internet is named, and nothing is closed") {
    World world;
    start_ready(world, {{"drift", {{"closed", "Report"}}},
                        {"network", {{"lockdown", {{"exceptions", jump_host()}}}}}});
    REQUIRE_TOLD(world, world.run_until([&] { return closed_is(world) == "True"; }, 65s));
    const std::string rule = exception_on(world, "nsg-subnet");
    REQUIRE_FALSE(rule.empty());
    json before = find_rule(world, rule);
    before.erase("etag");
    json widened = before;
    widened.at("properties")["sourceAddressPrefix"] = "*";
    const std::string name = rule.substr(rule.find('/') + 1);

    put_rule(world, "nsg-subnet", name, widened);
    world.run_for(2s);
    REQUIRE(world.reaches(stranger_at, "web02"));
    REQUIRE_TOLD(world, world.run_until([&] { return closed_is(world) == "False"; }, 65s));
    CHECK_TOLD(world, world.policy("web-ssh").at("status").dump().find(rule) != std::string::npos);
    CHECK(world.reaches(stranger_at, "web02"));  // only reported

    put_rule(world, "nsg-subnet", name, before);
    REQUIRE_TOLD(world, world.run_until([&] { return closed_is(world) == "True"; }, 65s));
    CHECK_FALSE(world.reaches(stranger_at, "web02"));
    CHECK(world.log.errors == 0);
}

TEST_CASE("a rule that outlives its grant's end leaves the policy's port open, and that is said") {
    World world;
    start_ready(world);
    const Timestamp end = open_grant(world, "a", "1m");
    REQUIRE_TOLD(world, world.run_until([&] { return closed_is(world) == "True"; }, 30s));
    put_lock(world, "ReadOnly");
    world.run_for(end - world.now());

    REQUIRE_TOLD(world, world.run_until([&] { return closed_is(world) == "False"; }, 30s));
    CHECK(world.reaches(alice_at, "web01"));

    take_lock(world);
    REQUIRE_TOLD(world, world.run_until([&] { return closed_is(world) == "True"; }, 7min));
    CHECK_FALSE(world.reaches(alice_at, "web01"));
}

TEST_CASE("after a restart with an open grant the policy does not doubt its own rules") {
    World world;
    start_ready(world);
    open_grant(world, "a", "1h");
    REQUIRE_TOLD(world, world.run_until([&] { return closed_is(world) == "True"; }, 30s));
    world.crash();
    world.start_operator();
    const bool doubted = world.run_until([&] { return closed_is(world) == "False"; }, 3min);
    CHECK_FALSE_MESSAGE(doubted, world.story());
    CHECK_TOLD(world, closed_is(world) == "True");
}

TEST_CASE("onDelete: Remove takes the lockdown along, and the policy goes after its last rule") {
    World world;
    start_ready(world, {{"network",
                         {{"lockdown", {{"onDelete", "Remove"}, {"exceptions", jump_host()}}}}}});
    const std::string foreign = world.foreign_rules();
    open_grant(world, "a", "1h");
    REQUIRE_FALSE(world.reaches("10.0.0.9", "web01"));

    world.remove(policy_path);
    REQUIRE_TOLD(world, world.run_until([&] { return policy_is_gone(world); }, 2min));

    CHECK_TOLD(world, world.our_rules(false).empty());
    CHECK(world.reaches("10.0.0.9", "web01"));  // as before the policy: inside the network
    CHECK_FALSE(world.reaches(stranger_at, "web01"));
    check_clean(world, foreign);
}

TEST_CASE("onDelete: Remove holds the policy until its rules can go, across a restart as well") {
    World world;
    start_ready(world, {{"network", {{"lockdown", {{"onDelete", "Remove"}}}}}});
    const std::string foreign = world.foreign_rules();
    const std::vector<std::string> lockdown = world.our_rules(false);
    put_lock(world, "ReadOnly");
    world.remove(policy_path);
    world.run_for(1min);
    REQUIRE_FALSE(policy_is_gone(world));
    CHECK_TOLD(world, condition(world.policy("web-ssh"), "Ready").value("reason", "") ==
                          "LockdownRemoval");
    world.crash();
    world.start_operator();
    world.run_for(1min);
    REQUIRE_FALSE(policy_is_gone(world));
    CHECK(world.our_rules(false) == lockdown);

    take_lock(world);
    REQUIRE_TOLD(world, world.run_until([&] { return policy_is_gone(world); }, 7min));
    CHECK(world.reaches("10.0.0.9", "web01"));
    // Tombstones, which match nothing, go once the lock is not believed any more.
    CHECK_TOLD(world, world.run_until([&] { return world.our_rules(false).empty(); }, 7min));
    CHECK_TOLD(world, world.foreign_rules() == foreign);
}

TEST_CASE("onDelete: Keep leaves the lockdown where it is") {
    World world;
    start_ready(world);
    const std::vector<std::string> lockdown = world.our_rules(false);
    world.remove(policy_path);
    REQUIRE_TOLD(world, world.run_until([&] { return policy_is_gone(world); }, 2min));
    world.run_for(2min);
    CHECK(world.our_rules(false) == lockdown);
    const auto told = std::ranges::count_if(world.log.lines, [](const std::string& line) {
        return line.starts_with("nsg.finding") && line.find("OrphanLockdown") != line.npos;
    });
    CHECK_TOLD(world, told == 2);  // one for each group, once
}

TEST_CASE("a lockdown whose policy is gone is told by the account, until somebody removes it") {
    World world;
    start_ready(world);
    const auto account_says = [&] {
        const json account = world.get("/apis/sallyport.dev/v1alpha1/cloudaccounts/prod");
        return account.value("/status/message"_json_pointer, "");
    };
    const std::vector<std::string> lockdown = world.our_rules(false);
    REQUIRE(account_says().find("OrphanLockdown") == std::string::npos);

    world.remove(policy_path);
    const auto all_told = [&] {
        return std::ranges::all_of(lockdown, [&](const std::string& rule) {
            return account_says().find(rule.substr(rule.find('/') + 1)) != std::string::npos;
        });
    };
    CHECK_TOLD(world, world.run_until(all_told, 2min));
    CHECK(world.our_rules(false) == lockdown);

    for (const std::string& rule : lockdown)
        delete_rule(world, rule.substr(0, rule.find('/')), rule.substr(rule.find('/') + 1));
    const auto none_told = [&] {
        return account_says().find("OrphanLockdown") == std::string::npos;
    };
    CHECK_TOLD(world, world.run_until(none_told, 2min));
}

TEST_CASE("a lockdown that its policy left behind is told by the policy") {
    World world;
    start_ready(world);
    const std::vector<std::string> before = world.our_rules(false);
    const auto left = std::ranges::find_if(
        before, [](const std::string& rule) { return rule.starts_with("nsg-web01/"); });
    REQUIRE(left != before.end());
    const json web02 =
        json::array({{{"virtualMachine", {{"resourceGroup", "rg-web"}, {"name", "web02"}}}}});
    patch(world, policy_path, {{"spec", {{"network", {{"targets", web02}}}}}});
    const auto is_told = [&] {
        const std::string findings = world.policy("web-ssh").at("status").dump();
        return findings.find("OrphanLockdown: rule " + left->substr(left->find('/') + 1) +
                             " on nsg-web01") != std::string::npos;
    };
    CHECK_TOLD(world, world.run_until(is_told, 2min));
    CHECK_FALSE(find_rule(world, *left).is_null());
}

TEST_CASE("the deletion of a policy that cannot be read ends its grants, and keeps its lockdown") {
    for (const bool restarts : {false, true}) {
        CAPTURE(restarts);
        World world;
        start_ready(world);
        open_grant(world, "a", "1h");
        const std::vector<std::string> all = world.our_rules(false);
        std::string long_name;  // 320 letters as the schema counts, 640 bytes
        for (int i = 0; i < 320; ++i) long_name += "\u00fc";
        patch(world, policy_path,
              {{"spec", {{"request", {{"allowed", {{"users", {long_name}}}}}}}}});
        world.run_for(1min);
        REQUIRE_TOLD(world, condition(world.policy("web-ssh"), "Ready").value("reason", "") ==
                                "SpecInvalid");
        REQUIRE_TOLD(world, world.phase("a") == "Open");

        world.remove(policy_path);
        if (restarts) {
            world.crash();
            world.start_operator();
        }
        CHECK_TOLD(world, world.run_until([&] { return policy_is_gone(world); }, 2min));
        CHECK_TOLD(world, world.phase("a") == "PolicyDeleted");
        CHECK_TOLD(world, world.our_rules().empty());
        CHECK(world.our_rules(false).size() == 2);
        CHECK(world.log.errors == 0);
    }
}
