#include "base/text.hpp"
#include "plan/nsg/content.hpp"
#include "plan/nsg/plan.hpp"
#include "support/builders.hpp"
#include "support/printers.hpp"

// How a policy's ports are kept closed on one NSG.

using namespace sallyport;
using namespace sallyport::nsg;
using namespace sallyport::testing;

namespace {

std::vector<std::string> told_with_priorities(const Plan& plan) {
    std::vector<std::string> lines;
    for (const Step& step : plan.steps) {
        lines.push_back(fmt::format("{} {} ({}) at {}", to_text(step.kind), to_text(step.effect),
                                    step.reason, step.rule.priority));
    }
    return lines;
}

bool tells_of(const Plan& plan, std::string_view reason) {
    return std::ranges::any_of(plan.findings, [&](const Finding& f) { return f.reason == reason; });
}

RuleContent probe() { return content(rule("", 0).from({"AzureLoadBalancer"}).to({"10.0.0.4/32"})); }

using Lines = std::vector<std::string>;

}  // namespace

TEST_CASE("a lockdown takes the highest free priority of its band") {
    const NsgState before = read_of("nsg-web", {rule("theirs", 4094)});

    CHECK(told_with_priorities(nsg::plan(inputs(&before, {}, {policy("ssh")}))) ==
          Lines{"put closes (wanted) at 4093"});

    PolicyClaim above = policy("ssh");
    above.precedence = Precedence::above_existing;
    CHECK(told_with_priorities(nsg::plan(inputs(&before, {}, {above}))) ==
          Lines{"put closes (wanted) at 999"});
}

TEST_CASE("a lockdown that cuts something waits for its confirmation, and says what it cuts") {
    PolicyClaim ssh = policy("ssh");
    ssh.confirmed = false;
    const NsgState before =
        read_of("nsg-web", {rule("in-front", 300), rule("behind", 4095).from({"192.0.2.0/24"}),
                            rule("other-port", 4096).port("443")});

    const Plan waiting = nsg::plan(inputs(&before, {}, {ssh}));

    CHECK(told_with_priorities(waiting).empty());
    REQUIRE(waiting.policies.size() == 1);
    CHECK(waiting.policies[0].unconfirmed);
    CHECK(waiting.policies[0].cuts ==
          Lines{"AllowAzureLoadBalancerInBound", "AllowVnetInBound", "behind"});
    CHECK(tells_of(waiting, "LockdownUnconfirmed"));

    ssh.confirmed = true;
    CHECK(told_with_priorities(nsg::plan(inputs(&before, {}, {ssh}))).size() == 1);
}

TEST_CASE("a lockdown that cuts nothing needs no confirmation") {
    PolicyClaim ssh = policy("ssh");
    ssh.confirmed = false;
    ssh.denies = {content(rule("", 0).deny().from({"Internet"}).to({"10.0.0.4/32"}))};
    const NsgState before = read_of("nsg-web", {});

    CHECK(told_with_priorities(nsg::plan(inputs(&before, {}, {ssh}))) ==
          Lines{"put closes (wanted) at 4094"});
}

TEST_CASE("above existing rules a lockdown also cuts the foreign rules behind it") {
    PolicyClaim ssh = policy("ssh");
    ssh.confirmed = false;
    ssh.precedence = Precedence::above_existing;
    ssh.denies = {content(rule("", 0).deny().from({"Internet"}).to({"10.0.0.4/32"}))};
    const NsgState before =
        read_of("nsg-web", {rule("terraform-ssh", 1000).from({"192.0.2.0/24"})});

    CHECK(nsg::plan(inputs(&before, {}, {ssh})).policies[0].cuts == Lines{"terraform-ssh"});
}

TEST_CASE(
    "exceptions come first, at the lowest priorities, and the first deny waits until they are "
    "seen") {
    PolicyClaim ssh = policy("ssh");
    ssh.exceptions = {probe()};
    const NsgState before = read_of("nsg-web", {});
    const NsgState excepted = read_of("nsg-web", {rule_of(ssh, 0, 3900, probe())});

    CHECK(told_with_priorities(nsg::plan(inputs(&before, {}, {ssh}))) ==
          Lines{"put opens (wanted) at 3900"});
    CHECK(told_with_priorities(nsg::plan(inputs(&excepted, {}, {ssh}))) ==
          Lines{"put closes (wanted) at 4094"});
}

TEST_CASE("a lockdown that was seen in place comes back at once, denies first") {
    PolicyClaim ssh = policy("ssh");
    ssh.exceptions = {probe()};
    ssh.confirmed = false;
    ssh.seen_in_place = true;
    const NsgState robbed = read_of("nsg-web", {});

    const Plan plan = nsg::plan(inputs(&robbed, {}, {ssh}));

    CHECK(told_with_priorities(plan) ==
          Lines{"put closes (missing) at 4094", "put opens (missing) at 3900"});
}

