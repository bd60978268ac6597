#include <algorithm>
#include <set>

#include "base/mutant.hpp"
#include "base/text.hpp"
#include "plan/nsg/content.hpp"
#include "plan/nsg/draft.hpp"
#include "plan/nsg/effect.hpp"

namespace sallyport::nsg {
namespace {

/// One wanted rule of a lockdown, and the rule that stands for it or can be turned into it.
struct LockdownSlot {
    std::string key;
    RuleContent content;
    const OwnRule* observed = nullptr;
    int n = -1;
    std::string name = {};
    std::optional<int> number = {};
    bool in_place = false;
};

class LockdownPlanner {
public:
    LockdownPlanner(Draft& draft, const PolicyClaim& claim)
        : draft_(draft),
          claim_(claim),
          uuid_(rule_uuid(claim.uid)),
          band_(claim.precedence == Precedence::above_existing ? draft.in.bands.lockdown_above
                                                               : draft.in.bands.lockdown_below) {
        verdict_.uid = claim_.uid;
    }

    void plan() {
        if (claim_.remove) {
            remove_all();
        } else {
            name_slots();
            for (LockdownSlot& slot : exceptions_) place_exception(slot);
            for (LockdownSlot& slot : denies_) place_deny(slot);
            compare();
            for (LockdownSlot& slot : exceptions_) settle_exception(slot);
            for (LockdownSlot& slot : denies_) settle_deny(slot);
            take_back();
        }
        std::ranges::sort(verdict_.cuts);
        const auto doubles = std::ranges::unique(verdict_.cuts);
        verdict_.cuts.erase(doubles.begin(), doubles.end());
        if (verdict_.unconfirmed) {
            draft_.find("LockdownUnconfirmed",
                        fmt::format("the lockdown would cut {} on {}; it waits for "
                                    "spec.network.lockdown.confirmed: true",
                                    join(verdict_.cuts, ", "), draft_.in.observed->id.name()),
                        {}, claim_.uid);
        }
        draft_.plan.policies.push_back(std::move(verdict_));
    }

private:
    /// A tombstone counts as gone: it is deleted when the lock goes.
    void remove_all() {
        verdict_.removed = std::ranges::all_of(
            draft_.rules_of(uuid_), [&](const OwnRule& mine) { return is_tombstone(*mine.rule); });
        for (const OwnRule& mine : draft_.rules_of(uuid_)) {
            draft_.remove(*mine.rule, cause_of(mine, reasons::policy_removed, "onDelete: Remove"));
        }
    }

    /// A rule of the policy keeps its name while it says what is wanted, and also when an edit of
    /// the policy (or of the rule) makes it differ: it is rewritten in place, so that nothing is
    /// open between.
    void name_slots() {
        collect(claim_.exceptions, exceptions_);
        collect(claim_.denies, denies_);
        for (std::vector<LockdownSlot>* slots : {&exceptions_, &denies_}) {
            for (LockdownSlot& slot : *slots)
                take_rule(slot,
                          [&](const OwnRule& r) { return content_of(*r.rule) == slot.content; });
        }
        const auto is_deny = [](const OwnRule& r) { return r.rule->access == Access::deny; };
        for (LockdownSlot& slot : denies_) {
            take_rule(slot, [&](const OwnRule& r) {
                return is_deny(r) && is_alike(*r.rule, slot.content);
            });
        }
        for (LockdownSlot& slot : denies_) take_rule(slot, is_deny);
        int next = 0;
        std::set<int> used;
        for (const OwnRule& mine : draft_.rules_of(uuid_)) used.insert(mine.name.n);
        // Names in flight are not passed over: the order is always the same, so they are ours
        // again.
        for (std::vector<LockdownSlot>* slots : {&exceptions_, &denies_}) {
            for (LockdownSlot& slot : *slots) {
                if (slot.n < 0) {
                    while (used.contains(next)) ++next;
                    used.insert(next);
                    slot.n = next;
                }
                if (slot.n <= RuleName::n_max) {
                    slot.name = RuleName::of(draft_.in.owner, claim_.uid, slot.n).text();
                }
            }
        }
    }

