#include <doctest/doctest.h>

#include "simulator/judge.hpp"

using namespace sallyport::simulator::judge;

namespace {

/// A rule that matches all; tests narrow it.
Rule rule(const char* name, int priority, bool allow) {
    return {name, priority, true, allow, "*", {"*"}, {"*"}, {}, {}, {"*"}, {"*"}};
}

Rule from(Rule rule, std::vector<std::string> sources) {
    rule.sources = std::move(sources);
    return rule;
}
Rule to(Rule rule, std::vector<std::string> destinations) {
    rule.destinations = std::move(destinations);
    return rule;
}
Rule on(Rule rule, std::vector<std::string> ports) {
    rule.destination_ports = std::move(ports);
    return rule;
}
Rule over(Rule rule, const char* protocol) {
    rule.protocol = protocol;
    return rule;
}

/// The place 10.0.0.4 in a network 10.0.0.0/16 with these NSGs; nullptr: none.
struct Scene {
    Place place{"nic",   "10.0.0.4", nullptr,
                nullptr, {},         {"10.0.0.0/16", "10.9.0.0/16", "fd00::/48"}};
    Surroundings around;

    bool reach(const Nsg* subnet, const Nsg* nic, Question question) {
        place.subnet_nsg = subnet;
        place.nic_nsg = nic;
        verdict = sallyport::simulator::judge::reach(place, around, question);
        return verdict && verdict->reachable;
    }
    /// With one NSG on the NIC.
    bool reach(const std::vector<Rule>& rules, Question question) {
        const Nsg nsg{"n", rules};
        return reach(nullptr, &nsg, std::move(question));
    }
    std::optional<Verdict> verdict;
};

}  // namespace

TEST_CASE("the subnet's group comes first, the NIC's second, and both must allow") {
    const Nsg allow{"allow", {rule("yes", 100, true)}};
    const Nsg deny{"deny", {rule("no", 100, false)}};
    struct Row {
        const char* why;
        const Nsg* subnet;
        const Nsg* nic;
        bool reachable;
        std::size_t steps;
    };
    for (const Row& row :
         {Row{"no group at all", nullptr, nullptr, true, 2},
          Row{"only the subnet's allows", &allow, nullptr, true, 2},
          Row{"only the NIC's allows", nullptr, &allow, true, 2},
          Row{"both allow", &allow, &allow, true, 2},
          Row{"the subnet's denies: the NIC's is not asked", &deny, &allow, false, 1},
          Row{"the NIC's denies", &allow, &deny, false, 2},
          Row{"the NIC's denies, the subnet has none", nullptr, &deny, false, 2}}) {
        CAPTURE(row.why);
        Scene scene;
        CHECK(scene.reach(row.subnet, row.nic, {.source = "198.51.100.7", .port = 22}) ==
              row.reachable);
        REQUIRE(scene.verdict.has_value());
        CHECK(scene.verdict->steps.size() == row.steps);
        CHECK(scene.verdict->steps[0].where == "subnet");
        CHECK(scene.verdict->steps[0].nsg == (row.subnet ? row.subnet->id : ""));
    }
}

TEST_CASE("the lowest number that matches decides, whatever stands behind it") {
    Scene scene;
    const Question ssh{.source = "198.51.100.7", .port = 22};

    CHECK(scene.reach({rule("a", 200, false), rule("b", 100, true)}, ssh));
    CHECK_FALSE(scene.reach({rule("a", 200, true), rule("b", 100, false)}, ssh));
    CHECK(scene.verdict->steps[1].rule == "b");
    CHECK(scene.verdict->steps[1].priority == 100);
    CHECK(
        scene.reach({on(rule("other port", 100, false), {"3389"}), rule("yes", 4096, true)}, ssh));
    Rule outbound = rule("out", 100, false);
    outbound.inbound = false;
    CHECK(scene.reach({outbound, rule("yes", 4096, true)}, ssh));
}

