#include <doctest/doctest.h>

#include <functional>

#include "plan/access/world.hpp"
#include "support/printers.hpp"

using namespace sallyport;
using namespace sallyport::example;

namespace {

struct StandingRow {
    const char* why;
    std::function<void(World&)> change;
    const char* reasons;
    std::vector<std::string> words;
};

std::string reasons(const std::vector<access::Problem>& problems) {
    std::vector<std::string> words;
    for (const auto& problem : problems) words.push_back(problem.reason);
    return fmt::format("{}", fmt::join(words, " "));
}
std::string messages(const std::vector<access::Problem>& problems) {
    std::string text;
    for (const auto& problem : problems) text += problem.message + "\n";
    return text;
}

void judges(const std::vector<StandingRow>& rows, const auto& judge) {
    for (const StandingRow& row : rows) {
        CAPTURE(row.why);
        World world;
        row.change(world);

        const std::vector<access::Problem> problems = judge(world);

        CHECK(reasons(problems) == row.reasons);
        const std::string text = messages(problems);
        CAPTURE(text);
        for (const std::string& word : row.words) {
            CAPTURE(word);
            CHECK(text.find(word) != std::string::npos);
        }
    }
}

Ceiling& ceiling(World& world) { return world.account.tenants[0].ceiling; }

}  // namespace

TEST_CASE("a policy without problems has its targets resolved, sorted and once each") {
    World world;
    world.policy.network.targets = {MachineTarget{"RG-WEB", "WEB02"},
                                    SelectorTarget{{"rg-web"}, {}}};

    const auto standing = world.standing();

    CHECK(standing.problems.empty());
    CHECK_FALSE(standing.not_ready);
    REQUIRE(standing.targets.size() == 2);
    CHECK(standing.targets[0].id == vm("web01"));
    CHECK(standing.targets[1].id == vm("web02"));
    CHECK(standing.targets[1].vm_id == "vmid-web02");
}

// tidy: long because it is a table, one reason a row.
TEST_CASE("a policy is invalid by itself") {
    judges(
        {
            {"no targets",
             [](World& w) { w.policy.network.targets.clear(); },
             "TargetsInvalid",
             {"spec.network.targets"}},
            {"too many ports",
             [](World& w) { w.policy.network.ports.resize(33); },
             "PortsInvalid",
             {"33", "32"}},
            {"port 0",
             [](World& w) { w.policy.network.ports[0].ports = ports("0-22"); },
             "PortsInvalid",
             {"spec.network.ports[0].port 0-22", "1 to 65535"}},
            {"too short",
             [](World& w) { w.policy.network.ports[1].max_duration = seconds{299}; },
             "DurationInvalid",
             {"spec.network.ports[1].maxDuration 4m59s", "5m", "24h"}},
            {"too long",
             [](World& w) { w.policy.network.ports[0].max_duration = seconds{86401}; },
             "DurationInvalid",
             {"24h1s", "24h"}},
            {"sources from nowhere",
             [](World& w) {
                 w.policy.network.sources.within.clear();
                 w.policy.network.ports[1].sources.reset();
             },
             "SourcesInvalid",
             {"spec.network.sources.within"}},
            {"a port's sources are wider",
             [](World& w) {
                 w.policy.network.ports[1].sources = std::vector{cidr("198.51.0.0/16")};
             },
             "SourcesInvalid",
             {"spec.network.ports[1].sources 198.51.0.0/16", "198.51.100.0/22"}},
            {"a bad pattern",
             [](World& w) { w.policy.ticket_pattern = "("; },
             "TicketPatternInvalid",
             {"spec.request.ticket.pattern", "RE2"}},
            {"an exception for everybody",
             [](World& w) {
                 w.policy.network.lockdown.exceptions = {{.cidr = cidr("0.0.0.0/0")},
                                                         {.tag = ServiceTag{"internet"}}};
             },
             "ExceptionInvalid ExceptionInvalid",
             {"exceptions[0] 0.0.0.0/0", "exceptions[1] Internet"}},
            {"an exception of two kinds",
             [](World& w) {
                 w.policy.network.lockdown.exceptions = {
                     {.tag = ServiceTag{"azureloadbalancer"}, .cidr = cidr("10.9.0.0/24")}};
             },
             "ExceptionInvalid",
             {"exactly one"}},
            {"constraints",
             [](World& w) {
                 w.policy.unsupported = {
                     {"ConstraintsUnsupported", "spec.request.constraints is not supported"}};
             },
             "ConstraintsUnsupported",
             {"spec.request.constraints"}},
            {"no tenant",
             [](World& w) { w.account.tenants.clear(); },
             "NamespaceNotAllowed",
             {"account prod", "payments"}},
            {"an account that cannot be used",
             [](World& w) { w.account.unsupported = {"spec.aws is not supported"}; },
             "AccountInvalid",
             {"account prod", "spec.aws"}},
        },
        [](const World& world) { return world.standing().problems; });
}