    static void collect(const std::vector<RuleContent>& contents,
                        std::vector<LockdownSlot>& slots) {
        std::map<std::string, RuleContent> by_key;
        for (const RuleContent& content : contents)
            by_key.emplace(content_key(content), canonical(content));
        for (auto& [key, content] : by_key)
            slots.push_back({.key = key, .content = std::move(content)});
    }

    template <class Fits>
    void take_rule(LockdownSlot& slot, Fits fits) {
        if (slot.observed != nullptr) return;
        for (const OwnRule& mine : draft_.rules_of(uuid_)) {
            if (taken_.contains(mine.name.n) || !fits(mine)) continue;
            taken_.insert(mine.name.n);
            slot.observed = &mine;
            slot.n = mine.name.n;
            return;
        }
    }

    /// Same protocol and family: an older version of the same deny.
    static bool is_alike(const SecurityRule& rule, const RuleContent& content) {
        return rule.protocol == content.protocol &&
               family_of(rule.destination) == family_of(content.destination);
    }
    static std::optional<Family> family_of(const Peer& peer) {
        for (const Prefix& prefix : peer.prefixes) {
            if (const auto* cidr = std::get_if<Cidr>(&prefix)) return cidr->family();
        }
        return std::nullopt;
    }

    bool keeps_number(const LockdownSlot& slot) const {
        return slot.observed != nullptr && slot.observed->rule->direction == Direction::inbound &&
               band_.contains(slot.observed->rule->priority);
    }

    /// In a band exceptions take the lowest numbers and denies the highest; it is full when they
    /// meet.
    void place_exception(LockdownSlot& slot) {
        if (keeps_number(slot)) {
            slot.number = slot.observed->rule->priority;
        } else {
            slot.number = draft_.numbers.lowest(band_, lowest_deny());
        }
        place(slot);
    }

    void place_deny(LockdownSlot& slot) {
        // A deny in front of an exception of its policy would cut what is excepted.
        const auto after_exceptions = [&](int number) {
            return std::ranges::none_of(
                exceptions_, [&](const LockdownSlot& e) { return e.number && *e.number > number; });
        };
        if (keeps_number(slot) && after_exceptions(slot.observed->rule->priority)) {
            slot.number = slot.observed->rule->priority;
        } else {
            slot.number = draft_.numbers.highest(band_, highest_exception());
        }
        place(slot);
    }

    void place(LockdownSlot& slot) {
        if (slot.number) {
            draft_.numbers.take(*slot.number);
            (slot.content.access == Access::allow ? placed_exceptions_ : placed_denies_)
                .insert(*slot.number);
            return;
        }
        draft_.find(
            "BandFull",
            fmt::format("no priority from {} to {} is free for the lockdown", band_.from, band_.to),
            {}, claim_.uid);
    }

    /// Over the lockdowns of every policy on this NSG.
    int lowest_deny() const {
        int lowest = band_.to + 1;
        for_own_in_band(Access::deny, [&](int number) { lowest = std::min(lowest, number); });
        for (const int number : placed_denies_) lowest = std::min(lowest, number);
        return lowest;
    }
    int highest_exception() const {
        int highest = band_.from - 1;
        for_own_in_band(Access::allow, [&](int number) { highest = std::max(highest, number); });
        for (const int number : placed_exceptions_) highest = std::max(highest, number);
        return highest;
    }
    template <class Visit>
    void for_own_in_band(Access access, Visit visit) const {
        for (const auto& [uuid, rules] : draft_.own) {
            for (const OwnRule& mine : rules) {
                // One of this policy that stands for nothing wanted goes, and is in nobody's way.
                if (uuid == uuid_ && !taken_.contains(mine.name.n)) continue;
                if (is_tombstone(*mine.rule)) continue;  // neither cuts nor lets in
                const bool counts = mine.rule->direction == Direction::inbound &&
                                    mine.rule->access == access &&
                                    band_.contains(mine.rule->priority);
                if (counts) visit(mine.rule->priority);
            }
        }
    }

