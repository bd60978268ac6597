#include "plan/life/claims.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "base/check.hpp"
#include "base/mutant.hpp"
#include "base/text.hpp"

namespace sallyport::life {
namespace {

using access::Problem;

/// Nothing opens on what is unknown (promise 13); rules that are there stay until their end.
std::optional<Problem> unknown_parts(const View& view) {
    if (!view.grant_known || !view.asked.grant) {
        return Problem{"GrantUnknown", "the grant object cannot be read now"};
    }
    if (!view.asked.policy || !*view.asked.policy) {
        return Problem{"PolicyUnknown", "the policy cannot be read now"};
    }
    if (!view.asked.account || !*view.asked.account) {
        return Problem{"AccountUnknown", "the account cannot be read now"};
    }
    return std::nullopt;
}

std::optional<Problem> foreign_deny(const View& view) {
    const JitPolicy& policy = **view.asked.policy;
    // It stops an opening; what is open already is judged by what gets through.
    if (policy.network.override_foreign_deny || view.record->opened_at) return std::nullopt;
    if (view.proof.foreign_denies.empty()) return std::nullopt;
    return Problem{
        "ForeignDeny",
        fmt::format("ForeignDeny({}): a deny rule of somebody else stands in the way, and policy "
                    "{} respects it (spec.network.foreignDeny)",
                    join(view.proof.foreign_denies, ", "), policy.meta.key)};
}

std::optional<Problem> not_writing(const View& view) {
    switch ((*view.asked.account)->mode) {
        case Mode::enforce: return std::nullopt;
        case Mode::observe:
            return Problem{
                "AccountObserves",
                fmt::format("account {} only plans (spec.mode: Observe)", view.record->account)};
        case Mode::paused:
            return Problem{
                "AccountPaused",
                fmt::format("account {} only closes (spec.mode: Paused)", view.record->account)};
    }
    throw Bug("a mode out of range");
}

std::optional<Problem> no_way(const Result<path::WantedByNsg>& rules) {
    if (!rules) {
        const Error& error = rules.error();
        return Problem{error.reason.empty() ? "TopologyUnknown" : error.reason, error.message};
    }
    if (!rules->empty()) return std::nullopt;
    return Problem{"NoWay",
                   "no source can reach any target: they have no address family in common"};
}

Result<path::WantedByNsg> wanted_rules(const View& view) {
    if (!view.asked.topology || !*view.asked.topology) {
        return unavailable("the networks of the account have not been read yet");
    }
    return path::wanted_rules(view.record->request, **view.asked.topology);
}

nsg::GrantClaim blank_claim(const AccessRecord& record, const NsgId& nsg) {
    nsg::GrantClaim claim;
    claim.uid = record.grant_uid;
    claim.name = record.grant;
    claim.end = end_of(record);
    claim.latest_end = record.latest_end;
    claim.seq = record.journal_seq;
    std::ranges::copy_if(record.rules, std::back_inserter(claim.recorded),
                         [&](const RecordedRule& rule) { return rule.nsg == nsg; });
    return claim;
}

}  // namespace

Wanted wanted(const View& view) {
    Wanted result{.rules = wanted_rules(view)};
    result.obstacle = unknown_parts(view);
    if (!result.obstacle) result.obstacle = view.asked.nothing_opens;
    if (!result.obstacle) result.obstacle = no_way(result.rules);
    if (!result.obstacle) result.obstacle = foreign_deny(view);
    result.may_open = !result.obstacle;
    // A machine that moved to where no group is has left an address behind, which others may get.
    if (!result.rules && result.rules.error().kind == ErrorKind::invalid)
        result.rules = path::guarded_rules(view.record->request, **view.asked.topology);
    if (planted("half-done-stays") && !view.followed && !view.record->opened_at)
        result.may_open = false;
    if (!result.obstacle) result.obstacle = not_writing(view);
    return result;
}

std::map<NsgId, nsg::GrantClaim> claims_of(const View& view, const Wanted& wanted,
                                           const std::optional<Ending>& over) {
    const AccessRecord& record = *view.record;
    std::set<NsgId> nsgs;
    for (const RecordedRule& rule : record.rules) nsgs.insert(rule.nsg);
    for (const LaneReport& lane : view.lanes) nsgs.insert(lane.nsg);
    if (wanted.rules) {
        for (const auto& [nsg, rules] : *wanted.rules) nsgs.insert(nsg);
    }
    std::map<NsgId, nsg::GrantClaim> claims;
    for (const NsgId& nsg : nsgs) {
        nsg::GrantClaim claim = blank_claim(record, nsg);
        if (over) {
            claim.end = std::min(claim.end, over->at);
            claim.closing_reason = over->reason;
        } else {
            claim.end = end_now(view);
            claim.wanted_known = wanted.rules.has_value();
            claim.may_open = wanted.may_open;
            if (wanted.rules) {
                if (const auto rules = wanted.rules->find(nsg); rules != wanted.rules->end()) {
                    claim.wanted = rules->second;
                }
            }
        }
        claims.emplace(nsg, std::move(claim));
    }
    return claims;
}

}  // namespace sallyport::life