// tidy: long because it is a table, one limit a row.
TEST_CASE(
    "a policy wider than its ceiling is refused, each field named with its limit and the limit's "
    "place") {
    judges(
        {
            {"kind",
             [](World& w) { ceiling(w).kinds = {"role"}; },
             "KindNotAllowed",
             {"spec.network", "role", "spec.tenants[0].ceiling.kinds"}},
            {"scope of a machine",
             [](World& w) {
                 w.policy.network.targets = {MachineTarget{"rg-db", "db01"},
                                             MachineTarget{"rg-web", "web01"}};
             },
             "TargetOutsideScope",
             {"spec.network.targets[0].virtualMachine.resourceGroup rg-db", "resourceGroups/rg-web",
              "spec.tenants[0].scopes"}},
            {"scope of a selector",
             [](World& w) {
                 w.policy.network.targets = {SelectorTarget{{"rg-web", "rg-db"}, {}}};
             },
             "TargetOutsideScope",
             {"selector.resourceGroups rg-db"}},
            {"ports",
             [](World& w) {
                 ceiling(w).ports = {ports("22"), ports("80-443")};
             },
             "PortAboveCeiling",
             {"spec.network.ports[1].port 3389", "22, 80-443", "spec.tenants[0].ceiling.ports"}},
            {"time",
             [](World& w) { ceiling(w).max_duration = seconds{7200}; },
             "DurationAboveCeiling",
             {"spec.network.ports[0].maxDuration 3h", "2h"}},
            {"sources",
             [](World& w) {
                 ceiling(w).sources =
                     SourceLimit{.within = {cidr("198.51.100.0/23"), cidr("2001:db8::/32")},
                                 .widest_v4 = 28,
                                 .widest_v6 = 64};
             },
             "SourcesAboveCeiling",
             {"spec.network.sources.within[0] 198.51.100.0/22", "198.51.100.0/23",
              "ceiling.sources.within"}},
            {"width",
             [](World& w) {
                 ceiling(w).sources =
                     SourceLimit{.within = {cidr("198.51.100.0/22"), cidr("2001:db8::/32")},
                                 .widest_v4 = 32,
                                 .widest_v6 = 128};
             },
             "SourcesAboveCeiling SourcesAboveCeiling",
             {"spec.network.sources.widest.ipv4 28", "32", "widest.ipv6 64", "128"}},
            {"exceptions",
             [](World& w) {
                 ceiling(w).sources =
                     SourceLimit{.within = {cidr("198.51.100.0/22"), cidr("2001:db8::/32")},
                                 .widest_v4 = 28,
                                 .widest_v6 = 64};
                 w.policy.network.lockdown.exceptions = {
                     {.cidr = cidr("0.0.0.0/1")},
                     {.cidr = cidr("10.9.0.0/24")},
                     {.tag = ServiceTag{"azureloadbalancer"}},
                     {.cidr = cidr("198.51.100.0/24")},
                     {.tag = ServiceTag{"azurecloud"}},
                 };
             },
             "ExceptionAboveCeiling ExceptionAboveCeiling",
             {"spec.network.lockdown.exceptions[0] 0.0.0.0/1", "exceptions[4] AzureCloud",
              "198.51.100.0/22", "ceiling.sources.within"}},
            {"automatic",
             [](World& w) { ceiling(w).automatic_approval = false; },
             "ApprovalBelowCeiling",
             {"spec.approval.mode Automatic", "ceiling.approval.automatic"}},
            {"approvers",
             [](World& w) {
                 w.policy.approval = ApprovalMode::manual;
                 w.policy.approvals_required = 1;
                 w.policy.approver_groups = {"friends"};
                 ceiling(w).approvals_required_min = 2;
                 ceiling(w).approver_groups = {"payments-leads"};
             },
             "ApprovalBelowCeiling ApprovalBelowCeiling",
             {"1 approvers", "2", "friends", "payments-leads"}},
            {"everything at once",
             [](World& w) {
                 ceiling(w).ports = {ports("22")};
                 ceiling(w).max_duration = seconds{7200};
                 ceiling(w).automatic_approval = false;
             },
             "DurationAboveCeiling PortAboveCeiling ApprovalBelowCeiling",
             {}},
        },
        [](const World& world) { return world.standing().problems; });
}

