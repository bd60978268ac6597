#include "plan/path/proof.hpp"

#include "plan/nsg/content.hpp"
#include "plan/path/wanted.hpp"
#include "support/builders.hpp"
#include "support/printers.hpp"

// What is claimed of a grant and of a policy's ports, and which read shows it.

using namespace sallyport;
using namespace sallyport::path;
using namespace sallyport::testing;

namespace {

ResolvedRequest request(std::vector<Cidr> sources = cidrs({"198.51.100.7/32"}),
                        const char* port = "22") {
    return {.policy_uid = "ssh",
            .access = {{.target = {.id = vm_id("web01"), .vm_id = "vmid-web01"},
                        .ports = {{.ports = ports(port)}},
                        .sources = std::move(sources)}}};
}

RecordedRule recorded(const nsg::RuleContent& content, int n = 0) {
    return {.nsg = nsg_id(),
            .content = nsg::content_key(content),
            .n = n,
            .name = RuleName::of(owner(), "alice", n).text()};
}

/// One machine behind nsg-web.
struct World {
    Topology topology = TopologyBuilder().machine("web01", {"10.0.0.4"});
    NsgState web = read_of("nsg-web", {});
    Observations observed{{nsg_id(), &web}};
    ResolvedRequest asked = request();
    std::vector<RecordedRule> rules = {recorded(opening())};
    std::map<NsgId, SteadyTime> not_before = {};

    GrantProof judge() const {
        return path::judge(
            {.request = asked, .rules = rules, .uid = "alice", .not_before = not_before}, topology,
            observed, owner());
    }
    PortVerdict judge_port(
        const Lockdown& lockdown,
        std::map<std::string, std::vector<nsg::RuleContent>> accepted_here) const {
        const Accepted accepted = {{nsg_id(), std::move(accepted_here)}};
        const std::vector<VmId> machines = {vm_id("web01")};
        const std::vector<PolicyPort> policy_ports = {PolicyPort{}};
        return path::judge({.machines = machines,
                            .ports = policy_ports,
                            .lockdown = lockdown,
                            .accepted = accepted},
                           topology, observed, owner())
            .at(0);
    }
};

using Names = std::vector<std::string>;

}  // namespace

TEST_CASE("a grant is open when all its sources reach all its ports, and the read is named") {
    World world;
    world.web.rules = {rule_of(grant("alice"), 0, 200)};

    const GrantProof proof = world.judge();

    CHECK(proof.open == Truth::yes);
    CHECK(proof.gone == Truth::no);
    CHECK(proof.sentence == "proven by the read of nsg-web at 2026-11-21T09:00:00Z");
}

TEST_CASE("a grant is gone when none of its rules is on any NSG, and a tombstone is none") {
    World world;
    CHECK(world.judge().open == Truth::no);
    CHECK(world.judge().gone == Truth::yes);

    world.web.rules = {
        rule_of(grant("alice"), 0, 200,
                content(rule("", 0).deny().from({"192.0.2.1/32"}).to({"192.0.2.1/32"}).port("1")))};
    CHECK(world.judge().gone == Truth::yes);

    world.web.rules = {rule_of(grant("alice"), 3, 200)};  // one that no record knows
    CHECK(world.judge().gone == Truth::no);
}

TEST_CASE("a tombstone buries nothing before its write has ended") {
    World world;
    const SecurityRule open = rule_of(grant("alice"), 0, 200);
    SecurityRule tombstone = nsg::tombstone_of(open);
    tombstone.provisioning_state = "Updating";
    world.web.rules = {tombstone};

    world.web.former = {open};
    CHECK(world.judge().gone == Truth::no);
    world.web.former = {};
    world.web.unsettled = {open.name};
    CHECK(world.judge().gone == Truth::unknown);
    CHECK(world.judge().unread.size() == 1);
    world.web.unsettled = {};  // it was a tombstone before, too
    CHECK(world.judge().gone == Truth::yes);
}

