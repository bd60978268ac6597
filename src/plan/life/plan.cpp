#include "plan/life/plan.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "base/check.hpp"
#include "base/mutant.hpp"
#include "base/text.hpp"
#include "plan/life/claims.hpp"
#include "plan/life/ends.hpp"
#include "plan/life/state.hpp"

namespace sallyport::life {
namespace {

void sooner(std::optional<Timestamp>& next, Timestamp time, Timestamp now) {
    if (time <= now) return;
    next = next ? std::min(*next, time) : time;
}

/// Publishes a state, where there is an object to publish to.
void publish(Plan& plan, const View& view, const State& state, Timestamp now) {
    if (!view.asked.grant) return;
    plan.status = status_of(view, state, now);
    plan.notes = notes_for(view.published, *plan.status, state);
}

/// What is not known yet after a start is no news to whom an earlier process told what it knew.
bool keeps_what_was_told(const View& view) {
    return view.settling && view.asked.grant &&
           view.published.observed_generation == view.asked.grant->meta.generation;
}

seconds retention(const View& view) {
    const auto& policy = view.asked.policy;
    return policy && *policy ? (*policy)->retain_ended : grant_retention_default;
}

/// An ended grant that nobody would apply again is deleted after a while.
void retire(Plan& plan, const View& view, Timestamp ended, Timestamp now) {
    if (view.asked.grant->meta.is_gitops_owned()) return;
    const Timestamp due = ended + retention(view);
    if (now >= due) {
        plan.steps.push_back(DeleteGrantObject());
    } else {
        sooner(plan.next, due, now);
    }
}

// ---- before there is a record

/// Deny rules of others that would stop it, as far as NSGs have been read.
std::optional<access::Decision> denied_on_the_way(const View& view, const access::Authorised& yes,
                                                  const Topology& topology) {
    if (!view.observed) return std::nullopt;
    const JitPolicy& policy = **view.asked.policy;
    const std::vector<RecordedRule> none;
    const path::GrantProof proof =
        path::judge({.request = yes.request,
                     .rules = none,
                     .uid = view.asked.grant->meta.uid,
                     .grants_from = (*view.asked.account)->bands.grants.from},
                    topology, *view.observed, view.owner);
    if (!proof.foreign_denies.empty() && !policy.network.override_foreign_deny) {
        return access::Refused{
            {{"ForeignDeny",
              fmt::format(
                  "ForeignDeny({}): a deny rule of somebody else stands in the way, and policy {} "
                  "respects it (spec.network.foreignDeny); have the rule changed, or the policy "
                  "say "
                  "Override",
                  join(proof.foreign_denies, ", "), policy.meta.key)}}};
    }
    if (proof.blocked_by.empty()) return std::nullopt;
    return access::Refused{
        {{"Blocked",
          fmt::format("Blocked by {}: that deny rule of somebody else has a smaller number than "
                      "any of the band of account {} (spec.priorities.grants), so nothing could "
                      "open behind it; have it changed",
                      join(proof.blocked_by, ", "), (*view.asked.account)->meta.key.name)}}};
}

/// What the request would need is looked at before the record is used up for it.
std::optional<access::Decision> look_ahead(const View& view, const access::Authorised& yes) {
    if (!view.asked.topology || !*view.asked.topology) {
        return access::Waiting{"TopologyUnknown",
                               "the networks of the account have not been read yet"};
    }
    const Topology& topology = **view.asked.topology;
    const auto rules = path::wanted_rules(yes.request, topology);
    if (!rules) {
        const Error& error = rules.error();
        return access::Waiting{error.reason.empty() ? "TargetsUnknown" : error.reason,
                               error.message};
    }
    if (rules->empty()) {
        return access::Refused{{{"SourceFamily",
                                 "spec.network.sources have no address family in common "
                                 "with the virtual machines asked for; name others"}}};
    }
    return denied_on_the_way(view, yes, topology);
}

void begin(Plan& plan, const View& view, const access::Authorised& yes, Timestamp now) {
    // Hold, record and opening follow each other within a second: their statuses are not worth a
    // write.
    if (view.asked.grant->meta.held()) {
        plan.steps.push_back(CreateRecord{record_of(yes, view.asked, view.owner, now)});
    } else {
        plan.steps.push_back(TakeHold());
    }
}

Plan plan_request(const View& view, Timestamp now) {
    Plan plan;
    const AccessGrant& grant = *view.asked.grant;
    if (grant.meta.deleted) {
        if (grant.meta.held())
            plan.steps.push_back(ReleaseHold());  // no record: nothing ever opened
        return plan;
    }
    access::Decision decision = access::decide(view.asked, now);
    if (const auto* yes = std::get_if<access::Authorised>(&decision)) {
        auto obstacle = look_ahead(view, *yes);
        if (!obstacle) {
            begin(plan, view, *yes, now);
            return plan;
        }
        decision = *std::move(obstacle);
    }
    if (const auto* waiting = std::get_if<access::Waiting>(&decision)) {
        if (!keeps_what_was_told(view)) publish(plan, view, state_of(*waiting), now);
        if (waiting->until) sooner(plan.next, *waiting->until, now);
    } else if (const auto* refused = std::get_if<access::Refused>(&decision)) {
        publish(plan, view, state_of(*refused), now);
        const Condition* ready = find_condition(view.published, "Ready");
        const bool published = ready && ready->reason == bare(refused->problems.front().reason);
        if (refused->ended && published) retire(plan, view, ready->changed, now);
    }
    if (grant.not_after) sooner(plan.next, *grant.not_after, now);
    return plan;
}

// ---- while access is owed

RecordChange rules_seen(const View& view) {
    RecordChange change;
    for (const LaneReport& lane : view.lanes) {
        if (!lane.verdict) continue;
        for (const auto& rule : lane.verdict->rules) {
            if (rule.name.empty()) continue;
            change.rules.push_back({.nsg = lane.nsg,
                                    .content = rule.content,
                                    .n = rule.n,
                                    .name = rule.name,
                                    .priority = rule.priority,
                                    .openings = 1,
                                    .proof = view.proof.sentence});
        }
    }
    return change;
}

/// Every rule that is wanted is there, as a settled read shows. Without it a port that happens to
/// stand open by foreign rules would pass for the grant's doing, and shut again under it.
bool is_in_place(const View& view, const std::map<NsgId, nsg::GrantClaim>& claims) {
    if (!view.lanes_settled || view.proof.no_nsg) return false;
    if (claims.empty()) return false;  // what it wants is not known yet
    if (planted("open-by-others")) return true;
    return std::ranges::all_of(claims, [&](const auto& claim) {
        const auto lane = std::ranges::find(view.lanes, claim.first, &LaneReport::nsg);
        if (!claim.second.wanted_known || lane == view.lanes.end() || !lane->verdict) return false;
        const auto& rules = lane->verdict->rules;
        return rules.size() == claim.second.wanted.size() &&
               std::ranges::all_of(
                   rules, [](const auto& rule) { return rule.state == nsg::RuleState::present; });
    });
}

/// An earlier process may have begun an opening and died before it could say so.
bool may_hide_a_write(const View& view) { return !view.record->opened_at && !view.followed; }

/// Lists that write, so that no later process has to assume it again. It must have been the first
/// rule of the grant, on some NSG of its ways, and begun by then.
RecordedRule hidden_write(const View& view, Timestamp begun) {
    const AccessRecord& record = *view.record;
    const NsgId& nsg = record.rules.empty() ? view.lanes.front().nsg : record.rules.front().nsg;
    return {.nsg = nsg,
            .name = RuleName::of(view.owner, record.grant_uid, 0).text(),
            .writes = {{.client_request_id = "not known: begun by an earlier process",
                        .effect = WriteEffect::opens,
                        .started = std::min(begun, last_start(record)),
                        .outcome = "Unknown"}}};
}

Plan plan_owed(const View& view, Timestamp now) {
    const AccessRecord& record = *view.record;
    const Wanted needs = wanted(view);
    const Timestamp end = end_now(view);
    Plan plan{.claims = claims_of(view, needs, std::nullopt), .end = end};
    sooner(plan.next, end, now);
    if (!record.opened_at) sooner(plan.next, opening_deadline(record), now);

    const bool proven = view.proof.open == Truth::yes || planted("trust-the-write");
    if (!record.opened_at && proven && is_in_place(view, plan.claims)) {
        RecordChange change = rules_seen(view);
        // That it is open says nothing of what an earlier process may have begun besides.
        if (may_hide_a_write(view) && !view.lanes.empty())
            change.rules.push_back(hidden_write(view, now));
        change.opening_at = record.decided_at;
        change.opened_at = now;
        change.end = std::min(end, end_when_open(record, now));
        plan.end = change.end;
        sooner(plan.next, *change.end, now);
        plan.steps.push_back(UpdateRecord{std::move(change), "grant.opened", view.proof.sentence});
        return plan;  // the status follows once the record says so
    }
    if (end < end_of(record)) {
        plan.steps.push_back(UpdateRecord{
            {.end = end}, "grant.shortened", fmt::format("ends at {}", format_rfc3339(end))});
    }
    if (!keeps_what_was_told(view)) publish(plan, view, state_while_owed(view, needs), now);
    return plan;
}

// ---- when it is over

/// Whether the read proves the closing, and what may still land can be written down.
bool is_proven_closed(const View& view, Timestamp now) {
    if (planted("skip-verifying-read")) return view.lanes_settled;
    if (!view.lanes_settled || view.proof.gone != Truth::yes) return false;
    const AccessRecord& record = *view.record;
    if (!may_hide_a_write(view) || !view.lanes.empty() || !record.rules.empty()) return true;
    return now >= last_start(record) + in_flight_limit;
}

/// Closed means: a read that was sent after the last write shows none of its rules.
UpdateRecord closing_of(const View& view, const Ending& over, Timestamp now) {
    const AccessRecord& record = *view.record;
    RecordChange change{
        .end = std::min(end_now(view), over.at), .closed_at = now, .end_reason = over.reason};
    for (RecordedRule rule : record.rules) {
        rule.proof = view.proof.sentence;
        change.rules.push_back(std::move(rule));
    }
    if (may_hide_a_write(view) && !(view.lanes.empty() && record.rules.empty()))
        change.rules.push_back(hidden_write(view, last_start(record)));
    return {std::move(change), "grant.closed",
            fmt::format("{}; {}", over.reason, view.proof.sentence)};
}

Plan plan_closing(const View& view, const Ending& over, Timestamp now) {
    const AccessRecord& record = *view.record;
    Plan plan{.claims = claims_of(view, wanted(view), over),
              .end = std::min(end_now(view), over.at),
              .closing = true};
    if (is_proven_closed(view, now)) {
        plan.closing = false;
        plan.steps.push_back(closing_of(view, over, now));
        return plan;  // the status follows once the record says so
    }
    if (planted("release-before-proof") && view.asked.grant && view.asked.grant->meta.deleted)
        plan.steps.push_back(ReleaseHold());
    if (may_hide_a_write(view)) sooner(plan.next, last_start(record) + in_flight_limit, now);
    if (!over.lasts && record.end_reason.empty()) {
        plan.steps.push_back(
            UpdateRecord{{.end = std::min(end_now(view), over.at), .end_reason = over.reason},
                         "grant.ended",
                         over.message});
    }
    if (const auto alarm = overdue_from(view, over)) sooner(plan.next, *alarm, now);
    publish(plan, view, state_while_closing(view, over, now), now);
    return plan;
}

// ---- when it is proven closed

/// The looks that are taken while something may still land; the newest one that is due.
struct Looks {
    std::optional<Timestamp> due = {};
    std::optional<Timestamp> next = {};
};
Looks looks_of(const AccessRecord& record, Timestamp in_flight, Timestamp now) {
    Looks looks;
    for (const Timestamp look :
         {*record.closed_at + second_look, *record.closed_at + third_look, in_flight}) {
        if (look > in_flight) continue;
        if (look > now) {
            looks.next = looks.next ? std::min(*looks.next, look) : look;
        } else {
            looks.due = looks.due ? std::max(*looks.due, look) : look;
        }
    }
    return looks;
}

bool has_settled(const View& view, const std::optional<Timestamp>& in_flight, Timestamp now) {
    if (!view.lanes_settled) return false;
    if (!in_flight || *in_flight <= *view.record->closed_at) return true;
    return now >= *in_flight && view.proof.gone == Truth::yes && view.proof_read &&
           *view.proof_read >= *in_flight;
}

void let_go(Plan& plan, const View& view, Timestamp now) {
    const AccessRecord& record = *view.record;
    const AccessGrant* grant = view.asked.grant;
    if (grant && grant->meta.deleted) {
        if (grant->meta.held()) plan.steps.push_back(ReleaseHold());
    } else if (grant) {
        retire(plan, view, *record.closed_at, now);
    } else if (view.grant_known && record.request.not_after) {
        // A grant of that name and end is born Expired from here on. Without an absolute end the
        // record is the only thing that knows it was used, and stays until tombstones exist.
        const Timestamp due = *record.request.not_after + record_retention;
        if (now >= due) {
            plan.steps.push_back(DropRecord());
        } else {
            sooner(plan.next, due, now);
        }
    }
}

Plan plan_closed(const View& view, const Ending& over, Timestamp now) {
    Plan plan;
    const AccessRecord& record = *view.record;
    const auto in_flight = in_flight_until(record, view.followed);
    const bool settled = has_settled(view, in_flight, now);
    if (!settled) {
        plan.claims = claims_of(view, wanted(view), over);
        if (in_flight) {
            const Looks looks = looks_of(record, *in_flight, now);
            if (looks.due && (!view.proof_read || *view.proof_read < *looks.due))
                plan.read_since = looks.due;
            plan.next = looks.next;
        }
    }
    if (!settled && view.proof.gone == Truth::no) {
        plan.closing = true;
        plan.end = over.at;
        if (const auto alarm = overdue_from(view, over)) sooner(plan.next, *alarm, now);
        publish(plan, view, state_while_closing(view, over, now), now);
        return plan;
    }
    const AccessGrant* grant = view.asked.grant;
    // An object that goes with the next write is told nothing more.
    if (!grant || !grant->meta.deleted || !settled)
        publish(plan, view, state_when_closed(view, over), now);
    if (settled) let_go(plan, view, now);
    return plan;
}

}  // namespace

Plan plan(const View& view, Timestamp now) {
    if (!view.record_known) return {.claims_known = false};
    if (!view.record) {
        if (view.grant_known && view.asked.grant) return plan_request(view, now);
        return {};
    }
    check(!view.asked.grant || view.asked.grant->meta.uid == view.record->grant_uid,
          "a record is planned with the grant it was made for");
    const std::optional<Ending> over = ending(view, now);
    if (!over) return plan_owed(view, now);
    return view.record->closed() ? plan_closed(view, *over, now) : plan_closing(view, *over, now);
}

}  // namespace sallyport::life