TEST_CASE("tombstones of a former lockdown are in no exception's way") {
    PolicyClaim ssh = policy("ssh");
    ssh.exceptions = {probe()};
    const PolicyClaim former = policy("former");
    NsgState left = read_of("nsg-web", {tombstone_of(rule_of(former, 0, 3900, probe())),
                                        tombstone_of(rule_of(former, 1, 4094, deny_all()))});
    Inputs in = inputs(&left, {}, {ssh});
    in.delete_locked = true;

    CHECK(told_with_priorities(nsg::plan(in)) == Lines{"put opens (wanted) at 3901"});
}

TEST_CASE("a lockdown band is full when exceptions and denies meet") {
    PolicyClaim ssh = policy("ssh");
    const PolicyClaim other = policy("rdp");
    const NsgState crowded =
        read_of("nsg-web", {rule_of(other, 0, 3901, probe()), rule_of(other, 1, 3902, deny_all())});
    Inputs in = inputs(&crowded, {}, {ssh});
    in.bands.lockdown_below = {3900, 3902};

    const Plan plan = nsg::plan(in);

    CHECK(told_with_priorities(plan).empty());
    CHECK(tells_of(plan, "BandFull"));
}

TEST_CASE("drift of a lockdown is put right in place, without end") {
    const PolicyClaim ssh = policy("ssh");
    SecurityRule narrowed = rule_of(ssh, 0, 4094, deny_all("10.0.0.9/32"));
    const NsgState drifted = read_of("nsg-web", {narrowed});

    const Plan plan = nsg::plan(inputs(&drifted, {}, {ssh}));

    REQUIRE(plan.steps.size() == 1);
    CHECK(plan.steps[0].rule == rule_of(ssh, 0, 4094, deny_all()));
    CHECK(plan.steps[0].repair);
    CHECK_FALSE(plan.policies[0].in_place);
}

TEST_CASE("a policy that grows rewrites its deny, so that nothing is open in between") {
    PolicyClaim ssh = policy("ssh");
    const NsgState before = read_of("nsg-web", {rule_of(ssh, 0, 4094, deny_all())});
    ssh.denies = {deny_all("10.0.0.4/32", "22-23")};

    const Plan plan = nsg::plan(inputs(&before, {}, {ssh}));

    CHECK(told_with_priorities(plan) == Lines{"put closes (drifted) at 4094"});
    CHECK(plan.steps[0].rule.name == before.rules[0].name);
}

TEST_CASE("a deny turned into an allow is taken away, and the deny comes back") {
    const PolicyClaim ssh = policy("ssh");
    SecurityRule turned = rule_of(ssh, 0, 4094, deny_all());
    turned.access = Access::allow;
    const NsgState drifted = read_of("nsg-web", {turned});

    CHECK(told_with_priorities(nsg::plan(inputs(&drifted, {}, {ssh}))) ==
          Lines{"remove closes (not wanted) at 4094", "put closes (wanted) at 4093"});
}

TEST_CASE("where the policy says Report, differences are findings only") {
    PolicyClaim ssh = policy("ssh");
    ssh.repair = false;
    ssh.was_ready = true;
    const NsgState drifted = read_of("nsg-web", {rule_of(ssh, 0, 4094, deny_all("10.0.0.9/32"))});
    const NsgState nothing = read_of("nsg-web", {});

    const Plan plan = nsg::plan(inputs(&drifted, {}, {ssh}));
    CHECK(told_with_priorities(plan).empty());
    CHECK(tells_of(plan, "LockdownDrift"));
    CHECK(told_with_priorities(nsg::plan(inputs(&nothing, {}, {ssh}))).size() ==
          1);  // the first write is no drift
}

TEST_CASE("where the policy says Report, the first lockdown is written all the same, to its end") {
    PolicyClaim ssh = policy("ssh");
    ssh.repair = false;
    ssh.exceptions = {probe()};
    const RuleContent udp = [] {
        RuleContent deny = deny_all();
        deny.protocol = Protocol::udp;
        return deny;
    }();
    const NsgState excepted = read_of("nsg-web", {rule_of(ssh, 0, 3900, probe())});
    CHECK(told_with_priorities(nsg::plan(inputs(&excepted, {}, {ssh}))) ==
          Lines{"put closes (wanted) at 4094"});

    // One of its two denies has landed, and the policy was never Ready.
    ssh.denies.push_back(udp);
    const NsgState half =
        read_of("nsg-web", {rule_of(ssh, 0, 3900, probe()), rule_of(ssh, 1, 4094, deny_all())});
    CHECK(told_with_priorities(nsg::plan(inputs(&half, {}, {ssh}))) ==
          Lines{"put closes (wanted) at 4093"});
    ssh.was_ready = true;
    CHECK(told_with_priorities(nsg::plan(inputs(&half, {}, {ssh}))).empty());
}