TEST_CASE("while a rule's old text is not known, neither open nor closed is claimed") {
    World world;
    world.web.rules = {rule_of(policy("ssh"), 0, 4094, deny_all()), rule_of(grant("alice"), 0, 200),
                       rule("Tf-1", 300).deny().updating()};
    world.web.unsettled = {"Tf-1"};

    CHECK(world.judge().open == Truth::unknown);
    CHECK(world.judge().unread ==
          Names{"rule nsg-web/Tf-1 as it was before its write (now Updating)"});
    const PortVerdict verdict = world.judge_port({}, {{"alice", {opening()}}, {"ssh", {}}});
    CHECK(verdict.state == PortState::unknown);
    CHECK(verdict.sentence ==
          "Tcp 22 of web01 is not known: rule nsg-web/Tf-1 as it was before its write (now "
          "Updating) not read");

    world.web.unsettled = {};
    world.web.former = {rule("Tf-1", 300)};
    CHECK(world.judge_port({}, {{"alice", {opening()}}, {"ssh", {}}}).by == Names{"nsg-web/Tf-1"});
}

TEST_CASE("a rule is not the accepted one while it may still be in force as another's") {
    World world;
    const SecurityRule mine = rule_of(grant("alice"), 0, 200);
    SecurityRule now = mine;
    now.provisioning_state = "Updating";
    world.web.rules = {rule_of(policy("ssh"), 0, 4094, deny_all()), now};
    world.web.former = {rule(mine.name, 200)};

    CHECK(world.judge_port({}, {{"alice", {opening()}}, {"ssh", {}}}).state == PortState::shadowed);
}

TEST_CASE("a read from before the last write shows nothing") {
    World world;
    world.not_before = {{nsg_id(), steady("09:00:01")}};

    const GrantProof stale = world.judge();

    CHECK(stale.open == Truth::unknown);
    CHECK(stale.gone == Truth::unknown);
    CHECK(stale.unread == Names{"nsg-web"});

    world.not_before = {{nsg_id(), steady("09:00:00")}};
    CHECK(world.judge().gone == Truth::yes);
}

TEST_CASE(
    "an NSG that was not read leaves both unknown; one that is known to be gone took its rules "
    "along") {
    World world;
    world.observed.clear();
    CHECK(world.judge().open == Truth::unknown);
    CHECK(world.judge().gone == Truth::unknown);

    world.observed = {{nsg_id(), nullptr}};
    CHECK(world.judge().open == Truth::unknown);
    CHECK(world.judge().gone == Truth::yes);
}

TEST_CASE("both the subnet's and the NIC's NSG must let a grant through") {
    World world;
    world.topology = TopologyBuilder().subnet_nsg("nsg-subnet").machine("web01", {"10.0.0.4"});
    world.web.rules = {rule_of(grant("alice"), 0, 200)};
    NsgState subnet = read_of("nsg-subnet", {});
    world.observed.emplace(nsg_id("nsg-subnet"), &subnet);

    CHECK(world.judge().open == Truth::no);

    subnet.rules = {rule_of(grant("alice"), 0, 200)};
    CHECK(world.judge().open == Truth::yes);
}

TEST_CASE(
    "a foreign deny in front blocks, whatever it covers; one that is no catch-all is named "
    "wherever it stands") {
    World world;
    world.web.rules = {rule_of(grant("alice"), 0, 300), rule("deny-all", 150).deny(),
                       rule("deny-office", 4000).deny().from({"198.51.100.0/24"}),
                       rule("deny-others", 160).deny().from({"203.0.113.0/24"})};

    const GrantProof proof = world.judge();

    CHECK(proof.open == Truth::no);
    CHECK(proof.blocked_by == Names{"nsg-web/deny-all"});
    CHECK(proof.foreign_denies == Names{"nsg-web/deny-office"});
}

TEST_CASE("an ended grant whose sources another grant still lets in says so") {
    World world;
    world.web.rules = {rule_of(grant("bob").wants({opening("198.51.100.0/28")}), 0, 200,
                               opening("198.51.100.0/28"))};

    const GrantProof proof = world.judge();

    CHECK(proof.gone == Truth::yes);
    CHECK(proof.still_open_by == Names{"payments/bob"});
}

TEST_CASE("an address that changed is told until the new rules are recorded") {
    World world;
    world.topology = TopologyBuilder().machine("web01", {"10.0.0.5"});
    CHECK(world.judge().moved);

    world.rules.push_back(recorded(opening("198.51.100.7/32", "10.0.0.5/32"), 1));
    CHECK_FALSE(world.judge().moved);
}

