#include <algorithm>
#include <set>

#include "base/mutant.hpp"
#include "plan/nsg/content.hpp"
#include "plan/nsg/draft.hpp"

namespace sallyport::nsg {
namespace {

/// After this a rule of another installation counts as overdue: the bound within which its owner
/// closes it.
constexpr seconds foreign_overdue_after{30};

std::set<std::string> claimed_uuids(const Inputs& in) {
    std::set<std::string> uuids;
    for (const GrantClaim& claim : in.grants) uuids.insert(rule_uuid(claim.uid));
    for (const PolicyClaim& claim : in.policies) uuids.insert(rule_uuid(claim.uid));
    return uuids;
}

Cause cause_of(const OwnRule& mine, const char* reason, std::string detail) {
    return {.of = mine.mark ? mine.mark->kind : MarkKind::grant,
            .uid = mine.mark ? mine.mark->uid : std::string(),
            .reason = reason,
            .detail = std::move(detail),
            .n = mine.name.n};
}

void keep_lockdown(Draft& draft, const OwnRule& mine) {
    draft.find("OrphanLockdown",
               "no policy asks for this lockdown any more; it stays until somebody removes it",
               mine.rule->name, mine.mark ? mine.mark->uid : std::string());
}

void remove_unrecorded(Draft& draft, const OwnRule& mine) {
    if (is_tombstone(*mine.rule)) {
        draft.remove(*mine.rule, cause_of(mine, reasons::tombstone, "it can match nothing"));
        return;
    }
    // An opening of ours under way means that a record exists and is about to be seen.
    if (draft.is_in_flight(mine.folded)) return;
    if (mine.mark && draft.in.recorded_elsewhere.contains(mine.mark->uid)) {
        draft.find("OtherAccount", "its record names another account of this subscription",
                   mine.rule->name, mine.mark->uid);
        return;
    }
    draft.find("NoRecord", "a rule of ours that no record stands for", mine.rule->name,
               mine.mark ? mine.mark->uid : std::string());
    draft.remove(*mine.rule, cause_of(mine, reasons::no_record, "no record stands for it"));
}

/// Marks back records up: they close, they never keep open.
void plan_marked_grant(Draft& draft, const OwnRule& mine) {
    draft.look_again_at(*mine.mark->end);
    if (mine.mark_has_ended(draft.in.now)) {
        draft.remove(*mine.rule, cause_of(mine, reasons::expired,
                                          "its mark's end was " + format_rfc3339(*mine.mark->end)));
    } else if (draft.in.grants_complete) {
        remove_unrecorded(draft, mine);
    }
}

void plan_own(Draft& draft, const OwnRule& mine) {
    if (mine.mark && mine.mark->kind == MarkKind::grant) return plan_marked_grant(draft, mine);
    const bool lockdown_like = mine.rule->access == Access::deny && !is_tombstone(*mine.rule);
    if (mine.mark) {
        if (!draft.in.policies_complete) return;
        return is_tombstone(*mine.rule) ? remove_unrecorded(draft, mine)
                                        : keep_lockdown(draft, mine);
    }
    // Without a mark only the name speaks, and it names nobody: both lists must be there to say so.
    if (!draft.in.grants_complete || !draft.in.policies_complete) return;
    if (lockdown_like) return keep_lockdown(draft, mine);
    remove_unrecorded(draft, mine);
}

/// Another installation's rule that its owner has left open, in an account that lets us close it.
void plan_other_owner(Draft& draft, const SecurityRule& rule, const Mark& mark) {
    draft.find("OtherOwner", fmt::format("bears the mark of owner {}", mark.owner), rule.name);
    if (!mark.end || rule.access != Access::allow) return;
    const Timestamp overdue = *mark.end + foreign_overdue_after;
    draft.look_again_at(overdue);
    if (draft.in.now < overdue) return;
    draft.find(
        "ForeignOverdue",
        fmt::format("owner {} should have closed it at {}", mark.owner, format_rfc3339(*mark.end)),
        rule.name);
    const auto name = RuleName::parse(rule.name);
    const bool theirs = name && name->owner == mark.owner && name->is_of(mark.uid);
    const bool listed =
        std::ranges::find(draft.in.close_overdue_of, mark.owner) != draft.in.close_overdue_of.end();
    if (!theirs || !listed) return;
    draft.remove(rule, {.of = mark.kind,
                        .uid = mark.uid,
                        .reason = reasons::foreign_overdue,
                        .detail = fmt::format("overdue rule of owner {}", mark.owner),
                        .n = name->n});
}

}  // namespace

void plan_unclaimed(Draft& draft) {
    if (planted("orphans-stay")) return;
    const std::set<std::string> claimed = claimed_uuids(draft.in);
    for (const auto& [uuid, rules] : draft.own) {
        if (claimed.contains(uuid)) continue;
        for (const OwnRule& mine : rules) plan_own(draft, mine);
    }
    for (const SecurityRule* rule : draft.foreign) {
        const auto mark = Mark::parse(rule->description);
        if (!mark) continue;
        if (mark->owner == draft.in.owner.text()) {
            draft.find("CopiedMark", "bears a mark of ours under a name that is not ours",
                       rule->name);
        } else {
            plan_other_owner(draft, *rule, *mark);
        }
    }
}

}  // namespace sallyport::nsg
