#include "plan/life/ends.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "base/check.hpp"
#include "base/mutant.hpp"

namespace sallyport::life {
namespace {

/// The policy or account of the record, if it still is the same object; null: unknown, or gone.
template <class Object>
const Object* same(const Known<const Object*>& known, const std::string& uid) {
    return known && *known && (*known)->meta.uid == uid ? *known : nullptr;
}

template <class Object>
bool is_gone(const Known<const Object*>& known, const std::string& uid) {
    return known && (!*known || (*known)->meta.uid != uid || (*known)->meta.deleted);
}

std::optional<access::Continuation> continuation(const View& view) {
    const AccessRecord& record = *view.record;
    const JitPolicy* policy = same(view.asked.policy, record.policy_uid);
    const CloudAccount* account = same(view.asked.account, record.account_uid);
    if (!policy || !account) return std::nullopt;
    return access::still_allowed(record, *policy, *account, view.asked.topology);
}

std::optional<Ending> by_record(const View& view, Timestamp now) {
    const AccessRecord& record = *view.record;
    if (record.end_reason.empty()) return std::nullopt;
    const bool in_time = record.end_reason == "Expired";
    return Ending{std::min(end_of(record), now), record.end_reason,
                  in_time ? std::string("its time has passed")
                          : fmt::format("ended early: {}", record.end_reason)};
}

std::optional<Ending> by_grant(const View& view, Timestamp now) {
    if (!view.grant_known) return std::nullopt;
    const AccessGrant* grant = view.asked.grant;
    if (!grant && planted("deletion-unheard")) return std::nullopt;
    if (!grant) return Ending{now, "Deleted", "the grant object is gone", false};
    if (grant->meta.deleted) {
        return Ending{std::min(*grant->meta.deleted, now), "Deleted",
                      "it was deleted before its end"};
    }
    if (grant->revoked && !planted("revocation-unheard"))
        return Ending{now, "Revoked", "it was revoked (spec.revoked: true)", false};
    return std::nullopt;
}

Ending ended_in_time(const AccessRecord& record, Timestamp end) {
    if (record.opened_at) return {end, "Expired", "its time has passed"};
    return {end, "EndedBeforeOpen", "its time was over before it was proven open"};
}

std::optional<Ending> by_time(const View& view, Timestamp now) {
    const AccessRecord& record = *view.record;
    const Timestamp end = end_now(view);
    if (planted("greater-at-end") ? now > end : now >= end) return ended_in_time(record, end);
    if (record.opened_at || now < opening_deadline(record)) return std::nullopt;
    return Ending{
        opening_deadline(record), "OpeningTimedOut",
        fmt::format("it was not proven open within {} of its decision; a retry is a new grant",
                    format_duration(opening_allowance)),
        false};
}

std::optional<Ending> by_policy(const View& view, Timestamp now) {
    const AccessRecord& record = *view.record;
    if (is_gone(view.asked.policy, record.policy_uid) && !planted("policy-gone-unheard")) {
        return Ending{now, "PolicyDeleted", fmt::format("policy {} was deleted", record.policy),
                      false};
    }
    if (is_gone(view.asked.account, record.account_uid)) {
        return Ending{now, "AccountDeleted", fmt::format("account {} was deleted", record.account),
                      false};
    }
    const auto allowed = continuation(view);
    if (!allowed || !allowed->narrowed) return std::nullopt;
    return Ending{now, allowed->narrowed->reason, allowed->narrowed->message, false};
}

std::optional<Ending> by_target(const View& view, Timestamp now) {
    const auto& topology = view.asked.topology;
    if (!topology || !*topology || !(*topology)->machines) return std::nullopt;
    for (const ResolvedAccess& access : view.record->request.access) {
        const VirtualMachine* machine = (*topology)->machine(access.target.id);
        if (!machine) {
            return Ending{
                now, "TargetGone",
                fmt::format("virtual machine {} does not exist any more", access.target.id.name()),
                false};
        }
        if (!access.target.vm_id.empty() && machine->vm_id != access.target.vm_id) {
            return Ending{now, "TargetReplaced",
                          fmt::format("another virtual machine stands under the name {} now",
                                      access.target.id.name()),
                          false};
        }
    }
    return std::nullopt;
}

int reopenings_of(const JitPolicy* policy) {
    return policy && !policy->repair_open ? 0 : reopenings_max;
}

/// Somebody takes the opening away again and again. What moved with its machine was taken by
/// nobody.
std::optional<Ending> by_drift(const View& view, Timestamp now) {
    const AccessRecord& record = *view.record;
    if (!record.opened_at || view.proof.moved) return std::nullopt;
    const JitPolicy* policy = same(view.asked.policy, record.policy_uid);
    for (const LaneReport& lane : view.lanes) {
        if (!lane.verdict) continue;
        for (const auto& rule : lane.verdict->rules) {
            const bool taken =
                rule.state == nsg::RuleState::missing || rule.state == nsg::RuleState::differs;
            if (!taken || !is_exhausted(record, policy, lane.nsg, rule.name)) continue;
            const int allowed = reopenings_of(policy);
            // Who did it would be in the Activity Log, which this version does not read.
            return Ending{
                now, "RemovedBy(unknown)",
                fmt::format("rule {} on {} was changed or removed by somebody else{}", rule.name,
                            lane.nsg.name(),
                            allowed == 0 ? ", and the policy says drift.open: End"
                                         : fmt::format(" after it was put back {} times", allowed)),
                false};
        }
    }
    return std::nullopt;
}

}  // namespace

AccessRecord record_of(const access::Authorised& decision, const access::GrantView& asked,
                       const Owner& owner, Timestamp now) {
    const AccessGrant& grant = *asked.grant;
    const JitPolicy& policy = **asked.policy;
    const CloudAccount& account = **asked.account;
    AccessRecord record;
    record.meta.key = {std::string(operator_namespace),
                       record_name(owner, grant.meta.key, grant.request_id)};
    record.owner = owner.text();
    record.grant = grant.meta.key;
    record.grant_uid = grant.meta.uid;
    record.grant_generation = grant.meta.generation;
    record.request_id = grant.request_id;
    record.policy = policy.meta.key;
    record.policy_uid = policy.meta.uid;
    record.policy_generation = policy.meta.generation;
    record.account = account.meta.key.name;
    record.account_uid = account.meta.uid;
    record.account_generation = account.meta.generation;
    record.request = decision.request;
    record.request_digest = digest(decision.request);
    record.requester = decision.requester;
    record.identity_source = "stamp";
    record.approvals = {fmt::format("policy {} (approval.mode: Automatic)", policy.meta.key)};
    record.decided_at = grant.not_before ? std::max(now, *grant.not_before) : now;
    record.clock_starts = policy.clock_starts;
    record.latest_end = record.decided_at + decision.duration + opening_allowance;
    if (grant.not_after) record.latest_end = std::min(record.latest_end, *grant.not_after);
    return record;
}

Timestamp end_of(const AccessRecord& record) {
    Timestamp end = record.effective_end();
    if (record.request.not_after) end = std::min(end, *record.request.not_after);
    if (record.clock_starts == ClockStarts::when_approved && record.request.duration) {
        end = std::min(end, record.decided_at + *record.request.duration);
    }
    return end;
}

Timestamp end_when_open(const AccessRecord& record, Timestamp now) {
    Timestamp end = end_of(record);
    if (record.clock_starts == ClockStarts::when_open && record.request.duration) {
        end = std::min(end, now + *record.request.duration);
    }
    return end;
}

Timestamp opening_deadline(const AccessRecord& record) {
    return record.decided_at + opening_allowance;
}

Timestamp last_start(const AccessRecord& record) {
    return std::min(opening_deadline(record), end_of(record));
}

std::optional<Timestamp> in_flight_until(const AccessRecord& record, bool followed) {
    if (planted("in-flight-forgotten")) return std::nullopt;
    std::optional<Timestamp> until;
    const auto later = [&](Timestamp started) {
        until = std::max(until.value_or(started + in_flight_limit), started + in_flight_limit);
    };
    for (const RecordedRule& rule : record.rules) {
        for (const WriteRecord& write : rule.writes) {
            if (!write.ended) later(write.started);
        }
    }
    // Until it is open, the record itself is the intent: an earlier process may have begun an
    // opening at any time up to the last moment at which one could leave. Closing lists it as a
    // write.
    if (!record.opened_at && !record.closed_at && !followed) later(last_start(record));
    return until;
}

bool is_live(const AccessRecord& record) {
    if (!record.closed_at) return true;
    const auto until = in_flight_until(record, false);
    return until && *until > *record.closed_at;
}

void RecordChange::apply_to(AccessRecord& record) const {
    const auto once = [](std::optional<Timestamp>& stored, const std::optional<Timestamp>& given) {
        if (!stored) stored = given;
    };
    if (end) record.end = record.end ? std::min(*record.end, *end) : *end;
    once(record.opening_at, opening_at);
    once(record.opened_at, opened_at);
    once(record.closed_at, closed_at);
    if (record.end_reason.empty()) record.end_reason = end_reason;
    for (const RecordedRule& rule : rules) {
        const auto stored = std::ranges::find_if(record.rules, [&](const RecordedRule& other) {
            return other.nsg == rule.nsg && other.name == rule.name;
        });
        if (stored == record.rules.end()) {
            record.rules.push_back(rule);
            continue;
        }
        if (!rule.content.empty()) stored->content = rule.content;
        if (rule.priority) stored->priority = rule.priority;
        if (!rule.proof.empty()) stored->proof = rule.proof;
        for (const WriteRecord& write : rule.writes) {
            const bool listed = std::ranges::any_of(stored->writes, [&](const WriteRecord& other) {
                return other.client_request_id == write.client_request_id;
            });
            if (!listed) stored->writes.push_back(write);
        }
    }
}

Timestamp end_now(const View& view) {
    Timestamp end = end_of(*view.record);
    const AccessGrant* grant = view.asked.grant;
    if (grant && grant->not_after) end = std::min(end, *grant->not_after);
    if (const auto allowed = continuation(view); allowed && allowed->end_by) {
        end = std::min(end, *allowed->end_by);
    }
    return end;
}

/// An end that has come stays come when the clock is set back. What else ended it is the reason: it
/// may have come early, and not be written down yet.
std::optional<Ending> by_what_was_due(const View& view, Timestamp now) {
    if (!view.was_due || planted("clock-back-reopens")) return std::nullopt;
    return ended_in_time(*view.record, now);
}

std::optional<Ending> ending(const View& view, Timestamp now) {
    check(view.record != nullptr, "what has no record never began");
    for (const auto& look :
         {by_record, by_grant, by_time, by_policy, by_target, by_drift, by_what_was_due}) {
        if (auto over = look(view, now)) return over;
    }
    return std::nullopt;
}

bool is_under_repair(const RecordedRule& rule) {
    if (rule.repairs == 0) return false;
    const auto last = std::find_if(rule.writes.rbegin(), rule.writes.rend(), [](const auto& write) {
        return write.effect == WriteEffect::opens;
    });
    return last != rule.writes.rend() && last->outcome != "Succeeded";
}

bool is_exhausted(const AccessRecord& record, const JitPolicy* policy, const NsgId& nsg,
                  std::string_view rule) {
    // What was never seen open, nobody has taken away: it was refused, or never came about.
    if (!record.opened_at) return false;
    int repairs = 0;  // of a rule that was never put back
    for (const RecordedRule& recorded : record.rules) {
        if (recorded.nsg != nsg || recorded.name != rule) continue;
        if (is_under_repair(recorded)) return false;
        repairs = std::max(repairs, recorded.repairs);
    }
    return repairs >= reopenings_of(policy);
}

std::string bare(const std::string& reason) { return reason.substr(0, reason.find('(')); }

}  // namespace sallyport::life
