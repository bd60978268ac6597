#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/time.hpp"
#include "model/account.hpp"
#include "model/mark.hpp"
#include "model/policy.hpp"
#include "model/record.hpp"
#include "model/rule.hpp"

/// What should be done to one NSG: `plan(desired, observed, now)`, a pure function.
///
/// It has no clock, log, network or lock. Same inputs give the same plan, whatever order the inputs
/// come in. A foreign rule is in no step. Steps are data: they can be printed, counted, filtered by
/// a mode, and shown as a dry run.
namespace sallyport::nsg {

/// What one rule of ours says, apart from its name, priority and description.
struct RuleContent {
    Access access = Access::allow;
    Protocol protocol = Protocol::tcp;
    Peer source = {};
    Peer destination = {};
    std::vector<PortRange> ports = {};
    friend bool operator==(const RuleContent&, const RuleContent&) = default;
};
/// Identifies a content within one grant or policy: 16 hex digits over a canonical text. A rule
/// keeps its name's n as long as its key is wanted.
std::string content_key(const RuleContent& content);

/// What one grant wants of this NSG.
struct GrantClaim {
    std::string uid = {};
    ObjectKey name = {};
    std::vector<RuleContent> wanted = {};  ///< one rule each; empty: nothing of it may be open
    /// False: what it wants cannot be told now (topology unread). Its rules are left alone until
    /// their end; `wanted` is empty then.
    bool wanted_known = true;
    Timestamp end{};         ///< the record's effective end: from here on there are only closings
    Timestamp latest_end{};  ///< what the marks carry
    std::uint64_t seq = 0;
    /// Openings (repairs included) may be planned: authorised, recorded, not ending, path not
    /// blocked.
    bool may_open = false;
    /// Why it is being closed, when `wanted` is empty ("revoked", "policy narrowed" …).
    std::string closing_reason = {};
    std::vector<RecordedRule> recorded = {};  ///< the record's rules on this NSG
    friend bool operator==(const GrantClaim&, const GrantClaim&) = default;
};

/// What one policy wants of this NSG: its lockdown.
struct PolicyClaim {
    std::string uid = {};
    ObjectKey name = {};
    std::vector<RuleContent> denies = {};      ///< one per protocol and family
    std::vector<RuleContent> exceptions = {};  ///< allow rules above the denies
    Precedence precedence = Precedence::below_existing;
    bool confirmed = false;  ///< else a lockdown that cuts something is not written the first time
    bool repair = true;      ///< drift.closed: Repair; else differences are findings only
    bool remove = false;     ///< the policy is going and says `onDelete: Remove`
    bool was_ready = false;  ///< the policy bears the hold: its lockdown was whole before
    /// It was seen in place before: what is missing was taken away and comes back at once, without
    /// waiting for exceptions or a confirmation.
    bool seen_in_place = false;
    friend bool operator==(const PolicyClaim&, const PolicyClaim&) = default;
};

struct Inputs {
    /// The newest read; nullptr: none, or none that may be trusted. Then the only steps are
    /// removals of recorded rules whose end has passed.
    const NsgState* observed = nullptr;
    std::vector<GrantClaim> grants = {};
    /// True once every record has been turned into a claim; before that nothing is removed for lack
    /// of one, but what a claim or a mark says is due closes all the same.
    bool grants_complete = false;
    /// Grants whose live record names another account of the same subscription. Whoever plans asks
    /// for those that a first plan would remove as `no record`.
    std::set<std::string> recorded_elsewhere = {};
    std::vector<PolicyClaim> policies = {};
    bool policies_complete = false;  ///< before that, no rule of a policy is touched
    /// Priorities that were refused (`SecurityRuleConflict`) though the read showed them free.
    std::set<int> refused_priorities = {};
    /// Rules with a write under way, or one that ended after `observed` was sent: folded name →
    /// what that write does. No second step for them, but a due closing passes what leaves them
    /// open.
    std::map<std::string, WriteEffect> in_flight = {};
    /// Rules of ours, by folded name, that reads have shown as being written for longer than any
    /// write takes. They are written again, as those whose write failed are.
    std::set<std::string> overlong = {};
    bool delete_locked = false;  ///< a delete lock or denyAction: tombstones instead of removals
    /// What is written cannot be recorded first: an opening that somebody widened goes, instead of
    /// being written anew.
    bool only_removals = false;
    std::vector<std::string> close_overdue_of = {};  ///< other owners whose overdue rules we close
    Bands bands = {};
    Owner owner;
    Timestamp now{};
};

enum class StepKind { put, remove, tombstone };
std::string_view to_text(StepKind kind);

struct Step {
    StepKind kind = StepKind::put;
    SecurityRule
        rule;  ///< put and tombstone: the whole rule; remove: as observed, or the name alone
    /// From what it does to reach, not from the verb: removing a deny opens, putting a tombstone
    /// closes.
    WriteEffect effect = WriteEffect::neutral;
    std::string reason = {};  ///< a constant: `expired`, `no record`, `drifted`, `wanted` …
    std::string detail = {};  ///< in words, for log, journal and events: "drifted in source prefix"
    MarkKind of = MarkKind::grant;
    std::string uid = {};      ///< of the grant or policy; empty: nobody's
    std::string content = {};  ///< content key; empty for removals of unknown content
    int n = 0;
    bool repair = false;  ///< the rule had been there, differently or not any more
    friend bool operator==(const Step&, const Step&) = default;
};

/// Something a person should know; `reason` is one of docs/reasons.md.
struct Finding {
    std::string reason;
    std::string message;
    std::string rule = {};
    std::string uid = {};  ///< whose; empty: the account's
    friend bool operator==(const Finding&, const Finding&) = default;
    friend auto operator<=>(const Finding&, const Finding&) = default;
};

enum class RuleState { missing, present, differs, in_flight, unplaceable };
struct GrantVerdict {
    struct Rule {
        std::string content;
        std::string name;
        int n = 0;
        std::optional<int> priority = {};
        RuleState state = RuleState::missing;
        friend bool operator==(const Rule&, const Rule&) = default;
    };
    std::string uid;
    std::vector<Rule> rules = {};        ///< one for each wanted content, in order of their keys
    std::vector<std::string> left = {};  ///< names of its rules that should not be there but are
    friend bool operator==(const GrantVerdict&, const GrantVerdict&) = default;
};
struct PolicyVerdict {
    std::string uid;
    bool in_place = false;               ///< all denies and exceptions are there as wanted
    bool removed = false;                ///< was to be removed, and the read shows nothing of it
    bool unconfirmed = false;            ///< waits for `confirmed: true`
    std::vector<std::string> cuts = {};  ///< allow rules (foreign or default) the denies would cut
    friend bool operator==(const PolicyVerdict&, const PolicyVerdict&) = default;
};

struct Plan {
    std::vector<Step> steps = {};  ///< closes first; empty: the world is as it should be
    std::vector<Finding> findings = {};
    std::vector<GrantVerdict> grants = {};
    std::vector<PolicyVerdict> policies = {};
    std::optional<Timestamp> next_check = {};  ///< when time alone will change the answer
    friend bool operator==(const Plan&, const Plan&) = default;
};

/// Total: any input gives a plan. Quiet: a world as desired gives no steps. A plan holds only steps
/// whose preconditions are observed; no step depends on another of the same plan having worked.
Plan plan(const Inputs& inputs);

/// Those closings of `plan` that belong to claims whose end has come, in its order, worked out from
/// their own rules alone: what leaves before the rest is thought about.
std::vector<Step> due_closings(Inputs inputs);

/// The steps a mode lets through: Observe and Paused keep only removals (and tombstones) of our own
/// Allow rules. The rest of the plan stays as it is, so that Observe can print it.
std::vector<Step> allowed_steps(const Plan& plan, Mode mode);

}  // namespace sallyport::nsg