    void compare() {
        verdict_.in_place = true;
        for (std::vector<LockdownSlot>* slots : {&exceptions_, &denies_}) {
            for (LockdownSlot& slot : *slots) {
                slot.in_place = is_in_place(slot);
                verdict_.in_place = verdict_.in_place && slot.in_place;
            }
        }
        for (const LockdownSlot& slot : denies_) {
            for (std::string& cut : cuts_of(slot)) verdict_.cuts.push_back(std::move(cut));
        }
    }

    bool is_in_place(const LockdownSlot& slot) const {
        return slot.observed != nullptr && slot.number && difference_of(slot).empty() &&
               !draft_.has_failed(*slot.observed->rule) && !draft_.is_in_flight(slot.name);
    }
    /// It says what it should and is not in force: nobody changed it, its write failed.
    bool is_only_failed(const LockdownSlot& slot) const {
        return slot.observed != nullptr && draft_.has_failed(*slot.observed->rule) &&
               difference_of(slot).empty();
    }

    std::string difference_of(const LockdownSlot& slot) const {
        return change(wanted_rule(slot), *slot.observed->rule);
    }

    SecurityRule wanted_rule(const LockdownSlot& slot) const {
        const Mark mark{.owner = draft_.in.owner.text(),
                        .kind = MarkKind::policy,
                        .uid = claim_.uid,
                        .subject = fmt::format("{}", claim_.name)};
        SecurityRule rule = rule_of(slot.content, slot.name, mark);
        rule.priority = slot.number.value_or(0);
        return rule;
    }

    /// Foreign and default allows behind the deny that it would take something from.
    std::vector<std::string> cuts_of(const LockdownSlot& slot) const {
        const SecurityRule deny = wanted_rule(slot);
        Peer excepted;
        for (const RuleContent& exception : claim_.exceptions) {
            const bool same = exception.protocol == deny.protocol &&
                              covers(exception.destination, deny.destination) &&
                              merged(exception.ports) == deny.destination_ports;
            if (!same) continue;
            excepted.prefixes.insert(excepted.prefixes.end(), exception.source.prefixes.begin(),
                                     exception.source.prefixes.end());
        }
        std::vector<std::string> cuts;
        const auto consider = [&](const SecurityRule& rule) {
            if (rule.access != Access::allow || rule.priority < deny.priority) return;
            if (may_overlap(deny, rule) && !covers(excepted, rule.source))
                cuts.push_back(rule.name);
        };
        for (const SecurityRule* rule : draft_.foreign) consider(*rule);
        for (const SecurityRule& rule : draft_.in.observed->default_rules) consider(rule);
        return cuts;
    }

    Cause cause_of(const OwnRule& mine, const char* reason, std::string detail) const {
        return {.of = MarkKind::policy,
                .uid = claim_.uid,
                .reason = reason,
                .detail = std::move(detail),
                .n = mine.name.n};
    }

    /// Only reported where the policy says `drift.closed: Report`, once there is something to
    /// differ from. A first lockdown is still being written while only its exceptions are there,
    /// or some of its denies and the policy was never Ready.
    bool is_only_reported(const LockdownSlot& slot) {
        const bool was_there = claim_.seen_in_place || (claim_.was_ready && has_a_deny());
        if (claim_.repair || !was_there || is_only_failed(slot)) return false;
        draft_.find("LockdownDrift", "a rule of the lockdown is missing or differs", slot.name,
                    claim_.uid);
        return true;
    }

    bool has_a_deny() const {
        return std::ranges::any_of(draft_.rules_of(uuid_), [](const OwnRule& mine) {
            return mine.rule->access == Access::deny && !is_tombstone(*mine.rule);
        });
    }

