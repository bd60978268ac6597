#include "plan/nsg/plan.hpp"

#include "support/builders.hpp"
#include "support/printers.hpp"

// How one NSG is kept as it should be. Each case is one rule of the planner: given what was
// observed and what is wanted, then these steps and no others.

using namespace sallyport;
using namespace sallyport::nsg;
using namespace sallyport::testing;

namespace {

std::vector<std::string> told(const Plan& plan) {
    std::vector<std::string> lines;
    for (const Step& step : plan.steps) {
        lines.push_back(
            fmt::format("{} {} ({})", to_text(step.kind), to_text(step.effect), step.reason));
    }
    return lines;
}

bool finds(const Plan& plan, std::string_view reason) {
    return std::ranges::any_of(plan.findings, [&](const Finding& f) { return f.reason == reason; });
}

using Lines = std::vector<std::string>;

}  // namespace

TEST_CASE(
    "an authorised grant that is not there is opened with the lowest free priority of the band") {
    const GrantClaim alice = grant("alice");
    const NsgState before = read_of("nsg-web", {rule("theirs", 200)});

    const Plan plan = nsg::plan(inputs(&before, {alice}));

    REQUIRE(told(plan) == Lines{"put opens (wanted)"});
    CHECK(plan.steps[0].rule == rule_of(alice, 0, 201));
    CHECK(plan.steps[0].content == content_key(opening()));
    CHECK(plan.grants[0].rules[0].state == RuleState::missing);
    CHECK(plan.next_check == alice.end);
}

TEST_CASE("a rule that is as it should be is left alone") {
    const GrantClaim alice = grant("alice");
    const NsgState as_wanted = read_of("nsg-web", {rule_of(alice, 0, 200)});

    const Plan plan = nsg::plan(inputs(&as_wanted, {alice}));

    CHECK(told(plan).empty());
    CHECK(plan.grants[0].rules[0].state == RuleState::present);
    CHECK(plan.grants[0].rules[0].priority == 200);
}

TEST_CASE("a grant's rule goes when its end has come, to the second") {
    const GrantClaim alice = grant("alice").until("10:00");
    const NsgState open = read_of("nsg-web", {rule_of(alice, 0, 200)});
    Inputs in = inputs(&open, {alice});

    in.now = at("09:59:59");
    const Plan before = nsg::plan(in);
    in.now = at("10:00");
    const Plan at_end = nsg::plan(in);

    CHECK(told(before).empty());
    CHECK(told(at_end) == Lines{"remove closes (expired)"});
    CHECK(at_end.grants[0].left == Lines{rule_of(alice, 0, 200).name});
}

TEST_CASE("a grant that ends early is closed with its reason") {
    const GrantClaim alice = grant("alice").wants_nothing("revoked");
    const NsgState open = read_of("nsg-web", {rule_of(alice, 0, 200)});

    const Plan plan = nsg::plan(inputs(&open, {alice}));

    REQUIRE(told(plan) == Lines{"remove closes (ended)"});
    CHECK(plan.steps[0].detail == "revoked");
}

TEST_CASE("what a grant wants being unknown closes nothing before its end") {
    const GrantClaim alice = grant("alice").wants_unknown();
    const NsgState open = read_of("nsg-web", {rule_of(alice, 0, 200)});
    Inputs in = inputs(&open, {alice});

    CHECK(told(nsg::plan(in)).empty());

    in.now = at("12:00");
    CHECK(told(nsg::plan(in)) == Lines{"remove closes (expired)"});
}

TEST_CASE("drift is put right in place, and its effect is told from reach") {
    struct Row {
        const char* name;
        RuleContent now;
        const char* step;
    };
    const GrantClaim alice = grant("alice").recorded(opening(), 0, 200);
    for (const Row& row : {Row{"a wider source closes when it is put right",
                               opening("198.51.100.0/24"), "put closes (drifted)"},
                           Row{"a deny in its place opens again", content(rule("", 0).deny()),
                               "put opens (drifted)"},
                           Row{"another source both closes and opens", opening("203.0.113.9/32"),
                               "put opens (drifted)"}}) {
        CAPTURE(row.name);
        const NsgState drifted = read_of("nsg-web", {rule_of(alice, 0, 200, row.now)});

        const Plan plan = nsg::plan(inputs(&drifted, {alice}));

        REQUIRE(told(plan) == Lines{row.step});
        CHECK(plan.steps[0].rule == rule_of(alice, 0, 200));
        CHECK(plan.steps[0].repair);
    }
}

