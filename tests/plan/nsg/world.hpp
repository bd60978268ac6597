#pragma once

#include <algorithm>
#include <random>
#include <string>
#include <vector>

#include "base/text.hpp"
#include "support/builders.hpp"

/// Random worlds for the laws, and an NSG that behaves as Azure's: unique priorities per direction,
/// one rule per name without case, foreign rules kept as they were written.
namespace sallyport::testing {

class Random {
public:
    explicit Random(std::uint32_t seed) : engine_(seed) {}
    int up_to(int last) { return std::uniform_int_distribution<int>(0, last)(engine_); }
    bool one_in(int n) { return up_to(n - 1) == 0; }
    template <class T>
    const T& of(const std::vector<T>& choices) {
        return choices[static_cast<std::size_t>(up_to(static_cast<int>(choices.size()) - 1))];
    }
    template <class T>
    void shuffle(std::vector<T>& items) {
        std::ranges::shuffle(items, engine_);
    }

private:
    std::mt19937 engine_;
};

/// What Azure would keep.
class ModelNsg {
public:
    NsgState state = read_of("nsg-web", {});

    /// False: `SecurityRuleConflict`, or another refusal; nothing changed.
    bool put(const SecurityRule& rule) {
        const bool taken = std::ranges::any_of(state.rules, [&](const SecurityRule& other) {
            return other.priority == rule.priority && other.direction == rule.direction &&
                   !equals_ignoring_case(other.name, rule.name);
        });
        if (taken || rule.priority < priority_min || rule.priority > priority_max) return false;
        remove(rule.name);
        state.rules.push_back(rule);
        return true;
    }
    void remove(const std::string& name) {
        std::erase_if(state.rules,
                      [&](const SecurityRule& r) { return equals_ignoring_case(r.name, name); });
    }
    bool apply(const nsg::Step& step) {
        if (step.kind != nsg::StepKind::remove) return put(step.rule);
        remove(step.rule.name);
        return true;
    }
};

inline nsg::RuleContent random_opening(Random& random) {
    static const std::vector<const char*> sources = {"198.51.100.7/32", "198.51.100.0/28",
                                                     "203.0.113.9/32"};
    static const std::vector<const char*> addresses = {"10.0.0.4/32", "10.0.0.5/32"};
    static const std::vector<const char*> port_choices = {"22", "3389", "8000-8010"};
    return opening(random.of(sources), random.of(addresses), random.of(port_choices));
}

/// Anything that may stand on an NSG under any name, mark or shape; also what Azure would never
/// hold.
inline SecurityRule garbage(Random& random) {
    static const std::vector<const char*> prefixes = {
        "*",    "Internet",        "VirtualNetwork", "10.0.0.0/8",
        "::/0", "not an address!", "Storage.WestUS", "198.51.100.7/32"};
    static const std::vector<const char*> uids = {"g0", "g1", "g2", "p0", "stranger"};
    SecurityRule rule = testing::rule(fmt::format("r{}", random.up_to(99)), random.up_to(4200));
    rule.access = random.one_in(2) ? Access::allow : Access::deny;
    rule.direction = random.one_in(6) ? Direction::outbound : Direction::inbound;
    rule.protocol = random.one_in(3) ? Protocol::any : Protocol::tcp;
    rule.source.prefixes = {parse_prefix(random.of(prefixes))};
    if (random.one_in(8)) rule.source = {};
    rule.destination.prefixes = {parse_prefix(random.of(prefixes))};
    if (random.one_in(8)) rule.destination_ports = {};
    const std::string uid = random.of(uids);
    if (random.one_in(3)) rule.name = RuleName::of(owner(), uid, random.up_to(3)).text();
    if (random.one_in(3)) {
        const bool of_policy = uid == "p0";
        Mark mark{.owner = random.one_in(4) ? "aaaaaaaa" : owner().text(),
                  .kind = of_policy ? MarkKind::policy : MarkKind::grant,
                  .uid = uid,
                  .subject = "ns/name"};
        if (!of_policy) mark.end = at("06:00") + seconds(60 * random.up_to(600));
        rule.description = mark.text();
    }
    return rule;
}

}  // namespace sallyport::testing