TEST_CASE("a machine without any NSG on its way is open, and that is said") {
    World world;
    world.topology = TopologyBuilder().machine("web01", {"10.0.0.4"}, std::nullopt);

    CHECK(world.judge().no_nsg);
    CHECK(wanted_rules(world.asked, world.topology).error().reason == "NoNsgNoFirewall");
    CHECK(world.judge_port({}, {}).state == PortState::shadowed);
}

TEST_CASE("a policy's port is closed if nothing but its grants and exceptions reaches it") {
    World world;
    const nsg::PolicyClaim ssh = policy("ssh");
    world.web.rules = {rule_of(ssh, 0, 4094, deny_all()), rule_of(grant("alice"), 0, 200)};
    const std::map<std::string, std::vector<nsg::RuleContent>> owed = {{"alice", {opening()}},
                                                                       {"ssh", {}}};

    const PortVerdict closed = world.judge_port({}, owed);
    const PortVerdict forgotten = world.judge_port({}, {{"ssh", {}}});
    world.web.rules.push_back(rule("allow-any-ssh", 300).to({"10.0.0.0/8"}));
    const PortVerdict shadowed = world.judge_port({}, owed);
    world.observed.clear();
    const PortVerdict unread = world.judge_port({}, owed);

    CHECK(closed.state == PortState::closed);
    CHECK(closed.sentence ==
          "Tcp 22 of web01 is closed, proven by the read of nsg-web at 2026-11-21T09:00:00Z");
    CHECK(forgotten.state == PortState::shadowed);
    CHECK(shadowed.state == PortState::shadowed);
    CHECK(shadowed.by == Names{"nsg-web/allow-any-ssh"});
    CHECK(shadowed.sentence ==
          "Tcp 22 of web01 is left open by nsg-web/allow-any-ssh (priority 300): have the owner "
          "remove what is too much, or set spec.network.lockdown.precedence: AboveExisting");
    CHECK(forgotten.sentence.ends_with(
        " (priority 200), of ours: for a grant that has ended or is another policy's, or changed "
        "by somebody"));
    CHECK(unread.state == PortState::unknown);
}

TEST_CASE("a rule of ours is accepted for what it says, not for its mark") {
    const nsg::PolicyClaim ssh = policy("ssh");
    const std::map<std::string, std::vector<nsg::RuleContent>> owed = {
        {"alice", {opening("198.51.100.0/28")}}, {"ssh", {opening("10.9.0.0/24")}}};
    struct Row {
        const char* why;
        SecurityRule rule;
        bool accepted;
    };
    const SecurityRule exact = rule_of(grant("alice"), 0, 200, opening("198.51.100.0/28"));
    SecurityRule any_protocol = exact;
    any_protocol.protocol = Protocol::any;
    SecurityRule any_source = exact;
    any_source.source = {.prefixes = {AnyAddress{}}};
    for (const Row& row : {
             Row{"as wanted", exact, true},
             Row{"narrower", rule_of(grant("alice"), 0, 200, opening("198.51.100.7/32")), true},
             Row{"a wider source", any_source, false},
             Row{"another source", rule_of(grant("alice"), 0, 200, opening("192.0.2.1/32")), false},
             Row{"more ports",
                 rule_of(grant("alice"), 0, 200,
                         opening("198.51.100.0/28", "10.0.0.4/32", "22-23")),
                 false},
             Row{"more destinations",
                 rule_of(grant("alice"), 0, 200, opening("198.51.100.0/28", "10.0.0.0/24")), false},
             Row{"more protocols", any_protocol, false},
             Row{"what only another may", rule_of(grant("alice"), 0, 200, opening("10.9.0.0/24")),
                 false},
             Row{"an exception", rule_of(ssh, 1, 3900, opening("10.9.0.0/24")), true},
             Row{"a widened exception", rule_of(ssh, 1, 3900, opening("10.0.0.0/8")), false},
             Row{"of a grant that is over", rule_of(grant("bob"), 0, 200), false},
         }) {
        CAPTURE(row.why);
        World world;
        world.web.rules = {rule_of(ssh, 0, 4094, deny_all()), row.rule};

        const PortVerdict verdict = world.judge_port({}, owed);

        CHECK(verdict.state == (row.accepted ? PortState::closed : PortState::shadowed));
        if (!row.accepted) CHECK(verdict.by == Names{"nsg-web/" + row.rule.name});
    }
}

