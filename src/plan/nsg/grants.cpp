#include <algorithm>
#include <limits>
#include <set>

#include "base/mutant.hpp"
#include "base/text.hpp"
#include "plan/nsg/content.hpp"
#include "plan/nsg/draft.hpp"
#include "plan/nsg/effect.hpp"

namespace sallyport::nsg {
namespace {

constexpr int no_limit = std::numeric_limits<int>::max();

/// One wanted rule of a grant: its name for life, and what stands under it now.
struct Slot {
    std::string key;
    const RuleContent* content;
    const RecordedRule* recorded = nullptr;
    const SecurityRule* observed = nullptr;
    int n = -1;
    std::string name = {};
    std::optional<int> number = {};
};

class GrantPlanner {
public:
    GrantPlanner(Draft& draft, const GrantClaim& claim)
        : draft_(draft), claim_(claim), uuid_(rule_uuid(claim.uid)) {
        verdict_.uid = claim_.uid;
        draft_.look_again_at(std::min(claim_.end, claim_.latest_end));
        for (const OwnRule& mine : draft_.rules_of(uuid_)) {
            if (mine.mark && mine.mark->end) draft_.look_again_at(*mine.mark->end);
        }
        if (!is_closing()) name_slots();
    }

    /// Numbers that rules have or had are given back before anybody gets a new one.
    void keep_numbers() {
        for (Slot& slot : slots_) {
            slot.number = kept_number(slot);
            if (slot.number) draft_.numbers.take(*slot.number);
        }
    }

    void plan() {
        if (is_closing()) {
            close();
        } else {
            for (Slot& slot : slots_) verdict_.rules.push_back(settle(slot));
            take_back();
        }
        std::ranges::sort(verdict_.rules, {}, &GrantVerdict::Rule::content);
        std::ranges::sort(verdict_.left);
        draft_.plan.grants.push_back(std::move(verdict_));
    }

private:
    /// The mark backs the record up: the earlier of the two ends it.
    bool is_due() const {
        const Timestamp end = std::min(claim_.end, claim_.latest_end);
        return planted("greater-at-end") ? end < draft_.in.now : end <= draft_.in.now;
    }
    bool is_closing() const { return is_due() || (claim_.wanted_known && claim_.wanted.empty()); }

    /// n goes with the content: as recorded, else as a rule shows it, else the lowest that no
    /// record and no rule of this grant has here. A name in flight is not passed over: what was
    /// sent under it before the record was seen is most likely this very content, and waiting
    /// tells.
    void name_slots() {
        std::map<std::string, const RuleContent*> wanted;
        for (const RuleContent& content : claim_.wanted)
            wanted.emplace(content_key(content), &content);
        std::set<int> used;
        for (const RecordedRule& recorded : claim_.recorded) used.insert(recorded.n);
        for (const OwnRule& mine : draft_.rules_of(uuid_)) used.insert(mine.name.n);
        std::set<int> given;
        for (const auto& [key, content] : wanted) {
            Slot slot{.key = key, .content = content, .recorded = recorded_of(key)};
            if (slot.recorded != nullptr && given.insert(slot.recorded->n).second) {
                slot.n = slot.recorded->n;
            } else if (const OwnRule* mine = unrecorded_rule_saying(*content, given)) {
                slot.n = mine->name.n;
                given.insert(slot.n);
            }
            slots_.push_back(std::move(slot));
        }
        int next = 0;
        for (Slot& slot : slots_) {
            if (slot.n < 0) {
                while (used.contains(next)) ++next;
                used.insert(next);
                slot.n = next;
            }
            if (slot.n > RuleName::n_max) continue;
            slot.name = RuleName{draft_.in.owner.text(), uuid_, slot.n}.text();
            slot.observed = observed_rule(slot.n);
        }
    }

    const RecordedRule* recorded_of(const std::string& key) const {
        const RecordedRule* lowest = nullptr;
        for (const RecordedRule& recorded : claim_.recorded) {
            const bool fits = recorded.content == key && recorded.n >= 0;
            if (fits && (lowest == nullptr || recorded.n < lowest->n)) lowest = &recorded;
        }
        return lowest;
    }

    const OwnRule* unrecorded_rule_saying(const RuleContent& content,
                                          const std::set<int>& given) const {
        for (const OwnRule& mine : draft_.rules_of(uuid_)) {
            const bool recorded = std::ranges::find(claim_.recorded, mine.name.n,
                                                    &RecordedRule::n) != claim_.recorded.end();
            if (recorded || given.contains(mine.name.n)) continue;
            if (content_of(*mine.rule) == canonical(content)) return &mine;
        }
        return nullptr;
    }

    const SecurityRule* observed_rule(int n) const {
        const auto& rules = draft_.rules_of(uuid_);
        const auto found =
            std::ranges::find(rules, n, [](const OwnRule& mine) { return mine.name.n; });
        return found == rules.end() ? nullptr : found->rule;
    }

