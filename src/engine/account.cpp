#include "engine/account.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/mutant.hpp"
#include "base/text.hpp"
#include "engine/bugs.hpp"
#include "engine/preflight.hpp"

namespace sallyport::engine {
namespace {

using namespace std::chrono_literals;

constexpr auto service_tags_for = 24h;
constexpr auto preflight_for = 24h;
constexpr auto preflight_again_after = 1min;  // at most so often for refused writes
/// A read proves something for three sweeps, and at least for as long as a slow cloud needs.
constexpr auto fresh_at_least = 3min;

/// An object that the account names is not there, or lacks its key: a person has to make it.
Error told_missing(Error error, std::string reason, std::string_view remedy) {
    if (error.kind != ErrorKind::not_found) return error;
    error.reason = std::move(reason);
    error.message += fmt::format("; {}", remedy);
    return error;
}

}  // namespace

Account::Account(Services services, AccountHost& host, Owner owner, std::string writer,
                 CloudAccount spec)
    : services_(services),
      host_(host),
      owner_(std::move(owner)),
      spec_(std::move(spec)),
      problems_(access::judge_account(spec_)),
      budget_(services.loop, services.clock),
      ledger_(services, spec_.meta.key.name, std::move(writer),
              [this] { host_.account_changed(spec_.meta.key.name); }),
      wake_(services.loop),
      scope_(services.loop,
             on_bug(services.log, services.metrics, "account", spec_.meta.key.name)) {}

Account::~Account() { scope_.cancel_all(); }

void Account::declare_metrics(Metrics& metrics) {
    metrics.declare({.name = "sallyport_sweeps_total",
                     .kind = MetricKind::counter,
                     .help = "Sweeps of an account's surfaces.",
                     .labels = {"outcome"}});
    metrics.declare({.name = "sallyport_sweep_seconds",
                     .kind = MetricKind::histogram,
                     .help = "How long a sweep took.",
                     .buckets = {0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60}});
}

void Account::respec(const CloudAccount& spec) {
    const Version before = version();
    spec_ = spec;
    if (version() == before) return;
    current_ = false;
    problems_ = access::judge_account(spec_);
    by_resource_group_ = false;
    preflights_.clear();
    for (auto& [id, lane] : lanes_) lane->wake();  // mode and bands may differ
    wake_.set();
}

void Account::retire() {
    scope_.cancel_all();
    for (auto& [id, lane] : lanes_) lane->stop();
}

void Account::prepare_closings(int count) {
    if (gateway_) scope_.start(gateway_->prepare(count));
}

Lane& Account::lane(const NsgId& nsg) {
    auto it = lanes_.find(nsg);
    if (it == lanes_.end()) {
        it = lanes_.emplace(nsg, std::make_unique<Lane>(services_, *this, owner_, nsg)).first;
        scope_.start(it->second->run());
    }
    return *it->second;
}

Lane* Account::find_lane(const NsgId& nsg) {
    const auto it = lanes_.find(nsg);
    return it == lanes_.end() ? nullptr : it->second.get();
}

std::chrono::milliseconds Account::fresh_for() const {
    return std::max<std::chrono::milliseconds>(fresh_at_least, 3 * spec_.sweep_interval);
}

void Account::read_accepted(const NsgId& nsg, const NsgState* state) {
    observations_.insert_or_assign(nsg, state);
}

/// What has not been read for too long proves nothing any more; whoever stood on it looks again.
void Account::drop_stale_reads() {
    const SteadyTime oldest = services_.clock.steady_now() - fresh_for();
    bool dropped = std::erase_if(observations_, [&](const auto& each) {
                       return each.second->read_sent < oldest;
                   }) > 0;
    const auto drop = [&](auto& part, auto& shown) {
        if (!shown || part.sent >= oldest) return;
        part.list = {};
        shown = {};
        dropped = true;
    };
    drop(nics_, topology_.nics);
    drop(networks_, topology_.networks);
    drop(machines_, topology_.machines);
    if (dropped) host_.topology_changed(spec_.meta.key.name);
}

Task<Result<void>> Account::before_opening(NsgId nsg, nsg::Step step, std::string request_id) {
    if (const auto& blocked = ledger_.blocked()) {
        co_return Error{ErrorKind::unavailable, *blocked, "LedgerBlocked"};
    }
    co_return co_await host_.before_opening(spec_.meta.key.name, std::move(nsg), std::move(step),
                                            std::move(request_id));
}

Task<Result<void>> Account::before_rewriting(NsgId nsg, nsg::Step step, std::string request_id) {
    co_return co_await host_.before_rewriting(spec_.meta.key.name, std::move(nsg), std::move(step),
                                              std::move(request_id));
}

void Account::write_ended(const NsgId& nsg, const nsg::Step& step, const WriteEnd& end) {
    host_.write_ended(spec_.meta.key.name, nsg, step, end);
    if (!end.error || end.error->kind != ErrorKind::denied) return;
    // What was asked before does not hold any more; the policies' next looks ask again.
    const auto asked = preflights_.find(lower(nsg.id().resource_group()));
    if (asked == preflights_.end()) return;
    if (services_.clock.steady_now() - asked->second.asked < preflight_again_after) return;
    preflights_.erase(asked);
    host_.lane_changed(spec_.meta.key.name, lane(nsg).claimants());
}

void Account::lane_changed(const std::set<std::string>& uids) {
    host_.lane_changed(spec_.meta.key.name, uids);
}

int Account::surfaces() const {
    return static_cast<int>(std::ranges::count_if(lanes_, [](const auto& each) {
        return each.second->observed() && !each.second->vanished();
    }));
}

Task<Result<void>> Account::open_gateway() {
    const Version opening = version();
    const AzureAccount azure = spec_.azure;  // it may be replaced while this waits
    Result<Secret> secret =
        co_await services_.store.read_secret(azure.client_secret_name, "clientSecret");
    if (!secret) {
        co_return told_missing(
            std::move(secret).error().context(fmt::format("read key clientSecret of Secret {}/{}",
                                                          operator_namespace,
                                                          azure.client_secret_name)),
            "SecretNotFound",
            "spec.azure.identity.clientSecret.secretRef names it: create it, with the client "
            "secret's value under that key");
    }
    std::string ca_pem;
    if (!azure.ca_bundle_config_map.empty()) {
        Result<std::string> bundle =
            co_await services_.store.read_config_map(azure.ca_bundle_config_map, "ca.pem");
        if (!bundle) {
            co_return told_missing(
                std::move(bundle).error().context(fmt::format("read key ca.pem of ConfigMap {}/{}",
                                                              operator_namespace,
                                                              azure.ca_bundle_config_map)),
                "CaBundleNotFound",
                "spec.azure.caBundleRef names it: create it, with the cloud's CA certificates "
                "under that key");
        }
        ca_pem = *std::move(bundle);
    }
    if (gateway_ && *secret == secret_ && opened_ == opening) co_return Result<void>();
    Result<std::unique_ptr<Gateway>> opened =
        services_.gateways.open(azure, *secret, std::move(ca_pem));
    if (!opened) co_return std::move(opened).error();
    if (gateway_ && swept_) {
        // The last good credential reads and closes until the new one has been answered. It may
        // have less rights: that is told, and is no reason to go on with the old one.
        ArmScope scope;
        scope.subscription = azure.subscription_id;
        Result<std::vector<NsgState>> probed = co_await (*opened)->list_nsgs(std::move(scope));
        const bool answered = probed || (probed.error().kind == ErrorKind::denied &&
                                         probed.error().reason != "SignInRefused");
        if (!answered) co_return std::move(probed).error().context("use the new credential");
    }
    if (gateway_) retired_.push_back(std::move(gateway_));
    gateway_ = *std::move(opened);
    secret_ = *std::move(secret);
    opened_ = opening;
    opened_subscription_ = azure.subscription_id;
    for (auto& [id, lane] : lanes_) lane->wake();
    co_return Result<void>();
}

std::vector<ArmScope> Account::scopes() const {
    if (!by_resource_group_) return {{.subscription = opened_subscription_}};
    std::vector<ArmScope> scopes;
    std::set<std::string> seen;
    for (const Tenant& tenant : spec_.tenants) {
        for (const std::string& scope : tenant.scopes) {
            const std::size_t slash = scope.find('/');
            if (slash == scope.npos || !seen.insert(lower(scope)).second) continue;
            scopes.push_back({opened_subscription_, scope.substr(slash + 1)});
        }
    }
    return scopes;
}

template <class T>
Task<Result<std::vector<T>>> Account::list_scopes(
    Task<Result<std::vector<T>>> (Gateway::*list)(ArmScope)) {
    std::vector<T> all;
    for (const ArmScope& scope : scopes()) {
        co_await budget_.take(Call::read, Urgency::other);
        Result<std::vector<T>> some = co_await (gateway_.get()->*list)(scope);
        budget_.learn(gateway_->quota());
        if (!some) {
            if (some.error().kind == ErrorKind::throttled) {
                budget_.throttled(Call::read, some.error().retry_after.value_or(1s));
            }
            co_return std::move(some).error();
        }
        all.insert(all.end(), std::make_move_iterator(some->begin()),
                   std::make_move_iterator(some->end()));
    }
    co_return all;
}

Task<Result<void>> Account::list_nsgs() {
    const SteadyTime sent = services_.clock.steady_now();
    Result<std::vector<NsgState>> listed = co_await list_scopes<NsgState>(&Gateway::list_nsgs);
    if (!listed && listed.error().kind == ErrorKind::denied && !by_resource_group_) {
        // The identity may only see the resource groups it was given.
        by_resource_group_ = true;
        if (!scopes().empty()) {
            listed = co_await list_scopes<NsgState>(&Gateway::list_nsgs);
        }
        if (!listed) by_resource_group_ = false;
    }
    if (!listed && planted("empty-list-for-failed-list")) listed = std::vector<NsgState>();
    if (!listed) co_return std::move(listed).error();
    listed_.clear();
    listed_sent_ = sent;
    int in_turn = 0;
    for (NsgState& state : *listed) {
        state.read_sent = sent;
        listed_.insert(state.id);
        Lane& its = lane(state.id);
        its.observe(std::move(state));
        if (++in_turn % 16 == 0) co_await services_.loop.yield();
    }
    co_return Result<void>();
}

std::set<NsgId> Account::referred_to() const {
    std::set<NsgId> nsgs;
    for (const Nic& nic : *nics_.list) {
        if (nic.nsg) nsgs.insert(*nic.nsg);
    }
    for (const VirtualNetwork& network : *networks_.list) {
        for (const Subnet& subnet : network.subnets) {
            if (subnet.nsg) nsgs.insert(*subnet.nsg);
        }
    }
    return nsgs;
}

/// That a group has gone opens the way for saying that its rules have: a list in which it is
/// missing, or an answer that there is none, does not suffice. Azure deletes no group that is
/// referred to, so lists of interfaces and networks that were sent later must not name it either.
void Account::find_vanished(SteadyTime sweep_began) {
    const auto is_of_this_sweep = [&](SteadyTime sent) { return sent >= sweep_began; };
    if (!is_of_this_sweep(listed_sent_) || !nics_.list || !networks_.list ||
        !is_of_this_sweep(nics_.sent) || !is_of_this_sweep(networks_.sent))
        return;
    const std::set<NsgId> referred = referred_to();
    for (auto& [id, each] : lanes_) {
        if (listed_.contains(id) || referred.contains(id)) continue;
        // What lies where nobody asked is not gone for not being listed.
        if (!equals_ignoring_case(id.id().subscription(), opened_subscription_)) continue;
        const std::optional<SteadyTime> missing = each->said_missing();
        if (by_resource_group_ && !missing) continue;
        const SteadyTime sent = by_resource_group_ ? *missing : listed_sent_;
        if (!each->observed() || each->observed()->read_sent < sent) each->vanish(sent);
    }
}

template <class T>
Task<Result<void>> Account::refresh(Part<T>& part,
                                    Task<Result<std::vector<T>>> (Gateway::*list)(ArmScope)) {
    const SteadyTime sent = services_.clock.steady_now();
    Result<std::vector<T>> listed = co_await list_scopes<T>(list);
    if (listed) {
        part.list = *std::move(listed);
        part.sent = sent;
        co_return Result<void>();
    }
    if (services_.clock.steady_now() - part.sent > fresh_for()) part.list = Known<std::vector<T>>();
    co_return std::move(listed).error();
}

Task<void> Account::refresh_service_tags() {
    const SteadyTime now = services_.clock.steady_now();
    if (tags_asked_ && now - *tags_asked_ < service_tags_for) co_return;
    if (!nics_.list || nics_.list->empty()) co_return;
    tags_asked_ = now;
    const std::string location = nics_.list->front().location;
    co_await budget_.take(Call::read, Urgency::other);
    Result<ServiceTagList> tags = co_await gateway_->service_tags(opened_subscription_, location);
    if (tags) {
        topology_.service_tags = *std::move(tags);
    } else {
        // Without the list, tags do not resolve and count against us both ways; nothing else
        // suffers.
        services_.log.warn("service_tags.failed",
                           {{"account", spec_.meta.key.name}, {"error", tags.error().message}});
    }
}

Task<Result<void>> Account::sweep() {
    const SteadyTime started = services_.clock.steady_now();
    std::optional<Error> first;
    const auto note = [&](Result<void>&& done) {
        if (!done && !first) first = std::move(done).error();
    };
    note(co_await list_nsgs());
    // Whoever may not sign in is not asked for the rest: four more refusals would lock sooner.
    if (first && first->reason == "SignInRefused") co_return *std::move(first);
    note(co_await refresh<Nic>(nics_, &Gateway::list_nics));
    note(co_await refresh<VirtualNetwork>(networks_, &Gateway::list_networks));
    note(co_await refresh<VirtualMachine>(machines_, &Gateway::list_machines));
    find_vanished(started);
    co_await refresh_service_tags();
    const bool changed = topology_.nics != nics_.list || topology_.networks != networks_.list ||
                         topology_.machines != machines_.list || !swept_;
    if (changed) {
        topology_.nics = nics_.list;
        topology_.networks = networks_.list;
        topology_.machines = machines_.list;
    }
    topology_.whole_subscription = !by_resource_group_;
    topology_.read_sent = started;
    topology_.read_at = services_.clock.now();
    const bool first_time = !first && !std::exchange(swept_, true);
    if (first_time) host_.account_changed(spec_.meta.key.name);
    if (changed) host_.topology_changed(spec_.meta.key.name);
    const std::chrono::duration<double> took = services_.clock.steady_now() - started;
    services_.metrics.observe("sallyport_sweep_seconds", {}, took.count());
    if (first) co_return *std::move(first);
    last_sweep_ = services_.clock.now();
    co_return Result<void>();
}

void Account::keep_sweep_time(AccountStatus& status) {
    AccountStatus as_told = told_;
    as_told.last_sweep = status.last_sweep;
    if (as_told == status && told_.last_sweep) {
        status.last_sweep = told_.last_sweep;
    } else {
        told_ = status;
    }
}

void Account::note_trouble(std::optional<Error> error) {
    const bool changed =
        trouble_.has_value() != error.has_value() ||
        (error && (trouble_->reason != error->reason || trouble_->kind != error->kind));
    trouble_ = std::move(error);
    if (!changed) return;
    if (trouble_) {
        services_.log.warn("account.trouble",
                           {{"account", spec_.meta.key.name}, {"error", trouble_->message}});
    }
    host_.account_changed(spec_.meta.key.name);
}

/// A timer of its own: a sweep may wait for hours where Azure throttles reads, and what was read
/// before it began proves less and less.
Task<void> Account::expire() {
    for (;;) {
        co_await services_.clock.sleep_for(fresh_for() / 6);
        drop_stale_reads();
    }
}

/// Opens what must be opened, reads everything, and says what is in the way of either. With a new
/// spec that cannot be opened, the old credential goes on to read and to close; the account is not
/// Ready.
Task<void> Account::look() {
    const Version looking = version();
    const int surfaces_before = surfaces();
    const bool refused = trouble_ && trouble_->kind == ErrorKind::denied;
    Result<void> opened;
    if (problems_.empty() && (!gateway_ || opened_ != looking || refused))
        opened = co_await open_gateway();
    Result<void> swept;
    if (gateway_) {
        swept = co_await sweep();
        services_.metrics.increment(
            "sallyport_sweeps_total",
            {swept ? std::string_view("succeeded") : to_text(swept.error().kind)});
    }
    if (!opened) {
        note_trouble(opened.error());
    } else if (gateway_) {
        note_trouble(swept ? std::nullopt : std::optional<Error>(swept.error()));
    }
    const bool is_current = gateway_ && swept && opened_ == looking && version() == looking;
    const bool first_time = is_current && !std::exchange(current_, true);
    if (first_time || surfaces() != surfaces_before) host_.account_changed(spec_.meta.key.name);
}

Task<void> Account::run() {
    scope_.start(ledger_.run());
    scope_.start(expire());
    for (;;) {
        co_await look();
        std::chrono::milliseconds pause = spec_.sweep_interval;
        if (trouble_) {
            const Attempt attempt = reaction_to(*trouble_, failures_++, Urgency::closing);
            pause = std::min(pause, next_attempt(attempt, services_.random.fraction()));
        } else {
            failures_ = 0;
        }
        const SteadyTime next = services_.clock.steady_now() + pause;
        co_await wake_.next_until(next);
    }
}

Task<std::vector<access::Problem>> Account::preflight(ArmScope scope) {
    const std::string key = lower(scope.resource_group);
    const SteadyTime now = services_.clock.steady_now();
    if (const auto it = preflights_.find(key);
        it != preflights_.end() && now - it->second.asked < preflight_for) {
        co_return it->second.problems;
    }
    std::vector<access::Problem> problems;
    if (!gateway_) co_return problems;
    Result<std::vector<Permission>> permissions = co_await gateway_->permissions(scope);
    if (permissions) {
        for (const std::string& action : missing_actions(*permissions, needed_actions())) {
            problems.push_back({"MissingPermission",
                                fmt::format("the account's identity lacks {} on resource group {}",
                                            action, scope.resource_group)});
        }
    }
    Result<std::vector<ManagementLock>> locks = co_await gateway_->locks(scope);
    if (locks) {
        for (const ManagementLock& lock : *locks) {
            problems.push_back(
                {"Locked",
                 fmt::format("{} is a {} lock over resource group {}: {}", lock.id.text(),
                             lock.read_only ? "read-only" : "delete", scope.resource_group,
                             lock.read_only ? "rules can be neither written nor removed"
                                            : "ended rules are rewritten to match nothing")});
        }
    }
    Result<std::vector<DenyAssignment>> denials = co_await gateway_->deny_assignments(scope);
    if (denials) {
        for (const DenyAssignment& denial : *denials) {
            const std::vector<std::string> needed = needed_actions();
            const auto covered = std::ranges::find_if(
                needed, [&](const std::string& action) { return allows({denial.denied}, action); });
            if (covered == needed.end()) continue;
            // Whom it excludes is told by object ids, and of ours we know the client id only.
            problems.push_back(
                {"DenyAssignment", fmt::format("deny assignment {} covers {} on resource group {}, "
                                               "unless it excludes the account's identity",
                                               denial.id, *covered, scope.resource_group)});
        }
    }
    if (permissions && locks && denials)
        preflights_.insert_or_assign(key, Preflight{problems, now});
    co_return problems;
}

}  // namespace sallyport::engine