TEST_CASE("a deny is never removed because its policy is missing or unknown") {
    const PolicyClaim ssh = policy("ssh");
    const NsgState closed =
        read_of("nsg-web", {rule_of(ssh, 0, 4094, deny_all()), rule_of(ssh, 1, 3900, probe())});
    Inputs in = inputs(&closed, {});

    const Plan missing = nsg::plan(in);
    in.policies_complete = false;
    const Plan unknown = nsg::plan(in);

    CHECK(told_with_priorities(missing).empty());
    CHECK(tells_of(missing, "OrphanLockdown"));
    CHECK(told_with_priorities(unknown).empty());
    CHECK_FALSE(tells_of(unknown, "OrphanLockdown"));
}

TEST_CASE(
    "only the policy's own hold with `onDelete: Remove` takes a lockdown away, and that opens") {
    PolicyClaim ssh = policy("ssh");
    const NsgState closed =
        read_of("nsg-web", {rule_of(ssh, 0, 4094, deny_all()), rule_of(ssh, 1, 3900, probe())});
    ssh.remove = true;

    const Plan plan = nsg::plan(inputs(&closed, {}, {ssh}));

    CHECK(told_with_priorities(plan) ==
          Lines{"remove closes (policy removed) at 3900", "remove opens (policy removed) at 4094"});
    CHECK(allowed_steps(plan, Mode::observe).size() == 1);
}

TEST_CASE("a lockdown counts as removed when a read shows no rule of it, or tombstones alone") {
    PolicyClaim ssh = policy("ssh");
    const NsgState closed = read_of("nsg-web", {rule_of(ssh, 0, 4094, deny_all())});
    const NsgState dead = read_of("nsg-web", {tombstone_of(rule_of(ssh, 0, 4094, deny_all()))});
    const NsgState gone = read_of("nsg-web", {});
    const auto removed = [&](const NsgState* read) {
        const Plan plan = nsg::plan(inputs(read, {}, {ssh}));
        return !plan.policies.empty() && plan.policies[0].removed;
    };

    CHECK_FALSE(removed(&gone));  // nobody asked for it
    ssh.remove = true;
    CHECK_FALSE(removed(&closed));
    CHECK_FALSE(removed(nullptr));
    CHECK(removed(&dead));
    CHECK(removed(&gone));

    // Its tombstones go when the lock does, with or without the policy.
    CHECK(told_with_priorities(nsg::plan(inputs(&dead, {}))) ==
          Lines{"remove neutral (tombstone) at 4094"});
}

TEST_CASE(
    "a deny that its policy does not ask for any more stays and is reported; an exception goes") {
    PolicyClaim ssh = policy("ssh");
    const NsgState closed =
        read_of("nsg-web", {rule_of(ssh, 0, 4094, deny_all()), rule_of(ssh, 1, 3900, probe())});
    ssh.denies.clear();

    const Plan plan = nsg::plan(inputs(&closed, {}, {ssh}));

    CHECK(told_with_priorities(plan) == Lines{"remove closes (not wanted) at 3900"});
    CHECK(tells_of(plan, "OrphanLockdown"));
}

TEST_CASE("a deny whose write failed is no lockdown, and is written again") {
    const NsgState before = read_of("nsg-web", {});
    PolicyClaim ssh = policy("ssh");
    SecurityRule deny = nsg::plan(inputs(&before, {}, {ssh})).steps.at(0).rule;
    deny.provisioning_state = "Failed";
    const NsgState failed = read_of("nsg-web", {deny});

    for (const bool repair : {true, false}) {
        ssh.repair = repair;
        ssh.was_ready = true;
        const Plan plan = nsg::plan(inputs(&failed, {}, {ssh}));
        CHECK(told_with_priorities(plan) == Lines{"put closes (write failed) at 4094"});
        CHECK_FALSE(plan.policies.at(0).in_place);
        CHECK_FALSE(tells_of(plan, "LockdownDrift"));
    }

    deny.provisioning_state = "Updating";
    const NsgState under_way = read_of("nsg-web", {deny});
    Inputs in = inputs(&under_way, {}, {ssh});
    CHECK(told_with_priorities(nsg::plan(in)).empty());
    in.overlong = {lower(deny.name)};
    CHECK(told_with_priorities(nsg::plan(in)) == Lines{"put closes (write failed) at 4094"});
}