TEST_CASE("behind all rules stand the default rules") {
    struct Row {
        const char* why;
        const char* source;
        bool reachable;
        const char* decided_by;
    };
    for (const Row& row :
         {Row{"own network", "10.0.3.3", true, "AllowVnetInBound"},
          Row{"a peered network", "10.9.0.4", true, "AllowVnetInBound"},
          Row{"the load balancer", "168.63.129.16", true, "AllowAzureLoadBalancerInBound"},
          Row{"another private address", "10.8.0.4", false, "DenyAllInBound"},
          Row{"the Internet", "198.51.100.7", false, "DenyAllInBound"}}) {
        CAPTURE(row.why);
        Scene scene;
        CHECK(scene.reach({}, {.source = row.source, .port = 22}) == row.reachable);
        CHECK(scene.verdict->steps[1].rule == row.decided_by);
    }
}

TEST_CASE("protocols and ports narrow a rule") {
    struct Row {
        const char* why;
        Rule allow;
        Question question;
        bool reachable;
    };
    const Rule any = rule("yes", 100, true);
    for (const Row& row : std::vector<Row>{
             {"the port", on(any, {"22"}), {.source = "1.2.3.4", .port = 22}, true},
             {"another port", on(any, {"22"}), {.source = "1.2.3.4", .port = 23}, false},
             {"first of a range", on(any, {"20-30"}), {.source = "1.2.3.4", .port = 20}, true},
             {"last of a range", on(any, {"20-30"}), {.source = "1.2.3.4", .port = 30}, true},
             {"past a range", on(any, {"20-30"}), {.source = "1.2.3.4", .port = 31}, false},
             {"one of several", on(any, {"80", "20-30"}), {.source = "1.2.3.4", .port = 25}, true},
             {"the protocol",
              over(any, "Tcp"),
              {.source = "1.2.3.4", .port = 22, .protocol = "Tcp"},
              true},
             {"its case does not matter",
              over(any, "Tcp"),
              {.source = "1.2.3.4", .port = 22, .protocol = "tcp"},
              true},
             {"another protocol",
              over(any, "Tcp"),
              {.source = "1.2.3.4", .port = 22, .protocol = "Udp"},
              false},
             {"every protocol", any, {.source = "1.2.3.4", .port = 22, .protocol = "Udp"}, true},
             {"ICMP has no ports",
              on(any, {"22"}),
              {.source = "1.2.3.4", .port = 22, .protocol = "Icmp"},
              false},
             {"ICMP by all ports", any, {.source = "1.2.3.4", .protocol = "Icmp"}, true},
         }) {
        CAPTURE(row.why);
        Scene scene;
        CHECK(scene.reach({row.allow}, row.question) == row.reachable);
    }
    Scene scene;
    Rule source_port = any;
    source_port.source_ports = {"1000-2000"};
    CHECK(scene.reach({source_port}, {.source = "1.2.3.4", .port = 22, .source_port = 1500}));
    CHECK_FALSE(scene.reach({source_port}, {.source = "1.2.3.4", .port = 22, .source_port = 2500}));
}

TEST_CASE("prefixes, stars and service tags say who is meant") {
    struct Row {
        const char* why;
        const char* prefix;
        const char* source;
        bool matches;
    };
    for (const Row& row : {
             Row{"inside a prefix", "198.51.100.0/24", "198.51.100.255", true},
             Row{"just outside", "198.51.100.0/24", "198.51.101.0", false},
             Row{"an odd length", "198.51.100.128/25", "198.51.100.127", false},
             Row{"host bits do not count", "198.51.100.77/24", "198.51.100.1", true},
             Row{"one address", "198.51.100.7", "198.51.100.7", true},
             Row{"one address as /32", "198.51.100.7/32", "198.51.100.8", false},
             Row{"everything", "0.0.0.0/0", "198.51.100.7", true},
             Row{"a star", "*", "198.51.100.7", true},
             Row{"Internet: public", "Internet", "198.51.100.7", true},
             Row{"Internet: private", "Internet", "192.168.1.1", false},
             Row{"Internet: own network", "Internet", "10.0.0.9", false},
             Row{"Internet: the load balancer", "Internet", "168.63.129.16", false},
             Row{"VirtualNetwork: own", "virtualnetwork", "10.0.255.255", true},
             Row{"VirtualNetwork: peer", "VirtualNetwork", "10.9.1.1", true},
             Row{"VirtualNetwork: other", "VirtualNetwork", "10.1.0.1", false},
             Row{"load balancer", "AzureLoadBalancer", "168.63.129.16", true},
             Row{"a listed tag", "Storage.WestEurope", "20.60.1.1", true},
             Row{"a listed tag's neighbour", "Storage.WestEurope", "20.61.1.1", false},
             Row{"a tag that is not listed", "Sql", "20.60.1.1", false},
             Row{"the other family", "::/0", "198.51.100.7", false},
         }) {
        CAPTURE(row.why);
        Scene scene;
        scene.around.tags["storage.westeurope"] = {"20.60.0.0/16"};
        // A deny behind it, so that no default rule lets the source in.
        CHECK(scene.reach({from(rule("yes", 100, true), {row.prefix}), rule("no", 200, false)},
                          {.source = row.source, .port = 22}) == row.matches);
    }
}