    std::optional<int> kept_number(const Slot& slot) const {
        const Band band = draft_.in.bands.grants;
        const std::optional<int> recorded =
            slot.recorded == nullptr ? std::nullopt : slot.recorded->priority;
        if (slot.observed != nullptr && slot.observed->direction == Direction::inbound &&
            band.contains(slot.observed->priority)) {
            const int number = slot.observed->priority;
            const bool moved_back = recorded && band.contains(*recorded) && *recorded < number;
            if (!moved_back || still_proves(slot, *recorded)) return number;
        }
        if (recorded && band.contains(*recorded) && draft_.numbers.is_free(*recorded))
            return recorded;
        return std::nullopt;
    }

    /// Azure's Defender renumbers what is in its way. That is left alone unless a deny came
    /// between.
    bool still_proves(const Slot& slot, int recorded) const {
        return std::ranges::none_of(draft_.in.observed->rules, [&](const SecurityRule& rule) {
            return rule.access == Access::deny && recorded < rule.priority &&
                   rule.priority < slot.observed->priority && may_overlap(rule, *slot.observed);
        });
    }

    Cause cause_of(const Slot& slot, const char* reason, std::string detail) const {
        const bool had_been =
            slot.observed != nullptr || (slot.recorded != nullptr && slot.recorded->openings > 0);
        return {.of = MarkKind::grant,
                .uid = claim_.uid,
                .reason = reason,
                .detail = std::move(detail),
                .content = slot.key,
                .n = slot.n,
                .repair = had_been};
    }

    /// Compares one wanted rule with what is there, and plans what it takes.
    GrantVerdict::Rule settle(Slot& slot) {
        GrantVerdict::Rule seen{.content = slot.key, .name = slot.name, .n = slot.n};
        if (slot.name.empty()) {
            draft_.find("BandFull", "a grant has at most 1,000 rules on one NSG", {}, claim_.uid);
            seen.state = RuleState::unplaceable;
            return seen;
        }
        if (slot.observed != nullptr) seen.priority = slot.observed->priority;
        if (draft_.is_in_flight(slot.name)) {
            seen.state = RuleState::in_flight;
            return seen;
        }
        if (draft_.in.observed == nullptr) return seen;
        SecurityRule rule = rule_of(*slot.content, slot.name, mark());
        if (!slot.number && claim_.may_open) slot.number = new_number();
        if (!slot.number && slot.observed != nullptr) slot.number = slot.observed->priority;
        rule.priority = slot.number.value_or(0);
        if (slot.observed == nullptr) {
            seen.state = open(slot, std::move(rule));
        } else {
            seen.state = repair(slot, std::move(rule));
        }
        return seen;
    }

    Mark mark() const {
        return {.owner = draft_.in.owner.text(),
                .kind = MarkKind::grant,
                .uid = claim_.uid,
                .end = claim_.latest_end,
                .seq = claim_.seq,
                .subject = fmt::format("{}", claim_.name)};
    }

    std::optional<int> new_number() {
        const Band band = draft_.in.bands.grants;
        const auto number = draft_.numbers.lowest(band, no_limit);
        if (number) {
            draft_.numbers.take(*number);
        } else {
            draft_.find("BandFull",
                        fmt::format("no priority from {} to {} is free", band.from, band.to), {},
                        claim_.uid);
        }
        return number;
    }

    bool is_placeable(const Slot& slot, const SecurityRule& rule) {
        if (!slot.number) return false;
        if (draft_.room.take(rule, slot.observed)) return true;
        draft_.find("NsgFull",
                    fmt::format("the NSG would hold more than {} rules or {} addresses a side",
                                rules_per_nsg_max, addresses_per_side_max),
                    {}, claim_.uid);
        return false;
    }

    RuleState open(const Slot& slot, SecurityRule rule) {
        if (!claim_.may_open) return RuleState::missing;
        if (!is_placeable(slot, rule)) return RuleState::unplaceable;
        Cause cause = cause_of(slot, reasons::wanted, "");
        if (cause.repair) cause.reason = reasons::missing;
        draft_.put(std::move(rule), nullptr, std::move(cause));
        return RuleState::missing;
    }

    /// It says what it should. That nobody changed it and it is not in force all the same is no
    /// drift: the write is repeated, as one that was refused is.
    RuleState keep(const Slot& slot, SecurityRule rule) {
        if (!draft_.has_failed(*slot.observed)) return RuleState::present;
        if (claim_.may_open && slot.number) {
            Cause cause = cause_of(slot, reasons::write_failed, "");
            cause.repair = false;
            draft_.put(std::move(rule), nullptr, std::move(cause));
        }
        return RuleState::in_flight;
    }