TEST_CASE("while nothing may open, drift that lets in others is still taken back") {
    const GrantClaim alice = grant("alice").recorded(opening(), 0, 200).may_not_open();
    const NsgState wider = read_of("nsg-web", {rule_of(alice, 0, 200, opening("198.51.100.0/24"))});
    const NsgState elsewhere =
        read_of("nsg-web", {rule_of(alice, 0, 200, opening("203.0.113.9/32"))});
    const NsgState narrower =
        read_of("nsg-web", {rule_of(alice, 0, 200, content(rule("", 0).deny()))});

    CHECK(told(nsg::plan(inputs(&wider, {alice}))) == Lines{"put closes (drifted)"});
    CHECK(told(nsg::plan(inputs(&elsewhere, {alice}))) == Lines{"remove closes (drifted)"});
    CHECK(told(nsg::plan(inputs(&narrower, {alice}))).empty());
}

TEST_CASE("where a write cannot be recorded first, drift that lets in others goes as a whole") {
    const GrantClaim alice = grant("alice").recorded(opening(), 0, 200);
    const NsgState wider = read_of("nsg-web", {rule_of(alice, 0, 200, opening("198.51.100.0/24"))});
    Inputs in = inputs(&wider, {alice});
    in.only_removals = true;
    CHECK(told(nsg::plan(in)) == Lines{"remove closes (drifted)"});
}

TEST_CASE("a priority that moved inside our band is left alone while the rule still proves") {
    const GrantClaim alice = grant("alice").recorded(opening(), 0, 200);
    const NsgState renumbered = read_of("nsg-web", {rule_of(alice, 0, 230)});
    const NsgState behind_a_deny =
        read_of("nsg-web", {rule_of(alice, 0, 230), rule("deny-ssh", 210).deny()});
    const NsgState out_of_band = read_of("nsg-web", {rule_of(alice, 0, 1500)});

    CHECK(told(nsg::plan(inputs(&renumbered, {alice}))).empty());

    const Plan proving_again = nsg::plan(inputs(&behind_a_deny, {alice}));
    REQUIRE(told(proving_again) == Lines{"put opens (drifted)"});
    CHECK(proving_again.steps[0].rule.priority == 200);

    const Plan back = nsg::plan(inputs(&out_of_band, {alice}));
    REQUIRE(told(back) == Lines{"put opens (drifted)"});
    CHECK(back.steps[0].rule.priority == 200);
}

TEST_CASE("two grants for the same hole are two rules, and the hole closes with the last") {
    const GrantClaim alice = grant("alice").until("10:00");
    const GrantClaim bob = grant("bob").until("11:00");
    const NsgState both = read_of("nsg-web", {rule_of(alice, 0, 200), rule_of(bob, 0, 201)});
    Inputs in = inputs(&both, {alice, bob});

    in.now = at("10:00");
    const Plan first = nsg::plan(in);
    in.now = at("11:00");
    const Plan second = nsg::plan(in);

    REQUIRE(told(first) == Lines{"remove closes (expired)"});
    CHECK(first.steps[0].uid == "alice");
    CHECK(told(second).size() == 2);
}

TEST_CASE(
    "a rule keeps its number n with its content, and a new content gets one that was never used") {
    const RuleContent moved = opening("198.51.100.7/32", "10.0.0.5/32");
    const GrantClaim alice = grant("alice").recorded(opening(), 0, 200).wants({moved});
    const NsgState old = read_of("nsg-web", {rule_of(alice, 0, 200)});

    const Plan plan = nsg::plan(inputs(&old, {alice}));

    REQUIRE(told(plan) == Lines{"remove closes (not wanted)", "put opens (wanted)"});
    CHECK(plan.steps[1].rule == rule_of(alice, 1, 201, moved));
}

TEST_CASE("a mark closes whatever else is unreadable") {
    const GrantClaim ghost = grant("ghost").until("08:00");
    const NsgState open = read_of("nsg-web", {rule_of(ghost, 0, 200)});
    Inputs in = inputs(&open, {});
    in.grants_complete = in.policies_complete = false;

    CHECK(told(nsg::plan(in)) == Lines{"remove closes (expired)"});
}

TEST_CASE("a mark never keeps open: a rule without a record goes once records are known") {
    const GrantClaim ghost = grant("ghost");
    const NsgState open = read_of("nsg-web", {rule_of(ghost, 0, 200)});
    Inputs in = inputs(&open, {});

    in.grants_complete = false;
    CHECK(told(nsg::plan(in)).empty());

    in.grants_complete = true;
    const Plan plan = nsg::plan(in);
    CHECK(told(plan) == Lines{"remove closes (no record)"});
    CHECK(finds(plan, "NoRecord"));
}

TEST_CASE(
    "a mark that ended before its record closes, and the rule comes back with the right mark") {
    GrantClaim alice = grant("alice");
    SecurityRule tampered = rule_of(alice, 0, 200);
    tampered.description = rule_of(GrantClaim(grant("alice").until("08:00")), 0, 200).description;
    const NsgState before = read_of("nsg-web", {tampered});
    const NsgState after = read_of("nsg-web", {});

    CHECK(told(nsg::plan(inputs(&before, {alice}))) == Lines{"remove closes (mark ended)"});
    CHECK(told(nsg::plan(inputs(&after, {alice}))) == Lines{"put opens (wanted)"});
}

