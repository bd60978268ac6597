#include "engine/engine.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "base/mutant.hpp"
#include "engine/bugs.hpp"

namespace sallyport::engine {
namespace {

using namespace std::chrono_literals;
using std::chrono::milliseconds;

/// A policy that lanes and grants keep talking of is looked at this often; at once after a rest.
constexpr auto policy_pause = 2s;

/// From the start on, for what is told of before everything has been looked at.
constexpr auto settling_max = 60s;

/// For all first lists, before those that closing needs are taken up without the others.
constexpr auto lists_awaited = 5s;

constexpr Kind all_kinds[] = {Kind::account, Kind::policy, Kind::grant, Kind::record, Kind::ledger};

}  // namespace

Engine::Engine(Services services, Settings settings)
    : clock_(services.clock, services.store),
      services_{services.loop,      clock_,         services.random,  services.log,
                services.metrics,   services.store, services.journal, services.gateways,
                services.leadership},
      settings_(std::move(settings)),
      records_(services_),
      grant_queue_(services.loop),
      policy_queue_(services.loop),
      account_queue_(services.loop),
      scope_(services.loop, on_bug(services.log, services.metrics, "flow")) {}

Engine::~Engine() { scope_.cancel_all(); }

void Engine::stop() {
    scope_.cancel_all();
    accounts_.clear();
}

void Engine::declare_metrics(Metrics& metrics) {
    metrics.declare(
        {.name = "sallyport_overdue_seconds",
         .kind = MetricKind::gauge,
         .help = "Age of the oldest end whose closing has not been verified; 0: none."});
    metrics.declare({.name = "sallyport_overdue_grants",
                     .kind = MetricKind::gauge,
                     .help = "Grants past their end whose closing has not been verified."});
    metrics.declare({.name = "sallyport_open_ends",
                     .kind = MetricKind::gauge,
                     .help = "Grants that are open or unknown, each with its end in the heap."});
    metrics.declare({.name = "sallyport_looks_total",
                     .kind = MetricKind::counter,
                     .help = "Looks at one key, by what it was and how it ended.",
                     .labels = {"key", "outcome"}});
    metrics.declare(
        {.name = "sallyport_api_clock_offset_seconds",
         .kind = MetricKind::gauge,
         .help = "The API server's time minus this machine's. Beyond 30 s nothing opens, and "
                 "grants end by the later of the two."});
    metrics.declare(
        {.name = "sallyport_clock_jumps_total",
         .kind = MetricKind::counter,
         .help = "Times the wall clock moved against the steady one by more than 2 s."});
    metrics.declare({.name = "sallyport_loop_turn_seconds_max",
                     .kind = MetricKind::gauge,
                     .help = "The longest turn of the loop since the last second."});
    declare_bug_metric(metrics);
    Account::declare_metrics(metrics);
    Lane::declare_metrics(metrics);
    Ledger::declare_metrics(metrics);
}

void Engine::start() {
    services_.store.on_change([this](const ObjectRef& ref) { on_change(ref); });
    services_.leadership.on_change([this] { lead(); });
    scope_.start(run_deadlines());
    lead();
}

/// From here on it acts. Before, it only follows the caches and the ends.
void Engine::lead() {
    if (leading_ || !services_.leadership.leads()) return;
    leading_ = true;
    settled_at_ = services_.clock.steady_now() + settling_max;
    lists_awaited_until_ = services_.clock.steady_now() + lists_awaited;
    deadlines_ = {};
    for (KeyQueue* queue : {&grant_queue_, &policy_queue_, &account_queue_})
        scope_.start(queue->run_timers());
    scope_.start(work(account_queue_, &Engine::look_at_account));
    for (int i = 0; i < 4; ++i) scope_.start(work(policy_queue_, &Engine::look_at_policy));
    for (int i = 0; i < settings_.flows_at_once; ++i)
        scope_.start(work(grant_queue_, &Engine::look_at_grant));
    if (caches_filled()) fill();
}

bool Engine::caches_filled() const {
    return std::ranges::all_of(all_kinds, [&](Kind kind) { return services_.store.synced(kind); });
}

std::string Engine::waiting_for() const {
    for (const Kind kind : all_kinds) {
        if (!services_.store.synced(kind))
            return fmt::format("the first list of {}", to_text(kind));
    }
    if (!leading_) return "";
    return first_look_done_ ? "" : "the first look at every record";
}

Account* Engine::find_account(const std::string& name) {
    const auto it = accounts_.find(name);
    return it == accounts_.end() ? nullptr : it->second.get();
}

bool Engine::grants_complete(const std::string& account) const {
    if (planted("complete-too-early")) return true;
    return filled_ && !untold_grants_.contains(account);
}
bool Engine::policies_complete(const std::string& account) const {
    return filled_ && !untold_policies_.contains(account);
}

/// Since the start not everything has been heard that will be heard at once, so that nothing new
/// can be said of what an earlier process told. Bounded: what cannot be heard is told in the end.
bool Engine::is_settling(const std::string& name, const Account& account) const {
    if (account.settling()) return true;
    const bool complete = grants_complete(name) && policies_complete(name);
    return !complete && account.current() && services_.clock.steady_now() < settled_at_;
}

bool Engine::recorded_elsewhere(const std::string& account, const std::string& uid) const {
    const auto grant = grants_.find(uid);
    return grant != grants_.end() && grant->second.active && grant->second.account != account;
}

/// The last one of an account: its lanes may now remove what nobody claims.
void Engine::told(std::map<std::string, std::set<std::string>>& untold, const std::string& account,
                  const std::string& uid) {
    const auto it = untold.find(account);
    if (it == untold.end() || it->second.erase(uid) == 0 || !it->second.empty()) return;
    untold.erase(it);
    wake_lanes();
    account_queue_.add(account);
    look_at_policies_of(account);  // their proofs waited for this
}

void Engine::look_at_policies_of(const std::string& account) {
    for (const auto& [uid, policy] : policies_) {
        if (policy.account == account) policy_queue_.add(uid);
    }
}

/// On a standby: how late the one who leads is, should there be none.
void Engine::watch_over(const AccessRecord& record) {
    if (record.closed()) {
        deadlines_.clear(record.grant_uid);
    } else {
        deadlines_.set(record.grant_uid, life::end_of(record));
    }
}

void Engine::watch_records(const ObjectRef& ref) {
    const AccessRecord* record = services_.store.record(ref.key.name);
    if (record) watch_over(*record);
    if (ref.key.name.empty())
        services_.store.each_record([this](const AccessRecord& each) { watch_over(each); });
}

/// Closing takes records and accounts alone, and does not wait long for lists that it can do
/// without: nothing is taken for nobody's before all are there, and nothing opens.
void Engine::take_up_ends() {
    if (filled_ || ends_taken_up_ || services_.clock.steady_now() < lists_awaited_until_) return;
    if (!services_.store.synced(Kind::account) || !services_.store.synced(Kind::record)) return;
    ends_taken_up_ = true;
    services_.log.warn("start.lists_missing", {{"first", waiting_for()}});
    services_.store.each_account(
        [&](const CloudAccount& account) { account_queue_.add(account.meta.key.name); });
    services_.store.each_record([&](const AccessRecord& record) {
        if (life::is_live(record)) on_record_change(record.meta.key.name);
    });
}

void Engine::on_change(const ObjectRef& ref) {
    if (!leading_) {
        if (ref.kind == Kind::record) watch_records(ref);
        return;
    }
    if (!filled_) {
        if (ref.kind == Kind::record) watch_records(ref);
        const bool of_ends = ref.kind == Kind::record || ref.kind == Kind::account;
        if (caches_filled()) {
            fill();
        } else if (ends_taken_up_ && of_ends && !ref.key.name.empty()) {
            take_up(ref);
        }
        return;
    }
    if (!ref.key.name.empty()) take_up(ref);
}

void Engine::take_up(const ObjectRef& ref) {
    note_undecodable(ref);
    switch (ref.kind) {
        case Kind::account: account_queue_.add(ref.key.name); break;
        case Kind::policy: on_policy_change(ref.key); break;
        case Kind::grant: on_grant_change(ref.key); break;
        case Kind::record: on_record_change(ref.key.name); break;
        case Kind::ledger: break;  // read when it is needed
    }
}

/// The caches are whole for the first time: everything that exists is looked at once, records
/// first.
void Engine::fill() {
    filled_ = true;
    services_.store.each_account(
        [&](const CloudAccount& account) { account_queue_.add(account.meta.key.name); });
    services_.store.each_policy([&](const JitPolicy& policy) {
        untold_policies_[policy.account].insert(policy.meta.uid);
        on_policy_change(policy.meta.key);
    });
    std::vector<std::pair<Timestamp, std::string>> by_end;  // what ends first is looked at first
    services_.store.each_record([&](const AccessRecord& record) {
        if (!life::is_live(record)) return;
        untold_grants_[record.account].insert(record.grant_uid);
        unlooked_.insert(record.grant_uid);
        if (!record.closed()) deadlines_.set(record.grant_uid, life::end_of(record));
        by_end.emplace_back(life::end_of(record), record.meta.key.name);
    });
    std::ranges::sort(by_end);
    for (const auto& [end, name] : by_end) on_record_change(name);
    services_.store.each_grant([&](const AccessGrant& grant) { on_grant_change(grant.meta.key); });
    services_.store.each_undecodable([&](const ObjectRef& ref) { take_up(ref); });
    if (unlooked_.empty()) first_look_done_ = true;
}

Engine::GrantEntry& Engine::note_grant(const std::string& uid, const ObjectKey& key,
                                       std::string_view request_id) {
    GrantEntry& entry = grants_[uid];
    entry.key = key;
    if (entry.record_name.empty())
        entry.record_name = record_name(settings_.owner, key, request_id);
    return entry;
}

void Engine::on_grant_change(const ObjectKey& key) {
    const auto known = grant_uids_.find(key);
    if (known != grant_uids_.end()) grant_queue_.add(known->second);
    const AccessGrant* grant = services_.store.grant(key);
    if (const auto unread = services_.store.undecodable({Kind::grant, key});
        unread && !grants_.contains(unread->uid)) {
        unread_grants_[unread->uid] = key;
        grant_queue_.add(unread->uid);
    }
    if (!grant) return;
    unread_grants_.erase(grant->meta.uid);
    set_policy_name(grant->meta.uid, note_grant(grant->meta.uid, key, grant->request_id),
                    grant->policy);
    if (known != grant_uids_.end() && known->second == grant->meta.uid) return;
    grant_uids_[key] = grant->meta.uid;
    grant_queue_.add(grant->meta.uid);
}

void Engine::move_grant(const std::string& uid, const std::string& from, const std::string& to) {
    if (from == to) return;
    if (const auto old = grants_of_.find(from); old != grants_of_.end()) {
        old->second.erase(uid);
        if (old->second.empty()) grants_of_.erase(old);
    }
    if (!to.empty()) grants_of_[to].insert(uid);
}

void Engine::set_policy_uid(const std::string& uid, GrantEntry& entry,
                            const std::string& policy_uid) {
    move_grant(uid, entry.policy_uid, policy_uid);
    entry.policy_uid = policy_uid;
}

void Engine::set_policy_name(const std::string& uid, GrantEntry& entry, const std::string& name) {
    const auto text = [&](const std::string& policy) {
        return policy.empty() ? "" : fmt::format("{}", ObjectKey{entry.key.ns, policy});
    };
    move_grant(uid, text(entry.policy_name), text(name));
    entry.policy_name = name;
}

void Engine::on_record_change(const std::string& name) {
    records_.refresh(name);
    const AccessRecord* record = services_.store.record(name);
    if (!record) return;
    GrantEntry& entry = note_grant(record->grant_uid, record->grant, record->request_id);
    note_active(record->grant_uid, entry, record);
    grant_queue_.add(record->grant_uid);
}

void Engine::note_active(const std::string& uid, GrantEntry& entry, const AccessRecord* record) {
    const bool active = record && !record->closed();
    if (record) {
        entry.account = record->account;
        set_policy_uid(uid, entry, record->policy_uid);
        entry.requester = record->requester.user;
    }
    if (active == entry.active) return;
    entry.active = active;
    if (active) entry.counted_in = entry.account;
    active_in_[entry.counted_in] += active ? 1 : -1;
    std::set<std::string>& same = active_[{entry.policy_uid, entry.requester}];
    const auto policy = policies_.find(entry.policy_uid);
    if (active) {
        same.insert(uid);
        if (policy != policies_.end()) policy->second.active_grants.insert(uid);
    } else {
        same.erase(uid);
        if (policy != policies_.end()) policy->second.active_grants.erase(uid);
    }
    if (same.empty()) active_.erase({entry.policy_uid, entry.requester});
    if (policy != policies_.end()) nudge_policy(policy->first, policy->second);
    if (!active && !entry.account.empty()) account_queue_.add(entry.account);
}

/// Says so in the log, once for each version that was seen.
void Engine::note_undecodable(const ObjectRef& ref) {
    const auto unread = services_.store.undecodable(ref);
    if (!unread) return;
    services_.log.warn("object.undecodable", {{"kind", std::string(to_text(ref.kind))},
                                              {"object", fmt::format("{}", ref.key)},
                                              {"error", unread->message}});
}

std::vector<Condition> Engine::stalled_unread(const Undecodable& unread) {
    const auto condition = [&](const char* type, Truth truth) {
        return Condition{.type = type,
                         .status = truth,
                         .reason = "SpecInvalid",
                         .message = unread.message,
                         .observed_generation = unread.generation};
    };
    return {condition("Ready", Truth::no), condition("Stalled", Truth::yes)};
}

std::optional<milliseconds> Engine::again_if_untold(const Result<void>& told) {
    if (told || told.error().kind == ErrorKind::not_found) return std::nullopt;
    return 5s;
}

void Engine::on_policy_change(const ObjectKey& key) {
    const auto known = policy_uids_.find(key);
    if (known != policy_uids_.end()) policy_queue_.add(known->second);
    if (const auto unread = services_.store.undecodable({Kind::policy, key});
        unread && known == policy_uids_.end()) {
        policies_[unread->uid].key = key;
        policy_uids_[key] = unread->uid;
        policy_queue_.add(unread->uid);
    }
    const JitPolicy* policy = services_.store.policy(key);
    if (policy && (known == policy_uids_.end() || known->second != policy->meta.uid)) {
        PolicyEntry& entry = policies_[policy->meta.uid];
        entry.key = key;
        if (const auto of = grants_of_.find(policy->meta.uid); of != grants_of_.end()) {
            for (const std::string& uid : of->second) {
                if (grants_.at(uid).active) entry.active_grants.insert(uid);
            }
        }
        policy_uids_[key] = policy->meta.uid;
        policy_queue_.add(policy->meta.uid);
    }
}

void Engine::nudge_policy(const std::string& uid, const PolicyEntry& entry) {
    const bool rests =
        entry.standing && entry.standing->problems.empty() && !entry.standing->not_ready;
    const SteadyTime next = entry.looked + policy_pause;
    if (!rests || entry.deleting || next <= services_.clock.steady_now()) {
        policy_queue_.add(uid);
    } else {
        policy_queue_.add_at(uid, next);
    }
}

void Engine::nudge_grants_of(const ObjectKey& policy, const std::string& policy_uid) {
    for (const std::string& name : {fmt::format("{}", policy), policy_uid}) {
        const auto of = grants_of_.find(name);
        if (of == grants_of_.end()) continue;
        for (const std::string& uid : of->second) grant_queue_.add(uid);
    }
}

void Engine::lane_changed(const std::string& account, const std::set<std::string>& uids) {
    for (const std::string& uid : uids) {
        if (grants_.contains(uid)) {
            grant_queue_.add(uid);
        } else if (const auto policy = policies_.find(uid); policy != policies_.end()) {
            nudge_policy(uid, policy->second);
        } else if (uid.empty()) {
            account_queue_.add(account);  // which tells what nobody else is told
        }
    }
}

void Engine::topology_changed(const std::string& account) {
    for (const auto& [uid, policy] : policies_) {
        if (policy.account == account || policy.account.empty()) policy_queue_.add(uid);
    }
    for (const auto& [uid, grant] : grants_) {
        if (grant.account == account || grant.account.empty()) grant_queue_.add(uid);
    }
}

void Engine::account_changed(const std::string& account) {
    account_queue_.add(account);
    topology_changed(account);
}

void Engine::wake_lanes() {
    for (auto& [name, account] : accounts_) {
        for (auto& [nsg, lane] : account->lanes()) lane->wake();
    }
}

Task<void> Engine::work(KeyQueue& queue,
                        Task<std::optional<milliseconds>> (Engine::*look)(std::string)) {
    for (;;) {
        std::string key = co_await queue.next();
        // Of ends that have just come nobody is told before their closings have left.
        if (looks_after_ > services_.clock.steady_now() && late_.erase(key) == 0) {
            co_await services_.clock.sleep_until(looks_after_);
        }
        std::optional<milliseconds> again;
        bool broken = false;
        try {
            again = co_await (this->*look)(key);
        } catch (const std::exception& bug) {
            // One poisonous object must not stop the closing of all others.
            report_bug(services_.log, services_.metrics, "look", key, bug);
            broken = true;
        }
        if (broken) again = 60s;
        queue.done(key);
        // No look is further away than this: what was asked for may lie centuries ahead.
        if (again)
            queue.add_at(key, services_.clock.steady_now() + std::min<milliseconds>(*again, 1h));
        co_await services_.loop.yield();
    }
}

}  // namespace sallyport::engine