    void settle_exception(LockdownSlot& slot) {
        if (slot.in_place || !slot.number || slot.name.empty() || draft_.is_in_flight(slot.name))
            return;
        if (is_only_reported(slot)) return;
        write(slot);
    }

    void settle_deny(LockdownSlot& slot) {
        if (slot.in_place || !slot.number || slot.name.empty() || draft_.is_in_flight(slot.name))
            return;
        if (is_only_reported(slot)) return;
        if (slot.observed == nullptr && !claim_.seen_in_place) {
            if (!claim_.confirmed && !cuts_of(slot).empty()) {
                verdict_.unconfirmed = true;
                return;
            }
            // The first deny waits until its exceptions are seen: else it cuts them for a while.
            const bool waits = std::ranges::any_of(
                exceptions_, [](const LockdownSlot& e) { return !e.in_place && e.number; });
            if (!has_a_deny() && waits && !planted("deny-before-exception")) return;
        }
        write(slot);
    }

    void write(const LockdownSlot& slot) {
        SecurityRule rule = wanted_rule(slot);
        const SecurityRule* before = slot.observed == nullptr ? nullptr : slot.observed->rule;
        if (!draft_.room.take(rule, before)) {
            draft_.find("NsgFull",
                        fmt::format("the NSG would hold more than {} rules or {} addresses a side",
                                    rules_per_nsg_max, addresses_per_side_max),
                        {}, claim_.uid);
            return;
        }
        Cause cause{.of = MarkKind::policy,
                    .uid = claim_.uid,
                    .reason = reasons::wanted,
                    .content = slot.key,
                    .n = slot.n,
                    .repair = before != nullptr || claim_.seen_in_place};
        if (is_only_failed(slot)) {
            cause.reason = reasons::write_failed;
            cause.repair = false;
            before = nullptr;
        } else if (before != nullptr) {
            cause.reason = reasons::drifted;
            cause.detail = "drifted in " + difference_of(slot);
        } else if (claim_.seen_in_place) {
            cause.reason = reasons::missing;
        }
        draft_.put(std::move(rule), before, std::move(cause));
    }

    /// Exceptions that the policy does not name any more go. Denies stay: only the policy's own
    /// hold or a person takes them away.
    void take_back() {
        for (const OwnRule& mine : draft_.rules_of(uuid_)) {
            if (taken_.contains(mine.name.n)) continue;
            if (mine.rule->access == Access::allow) {
                if (claim_.repair)
                    draft_.remove(*mine.rule, cause_of(mine, reasons::not_wanted,
                                                       "not an exception of the policy"));
            } else if (is_tombstone(*mine.rule)) {
                draft_.remove(*mine.rule,
                              cause_of(mine, reasons::tombstone, "it can match nothing"));
            } else {
                draft_.find(
                    "OrphanLockdown",
                    "no policy asks for this lockdown any more; it stays until somebody removes it",
                    mine.rule->name, claim_.uid);
            }
        }
    }

    Draft& draft_;
    const PolicyClaim& claim_;
    std::string uuid_;
    Band band_;
    std::vector<LockdownSlot> exceptions_;
    std::vector<LockdownSlot> denies_;
    std::set<int> taken_;  ///< n of the rules that stand for something wanted
    std::set<int> placed_exceptions_;
    std::set<int> placed_denies_;
    PolicyVerdict verdict_;
};

}  // namespace

void plan_lockdowns(Draft& draft) {
    if (!draft.in.policies_complete || draft.in.observed == nullptr) return;
    std::map<std::string_view, const PolicyClaim*> claims;
    for (const PolicyClaim& claim : draft.in.policies) {
        if (is_usable_uid(claim.uid)) claims.emplace(claim.uid, &claim);
    }
    for (const auto& [uid, claim] : claims) LockdownPlanner(draft, *claim).plan();
}

}  // namespace sallyport::nsg