TEST_CASE("destinations are compared with the private address") {
    Scene scene;
    const Question ssh{.source = "198.51.100.7", .port = 22};

    CHECK(scene.reach({to(rule("yes", 100, true), {"10.0.0.4"})}, ssh));
    CHECK(scene.reach({to(rule("yes", 100, true), {"10.0.0.0/28", "10.0.1.0/24"})}, ssh));
    CHECK_FALSE(scene.reach({to(rule("yes", 100, true), {"10.0.0.5/32"})}, ssh));
    CHECK(scene.reach({to(rule("yes", 100, true), {"VirtualNetwork"})}, ssh));
    CHECK_FALSE(scene.reach({to(rule("yes", 100, true), {"Internet"})}, ssh));
}

TEST_CASE("application security groups mean their members") {
    Scene scene;
    scene.place.groups = {"/asg/db"};
    scene.around.members["/asg/web"] = {"198.51.100.7"};
    Rule by_groups = rule("yes", 100, true);
    by_groups.sources.clear();
    by_groups.destinations.clear();
    by_groups.source_groups = {"/ASG/web"};
    by_groups.destination_groups = {"/asg/DB"};
    Rule wrong_destination = by_groups;
    wrong_destination.destination_groups = {"/asg/other"};

    CHECK(scene.reach({by_groups}, {.source = "198.51.100.7", .port = 22}));
    CHECK_FALSE(scene.reach({by_groups}, {.source = "198.51.100.8", .port = 22}));
    CHECK_FALSE(scene.reach({wrong_destination}, {.source = "198.51.100.7", .port = 22}));
}

TEST_CASE("IPv6 is judged as IPv4 is, and never by the other's rules") {
    Scene scene;
    scene.place.address = "fd00::4";
    const std::vector<Rule> rules = {from(rule("v4", 100, true), {"0.0.0.0/0"}),
                                     from(rule("v6", 200, true), {"2001:db8::/32"})};

    CHECK(scene.reach(rules, {.source = "2001:db8:ffff::1", .port = 22}));
    CHECK(scene.verdict->steps[1].rule == "v6");
    CHECK_FALSE(scene.reach(rules, {.source = "2001:db9::1", .port = 22}));
    CHECK(scene.reach({}, {.source = "fd00:0:0:ffff::9", .port = 22}));
    CHECK(scene.reach({}, {.source = "fe80::1234:5678:9abc", .port = 22}));
    CHECK_FALSE(scene.reach({from(rule("net", 100, true), {"Internet"})},
                            {.source = "fc00::1", .port = 22}));
    CHECK(scene.reach({from(rule("net", 100, true), {"Internet"})},
                      {.source = "2001:db8::1", .port = 22}));
    CHECK_FALSE(scene.reach(rules, {.source = "198.51.100.7", .port = 22}));
    CHECK_FALSE(scene.verdict.has_value());
    CHECK_FALSE(scene.reach(rules, {.source = "nobody", .port = 22}));
}
