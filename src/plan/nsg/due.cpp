#include <algorithm>
#include <set>

#include "plan/nsg/draft.hpp"

namespace sallyport::nsg {
namespace {

bool is_due(const GrantClaim& claim, Timestamp now) {
    return std::min(claim.end, claim.latest_end) <= now;
}

/// The rules under names of theirs: no others are looked into.
NsgState rules_of(const Inputs& in, const std::set<std::string>& uuids) {
    NsgState theirs{.id = in.observed->id, .read_sent = in.observed->read_sent};
    for (const SecurityRule& rule : in.observed->rules) {
        const auto name = RuleName::parse(rule.name);
        if (name && uuids.contains(name->uuid)) theirs.rules.push_back(rule);
    }
    return theirs;
}

}  // namespace

std::vector<Step> due_closings(const Inputs& inputs) {
    Inputs due{.in_flight = inputs.in_flight,
               .delete_locked = inputs.delete_locked,
               .bands = inputs.bands,
               .owner = inputs.owner,
               .now = inputs.now};
    std::set<std::string> uuids;
    for (const GrantClaim& claim : inputs.grants) {
        if (!is_due(claim, inputs.now)) continue;
        due.grants.push_back(claim);
        uuids.insert(rule_uuid(claim.uid));
    }
    std::optional<NsgState> theirs;
    if (inputs.observed != nullptr) theirs = rules_of(inputs, uuids);
    if (theirs) due.observed = &*theirs;
    Draft draft(due);
    plan_grants(draft);
    std::vector<Step> steps = std::move(draft).finish().steps;
    std::erase_if(steps, [](const Step& step) { return step.effect != WriteEffect::closes; });
    return steps;
}

}  // namespace sallyport::nsg