TEST_CASE("a rule of ours without a readable mark is judged by its name") {
    const GrantClaim alice = grant("alice");
    SecurityRule scribbled = rule_of(alice, 0, 200);
    scribbled.description = "hello";
    SecurityRule deny = scribbled;
    deny.access = Access::deny;
    const NsgState allow = read_of("nsg-web", {scribbled});
    const NsgState denying = read_of("nsg-web", {deny});

    CHECK(told(nsg::plan(inputs(&allow, {alice}))) == Lines{"put neutral (drifted)"});
    CHECK(told(nsg::plan(inputs(&allow, {}))) == Lines{"remove closes (no record)"});
    CHECK(told(nsg::plan(inputs(&denying, {}))).empty());
    CHECK(finds(nsg::plan(inputs(&denying, {})), "OrphanLockdown"));
}

TEST_CASE("foreign rules are in no step, whatever they look like") {
    const GrantClaim alice = grant("alice");
    const SecurityRule ours = rule_of(alice, 0, 200);
    SecurityRule copied = ours;
    copied.name = "terraform-ssh";
    SecurityRule neighbours = ours;
    neighbours.name = RuleName::of(owner("aaaaaaaa"), "alice", 0).text();
    neighbours.description = Mark{.owner = "aaaaaaaa", .uid = "alice", .end = at("13:00")}.text();
    SecurityRule squatter = ours;  // our name, another owner's mark
    squatter.description = neighbours.description;
    const NsgState odd = read_of(
        "nsg-web", {copied, neighbours, squatter, rule("MicrosoftDefenderForCloud-JIT", 100)});

    const Plan plan = nsg::plan(inputs(&odd, {}));

    CHECK(told(plan).empty());
    CHECK(finds(plan, "CopiedMark"));
    CHECK(finds(plan, "OtherOwner"));
}

TEST_CASE("another owner's overdue rule is reported, and closed only where the account says so") {
    SecurityRule theirs = rule(RuleName::of(owner("aaaaaaaa"), "carol", 0).text(), 300);
    theirs.description = Mark{.owner = "aaaaaaaa", .uid = "carol", .end = at("08:59")}.text();
    const NsgState overdue = read_of("nsg-web", {theirs});
    Inputs in = inputs(&overdue, {});

    const Plan reported = nsg::plan(in);
    in.close_overdue_of = {"aaaaaaaa"};
    const Plan closed = nsg::plan(in);

    CHECK(told(reported).empty());
    CHECK(finds(reported, "ForeignOverdue"));
    CHECK(told(closed) == Lines{"remove closes (foreign overdue)"});
    CHECK(allowed_steps(closed, Mode::paused).empty());
}

TEST_CASE("a write under way is not followed by a second one, but a closing passes an opening") {
    const GrantClaim alice = grant("alice").until("10:00").recorded(opening(), 0, 200);
    const NsgState before = read_of("nsg-web", {});
    Inputs in = inputs(&before, {alice});
    const std::string name = rule_of(alice, 0, 200).name;

    in.in_flight = {{name, WriteEffect::opens}};
    const Plan waiting = nsg::plan(in);
    in.now = at("10:00");
    const Plan passing = nsg::plan(in);
    in.in_flight = {{name, WriteEffect::closes}};
    const Plan closing = nsg::plan(in);

    CHECK(told(waiting).empty());
    CHECK(waiting.grants[0].rules[0].state == RuleState::in_flight);
    REQUIRE(told(passing) == Lines{"remove closes (expired)"});
    CHECK(passing.steps[0].rule.name == name);
    CHECK(told(closing).empty());
}

TEST_CASE("without a read the record alone closes, and nothing opens") {
    const GrantClaim due = grant("alice").until("08:00").recorded(opening(), 0, 200);
    const GrantClaim open = grant("bob").recorded(opening(), 0, 201);

    const Plan plan = nsg::plan(inputs(nullptr, {due, open}, {policy("ssh")}));

    REQUIRE(told(plan) == Lines{"remove closes (expired)"});
    CHECK(plan.steps[0].rule.name == rule_of(due, 0, 200).name);
}

