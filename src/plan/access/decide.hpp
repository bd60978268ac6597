#pragma once

#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/known.hpp"
#include "model/account.hpp"
#include "model/grant.hpp"
#include "model/network.hpp"
#include "model/policy.hpp"
#include "model/record.hpp"

/// The decision: may this grant open what it asks for? An ordered chain of pure
/// checks.
namespace sallyport::access {

/// Why not, for the person who asked: names the field, the value given, the limit and where it
/// comes from.
struct Problem {
    std::string reason;
    std::string message;
    friend bool operator==(const Problem&, const Problem&) = default;
};

/// A policy's own state, judged apart from any grant.
struct PolicyStanding {
    /// Invalid or wider than its ceiling: the policy is Stalled.
    std::vector<Problem> problems = {};
    std::vector<ResolvedTarget> targets = {};  ///< what its targets resolve to now
    /// Targets that name nothing now, while others do.
    std::vector<Problem> findings = {};
    /// Sound, but grants must wait: `LockdownUnconfirmed`, `NoNsgNoFirewall`, `TargetsUnknown` …
    std::optional<Problem> not_ready = {};
    friend bool operator==(const PolicyStanding&, const PolicyStanding&) = default;
};
/// Checks a policy against the account's tenants and ceiling and resolves its targets. All problems
/// at once. `topology` unknown: targets cannot be resolved, `not_ready` says so.
PolicyStanding judge_policy(const JitPolicy& policy, const CloudAccount& account,
                            const Known<const Topology*>& topology);
/// What is wrong with an account by itself.
std::vector<Problem> judge_account(const CloudAccount& account);

/// Everything the decision looks at. A null pointer inside a Known: it is known not to exist.
struct GrantView {
    const AccessGrant* grant = nullptr;  ///< `decide` needs one
    Known<const JitPolicy*> policy = {};
    Known<const CloudAccount*> account = {};
    Known<PolicyStanding> standing = {};
    Known<const AccessRecord*> record = {};
    Known<const Topology*> topology = {};
    /// Open or opening grants of the same requester and policy, this one not counted.
    Known<int> active_of_requester = {};
    /// Clock within 30 s of the API server's, record store reachable, journal in order …; nullopt:
    /// fine.
    std::optional<Problem> nothing_opens = {};
};

struct Authorised {
    ResolvedRequest request;
    Identity requester;
    /// What `duration` or the default gives; with `not_after`, the time left to it.
    seconds duration{};
};
/// Nothing is wrong; something is missing. `until`: when time alone may change that.
struct Waiting {
    std::string reason;
    std::string message;
    std::optional<Timestamp> until = {};
    bool at_rest = false;  ///< AwaitingApproval, Scheduled: rests; else it is being worked on
};
/// All problems at once, in the order of the checks. Judged again when grant, policy or account
/// change.
struct Refused {
    std::vector<Problem> problems;
    bool ended = false;  ///< Expired, Revoked, AlreadyUsed: at rest, not a failure
};
using Decision = std::variant<Authorised, Waiting, Refused>;

/// For a grant without a record of its own. A record of another uid under the same key is
/// `AlreadyUsed`.
Decision decide(const GrantView& view, Timestamp now);

/// An open grant against the policy as it is now: narrower closes, a shorter maximum
/// ends it earlier, wider gives nothing.
struct Continuation {
    std::optional<Problem> narrowed = {};
    std::optional<Timestamp> end_by = {};
};
/// `topology` tells which machines a selector names now; unknown: tags are not compared.
Continuation still_allowed(const AccessRecord& record, const JitPolicy& policy,
                           const CloudAccount& account, const Known<const Topology*>& topology);

}  // namespace sallyport::access
