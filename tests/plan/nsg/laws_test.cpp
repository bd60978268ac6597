#include <set>

#include "plan/nsg/effect.hpp"
#include "plan/nsg/plan.hpp"
#include "plan/nsg/world.hpp"
#include "support/printers.hpp"

// The laws of the planner (docs/architecture.md), on random worlds. A failure prints its seed.

using namespace sallyport;
using namespace sallyport::nsg;
using namespace sallyport::testing;

namespace {

constexpr std::uint32_t worlds = 400;

/// What is wanted of one NSG, with the records that a real engine would keep.
class Wishes {
public:
    explicit Wishes(Random& random) {
        for (int i = 0, count = random.up_to(4); i <= count; ++i) {
            ClaimBuilder claim =
                grant(fmt::format("g{}", i)).until(random.one_in(3) ? "08:00" : "12:00");
            std::vector<RuleContent> contents;
            for (int n = random.up_to(2); n >= 0; --n) contents.push_back(random_opening(random));
            claim.wants(contents);
            if (random.one_in(5)) claim.wants_nothing("revoked");
            if (random.one_in(8)) claim.wants_unknown();
            if (random.one_in(6)) claim.may_not_open();
            grants.push_back(claim);
        }
        for (int i = random.up_to(2); i > 0; --i) {
            PolicyClaim claim = policy(fmt::format("p{}", i));
            claim.confirmed = !random.one_in(3);
            claim.precedence =
                random.one_in(2) ? Precedence::above_existing : Precedence::below_existing;
            if (random.one_in(2)) {
                claim.exceptions = {
                    content(rule("", 0).from({"AzureLoadBalancer"}).to({"10.0.0.4/32"}))};
            }
            policies.push_back(claim);
        }
    }

    Inputs over(const NsgState& state) const { return inputs(&state, grants, policies); }

    /// Recorded before the opening leaves, as the engine does.
    void record(const Step& step) {
        for (GrantClaim& claim : grants) {
            if (claim.uid != step.uid || step.effect != WriteEffect::opens) continue;
            const auto known =
                std::ranges::find(claim.recorded, step.content, &RecordedRule::content);
            RecordedRule rule{.nsg = nsg_id(),
                              .content = step.content,
                              .n = step.n,
                              .name = step.rule.name,
                              .priority = step.rule.priority,
                              .openings = 1};
            if (known == claim.recorded.end()) {
                claim.recorded.push_back(std::move(rule));
            } else {
                known->priority = step.rule.priority;
            }
        }
    }

    std::vector<GrantClaim> grants;
    std::vector<PolicyClaim> policies;
};

ModelNsg random_nsg(Random& random) {
    ModelNsg model;
    for (int i = random.up_to(12); i > 0; --i) model.put(garbage(random));
    return model;
}

bool is_foreign(const SecurityRule& rule) {
    const Ownership whose = ownership(rule, owner());
    return whose != Ownership::ours && whose != Ownership::ours_unmarked;
}

/// Plans and applies until a plan is empty; nullopt: it never was.
std::optional<int> rounds_until_quiet(Wishes& wishes, ModelNsg& model, Random& random,
                                      int lose_one_in, int rounds_max) {
    for (int round = 0; round < rounds_max; ++round) {
        const Plan plan = nsg::plan(wishes.over(model.state));
        if (plan.steps.empty()) return round;
        for (const Step& step : plan.steps) {
            wishes.record(step);
            if (lose_one_in == 0 || !random.one_in(lose_one_in)) model.apply(step);
        }
    }
    return std::nullopt;
}

}  // namespace

TEST_CASE("law: a plan is pure: neither the order of inputs nor asking twice matters") {
    for (std::uint32_t seed = 0; seed < worlds; ++seed) {
        CAPTURE(seed);
        Random random(seed);
        const Wishes wishes(random);
        const ModelNsg model = random_nsg(random);
        const Plan plan = nsg::plan(wishes.over(model.state));

        Wishes other = wishes;
        NsgState turned = model.state;
        random.shuffle(other.grants);
        random.shuffle(other.policies);
        random.shuffle(turned.rules);
        for (GrantClaim& claim : other.grants) random.shuffle(claim.wanted);

        CHECK(nsg::plan(wishes.over(model.state)) == plan);
        CHECK(nsg::plan(other.over(turned)) == plan);
    }
}