TEST_CASE("under a delete lock a rule becomes a tombstone, which goes when the lock goes") {
    const GrantClaim alice = grant("alice").until("08:00");
    const NsgState open = read_of("nsg-web", {rule_of(alice, 0, 200)});
    Inputs in = inputs(&open, {alice});
    in.delete_locked = true;

    const Plan locked = nsg::plan(in);
    REQUIRE(told(locked) == Lines{"tombstone closes (expired)"});
    const SecurityRule stone = locked.steps[0].rule;
    CHECK(stone.access == Access::deny);
    CHECK(to_text(stone.source.prefixes.at(0)) == "192.0.2.1/32");
    CHECK(stone.priority == 200);

    const NsgState buried = read_of("nsg-web", {stone});
    in.observed = &buried;
    const Plan quiet = nsg::plan(in);
    CHECK(told(quiet).empty());
    CHECK(quiet.grants[0].left.empty());

    in.delete_locked = false;
    CHECK(told(nsg::plan(in)) == Lines{"remove neutral (tombstone)"});
}

TEST_CASE("a refused priority is not tried again, and a full band is said to be full") {
    const GrantClaim alice = grant("alice");
    const NsgState empty = read_of("nsg-web", {});
    Inputs in = inputs(&empty, {alice});
    in.bands.grants = {200, 201};

    in.refused_priorities = {200};
    CHECK(nsg::plan(in).steps.at(0).rule.priority == 201);

    in.refused_priorities = {200, 201};
    const Plan full = nsg::plan(in);
    CHECK(told(full).empty());
    CHECK(finds(full, "BandFull"));
    CHECK(full.grants[0].rules[0].state == RuleState::unplaceable);
}

TEST_CASE("a band is nearly full from 80% on, foreign rules counted") {
    std::vector<SecurityRule> theirs;
    for (int number = 200; number < 207; ++number)
        theirs.push_back(rule(fmt::format("r{}", number), number));
    NsgState crowded = read_of("nsg-web", theirs);
    Inputs in = inputs(&crowded, {});
    in.bands.grants = {200, 209};

    CHECK_FALSE(finds(nsg::plan(in), "BandNearlyFull"));
    crowded.rules.push_back(rule("r207", 207));
    CHECK(finds(nsg::plan(in), "BandNearlyFull"));
}

TEST_CASE("what an NSG can hold is checked before writing") {
    std::vector<SecurityRule> many;
    for (int i = 0; i < rules_per_nsg_max; ++i)
        many.push_back(rule(fmt::format("r{}", i), 1000 + i).outbound());
    const NsgState full = read_of("nsg-web", many);

    SecurityRule wide = rule("wide", 1000);
    wide.source.prefixes.assign(addresses_per_side_max, AnyAddress{});
    const NsgState wide_already = read_of("nsg-web", {wide});

    for (const NsgState* state : {&full, &wide_already}) {
        const Plan plan = nsg::plan(inputs(state, {grant("alice")}));
        CHECK(told(plan).empty());
        CHECK(finds(plan, "NsgFull"));
    }
}

TEST_CASE("closes come first") {
    const GrantClaim ending = grant("zoe").until("08:00");
    const NsgState before = read_of("nsg-web", {rule_of(ending, 0, 200)});

    const Plan plan = nsg::plan(inputs(&before, {grant("alice"), ending}, {policy("ssh")}));

    CHECK(told(plan) ==
          Lines{"remove closes (expired)", "put closes (wanted)", "put opens (wanted)"});
}

TEST_CASE("modes are filters: Observe and Paused end our own access and do nothing else") {
    const GrantClaim ending = grant("zoe").until("08:00");
    const NsgState before = read_of("nsg-web", {rule_of(ending, 0, 200)});
    const Plan plan = nsg::plan(inputs(&before, {grant("alice"), ending}, {policy("ssh")}));

    CHECK(allowed_steps(plan, Mode::enforce) == plan.steps);
    for (const Mode mode : {Mode::observe, Mode::paused}) {
        const std::vector<Step> allowed = allowed_steps(plan, mode);
        REQUIRE(allowed.size() == 1);
        CHECK(allowed[0].uid == "zoe");
    }
}

TEST_CASE("a rule whose write failed is written again though it says what it should") {
    const GrantClaim alice = grant("alice");
    SecurityRule stored = rule_of(alice, 0, 200);
    stored.provisioning_state = "Failed";
    const NsgState failed = read_of("nsg-web", {stored});
    stored.provisioning_state = "Updating";
    const NsgState under_way = read_of("nsg-web", {stored});

    const Plan plan = nsg::plan(inputs(&failed, {alice}));

    REQUIRE(told(plan) == Lines{"put opens (write failed)"});
    CHECK(plan.steps[0].rule == rule_of(alice, 0, 200));
    CHECK_FALSE(plan.steps[0].repair);  // nobody took it away
    CHECK(plan.grants[0].rules[0].state == RuleState::in_flight);

    Inputs in = inputs(&under_way, {alice});
    CHECK(told(nsg::plan(in)).empty());
    in.overlong = {lower(stored.name)};
    CHECK(told(nsg::plan(in)) == Lines{"put opens (write failed)"});
}
