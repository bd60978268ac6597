#include <algorithm>
#include <set>

#include "base/mutant.hpp"
#include "plan/nsg/draft.hpp"

namespace sallyport::nsg {
namespace {

bool is_due(const GrantClaim& claim, Timestamp now) {
    const Timestamp end = std::min(claim.end, claim.latest_end);
    return planted("greater-at-end") ? end < now : end <= now;
}

/// Whether the name may be of one of these, told at a glance: in a burst most of the time would go
/// into reading the names of all others.
bool may_be_of(std::string_view name, const std::set<std::string, std::less<>>& uuids) {
    const std::string_view uuid = RuleName::uuid_in(name);
    const auto is_capital = [](char c) { return c >= 'A' && c <= 'F'; };
    return uuids.contains(uuid) || std::ranges::any_of(uuid, is_capital);
}

/// The rules under names of theirs: no others are looked into.
NsgState rules_of(const Inputs& in, const std::set<std::string, std::less<>>& uuids) {
    NsgState theirs{.id = in.observed->id, .read_sent = in.observed->read_sent};
    for (const SecurityRule& rule : in.observed->rules) {
        if (!may_be_of(rule.name, uuids)) continue;
        const auto name = RuleName::parse(rule.name);
        if (name && uuids.contains(name->uuid)) theirs.rules.push_back(rule);
    }
    return theirs;
}

}  // namespace

std::vector<Step> due_closings(Inputs inputs) {
    std::erase_if(inputs.grants,
                  [&](const GrantClaim& claim) { return !is_due(claim, inputs.now); });
    inputs.policies.clear();
    std::set<std::string, std::less<>> uuids;
    for (const GrantClaim& claim : inputs.grants) uuids.insert(rule_uuid(claim.uid));
    std::optional<NsgState> theirs;
    if (inputs.observed != nullptr) theirs = rules_of(inputs, uuids);
    if (theirs) inputs.observed = &*theirs;
    // Nothing is said of rules whose claims are not here.
    inputs.grants_complete = false;
    inputs.policies_complete = false;
    Draft draft(inputs);
    plan_grants(draft);
    std::vector<Step> steps = std::move(draft).finish().steps;
    std::erase_if(steps, [](const Step& step) { return step.effect != WriteEffect::closes; });
    return steps;
}

}  // namespace sallyport::nsg
