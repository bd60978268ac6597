#include "plan/life/story.hpp"

#include <doctest/doctest.h>

#include <algorithm>

namespace sallyport::example {
namespace {

const NsgId& the_nsg() {
    static const NsgId id = nsg_id("nsg-web");
    return id;
}

}  // namespace

path::GrantProof Story::proof() const {
    path::GrantProof proof;
    proof.blocked_by = blocked_by;
    proof.foreign_denies = foreign_denies;
    proof.still_open_by = still_open_by;
    if (!readable) {
        proof.unread = {"nsg-web"};
        return proof;
    }
    const bool there = rules.contains(the_nsg());
    proof.open = there && blocked_by.empty() ? Truth::yes : Truth::no;
    proof.gone = rules.empty() ? Truth::yes : Truth::no;
    proof.sentence = "proven by the read of nsg-web at " + format_rfc3339(now);
    return proof;
}

std::vector<life::LaneReport> Story::lanes() const {
    std::vector<life::LaneReport> reports;
    for (const auto& [id, claim] : last.claims) {
        life::LaneReport report{.nsg = id, .closing_failing = closing_refused, .flushes = flushes};
        if (closing_refused)
            report.last_error = Error{ErrorKind::denied, "delete refused", "Locked(nsg-web)"};
        nsg::GrantVerdict verdict{.uid = claim.uid};
        if (!claim.wanted.empty()) {
            verdict.rules.push_back(
                {.content = nsg::content_key(claim.wanted.front()),
                 .name = "sp-k7f2m3qa-rule-0",
                 .priority = 200,
                 .state = rules.contains(id) ? nsg::RuleState::present : nsg::RuleState::missing});
        } else if (rules.contains(id)) {
            verdict.left = {"sp-k7f2m3qa-rule-0"};
        }
        report.verdict = verdict;
        reports.push_back(std::move(report));
    }
    return reports;
}

life::View Story::view() const {
    life::View view{.owner = owner()};
    view.asked = World::view();
    if (!policy_exists) view.asked.policy = Known<const JitPolicy*>(nullptr);
    const bool own = record && exists && record->grant_uid == grant.meta.uid;
    const bool alone = record && !exists;
    if (!exists) view.asked.grant = nullptr;
    view.asked.record = records_known ? Known<const AccessRecord*>(record ? &*record : nullptr)
                                      : Known<const AccessRecord*>();
    view.grant_known = grants_known;
    if (!grants_known) view.asked.grant = nullptr;
    view.record = own || alone || (record && !grants_known) ? &*record : nullptr;
    view.record_known = records_known;
    if (!records_known) view.record = nullptr;
    view.followed = followed;
    view.was_due = was_due;
    view.proof = proof();
    if (readable) view.proof_read = now;
    view.lanes = lanes();
    view.lanes_settled = lanes_settled;
    view.settling = settling;
    view.published = published;
    return view;
}

void Story::apply_claims() {
    if (!last.claims_known) return;
    for (const auto& [id, claim] : last.claims) {
        if (!writable) continue;
        const bool due = now >= claim.end || (claim.wanted_known && claim.wanted.empty());
        if (due) {
            if (!closing_refused) rules.erase(id);
        } else if (!claim.wanted.empty() && claim.may_open && account.mode == Mode::enforce) {
            if (rules.insert(id).second) ++opened;
        }
    }
}

bool Story::apply(const life::StoreStep& step) {
    if (!store_works) return false;
    ++store_writes;
    std::visit(
        overloaded{
            [&](const life::TakeHold&) { grant.meta.finalizers = {std::string(hold_finalizer)}; },
            [&](const life::CreateRecord& create) {
                record = create.record;
                followed = true;
                ++created;
                ++store_writes;  // the journal's head
            },
            [&](const life::UpdateRecord& update) { update.change.apply_to(*record); },
            [&](const life::ReleaseHold&) {
                grant.meta.finalizers.clear();
                if (grant.meta.deleted) exists = false;
            },
            [&](const life::DeleteGrantObject&) {
                grant.meta.deleted = now;
                if (!grant.meta.held()) exists = false;
            },
            [&](const life::DropRecord&) { record.reset(); },
        },
        step);
    return true;
}

const life::Plan& Story::round() {
    last = life::plan(view(), now);
    apply_claims();
    for (const life::StoreStep& step : last.steps) apply(step);
    if (last.status && store_works && *last.status != published) {
        published = *last.status;
        ++store_writes;
        notes.insert(notes.end(), last.notes.begin(), last.notes.end());
    }
    return last;
}

void Story::settle() {
    for (int rounds = 0; rounds < 12; ++rounds) {
        const auto record_before = record;
        const auto status_before = published;
        const auto rules_before = rules;
        const auto claims_before = last.claims;
        round();
        const bool quiet = record_before == record && status_before == published &&
                           rules_before == rules && claims_before == last.claims &&
                           (last.steps.empty() || !store_works);
        if (quiet) return;
    }
    FAIL("a grant's life does not come to rest: " << state());
}

Story opened() {
    Story story;
    story.settle();
    REQUIRE(story.state() == "Ready=True/Open Active=True");
    return story;
}

std::string text_of(const GrantStatus& status) {
    std::string text;
    for (const Condition& condition : status.conditions) {
        if (!text.empty()) text += ' ';
        text += fmt::format("{}={}", condition.type, to_text(condition.status));
        if (condition.type == "Ready" || condition.type == "Reconciling")
            text += "/" + condition.reason;
    }
    return text;
}

std::string Story::state() const { return text_of(published); }

}  // namespace sallyport::example