TEST_CASE(
    "without a lockdown the default rules leave a port open inside the network, unless only "
    "Internet counts") {
    World world;
    CHECK(world.judge_port({.mode = LockdownMode::none}, {}).by ==
          Names{"nsg-web/AllowAzureLoadBalancerInBound", "nsg-web/AllowVnetInBound"});
    CHECK(world.judge_port({.mode = LockdownMode::none}, {})
              .sentence.ends_with(": spec.network.lockdown.mode: Deny closes that"));
    CHECK(world.judge_port({.against = LockdownAgainst::internet}, {}).state == PortState::closed);
}

TEST_CASE("a port is not closed to the Internet where the network's tag may hold the Internet") {
    World world;
    world.topology = TopologyBuilder().machine("web01", {"10.0.0.4"}).routed();
    const nsg::PolicyClaim ssh = policy("ssh");
    nsg::RuleContent deny = deny_all();
    deny.source = {.prefixes = {parse_prefix("Internet")}};
    world.web.rules = {rule_of(ssh, 0, 4094, deny)};

    const PortVerdict internet = world.judge_port({.against = LockdownAgainst::internet}, {});
    world.web.rules = {rule_of(ssh, 0, 4094, deny_all())};
    const PortVerdict any = world.judge_port({}, {});

    CHECK(internet.state == PortState::shadowed);
    CHECK(internet.by == Names{"nsg-web/AllowVnetInBound"});
    CHECK(internet.sentence.ends_with("only spec.network.lockdown.against: Any closes that"));
    CHECK(any.state == PortState::closed);
}

TEST_CASE("one rule per protocol, family, source set and distinct pair of destinations and ports") {
    const Topology topology =
        TopologyBuilder().machine("web01", {"10.0.0.4", "fd00::4"}).machine("web02", {"10.0.0.5"});
    ResolvedRequest asked = request(cidrs({"198.51.100.7/32", "2001:db8::7/128"}));
    asked.access.push_back({.target = {.id = vm_id("web02")},
                            .ports = {{.ports = ports("22")}},
                            .sources = cidrs({"198.51.100.7/32"})});

    const auto same_ports = must(wanted_rules(asked, topology)).at(nsg_id());
    asked.access[1].ports = {{.ports = ports("22")},
                             {.ports = ports("53"), .protocol = Protocol::udp}};
    const auto more_protocols = must(wanted_rules(asked, topology)).at(nsg_id());
    asked.access[1].ports = {{.ports = ports("22-23")}};
    const auto other_ports = must(wanted_rules(asked, topology)).at(nsg_id());

    REQUIRE(same_ports.size() == 2);  // one a family; both machines share the first
    CHECK(same_ports[0].destination.prefixes.size() == 2);
    CHECK(more_protocols.size() == 3);
    CHECK(other_ports.size() == 3);
}

TEST_CASE(
    "a lockdown denies its ports to the machines' addresses, and excepts what the policy names") {
    const Topology topology = TopologyBuilder().machine("web01", {"10.0.0.4", "fd00::4"});
    JitPolicy wanted;
    wanted.network.ports = {PolicyPort{}, PolicyPort{.ports = ports("3389")},
                            PolicyPort{.ports = ports("53"), .protocol = Protocol::udp}};
    wanted.network.lockdown.exceptions = {{.tag = ServiceTag{"azureloadbalancer"}},
                                          {.cidr = cidr("10.9.0.0/24")}};

    const WantedLockdown lockdown =
        must(wanted_lockdown(wanted, {vm_id("web01")}, topology)).at(nsg_id());

    CHECK(lockdown.denies.size() == 4);  // Tcp and Udp, each for two families
    CHECK(lockdown.denies[0].ports.size() == 2);
    CHECK(lockdown.exceptions.size() == 6);  // the tag for both families, the network for one

    wanted.network.lockdown.mode = LockdownMode::none;
    CHECK(must(wanted_lockdown(wanted, {vm_id("web01")}, topology)).empty());
}
