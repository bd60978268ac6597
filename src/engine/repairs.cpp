#include "engine/repairs.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "base/text.hpp"
#include "plan/nsg/content.hpp"

namespace sallyport::engine {
namespace {}  // namespace

void Repairs::written(const nsg::Step& step, const SecurityRule* stored, SteadyTime now) {
    if (step.kind != nsg::StepKind::put) return;
    const std::string name = lower(step.rule.name);
    const std::string changed = stored ? nsg::change(step.rule, *stored) : std::string();
    if (!step.repair && changed.empty()) {
        rules_.erase(name);
        return;
    }
    History& history = rules_[name];
    if (history.content != step.content || history.uid != step.uid) history = {};
    history.rule = step.rule.name;
    history.uid = step.uid;
    history.content = step.content;
    history.written = now;
    history.changed_times = changed.empty()              ? 0
                            : changed == history.changed ? history.changed_times + 1
                                                         : 1;
    history.changed = changed;
    if (step.repair) history.repairs.push_back(now);
    forget_old(now);
}

SteadyTime Repairs::not_before(const nsg::Step& step,
                               std::chrono::milliseconds sweep_interval) const {
    if (rules_.empty() || step.kind != nsg::StepKind::put) return {};
    const auto found = rules_.find(lower(step.rule.name));
    if (found == rules_.end() || found->second.content != step.content) return {};
    const bool closes = step.effect == WriteEffect::closes;
    if (is_mutated(found->second) && !closes) return found->second.written + reach;
    if (is_mutated(found->second) || is_fight(found->second))
        return found->second.written + sweep_interval;
    return {};
}

SteadyTime Repairs::next_after(SteadyTime now, std::chrono::milliseconds sweep_interval) const {
    SteadyTime next = SteadyTime::max();
    for (const auto& [name, history] : rules_) {
        if (!is_mutated(history) && !is_fight(history)) continue;
        for (const SteadyTime due : {history.written + sweep_interval, history.written + reach}) {
            if (due > now) next = std::min(next, due);
        }
    }
    return next;
}

std::vector<nsg::Finding> Repairs::findings(SteadyTime now) const {
    std::vector<nsg::Finding> found;
    for (const auto& [name, history] : rules_) {
        if (is_mutated(history) && now - history.written < reach) {
            found.push_back(
                {"MutatedByPolicy",
                 fmt::format(
                     "MutatedByPolicy: rule {} came back {} from each of its last {} "
                     "writes, so an Azure Policy changes it; writing it more often "
                     "would not help. Exempt the network security group from that assignment",
                     history.rule, history.changed, history.changed_times),
                 history.rule, history.uid});
        } else if (is_fight(history)) {
            found.push_back(
                {"Fight(unknown)",
                 fmt::format("Fight(unknown): rule {} was put right {} times within an hour, and "
                             "somebody changes it again; it is put right after each sweep. Find "
                             "who writes it in the Activity Log; where it is Terraform, let it "
                             "ignore changes of security_rule",
                             history.rule, history.repairs.size()),
                 history.rule, history.uid});
        }
    }
    return found;
}

void Repairs::forget_old(SteadyTime now) {
    for (auto& [name, history] : rules_) {
        while (!history.repairs.empty() && now - history.repairs.front() >= reach)
            history.repairs.pop_front();
    }
    std::erase_if(rules_, [&](const auto& each) { return now - each.second.written >= reach; });
}

}  // namespace sallyport::engine