TEST_CASE("a policy is judged by that tenant of its namespace which it violates least") {
    World world;
    world.account.tenants.insert(world.account.tenants.begin(),
                                 {.namespaces = {"payments"},
                                  .scopes = {"resourceGroups/rg-db"},
                                  .ceiling = {.ports = {ports("5432")}}});

    CHECK(world.standing().problems.empty());
    CHECK(world.standing().targets.size() == 2);
}

TEST_CASE("selectors find machines by tags and groups, and only inside the tenant's scopes") {
    World world;
    world.add_machine("db01", "10.0.0.9", "rg-db");
    world.change_machine("web02", [](VirtualMachine& m) { m.tags = {{"Env", "prod"}}; });
    world.change_machine("db01", [](VirtualMachine& m) { m.tags = {{"env", "prod"}}; });
    world.policy.network.targets = {SelectorTarget{{}, {{"env", "prod"}}}};

    const auto standing = world.standing();

    REQUIRE(standing.targets.size() == 1);
    CHECK(standing.targets[0].id == vm("web02"));  // tag names have no case; db01 is out of scope
}

TEST_CASE("a sound policy waits for what it needs") {
    World world;
    CHECK(access::judge_policy(world.policy, world.account, {}).not_ready->reason ==
          "TargetsUnknown");

    world.policy.network.targets = {MachineTarget{"rg-web", "web09"},
                                    MachineTarget{"rg-web", "web01"}};
    CHECK_FALSE(world.standing().not_ready);
    REQUIRE(world.standing().findings.size() == 1);
    CHECK(world.standing().findings[0].reason == "TargetNotFound");

    world.policy.network.targets = {MachineTarget{"rg-web", "web09"}};
    CHECK(world.standing().not_ready->reason == "NoTargets");
    CHECK(world.standing().problems.empty());
}

TEST_CASE("a machine that is reached without any NSG makes its policy wait") {
    World world;
    auto networks = *world.topology.networks;
    networks[0].subnets[0].nsg.reset();
    world.topology.networks = networks;

    REQUIRE(world.standing().not_ready);
    CHECK(world.standing().not_ready->reason == "NoNsgNoFirewall");
    CHECK(world.standing().not_ready->message.find("web01") != std::string::npos);
}

TEST_CASE("an account's bands leave alone what is not ours and put grants in front") {
    judges(
        {
            {"as shipped", [](World&) {}, "", {}},
            {"Defender's allows",
             [](World& w) {
                 w.account.bands.grants = {150, 899};
             },
             "BandInvalid",
             {"spec.priorities.grants 150 to 899", "100 to 199"}},
            {"Defender's deny",
             [](World& w) {
                 w.account.bands.lockdown_above = {950, 1050};
             },
             "BandInvalid",
             {"lockdownAbove 950 to 1050", "1000"}},
            {"the last numbers",
             [](World& w) {
                 w.account.bands.lockdown_below = {3900, 4096};
             },
             "BandInvalid BandInvalid",
             {"4095", "4096"}},
            {"no band",
             [](World& w) {
                 w.account.bands.grants = {899, 200};
             },
             "BandInvalid",
             {"899 to 200"}},
            {"overlapping",
             [](World& w) {
                 w.account.bands.grants = {200, 905};
             },
             "BandInvalid",
             {"grants 200 to 905 overlaps lockdownAbove 900 to 999"}},
            {"grants behind the lockdown",
             [](World& w) {
                 w.account.bands = {.grants = {2000, 2999}, .lockdown_above = {900, 999}};
             },
             "BandInvalid",
             {"grants 2000 to 2999 lies behind lockdownAbove"}},
            {"a scope of another form",
             [](World& w) { w.account.tenants[0].scopes = {"rg-web"}; },
             "ScopeInvalid",
             {"rg-web", "resourceGroups/NAME"}},
            {"sweeping too seldom",
             [](World& w) { w.account.sweep_interval = seconds{61}; },
             "IntervalInvalid",
             {"spec.sweepInterval 1m1s"}},
            {"a wider alert",
             [](World& w) { w.account.alert_after = seconds{31}; },
             "IntervalInvalid",
             {"spec.alertAfter 31s", "30s"}},
            {"an owner that is none",
             [](World& w) { w.account.close_overdue_of = {"us"}; },
             "OwnerInvalid",
             {"spec.closeOverdueOf \"us\""}},
        },
        [](const World& world) { return access::judge_account(world.account); });
}
