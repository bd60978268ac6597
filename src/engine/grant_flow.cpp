#include <fmt/format.h>

#include <algorithm>

#include "base/mutant.hpp"
#include "engine/engine.hpp"
#include "plan/life/ends.hpp"

// Key 1: the grant. Observe, decide, judge, plan; tell the deadlines and the lanes before any I/O;
// then the steps on the API server; the status last.
namespace sallyport::engine {
namespace {

using namespace std::chrono_literals;
using std::chrono::milliseconds;

/// Wall time comes in whole seconds: a read is known to have been sent at or after `since` only if
/// it is sent from here on. Asked for sooner, it would be asked for again and again.
Timestamp provable_at(Timestamp since) { return since + 1s; }

/// Whether a step's effect is known here at once; else the watch tells when it has come about.
bool observed_at_once(const life::StoreStep& step) {
    return std::holds_alternative<life::CreateRecord>(step) ||
           std::holds_alternative<life::UpdateRecord>(step);
}

}  // namespace

/// One grant's view, with what it points to.
struct Engine::Observed {
    explicit Observed(const Owner& owner) : view{.owner = owner} {}
    Observed(const Observed&) = delete;  // the view points into it
    Observed& operator=(const Observed&) = delete;

    life::View view;
    std::optional<AccessRecord> record;        ///< of this uid
    std::optional<AccessRecord> other_record;  ///< under the same name, another uid's
    Account* account = nullptr;
};

std::optional<access::Problem> Engine::nothing_opens(const Account* account) const {
    const auto offset = services_.store.clock_offset();
    if (!offset)
        return access::Problem{"ClockUnknown", "the API server's time has not been heard yet"};
    if (*offset > clock_difference_max || *offset < -clock_difference_max) {
        return access::Problem{"ClockOutOfStep",
                               fmt::format("this machine's clock and the API server's differ by "
                                           "{}, more than {}; nothing opens until "
                                           "they agree",
                                           format_duration(*offset < 0s ? -*offset : *offset),
                                           format_duration(clock_difference_max))};
    }
    if (!account) return std::nullopt;
    if (!account->problems().empty()) return account->problems().front();
    if (account->rival()) return account->rival();
    // The last good credential closes, and only that: what a new spec says is not known to work.
    if (!account->current()) {
        const auto& trouble = account->trouble();
        const bool told = trouble && !trouble->reason.empty();
        return access::Problem{told ? trouble->reason : "AccountNotReady",
                               trouble ? trouble->message
                                       : "the account's surfaces have not been read yet as its "
                                         "spec says now"};
    }
    if (const auto& blocked = account->ledger().blocked()) {
        return access::Problem{"LedgerBlocked", *blocked};
    }
    return std::nullopt;
}

void Engine::observe(const std::string& uid, GrantEntry& entry, Observed& out) {
    Store& store = services_.store;
    life::View& view = out.view;
    view.grant_known = store.synced(Kind::grant) && !store.undecodable({Kind::grant, entry.key});
    const AccessGrant* grant = store.grant(entry.key);
    if (grant && (grant->meta.uid == uid || planted("name-for-uid"))) view.asked.grant = grant;
    if (view.asked.grant && !std::exchange(entry.status_seen, true)) {
        if (auto told = store.grant_status(entry.key, uid)) {
            entry.published = *std::move(told);
            entry.published_version = grant->meta.resource_version;
        }
    }
    view.published = entry.published;

    std::optional<AccessRecord> record = records_.find(entry.record_name);
    view.record_known =
        store.synced(Kind::record) &&
        !store.undecodable({Kind::record, {std::string(operator_namespace), entry.record_name}});
    if (record && record->grant_uid == uid) {
        out.record = std::move(record);
        view.record = &*out.record;
        view.asked.record = view.record;
    } else if (view.record_known) {
        out.other_record = std::move(record);
        view.asked.record = out.other_record ? &*out.other_record : nullptr;
    }

    const ObjectKey policy_key = view.record ? view.record->policy
                                 : view.asked.grant
                                     ? ObjectKey{entry.key.ns, view.asked.grant->policy}
                                     : ObjectKey{};
    const JitPolicy* policy = nullptr;
    if (store.synced(Kind::policy) && !store.undecodable({Kind::policy, policy_key})) {
        policy = store.policy(policy_key);
        view.asked.policy = policy;
        if (policy) {
            const auto known = policies_.find(policy->meta.uid);
            if (known != policies_.end()) view.asked.standing = known->second.standing;
        }
    }
    const std::string account_name = view.record ? view.record->account
                                     : policy    ? policy->account
                                                 : "";
    if (store.synced(Kind::account) && !store.undecodable({Kind::account, {"", account_name}})) {
        view.asked.account = store.account(account_name);
    }
    if (!account_name.empty()) entry.account = account_name;
    if (policy)
        set_policy_uid(uid, entry, view.record ? view.record->policy_uid : policy->meta.uid);
    out.account = find_account(account_name);
    view.settling = out.account ? is_settling(account_name, *out.account)
                                : view.asked.account && *view.asked.account;
    view.asked.nothing_opens = nothing_opens(out.account);
    if (view.asked.grant && view.asked.grant->stamp && policy) {
        const auto same = active_.find({policy->meta.uid, view.asked.grant->stamp->user});
        view.asked.active_of_requester =
            same == active_.end() ? 0 : static_cast<int>(same->second.size());
    }
    if (!out.account) return;
    if (out.account->swept()) view.asked.topology = &out.account->topology();

    observe_surfaces(uid, entry, out);
}

/// What its NSGs say: reports, the proof, and how old the reads are that it stands on.
void Engine::observe_surfaces(const std::string& uid, const GrantEntry& entry, Observed& out) {
    life::View& view = out.view;
    view.followed = entry.followed;
    view.was_due = entry.was_due;
    std::set<NsgId> nsgs = entry.claimed;
    if (view.record) {
        for (const RecordedRule& rule : view.record->rules) nsgs.insert(rule.nsg);
    }
    std::map<NsgId, SteadyTime> not_before;
    std::optional<SteadyTime> oldest;
    bool all_read = true;
    for (const NsgId& nsg : nsgs) {
        Lane& lane = out.account->lane(nsg);
        not_before.emplace(
            nsg, planted("read-before-the-write") ? SteadyTime() : lane.last_write_ended(uid));
        view.lanes.push_back(lane.report(uid));
        view.settling = view.settling || !lane.has_planned(uid);
        view.lanes_settled = view.lanes_settled && !lane.unsettled(uid);
        all_read = all_read && lane.observed();
        if (lane.observed())
            oldest = std::min(oldest.value_or(SteadyTime::max()), lane.observed()->read_sent);
    }
    view.observed = &out.account->observations();
    if (oldest && all_read) {
        const auto age = std::chrono::ceil<seconds>(services_.clock.steady_now() - *oldest);
        view.proof_read = services_.clock.now() - age;
    }
    if (!view.record) return;
    const path::GrantQuestion question{.request = view.record->request,
                                       .rules = view.record->rules,
                                       .uid = uid,
                                       .not_before = std::move(not_before),
                                       .grants_from = out.account->account().bands.grants.from};
    view.proof = path::judge(question, out.account->topology(), out.account->observations(),
                             settings_.owner);
}

void Engine::set_end(const std::string& uid, const std::optional<Timestamp>& end) {
    if (end) {
        deadlines_.set(uid, *end);
    } else {
        deadlines_.clear(uid);
    }
}

void Engine::tell_lanes(const std::string& uid, GrantEntry& entry, Account* account,
                        life::Plan& plan) {
    if (!account || !plan.claims_known) return;
    const std::set<NsgId> before = std::exchange(entry.claimed, {});
    for (const NsgId& nsg : before) {
        Lane* lane = account->find_lane(nsg);
        if (lane && !plan.claims.contains(nsg)) lane->withdraw_grant(uid);
    }
    // Owed, and nothing is claimed: what it wants cannot be told before the networks are read, and
    // a rule of it that an earlier process wrote is not nobody's.
    const bool is_owed = plan.end && !plan.closing;
    bool all_told = !is_owed || !plan.claims.empty();
    for (auto& [nsg, claim] : plan.claims) {
        all_told = all_told && claim.wanted_known;
        entry.claimed.insert(nsg);
        Lane& lane = account->lane(nsg);
        const bool late = claim.end <= services_.clock.now() && !before.contains(nsg);
        lane.claim(std::move(claim));
        if (late) lane.close_due({uid});
        if (!plan.read_since || services_.clock.now() < provable_at(*plan.read_since)) continue;
        const SteadyTime since =
            services_.clock.steady_now() - (services_.clock.now() - *plan.read_since);
        if (!lane.observed() || lane.observed()->read_sent < since) lane.want_read(uid);
    }
    if (all_told) told(untold_grants_, entry.account, uid);
    // A rule that outlives its end leaves its policy's ports open, and no read changes to say so.
    if (plan.closing && policies_.contains(entry.policy_uid))
        policy_queue_.add_at(entry.policy_uid, services_.clock.steady_now() + 5s);
}

Task<std::optional<milliseconds>> Engine::look_at_grant(std::string uid) {
    const auto found = grants_.find(uid);
    if (found == grants_.end()) co_return co_await tell_unread_grant(uid);
    const Timestamp now = services_.clock.now();
    life::Plan plan;
    {
        Observed observed(settings_.owner);
        observe(uid, found->second, observed);
        plan = life::plan(observed.view, now);
        const AccessRecord* record = observed.view.record;
        if (plan.closing && record && life::end_of(*record) <= now) found->second.was_due = true;
        // What cannot be read is not over: its end stays where it was.
        if (plan.end || (observed.view.record_known && observed.view.grant_known)) {
            set_end(uid, plan.end);
        }
        tell_lanes(uid, found->second, observed.account, plan);
    }
    unlooked_.erase(uid);
    if (!first_look_done_ && unlooked_.empty()) first_look_done_ = true;

    if (plan.closing && !plan.steps.empty()) {
        // A record that cannot be written must not hide that something is closing, or fails to.
        Result<void> told = co_await publish(uid, plan);
        if (told) plan.status.reset();
    }
    bool again_now = false;
    for (life::StoreStep& step : plan.steps) {
        again_now = again_now || observed_at_once(step);
        Result<void> done = co_await apply(uid, std::move(step));
        if (done) continue;
        services_.metrics.increment("sallyport_looks_total", {"grant", to_text(done.error().kind)});
        services_.log.warn("grant.step_failed", {{"grant", fmt::format("{}", grants_[uid].key)},
                                                 {"error", done.error().message}});
        if (planted("deadline-cleared-on-error")) {
            deadlines_.clear(uid);
            co_return std::nullopt;
        }
        co_return next_attempt(reaction_to(done.error(), grants_[uid].failures++, Urgency::closing),
                               services_.random.fraction());
    }
    if (Result<void> told = co_await publish(uid, plan); !told) {
        services_.metrics.increment("sallyport_looks_total", {"grant", to_text(told.error().kind)});
        co_return next_attempt(reaction_to(told.error(), grants_[uid].failures++, Urgency::closing),
                               services_.random.fraction());
    }
    for (life::Note& note : plan.notes) {
        Notice notice{.about = {Kind::grant, grants_[uid].key},
                      .uid = uid,
                      .warning = note.warning,
                      .reason = std::move(note.reason),
                      .note = std::move(note.note)};
        scope_.start(services_.store.notify(std::move(notice)));
    }
    grants_[uid].failures = 0;
    services_.metrics.increment("sallyport_looks_total", {"grant", "succeeded"});
    if (again_now) grant_queue_.add(uid);
    forget_if_gone(uid);
    if (plan.read_since && services_.clock.now() < provable_at(*plan.read_since)) {
        const Timestamp then = provable_at(*plan.read_since);
        plan.next = std::min(plan.next.value_or(then), then);
    }
    if (!plan.next) co_return std::nullopt;
    const seconds wait = *plan.next - services_.clock.now();
    co_return std::max<milliseconds>(wait, 100ms);
}

/// A grant that cannot be read: its author is told what is wrong. One that has a record goes on by
/// it, and keeps the status that it was given.
Task<std::optional<milliseconds>> Engine::tell_unread_grant(std::string uid) {
    const auto found = unread_grants_.find(uid);
    if (found == unread_grants_.end()) co_return std::nullopt;
    const ObjectKey key = found->second;
    const auto unread = services_.store.undecodable({Kind::grant, key});
    bool recorded = false;
    services_.store.each_record(
        [&](const AccessRecord& record) { recorded = recorded || record.grant_uid == uid; });
    unread_grants_.erase(found);
    if (recorded || !unread || unread->uid != uid) co_return std::nullopt;
    GrantStatus status{.observed_generation = unread->generation,
                       .phase = "SpecInvalid",
                       .message = unread->message,
                       .conditions = stalled_unread(*unread)};
    Condition active = status.conditions.front();
    active.type = "Active";
    status.conditions.push_back(std::move(active));
    Result<void> done = co_await services_.store.publish_grant(key, uid, std::move(status));
    if (done || done.error().kind == ErrorKind::not_found) co_return std::nullopt;
    services_.metrics.increment("sallyport_looks_total", {"grant", to_text(done.error().kind)});
    unread_grants_[uid] = key;
    co_return next_attempt(reaction_to(done.error(), 0, Urgency::other),
                           services_.random.fraction());
}

Task<Result<void>> Engine::publish(std::string uid, const life::Plan& plan) {
    if (!plan.status) co_return Result<void>();
    const ObjectKey key = grants_[uid].key;
    const auto version = [&] {
        const AccessGrant* grant = services_.store.grant(key);
        return grant && grant->meta.uid == uid ? grant->meta.resource_version : std::string();
    };
    const GrantEntry& told = grants_[uid];
    if (told.published == *plan.status && !told.published_version.empty() &&
        told.published_version == version())
        co_return Result<void>();
    Result<void> done = co_await services_.store.publish_grant(key, uid, *plan.status);
    if (!done && done.error().kind != ErrorKind::not_found) co_return done;
    grants_[uid].published = *plan.status;
    grants_[uid].published_version = version();
    co_return Result<void>();
}

void Engine::forget_if_gone(const std::string& uid) {
    const auto it = grants_.find(uid);
    if (it == grants_.end() || it->second.active || !it->second.claimed.empty()) return;
    const AccessGrant* grant = services_.store.grant(it->second.key);
    if (grant && grant->meta.uid == uid) return;
    const auto newest = grant_uids_.find(it->second.key);
    if (newest != grant_uids_.end() && newest->second == uid) grant_uids_.erase(newest);
    deadlines_.clear(uid);
    told(untold_grants_, it->second.account, uid);
    set_policy_uid(uid, it->second, "");
    set_policy_name(uid, it->second, "");
    grants_.erase(it);
}

Task<Result<void>> Engine::apply(std::string uid, life::StoreStep step) {
    const ObjectRef ref{Kind::grant, grants_[uid].key};
    if (std::holds_alternative<life::TakeHold>(step)) {
        co_return co_await services_.store.set_hold(ref, uid, true);
    }
    if (auto* create = std::get_if<life::CreateRecord>(&step)) {
        co_return co_await create_record(uid, std::move(create->record));
    }
    if (auto* update = std::get_if<life::UpdateRecord>(&step)) {
        co_return co_await update_record(uid, std::move(*update));
    }
    if (std::holds_alternative<life::ReleaseHold>(step)) {
        co_return co_await services_.store.set_hold(ref, uid, false);
    }
    if (std::holds_alternative<life::DeleteGrantObject>(step)) {
        co_return co_await services_.store.delete_grant(ref.key, uid);
    }
    const std::optional<AccessRecord> record = records_.find(grants_[uid].record_name);
    if (!record || record->grant_uid != uid) co_return Result<void>();
    co_return co_await services_.store.delete_record(record->meta.key.name, record->meta.uid);
}

/// Counts a grant among those of its requester until it is known whether it has a record.
class Engine::Counted final {
public:
    Counted(Engine& engine, std::pair<std::string, std::string> whose, std::string uid)
        : engine_(engine), whose_(std::move(whose)), uid_(std::move(uid)) {
        engine_.active_[whose_].insert(uid_);
    }
    Counted(const Counted&) = delete;
    Counted& operator=(const Counted&) = delete;
    ~Counted() {
        const auto entry = engine_.grants_.find(uid_);
        const auto same = engine_.active_.find(whose_);
        const bool active = entry != engine_.grants_.end() && entry->second.active;
        if (active || same == engine_.active_.end()) return;
        same->second.erase(uid_);
        if (same->second.empty()) engine_.active_.erase(same);
    }

private:
    Engine& engine_;
    std::pair<std::string, std::string> whose_;
    std::string uid_;
};

Task<Result<void>> Engine::create_record(std::string uid, AccessRecord record) {
    Account* account = find_account(record.account);
    if (!account) co_return unavailable("the account is not set up yet");
    // What else its requester asks for is decided while this waits, and has to count it.
    const Counted counted(*this, {record.policy_uid, record.requester.user}, uid);
    LedgerEvent decided{
        .record = record.meta.key.name,
        .event = "grant.decided",
        .detail = fmt::format("grant={} uid={} requester={} digest={} latestEnd={}", record.grant,
                              record.grant_uid, record.requester.user, record.request_digest,
                              format_rfc3339(record.latest_end))};
    Result<std::uint64_t> seq = co_await account->ledger().commit(std::move(decided));
    if (!seq) co_return std::move(seq).error().context("journal the decision");
    record.journal_seq = *seq;
    const std::string name = record.meta.key.name;
    Result<AccessRecord> stored = co_await records_.create(std::move(record));
    if (!stored && stored.error().kind == ErrorKind::conflict) {
        // Somebody was first: what is there decides, whether it is ours or another
        // uid's.
        Result<std::optional<AccessRecord>> there = co_await services_.store.read_record(name);
        if (!there) co_return std::move(there).error();
        if (*there) co_return Result<void>();
        // Nobody was: refused for another reason, such as a quota that moves at the same time.
    }
    if (!stored) co_return std::move(stored).error().context("create the record");
    deadlines_.set(uid, life::end_of(*stored));
    grants_[uid].followed = true;
    note_active(uid, grants_[uid], &*stored);
    services_.log.info("grant.decided", {{"grant", fmt::format("{}", grants_[uid].key)},
                                         {"requester", stored->requester.user},
                                         {"latest_end", format_rfc3339(stored->latest_end)}});
    co_return Result<void>();
}

Task<Result<void>> Engine::update_record(std::string uid, life::UpdateRecord step) {
    const std::string name = grants_[uid].record_name;
    // Built first: g++ 12 destroys a closure twice that is made inside a co_await expression.
    Records::Change change = [what = step.change](AccessRecord& record) { what.apply_to(record); };
    Result<void> done = co_await records_.update(name, std::move(change));
    if (!done) co_return std::move(done).error().context("update the record");
    const std::optional<AccessRecord> stored = records_.find(name);
    GrantEntry& entry = grants_[uid];
    note_active(uid, entry, stored ? &*stored : nullptr);
    if (Account* account = find_account(entry.account)) {
        account->ledger().note({.record = name, .event = step.event, .detail = step.detail});
    }
    services_.log.info(
        "grant.recorded",
        {{"grant", fmt::format("{}", entry.key)}, {"change", step.event}, {"detail", step.detail}});
    co_return Result<void>();
}

}  // namespace sallyport::engine