    RuleState repair(const Slot& slot, SecurityRule rule) {
        if (planted("drift-unseen")) return RuleState::present;
        const std::string where = change(rule, *slot.observed);
        if (where.empty()) return keep(slot, std::move(rule));
        const WriteEffect effect = effect_of(slot.observed, &rule);
        Cause cause = cause_of(slot, reasons::drifted, "drifted in " + where);
        if (effect == WriteEffect::closes && draft_.in.only_removals) {
            draft_.remove(*slot.observed, std::move(cause));
        } else if (claim_.may_open || effect == WriteEffect::closes) {
            if (!is_placeable(slot, rule)) return RuleState::unplaceable;
            draft_.put(std::move(rule), slot.observed, std::move(cause));
        } else if (slot.observed->access == Access::allow && !covers(rule, *slot.observed)) {
            // It lets in what nobody asked for, and putting it right would open: it goes.
            draft_.remove(*slot.observed, std::move(cause));
        }
        return RuleState::differs;
    }

    std::string recorded_content(const std::string& folded) const {
        const auto found = std::ranges::find_if(
            claim_.recorded, [&](const RecordedRule& r) { return lower(r.name) == folded; });
        return found == claim_.recorded.end() ? std::string() : found->content;
    }

    Cause removal(const std::string& folded, const char* reason, std::string detail) const {
        const auto name = RuleName::parse(folded);
        return {.of = MarkKind::grant,
                .uid = claim_.uid,
                .reason = reason,
                .detail = std::move(detail),
                .content = recorded_content(folded),
                .n = name ? name->n : 0};
    }

    void remove(const OwnRule& mine, const char* reason, std::string detail) {
        if (is_tombstone(*mine.rule) && draft_.in.delete_locked) return;
        if (!is_tombstone(*mine.rule)) verdict_.left.push_back(mine.rule->name);
        draft_.remove(*mine.rule, removal(mine.folded, reason, std::move(detail)));
    }

    /// Rules of an open grant that should not be there.
    void take_back() {
        for (const OwnRule& mine : draft_.rules_of(uuid_)) {
            const auto slot = std::ranges::find(slots_, mine.name.n, &Slot::n);
            if (mine.mark_has_ended(draft_.in.now)) {
                if (slot != slots_.end()) drop_steps_for(mine.folded);
                remove(mine, reasons::mark_ended, "its own mark has ended");
            } else if (claim_.wanted_known && slot == slots_.end()) {
                remove(mine, reasons::not_wanted, "nothing that the grant asks for");
            }
        }
    }

    /// A mark that has ended closes, whatever a record says; what is wanted comes back after that.
    void drop_steps_for(const std::string& folded) {
        std::erase_if(draft_.plan.steps,
                      [&](const Step& step) { return lower(step.rule.name) == folded; });
    }

    void close() {
        const char* const reason = is_due() ? reasons::expired : reasons::ended;
        const std::string detail = is_due()
                                       ? fmt::format("its end was {}", format_rfc3339(claim_.end))
                                       : claim_.closing_reason;
        std::set<std::string> seen;
        for (const OwnRule& mine : draft_.rules_of(uuid_)) {
            seen.insert(mine.folded);
            remove(mine, reason, detail);
        }
        std::set<std::string> unseen;
        // Without a read the record alone says what may be there.
        if (draft_.in.observed == nullptr) {
            for (const RecordedRule& recorded : claim_.recorded)
                unseen.insert(lower(recorded.name));
        }
        // An opening under way may land after the read: the closing passes it.
        for (const auto& [name, effect] : draft_.in.in_flight) {
            const auto parsed = RuleName::parse(name);
            const bool mine =
                parsed && parsed->uuid == uuid_ && parsed->owner == draft_.in.owner.text();
            if (mine && effect != WriteEffect::closes && !seen.contains(name)) unseen.insert(name);
        }
        for (const std::string& name : unseen) {
            if (RuleName::parse(name)) draft_.remove_unseen(name, removal(name, reason, detail));
        }
    }

    Draft& draft_;
    const GrantClaim& claim_;
    std::string uuid_;
    std::vector<Slot> slots_;
    GrantVerdict verdict_;
};

}  // namespace

void plan_grants(Draft& draft) {
    std::map<std::string_view, const GrantClaim*> claims;
    for (const GrantClaim& claim : draft.in.grants) {
        if (is_usable_uid(claim.uid)) claims.emplace(claim.uid, &claim);
    }
    std::vector<GrantPlanner> planners;
    for (const auto& [uid, claim] : claims) planners.emplace_back(draft, *claim);
    if (draft.in.observed == nullptr) {
        for (GrantPlanner& planner : planners) planner.plan();
        return;
    }
    for (GrantPlanner& planner : planners) planner.keep_numbers();
    for (GrantPlanner& planner : planners) planner.plan();
}

}  // namespace sallyport::nsg
