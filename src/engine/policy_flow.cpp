#include <fmt/format.h>

#include <algorithm>

#include "engine/engine.hpp"
#include "plan/life/ends.hpp"
#include "plan/path/wanted.hpp"

namespace sallyport::engine {
namespace {

using namespace std::chrono_literals;
using std::chrono::milliseconds;

std::string joined(const std::vector<access::Problem>& problems) {
    std::string all;
    for (const access::Problem& problem : problems)
        all += (all.empty() ? "" : "; ") + problem.message;
    return all;
}

std::vector<VmId> machines_of(const access::PolicyStanding& standing) {
    std::vector<VmId> machines;
    for (const ResolvedTarget& target : standing.targets) machines.push_back(target.id);
    return machines;
}

/// What an account counts as covered by it.
std::vector<VmId> targets_of(const Known<access::PolicyStanding>& standing) {
    if (!standing || !standing->problems.empty()) return {};
    return machines_of(*standing);
}

/// Deleted, with its grants ended: its lockdown goes, or stays without it.
bool is_going(const JitPolicy& policy, const std::set<std::string>& active_grants) {
    return policy.meta.deleted && active_grants.empty();
}
bool takes_lockdown_along(const JitPolicy& policy, const std::set<std::string>& active_grants) {
    return is_going(policy, active_grants) && policy.network.lockdown.remove_on_delete;
}

void add_condition(PolicyStatus& status, std::string type, Truth truth, access::Problem why) {
    status.conditions.push_back({.type = std::move(type),
                                 .status = truth,
                                 .reason = life::bare(why.reason),
                                 .message = std::move(why.message),
                                 .observed_generation = status.observed_generation});
}

}  // namespace

/// What may be said of the policy now; a policy that stands claims its lockdown.
void Engine::judge_standing(const std::string& uid, PolicyEntry& entry, const JitPolicy& policy,
                            Account& account) {
    Known<const Topology*> topology;
    if (account.swept()) topology = &account.topology();
    access::PolicyStanding standing = access::judge_policy(policy, account.account(), topology);
    const bool stands = standing.problems.empty();
    if (const auto& trouble = account.trouble(); trouble && !account.current()) {
        standing.not_ready = access::Problem{
            "AccountNotReady", fmt::format("CloudAccount {} of spec.accountRef is not ready: {}",
                                           policy.account, trouble->message)};
    }
    if (account.rival()) standing.not_ready = account.rival();
    entry.standing = std::move(standing);
    if (!account.rival() && takes_lockdown_along(policy, entry.active_grants)) {
        if (account.swept()) claim_removal(uid, entry, account);
    } else if (account.rival() || !stands) {
        told(untold_policies_, entry.account, uid);
    } else if (account.swept()) {
        claim_lockdown(uid, entry, policy, account);
    }
}

/// Tells every NSG on the ways to the policy's machines what its lockdown wants there. A lockdown
/// that cannot be worked out now leaves the lanes as they were told.
void Engine::claim_lockdown(const std::string& uid, PolicyEntry& entry, const JitPolicy& policy,
                            Account& account) {
    const auto wanted =
        path::wanted_lockdown(policy, machines_of(*entry.standing), account.topology());
    if (!wanted) {
        if (wanted.error().kind == ErrorKind::invalid) {
            access::PolicyStanding standing = *entry.standing;
            standing.not_ready = access::Problem{wanted.error().reason, wanted.error().message};
            entry.standing = std::move(standing);
        }
        return;
    }
    const bool keep = policy.meta.deleted.has_value();
    std::set<NsgId> claimed;
    for (const auto& [nsg, lockdown] : *wanted) {
        if (keep && entry.active_grants.empty()) continue;  // what is written stays; nothing new is
        claimed.insert(nsg);
        // What `drift.closed: Report` leaves alone is drift, not an edit of the policy itself.
        const auto whole = entry.seen_in_place.find(nsg);
        const bool edited =
            whole == entry.seen_in_place.end()
                ? entry.told_generation.value_or(policy.meta.generation) < policy.meta.generation
                : whole->second.denies != lockdown.denies ||
                      whole->second.exceptions != lockdown.exceptions;
        account.lane(nsg).claim(
            nsg::PolicyClaim{.uid = uid,
                             .name = entry.key,
                             .denies = lockdown.denies,
                             .exceptions = lockdown.exceptions,
                             .precedence = policy.network.lockdown.precedence,
                             .confirmed = policy.network.lockdown.confirmed,
                             .repair = policy.repair_closed || edited,
                             .was_ready = policy.meta.held(),
                             .seen_in_place = entry.seen_in_place.contains(nsg)});
    }
    for (const NsgId& nsg : entry.claimed) {
        Lane* lane = account.find_lane(nsg);
        if (lane && !claimed.contains(nsg)) lane->withdraw_policy(uid);
    }
    entry.claimed = std::move(claimed);
    told(untold_policies_, entry.account, uid);

    if (std::optional<access::Problem> missing = lockdown_missing(uid, entry, account)) {
        access::PolicyStanding standing = *entry.standing;
        standing.not_ready = std::move(missing);
        entry.standing = std::move(standing);
    }
}

/// Tells every NSG that bears a rule of the policy, or may, to remove it. Asks neither for the
/// policy's standing nor for its machines: what stands goes, whoever it was for.
void Engine::claim_removal(const std::string& uid, PolicyEntry& entry, Account& account) {
    const std::string uuid = rule_uuid(uid);
    for (const auto& [nsg, lane] : account.lanes()) {
        if (!lane->observed()) continue;
        const bool bears_one =
            std::ranges::any_of(lane->observed()->rules, [&](const SecurityRule& rule) {
                const auto name = RuleName::parse(rule.name);
                return name && name->owner == settings_.owner.text() && name->uuid == uuid;
            });
        if (bears_one) entry.claimed.insert(nsg);
    }
    for (const NsgId& nsg : entry.claimed) {
        Lane& lane = account.lane(nsg);
        lane.claim(nsg::PolicyClaim{.uid = uid, .name = entry.key, .remove = true});
        if (!lane.observed()) lane.want_read(uid);
    }
    told(untold_policies_, entry.account, uid);
}

/// Why the lockdown is not proven gone everywhere; nullopt: it is. The lane's plan must be of the
/// claim to remove it, and its read of after the last write (promise 9).
std::optional<access::Problem> Engine::removal_missing(const std::string& uid,
                                                       const PolicyEntry& entry) const {
    const auto missing = [](std::string message) {
        return access::Problem{"LockdownRemoval", std::move(message)};
    };
    const auto found = accounts_.find(entry.account);
    if (found == accounts_.end()) {
        if (!services_.store.account(entry.account)) return std::nullopt;  // nobody can remove it
        return missing(fmt::format("CloudAccount {} has not been looked at yet", entry.account));
    }
    Account& account = *found->second;
    if (account.rival()) return missing(account.rival()->message);
    if (!account.swept()) {
        return missing(
            fmt::format("the surfaces of CloudAccount {} have not been read yet", entry.account));
    }
    for (const NsgId& nsg : entry.claimed) {
        const Lane* lane = account.find_lane(nsg);
        if (!lane) return missing(fmt::format("{} has not been read yet", nsg.name()));
        if (lane->vanished()) continue;
        const std::vector<nsg::PolicyVerdict>& verdicts = lane->last_plan().policies;
        const auto mine = std::ranges::find(verdicts, uid, &nsg::PolicyVerdict::uid);
        const bool gone = mine != verdicts.end() && mine->removed && !lane->unsettled(uid) &&
                          lane->observed() &&
                          lane->observed()->read_sent >= lane->last_write_ended(uid);
        if (gone) continue;
        const Mode mode = account.account().mode;
        return missing(fmt::format(
            "the lockdown is being removed from {} (onDelete: Remove){}", nsg.name(),
            mode == Mode::enforce ? ""
                                  : "; that opens ports, which the account's spec.mode does "
                                    "not let happen"));
    }
    return std::nullopt;
}

/// What rules of ours may let in: what its open grants want that have not ended, and its
/// exceptions.
path::Accepted Engine::accepted_of(const std::string& uid, const PolicyEntry& entry,
                                   Account& account) const {
    const Timestamp now = services_.clock.now();
    path::Accepted accepted;
    for (const auto& [nsg, lane] : account.lanes()) {
        for (const auto& [grant, claim] : lane->grant_claims()) {
            const bool owed = entry.active_grants.contains(grant) && now < claim.end;
            if (owed) accepted[nsg][grant] = claim.wanted;
        }
        const auto mine = lane->policy_claims().find(uid);
        if (mine != lane->policy_claims().end()) accepted[nsg][uid] = mine->second.exceptions;
    }
    return accepted;
}

/// Why the lockdown is not in place everywhere; nullopt: it is. A policy is not Ready before.
std::optional<access::Problem> Engine::lockdown_missing(const std::string& uid, PolicyEntry& entry,
                                                        Account& account) {
    std::optional<access::Problem> missing;
    std::string cuts;  // on all groups: who confirms has to see the whole
    for (const NsgId& nsg : entry.claimed) {
        const std::vector<nsg::PolicyVerdict>& verdicts = account.lane(nsg).last_plan().policies;
        const auto mine = std::ranges::find(verdicts, uid, &nsg::PolicyVerdict::uid);
        if (mine != verdicts.end() && mine->unconfirmed) {
            cuts += fmt::format("{}{} on {}", cuts.empty() ? "" : "; ", fmt::join(mine->cuts, ", "),
                                nsg.name());
            continue;
        }
        if (mine == verdicts.end() || !mine->in_place) {
            missing = access::Problem{
                "LockdownPending", fmt::format("the lockdown is being written on {}", nsg.name())};
        } else {
            const Lane& lane = account.lane(nsg);
            const nsg::PolicyClaim& claim = lane.policy_claims().at(uid);
            if (lane.has_planned(uid)) entry.seen_in_place[nsg] = {claim.denies, claim.exceptions};
        }
    }
    if (!cuts.empty()) {
        return access::Problem{"LockdownUnconfirmed",
                               fmt::format("the lockdown would cut {}; look at them, then set "
                                           "spec.network.lockdown.confirmed: true",
                                           cuts)};
    }
    return missing;
}

/// Nothing can be said yet that an earlier look, or process, has not said better: what is about to
/// be known makes this look again.
bool Engine::is_unsettled(const std::string& uid, Account* account) const {
    const PolicyEntry& entry = policies_.at(uid);
    if (!account) return services_.store.account(entry.account) != nullptr;
    if (is_settling(entry.account, *account)) return true;
    return std::ranges::any_of(entry.claimed, [&](const NsgId& nsg) {
        const Lane* lane = account->find_lane(nsg);
        return lane && !lane->has_planned(uid);
    });
}

PolicyStatus Engine::describe(const std::string& uid, const PolicyEntry& entry,
                              const JitPolicy& policy, Account* account,
                              const std::vector<access::Problem>& preflight) {
    PolicyStatus status{
        .observed_generation = policy.meta.generation,
        .targets = entry.standing ? static_cast<int>(entry.standing->targets.size()) : 0,
        .open_grants = static_cast<int>(entry.active_grants.size())};
    const auto condition = [&](std::string type, Truth truth, std::string reason,
                               std::string message) {
        add_condition(status, std::move(type), truth, {std::move(reason), std::move(message)});
    };
    const auto rest = [&](std::string_view phase, const access::Problem& problem, bool stalled) {
        status.phase = phase;
        status.message = problem.message;
        condition("Ready", stalled ? Truth::no : Truth::unknown, problem.reason, problem.message);
        condition(stalled ? "Stalled" : "Reconciling", Truth::yes, problem.reason, problem.message);
    };
    const auto unread = services_.store.undecodable({Kind::account, {"", policy.account}});
    if (unread) {
        // It is there, and nothing opens through it: no account to look for, and not Ready.
        rest("NotReady",
             {"AccountInvalid", fmt::format("CloudAccount {} of spec.accountRef cannot be read: {}",
                                            policy.account, unread->message)},
             true);
        return status;
    }
    if (!account || !entry.standing) {
        rest("Pending",
             {"AccountNotFound",
              fmt::format("CloudAccount {} of spec.accountRef is not there; create it, or "
                          "name another",
                          policy.account)},
             !account && services_.clock.now() - policy.meta.created > 2min);
        return status;
    }
    if (!entry.standing->problems.empty()) {
        rest("Stalled", {entry.standing->problems.front().reason, joined(entry.standing->problems)},
             true);
        return status;
    }
    if (is_going(policy, entry.active_grants)) {
        if (const auto missing = removal_missing(uid, entry)) rest("Pending", *missing, false);
    } else if (entry.standing->not_ready) {
        const std::string& reason = entry.standing->not_ready->reason;
        const bool person = reason == "LockdownUnconfirmed" || reason == "NoNsgNoFirewall";
        rest(person ? "NotReady" : "Pending", *entry.standing->not_ready, person);
    } else {
        status.phase = "Ready";
        condition("Ready", Truth::yes, "Ready", "grants may use this policy");
    }
    if (!preflight.empty())
        condition("Preflight", Truth::no, preflight.front().reason, joined(preflight));

    judge_ports(uid, entry, policy, *account, status);
    return status;
}

/// Adds what the proof says of the policy's ports: the findings, and whether they are closed.
void Engine::judge_ports(const std::string& uid, const PolicyEntry& entry, const JitPolicy& policy,
                         Account& account, PolicyStatus& status) {
    const path::Accepted accepted = accepted_of(uid, entry, account);
    const std::vector<VmId> machines = machines_of(*entry.standing);
    const path::PolicyQuestion question{.machines = machines,
                                        .ports = policy.network.ports,
                                        .lockdown = policy.network.lockdown,
                                        .accepted = accepted};
    // Nothing is claimed of machines that are not known, nor before every grant has told the lanes
    // what it is owed.
    bool known = !machines.empty() && account.swept() && grants_complete(entry.account);
    bool closed = known;
    for (const path::PortVerdict& verdict :
         path::judge(question, account.topology(), account.observations(), settings_.owner)) {
        closed = closed && verdict.state == path::PortState::closed;
        known = known && verdict.state != path::PortState::unknown;
        if (verdict.state == path::PortState::closed || !grants_complete(entry.account)) continue;
        status.findings.push_back(verdict.sentence);
    }
    // Also where it asks for nothing any more: what it left behind there is told.
    for (const auto& [nsg, lane] : account.lanes()) {
        for (const nsg::Finding& finding : lane->last_plan().findings) {
            if (finding.uid != uid) continue;
            const bool says_all =
                finding.rule.empty() || finding.message.starts_with(finding.reason);
            status.findings.push_back(says_all ? finding.message : sentence_of(finding, nsg));
        }
    }
    for (const access::Problem& problem : entry.standing->findings)
        status.findings.push_back(problem.message);
    constexpr std::size_t findings_max = 64;
    if (status.findings.size() > findings_max) status.findings.resize(findings_max);
    const std::string first = status.findings.empty() ? "" : status.findings.front();
    add_condition(status, "Closed",
                  closed  ? Truth::yes
                  : known ? Truth::no
                          : Truth::unknown,
                  {closed  ? "Closed"
                   : known ? "Shadowed"
                           : "Unknown",
                   closed ? "nothing but this policy's grants and exceptions reaches its ports, as "
                            "far as network security groups decide (AdminRulesNotRead: security "
                            "admin rules of a Virtual Network Manager stand above them)"
                   : known ? first
                           : "not every rule on the way to this policy's machines has been read"});
    if (status.message.empty() && !closed) status.message = first;
}

/// Hold and release. Gives what stood in the way, for a retry.
Task<Result<void>> Engine::settle_policy(std::string uid, JitPolicy policy) {
    const ObjectRef ref{Kind::policy, policy.meta.key};
    PolicyEntry& entry = policies_[uid];
    const bool ready =
        entry.standing && entry.standing->problems.empty() && !entry.standing->not_ready;
    if (ready && !policy.meta.held() && !policy.meta.deleted) {
        co_return co_await services_.store.set_hold(ref, uid, true);
    }
    if (!is_going(policy, entry.active_grants) || !policy.meta.held()) co_return Result<void>();
    Account* account = find_account(entry.account);
    if (takes_lockdown_along(policy, entry.active_grants)) {
        if (removal_missing(uid, entry)) co_return Result<void>();
    } else {
        for (const NsgId& nsg : entry.claimed) {
            Lane* lane = account ? account->find_lane(nsg) : nullptr;
            if (lane && (lane->unsettled(uid) || !lane->observed())) co_return Result<void>();
        }
    }
    for (const NsgId& nsg : std::exchange(policies_[uid].claimed, {})) {
        if (Lane* lane = account ? account->find_lane(nsg) : nullptr) lane->withdraw_policy(uid);
    }
    co_return co_await services_.store.set_hold(ref, uid, false);
}

/// A policy that is gone ends its grants; its lockdown stays.
void Engine::forget_policy(const std::string& uid) {
    const auto found = policies_.find(uid);
    const ObjectKey key = found->second.key;
    told(untold_policies_, found->second.account, uid);
    nudge_grants_of(key, uid);
    // Not of its last account alone: it may have named another before.
    for (const auto& [name, account] : accounts_) {
        for (const auto& [nsg, lane] : account->lanes()) lane->withdraw_policy(uid);
        account_queue_.add(name);  // which tells what it has left behind
    }
    if (policy_uids_[key] == uid) policy_uids_.erase(key);
    account_queue_.add(found->second.account);  // whose coverage is less now
    policies_.erase(found);
}

/// It is not absent: what it was goes on, and it is told what is wrong.
Task<std::optional<milliseconds>> Engine::tell_unread_policy(ObjectKey key, Undecodable unread) {
    PolicyStatus status{.observed_generation = unread.generation,
                        .conditions = stalled_unread(unread),
                        .phase = "Stalled",
                        .message = unread.message};
    const Result<void> told =
        co_await services_.store.publish_policy(key, unread.uid, std::move(status));
    co_return again_if_untold(told);
}

Task<std::optional<milliseconds>> Engine::look_at_policy(std::string uid) {
    const auto found = policies_.find(uid);
    if (found == policies_.end()) co_return std::nullopt;
    const ObjectKey key = found->second.key;
    const JitPolicy* stored = services_.store.policy(key);
    if (const auto unread = services_.store.undecodable({Kind::policy, key});
        unread && unread->uid == uid) {
        co_return co_await tell_unread_policy(key, *unread);
    }
    if (!stored || stored->meta.uid != uid) {
        forget_policy(uid);
        co_return std::nullopt;
    }
    const JitPolicy policy = *stored;
    if (found->second.generation < 0)
        found->second.told_generation = services_.store.told_generation({Kind::policy, key}, uid);
    found->second.account = policy.account;
    found->second.looked = services_.clock.steady_now();
    Account* account = find_account(policy.account);
    const Known<access::PolicyStanding> before = std::exchange(found->second.standing, {});
    std::vector<access::Problem> preflight;
    bool unsettled = is_unsettled(uid, account);
    if (account) {
        judge_standing(uid, found->second, policy, *account);
        unsettled = is_unsettled(uid, account);
        std::set<std::string> groups;
        for (const NsgId& nsg : found->second.claimed) groups.emplace(nsg.id().resource_group());
        for (const std::string& group : groups) {
            const ArmScope scope{account->account().azure.subscription_id, group};
            std::vector<access::Problem> some = co_await account->preflight(scope);
            preflight.insert(preflight.end(), some.begin(), some.end());
        }
    }
    PolicyEntry& entry = policies_[uid];
    const bool changed = !(before == entry.standing) ||
                         entry.generation != policy.meta.generation ||
                         entry.deleting != policy.meta.deleted.has_value();
    entry.generation = policy.meta.generation;
    entry.deleting = policy.meta.deleted.has_value();
    if (changed) nudge_grants_of(key, uid);
    if (targets_of(before) != targets_of(entry.standing)) account_queue_.add(policy.account);

    Result<void> settled = co_await settle_policy(uid, policy);
    Result<void> published;
    const bool stays = !is_going(policy, policies_[uid].active_grants) ||
                       (takes_lockdown_along(policy, policies_[uid].active_grants) &&
                        policy.meta.held() && removal_missing(uid, policies_[uid]));
    if (stays && !unsettled) {
        PolicyStatus status = describe(uid, policies_[uid], policy, account, preflight);
        published = co_await services_.store.publish_policy(key, uid, std::move(status));
        if (!published && published.error().kind == ErrorKind::not_found) published = {};
    }
    if (!settled || !published) {
        const Error& error = settled ? published.error() : settled.error();
        services_.metrics.increment("sallyport_looks_total", {"policy", to_text(error.kind)});
        co_return next_attempt(reaction_to(error, policies_[uid].failures++, Urgency::other),
                               services_.random.fraction());
    }
    policies_[uid].failures = 0;
    services_.metrics.increment("sallyport_looks_total", {"policy", "succeeded"});
    const bool waiting = !account && services_.clock.now() - policy.meta.created < 3min;
    if (waiting || unsettled) co_return 30s;
    co_return std::nullopt;
}

}  // namespace sallyport::engine