TEST_CASE("law: plans converge in at most four rounds, and then are quiet") {
    for (std::uint32_t seed = 0; seed < worlds; ++seed) {
        CAPTURE(seed);
        Random random(seed);
        Wishes wishes(random);
        ModelNsg model = random_nsg(random);

        const auto rounds = rounds_until_quiet(wishes, model, random, 0, 10);

        REQUIRE(rounds.has_value());
        CHECK(*rounds <= 4);
    }
}

TEST_CASE("law: plans converge although every third step is lost") {
    for (std::uint32_t seed = 0; seed < worlds; ++seed) {
        CAPTURE(seed);
        Random random(seed);
        Wishes wishes(random);
        ModelNsg model = random_nsg(random);

        CHECK(rounds_until_quiet(wishes, model, random, 3, 60).has_value());
    }
}

TEST_CASE("law: closes come first, no name twice, no number twice") {
    for (std::uint32_t seed = 0; seed < worlds; ++seed) {
        CAPTURE(seed);
        Random random(seed);
        const Wishes wishes(random);
        const ModelNsg model = random_nsg(random);

        const Plan plan = nsg::plan(wishes.over(model.state));

        std::set<std::string> names;
        bool opened = false;
        for (const Step& step : plan.steps) {
            if (step.effect == WriteEffect::opens) opened = true;
            CHECK_FALSE((opened && step.effect == WriteEffect::closes));
            CHECK(names.insert(lower(step.rule.name)).second);
            ModelNsg alone = model;  // each works by itself: none waits for another of the plan
            CHECK(alone.apply(step));
        }
    }
}

TEST_CASE("law: what opens is never wider than a claim, and lasts no longer than its record") {
    for (std::uint32_t seed = 0; seed < worlds; ++seed) {
        CAPTURE(seed);
        Random random(seed);
        const Wishes wishes(random);
        const ModelNsg model = random_nsg(random);

        for (const Step& step : nsg::plan(wishes.over(model.state)).steps) {
            if (step.kind != StepKind::put || step.rule.access != Access::allow) continue;
            if (step.of == MarkKind::policy) continue;
            const auto claim = std::ranges::find(wishes.grants, step.uid, &GrantClaim::uid);
            REQUIRE(claim != wishes.grants.end());
            CHECK(claim->end > at("09:00"));
            CHECK((claim->may_open || step.effect == WriteEffect::closes));
            CHECK(std::ranges::any_of(claim->wanted, [&](const RuleContent& wanted) {
                return content_key(wanted) == content_key(content(step.rule));
            }));
            CHECK(Mark::parse(step.rule.description)->end == claim->latest_end);
        }
    }
}

TEST_CASE("law: any input gives a plan") {
    for (std::uint32_t seed = 0; seed < worlds; ++seed) {
        CAPTURE(seed);
        Random random(seed);
        Wishes wishes(random);
        NsgState state = read_of("nsg-web", {});
        // Doubled names and numbers, empty sides, priorities of no band: none of it comes from
        // Azure.
        for (int i = random.up_to(30); i > 0; --i) state.rules.push_back(garbage(random));
        wishes.grants.push_back(
            {.uid = "not a uid \n", .wanted = {RuleContent()}, .may_open = true});
        wishes.grants.push_back(
            {.uid = "g9", .wanted = {RuleContent(), RuleContent()}, .may_open = true});
        wishes.grants.back().recorded.push_back(
            {.nsg = nsg_id(), .content = "x", .n = 5000, .name = "nonsense"});
        wishes.policies.push_back({.uid = ""});
        Inputs in = wishes.over(state);
        in.delete_locked = random.one_in(2);
        in.bands.grants = {random.up_to(300), random.up_to(300)};
        if (random.one_in(4)) in.observed = nullptr;
        for (int i = random.up_to(5); i > 0; --i)
            in.in_flight[lower(garbage(random).name)] = WriteEffect::opens;

        CHECK_NOTHROW(nsg::plan(in));
    }
}

