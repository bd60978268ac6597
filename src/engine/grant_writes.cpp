#include <fmt/format.h>

#include <algorithm>

#include "base/mutant.hpp"
#include "engine/engine.hpp"
#include "plan/life/ends.hpp"

// What a lane asks before it opens and tells after each write: live reads, intents, the journal.
namespace sallyport::engine {
namespace {

using namespace std::chrono_literals;

/// For the record, an API server that answers later is one that does not.
constexpr auto recorded_within = 5s;

/// What a live read of a grant has said is taken for true so long: no longer than a write takes
/// that follows it.
constexpr auto live_for = 2s;

/// Gone, replaced, deleted or revoked.
bool is_over(const AccessGrant* grant, const std::string& uid) {
    if (grant == nullptr || grant->meta.deleted || grant->revoked) return true;
    return grant->meta.uid != uid && !planted("name-for-uid");
}

/// That this write is about to leave.
Records::Change intent_of(NsgId nsg, nsg::Step step, std::string request_id, Timestamp now) {
    return [nsg = std::move(nsg), step = std::move(step), request_id = std::move(request_id),
            now](AccessRecord& r) {
        auto rule = std::ranges::find_if(r.rules, [&](const RecordedRule& each) {
            return each.nsg == nsg && each.content == step.content;
        });
        if (rule == r.rules.end()) {
            r.rules.push_back(
                {.nsg = nsg, .content = step.content, .n = step.n, .name = step.rule.name});
            rule = std::prev(r.rules.end());
        }
        const auto same = [&](const WriteRecord& w) { return w.client_request_id == request_id; };
        if (std::ranges::any_of(rule->writes, same)) return;
        rule->name = step.rule.name;
        rule->n = step.n;
        rule->priority = step.rule.priority;
        const bool opens = step.effect == WriteEffect::opens;
        if (opens) ++rule->openings;
        // Refused and tried again, it is the same putting back.
        if (opens && step.repair && r.opened_at && !life::is_under_repair(*rule)) ++rule->repairs;
        rule->writes.push_back(
            {.client_request_id = request_id, .effect = step.effect, .started = now});
        if (opens && !r.opening_at) r.opening_at = now;
    };
}

}  // namespace

/// That the grant of an opening is there, as it was: read now, from the API server itself.
Task<Result<void>> Engine::read_live(nsg::Step step) {
    const auto entry = grants_.find(step.uid);
    if (entry == grants_.end())
        co_return Error{ErrorKind::conflict, "the grant is not known any more"};
    const ObjectKey key = entry->second.key;
    if (planted("no-live-read") && services_.store.grant(key)) co_return Result<void>();
    Result<std::optional<AccessGrant>> live = co_await services_.store.read_grant(key);
    if (!live) co_return std::move(live).error().context("read the grant before its opening");
    if (is_over(*live ? &**live : nullptr, step.uid)) {
        grant_queue_.add(step.uid, KeyQueue::Priority::urgent);
        co_return Error{ErrorKind::conflict,
                        "the grant was deleted, replaced or revoked before its opening"};
    }
    co_return Result<void>();
}

bool Engine::heard_over(const std::string& uid) const {
    const Store& store = services_.store;
    const auto entry = grants_.find(uid);
    if (entry == grants_.end()) return true;
    const ObjectKey& key = entry->second.key;
    if (!store.synced(Kind::grant) || store.undecodable({Kind::grant, key})) return false;
    return is_over(store.grant(key), uid);
}

Task<Result<void>> Engine::before_opening(const std::string& account, NsgId nsg, nsg::Step step,
                                          std::string request_id) {
    // A repair is an opening too: what forbids every opening forbids it as well.
    const auto forbidden = [&]() -> Result<void> {
        std::optional<access::Problem> problem = nothing_opens(find_account(account));
        if (!problem) return {};
        return Error{ErrorKind::unavailable, std::move(problem->message),
                     std::move(problem->reason)};
    };
    if (Result<void> may = forbidden(); !may) co_return may;
    Account* const mine = find_account(account);
    if (!mine) co_return unavailable("the account is gone");
    Ledger& ledger = mine->ledger();
    LedgerEvent event{
        .record = {},
        .event = "rule.opening",
        .detail = fmt::format("nsg={} rule={} priority={} reason={} request={}", nsg,
                              step.rule.name, step.rule.priority, step.reason, request_id)};
    const SteadyTime began = services_.clock.steady_now();
    if (step.of == MarkKind::grant) {
        const auto entry = grants_.find(step.uid);
        if (entry == grants_.end())
            co_return Error{ErrorKind::conflict, "the grant is not known any more"};
        event.record = entry->second.record_name;
        Result<void> asked_for = co_await read_live(step);
        if (!asked_for) co_return asked_for;
        Records::Change intent = intent_of(nsg, step, request_id, services_.clock.now());
        const std::optional<AccessRecord> record = records_.find(event.record);
        if (step.repair && record &&
            life::is_exhausted(*record, services_.store.policy(record->policy), nsg,
                               step.rule.name)) {
            grant_queue_.add(step.uid, KeyQueue::Priority::urgent);
            co_return Error{ErrorKind::conflict, "it was put back as often as the policy allows"};
        }
        Result<void> recorded;
        if (planted("intent-not-recorded")) {
            recorded = {};
        } else if (record && !record->opened_at) {
            // The record itself is the intent of everything before the first proof.
            records_.defer(event.record, std::move(intent));
        } else {
            recorded = co_await records_.update(event.record, std::move(intent));
        }
        if (!recorded) co_return std::move(recorded).error().context("record the opening");
    }
    if (planted("audit-after-opening")) {
        ledger.note(std::move(event));
        co_return Result<void>();
    }
    Result<std::uint64_t> journaled = co_await ledger.commit(std::move(event));
    if (!journaled) co_return std::move(journaled).error().context("journal the opening");
    // Record and journal may have taken their time, and their answers said what time it is.
    if (Result<void> may = forbidden(); !may) co_return may;
    const bool old = services_.clock.steady_now() - began > live_for;
    if (old && step.of == MarkKind::grant) co_return co_await read_live(std::move(step));
    co_return Result<void>();
}

Task<Result<void>> Engine::before_rewriting(const std::string& account, NsgId nsg, nsg::Step step,
                                            std::string request_id) {
    const auto entry = grants_.find(step.uid);
    if (entry == grants_.end()) co_return unavailable("the grant is not known any more");
    const std::string record = entry->second.record_name;
    if (Account* mine = find_account(account)) {
        mine->ledger().note({.record = record,
                             .event = "rule.rewriting",
                             .detail = fmt::format("nsg={} rule={} reason={} request={}", nsg,
                                                   step.rule.name, step.reason, request_id)});
    }
    Records::Change intent =
        intent_of(std::move(nsg), std::move(step), std::move(request_id), services_.clock.now());
    co_return co_await records_.update_within(record, std::move(intent), recorded_within);
}

void Engine::write_ended(const std::string& account, const NsgId& nsg, const nsg::Step& step,
                         const WriteEnd& end) {
    const bool left = end.started != Timestamp{};
    const std::string outcome = !left        ? "NotSent"
                                : !end.ended ? "Unknown"
                                : end.error  ? "Failed"
                                             : "Succeeded";
    std::string record;
    if (const auto entry = grants_.find(step.uid); entry != grants_.end()) {
        record = entry->second.record_name;
        records_.defer(record, [nsg, step, end, outcome, left](AccessRecord& r) {
            for (RecordedRule& rule : r.rules) {
                if (rule.nsg != nsg || rule.name != step.rule.name) continue;
                auto write = std::ranges::find_if(rule.writes, [&](const WriteRecord& w) {
                    return w.client_request_id == end.request_id;
                });
                if (write == rule.writes.end()) {
                    if (!left) continue;  // neither meant nor done: there is nothing to tell
                    rule.writes.push_back({.client_request_id = end.request_id,
                                           .effect = step.effect,
                                           .started = end.started});
                    write = std::prev(rule.writes.end());
                }
                write->operation_url = end.operation_url;
                write->ended = end.ended;
                write->outcome = outcome;
            }
        });
    }
    const std::string_view what = step.kind == nsg::StepKind::remove ? "rule.removed"
                                  : step.kind == nsg::StepKind::put  ? "rule.written"
                                                                     : "rule.tombstoned";
    const std::string error = end.error ? end.error->message : std::string();
    if (Account* mine = find_account(account); mine && left) {
        mine->ledger().note(
            {.record = record,
             .event = std::string(what),
             .detail = fmt::format("nsg={} rule={} reason={} outcome={} request={}{}", nsg,
                                   step.rule.name, step.reason, outcome, end.request_id,
                                   error.empty() ? "" : " error=" + error)});
    }
    services_.log.write(end.error ? Level::warn : Level::info, what,
                        {{"nsg", nsg.text()},
                         {"rule", step.rule.name},
                         {"reason", step.reason},
                         {"detail", step.detail},
                         {"outcome", outcome},
                         {"error", error}});
}

}  // namespace sallyport::engine
