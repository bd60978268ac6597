#include "plan/nsg/draft.hpp"

#include <algorithm>
#include <tuple>

#include "base/mutant.hpp"
#include "base/text.hpp"
#include "plan/nsg/content.hpp"
#include "plan/nsg/effect.hpp"

namespace sallyport::nsg {
namespace {

/// Closes first, then what changes no reach; among them what can only take away before what writes.
auto rank(const Step& step) {
    const auto by_effect = [](WriteEffect effect) {
        switch (effect) {
            case WriteEffect::closes: return 0;
            case WriteEffect::neutral: return 1;
            case WriteEffect::opens: return 2;
        }
        return 3;
    };
    const auto by_kind = [](StepKind kind) {
        switch (kind) {
            case StepKind::remove: return 0;
            case StepKind::tombstone: return 1;
            case StepKind::put: return 2;
        }
        return 3;
    };
    return std::tuple(by_effect(step.effect), by_kind(step.kind), std::string_view(step.rule.name));
}

}  // namespace

Draft::Draft(const Inputs& inputs)
    : in(inputs), numbers(inputs.observed, inputs.refused_priorities), room(inputs.observed) {
    if (in.observed == nullptr) return;
    for (const SecurityRule& rule : in.observed->rules) {
        const Ownership whose = ownership(rule, in.owner);
        const bool taken = planted("forget-the-mark") && RuleName::parse(rule.name);
        if (whose != Ownership::ours && whose != Ownership::ours_unmarked && !taken) {
            foreign.push_back(&rule);
            continue;
        }
        OwnRule mine{
            .rule = &rule, .name = *RuleName::parse(rule.name), .folded = lower(rule.name)};
        if (whose == Ownership::ours) mine.mark = Mark::parse(rule.description);
        own[mine.name.uuid].push_back(std::move(mine));
    }
    for (auto& [uuid, rules] : own) {
        std::ranges::sort(rules, {}, [](const OwnRule& r) { return r.name.n; });
    }
    std::ranges::sort(foreign, {}, &SecurityRule::name);
}

const std::vector<OwnRule>& Draft::rules_of(const std::string& uuid) const {
    static const std::vector<OwnRule> none;
    const auto found = own.find(uuid);
    return found == own.end() ? none : found->second;
}

bool Draft::is_in_flight(std::string_view name) const { return in.in_flight.contains(lower(name)); }

bool Draft::is_closing(std::string_view name) const {
    const auto found = in.in_flight.find(lower(name));
    return found != in.in_flight.end() && found->second == WriteEffect::closes;
}

bool Draft::has_failed(const SecurityRule& rule) const {
    if (planted("failed-counts-as-present")) return false;
    return equals_ignoring_case(rule.provisioning_state, "Failed") ||
           equals_ignoring_case(rule.provisioning_state, "Canceled") ||
           in.overlong.contains(lower(rule.name));
}

void Draft::put(SecurityRule rule, const SecurityRule* instead_of, Cause cause) {
    const WriteEffect effect = effect_of(instead_of, &rule);
    plan.steps.push_back({.kind = StepKind::put,
                          .rule = std::move(rule),
                          .effect = effect,
                          .reason = cause.reason,
                          .detail = std::move(cause.detail),
                          .of = cause.of,
                          .uid = std::move(cause.uid),
                          .content = std::move(cause.content),
                          .n = cause.n,
                          .repair = cause.repair});
}

void Draft::remove(const SecurityRule& rule, Cause cause) {
    if (planted("freed-number-reused")) numbers.give_back(rule.priority);
    if (is_closing(rule.name)) return;
    const bool dead = is_tombstone(rule);
    if (dead && in.delete_locked) return;
    SecurityRule after = tombstone_of(rule);
    WriteEffect effect = effect_of(&rule, &after);
    // A grant's rule that somebody turned into a deny is no lockdown: taking it back opens nothing
    // that was closed by us, and the end of a grant must not wait for the leave to open.
    if (cause.of == MarkKind::grant && effect == WriteEffect::opens) effect = WriteEffect::neutral;
    plan.steps.push_back({.kind = in.delete_locked ? StepKind::tombstone : StepKind::remove,
                          .rule = in.delete_locked ? after : rule,
                          .effect = effect,
                          .reason = dead ? reasons::tombstone : cause.reason,
                          .detail = std::move(cause.detail),
                          .of = cause.of,
                          .uid = std::move(cause.uid),
                          .content = std::move(cause.content),
                          .n = cause.n});
}

void Draft::remove_unseen(std::string name, Cause cause) {
    if (is_closing(name)) return;
    plan.steps.push_back({.kind = StepKind::remove,
                          .rule = {.name = std::move(name)},
                          .effect = WriteEffect::closes,
                          .reason = cause.reason,
                          .detail = std::move(cause.detail),
                          .of = cause.of,
                          .uid = std::move(cause.uid),
                          .content = std::move(cause.content),
                          .n = cause.n});
}

void Draft::find(std::string reason, std::string message, std::string rule, std::string uid) {
    plan.findings.push_back(
        {std::move(reason), std::move(message), std::move(rule), std::move(uid)});
}

void Draft::look_again_at(Timestamp time) {
    if (time <= in.now) return;
    plan.next_check = std::min(plan.next_check.value_or(time), time);
}

Plan Draft::finish() && {
    std::ranges::sort(plan.steps, {}, [](const Step& step) { return rank(step); });
    std::ranges::sort(plan.findings);
    const auto doubles = std::ranges::unique(plan.findings);
    plan.findings.erase(doubles.begin(), doubles.end());
    return std::move(plan);
}

}  // namespace sallyport::nsg