TEST_CASE("law: without lists and records only what has ended is closed") {
    for (std::uint32_t seed = 0; seed < worlds; ++seed) {
        CAPTURE(seed);
        Random random(seed);
        const ModelNsg model = random_nsg(random);
        Inputs in = inputs(&model.state, {});
        in.grants_complete = in.policies_complete = false;

        for (const Step& step : nsg::plan(in).steps) {
            CHECK(step.kind == StepKind::remove);
            const auto mark = Mark::parse(model.state.find(step.rule.name)->description);
            REQUIRE(mark.has_value());
            CHECK(*mark->end <= at("09:00"));
        }
    }
}

TEST_CASE("law: the due closings are those of the whole plan, whatever else lies on the NSG") {
    int closings = 0;
    for (std::uint32_t seed = 0; seed < worlds; ++seed) {
        CAPTURE(seed);
        Random random(seed);
        Wishes wishes(random);
        ModelNsg model = random_nsg(random);
        if (!random.one_in(4)) rounds_until_quiet(wishes, model, random, 4, 3);
        Inputs in = wishes.over(model.state);
        in.delete_locked = random.one_in(4);
        std::set<std::string> due;
        for (GrantClaim& claim : in.grants) {
            if (random.one_in(2)) claim.end = in.now;
            if (std::min(claim.end, claim.latest_end) <= in.now) due.insert(claim.uid);
        }
        for (const SecurityRule& rule : model.state.rules) {
            if (!random.one_in(4)) continue;
            in.in_flight[lower(rule.name)] =
                random.one_in(2) ? WriteEffect::opens : WriteEffect::closes;
        }
        if (random.one_in(8)) in.observed = nullptr;

        std::vector<Step> expected;
        for (const Step& step : nsg::plan(in).steps) {
            if (step.effect == WriteEffect::closes && due.contains(step.uid))
                expected.push_back(step);
        }

        CHECK(due_closings(in) == expected);
        closings += static_cast<int>(expected.size());
    }
    CHECK(closings > 100);  // else the worlds show nothing
}

TEST_CASE(
    "law: foreign rules stay equal through 10,000 operations beside a Terraform-like writer") {
    Random random(20261121);
    Wishes wishes(random);
    ModelNsg model;
    std::map<std::string, SecurityRule> theirs;  // as Terraform last wrote them
    Timestamp now = at("09:00");
    int planned = 0;
    for (int operation = 0; operation < 10'000; ++operation) {
        CAPTURE(operation);
        if (random.one_in(3)) {
            SecurityRule rule = garbage(random);
            if (!is_foreign(rule)) rule.name = fmt::format("tf-{}", random.up_to(40));
            if (is_foreign(rule) && !RuleName::parse(rule.name) && model.put(rule))
                theirs[lower(rule.name)] = rule;
        } else if (random.one_in(4) && !theirs.empty()) {
            const std::string name =
                std::next(theirs.begin(), random.up_to(static_cast<int>(theirs.size()) - 1))->first;
            model.remove(name);
            theirs.erase(name);
        } else if (random.one_in(5) && !model.state.rules.empty()) {
            // Terraform believes that ours are its own: drops one, or rewrites it.
            const SecurityRule rule = random.of(model.state.rules);
            if (!is_foreign(rule)) model.remove(rule.name);
        } else if (random.one_in(10)) {
            wishes = Wishes(random);
            // New wishes on a day of their own: before, between and after their ends.
            now = at("07:00") + seconds(random.up_to(6 * 3600));
        }
        Inputs in = wishes.over(model.state);
        in.now = now;
        in.delete_locked = random.one_in(10);
        for (const Step& step : nsg::plan(in).steps) {
            wishes.record(step);
            if (!random.one_in(5)) model.apply(step);
            ++planned;
        }

        std::size_t left = 0;
        for (const SecurityRule& rule : model.state.rules) {
            const auto written = theirs.find(lower(rule.name));
            if (written == theirs.end()) continue;
            ++left;
            REQUIRE(rule == written->second);
        }
        REQUIRE(left == theirs.size());
    }
    CHECK(planned > 1000);  // the planner was busy all the while
}
