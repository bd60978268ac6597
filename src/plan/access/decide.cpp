#include "plan/access/decide.hpp"

#include <fmt/format.h>

#include <array>

#include "base/check.hpp"
#include "base/mutant.hpp"
#include "plan/access/checks.hpp"
#include "plan/access/limits.hpp"
#include "plan/access/request.hpp"

namespace sallyport::access {
namespace {

// The order is that of the messages a user sees.
constexpr std::array chain = {
    check_policy,    check_account,       check_ceiling,     check_identity,
    check_requester, check_justification, check_sources,     check_ports,
    check_targets,   check_duration,      check_unsupported, check_limits,
};

std::string joined_groups(const JitPolicy& policy) {
    return policy.approver_groups.empty() ? "nobody" : list_text(policy.approver_groups);
}

/// What no policy could change: it rests, and is told before any refusal. A grant that Git applies
/// again after its time must not look broken because its policy has changed meanwhile.
std::optional<Problem> ended(const Case& c) {
    const AccessGrant& grant = c.grant;
    if (c.view.record && *c.view.record && !planted("used-again")) {
        const AccessRecord& used = **c.view.record;
        check(used.grant_uid != grant.meta.uid,
              "a grant with a record of its own is not decided again");
        return Problem{
            "AlreadyUsed",
            fmt::format("a grant of this name{} was decided on {} and opens only once; create "
                        "one of another name, or with another spec.requestId",
                        grant.request_id.empty() ? "" : " and requestId " + grant.request_id,
                        format_rfc3339(used.decided_at))};
    }
    if (grant.revoked) {
        return Problem{"Revoked", "spec.revoked is true: it was revoked before it opened"};
    }
    if (grant.not_after && *grant.not_after <= c.now) {
        return Problem{"Expired", fmt::format("spec.notAfter {} has passed; nothing was opened",
                                              format_rfc3339(*grant.not_after))};
    }
    return std::nullopt;
}

std::optional<Waiting> wait_for_policy(const Case& c) {
    if (!c.view.policy) {
        return Waiting{"PolicyUnknown",
                       fmt::format("JitPolicy {} has not been read yet", c.grant.policy)};
    }
    if (c.policy) return std::nullopt;
    return Waiting{"PolicyNotFound",
                   fmt::format("spec.policyRef.name: there is no JitPolicy {} in namespace {} yet",
                               c.grant.policy, c.grant.meta.key.ns),
                   c.grant.meta.created + arrival_allowance};
}

std::optional<Waiting> wait_for_account(const Case& c) {
    if (!c.view.account) {
        return Waiting{"AccountUnknown",
                       fmt::format("CloudAccount {} has not been read yet", c.policy->account)};
    }
    if (c.account) return std::nullopt;
    return Waiting{"AccountNotFound",
                   fmt::format("there is no CloudAccount {} yet, which {} names", c.policy->account,
                               subject(*c.policy)),
                   c.grant.meta.created + arrival_allowance};
}

std::optional<Waiting> wait_for_record(const Case& c) {
    if (c.view.record) return std::nullopt;
    return Waiting{"RecordUnknown", "whether this grant was used before is not known yet"};
}

std::optional<Waiting> wait_for_approval(const Case& c) {
    if (c.policy->approval == ApprovalMode::automatic) return std::nullopt;
    const Timestamp until = c.grant.meta.created + c.policy->approval_expires_after;
    return Waiting{
        "AwaitingApproval",
        fmt::format("awaits {} approval(s) by {}, as {} asks (spec.approval); this version "
                    "cannot receive approvals yet, and without them the request ends at {}",
                    std::max(1, c.policy->approvals_required), joined_groups(*c.policy),
                    subject(*c.policy), format_rfc3339(until)),
        until, true};
}

std::optional<Waiting> wait_for_readiness(const Case& c) {
    if (!c.standing) {
        return Waiting{"PolicyNotReady",
                       fmt::format("{} has not been judged yet", subject(*c.policy))};
    }
    if (!c.standing->not_ready) return std::nullopt;
    return Waiting{"PolicyNotReady",
                   fmt::format("{} is not ready: {}: {}", subject(*c.policy),
                               c.standing->not_ready->reason, c.standing->not_ready->message)};
}

std::optional<Waiting> wait_for_limits(const Case& c) {
    if (!c.policy->max_active_per_requester || c.view.active_of_requester) return std::nullopt;
    return Waiting{"LimitsUnknown", "how many grants of this requester are open is not known yet"};
}

std::optional<Waiting> wait_for_start(const Case& c) {
    if (!c.grant.not_before || *c.grant.not_before <= c.now) return std::nullopt;
    return Waiting{
        "Scheduled",
        fmt::format("opens at {}, as spec.notBefore says", format_rfc3339(*c.grant.not_before)),
        *c.grant.not_before, true};
}

std::optional<Waiting> wait_for_mode(const Case& c) {
    switch (c.account->mode) {
        case Mode::enforce: return std::nullopt;
        case Mode::observe:
            return Waiting{"AccountObserves",
                           fmt::format("{} only plans (spec.mode: Observe), so nothing "
                                       "opens through it",
                                       subject(*c.account))};
        case Mode::paused:
            return Waiting{"AccountPaused",
                           fmt::format("{} only closes (spec.mode: Paused), so nothing "
                                       "opens through it",
                                       subject(*c.account))};
    }
    throw Bug("a mode out of range");
}

std::optional<Waiting> wait_for_safety(const Case& c) {
    if (!c.view.nothing_opens) return std::nullopt;
    return Waiting{c.view.nothing_opens->reason, c.view.nothing_opens->message};
}

// Each may rely on those before it: policy and account are there from the third on.
constexpr std::array waits = {
    wait_for_policy,    wait_for_account, wait_for_record, wait_for_approval, wait_for_start,
    wait_for_readiness, wait_for_limits,  wait_for_mode,   wait_for_safety,
};

Case case_of(const GrantView& view, Timestamp now) {
    check(view.grant != nullptr, "a decision is about a grant");
    const auto usable = [](const auto& known) {
        return known && *known && !(*known)->meta.deleted ? *known : nullptr;
    };
    return {*view.grant,
            view,
            usable(view.policy),
            usable(view.account),
            view.standing ? &*view.standing : nullptr,
            now};
}

Authorised authorised(const Case& c) {
    Authorised yes{.request = resolve(c.grant, *c.policy, c.standing->targets),
                   .requester = *c.grant.stamp,
                   .duration = asked_duration(c.grant, *c.policy)};
    if (c.grant.not_after) yes.duration = *c.grant.not_after - c.now;
    return yes;
}

}  // namespace

Decision decide(const GrantView& view, Timestamp now) {
    const Case c = case_of(view, now);
    if (auto over = ended(c)) return Refused{{*std::move(over)}, true};

    Problems problems;
    for (const auto& each : chain) each(c, problems);
    if (!problems.empty()) return Refused{std::move(problems)};

    for (const auto& wait : waits) {
        std::optional<Waiting> waiting = wait(c);
        if (!waiting) continue;
        // Nobody decided in time: that is an end, and not something to wait for.
        if (waiting->reason == "AwaitingApproval" && now >= *waiting->until) {
            return Refused{
                {{"ApprovalTimedOut",
                  fmt::format("nobody approved it until {}, {} after it was created, as {} asks "
                              "(spec.approval.expiresAfter); create a new grant",
                              format_rfc3339(*waiting->until),
                              format_duration(c.policy->approval_expires_after),
                              subject(*c.policy))}},
                true};
        }
        return *std::move(waiting);
    }
    return authorised(c);
}

}  // namespace sallyport::access
