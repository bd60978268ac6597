#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <tuple>

#include "base/text.hpp"
#include "engine/engine.hpp"
#include "plan/life/ends.hpp"
#include "plan/path/reach.hpp"

namespace sallyport::engine {
namespace {

using namespace std::chrono_literals;
using std::chrono::milliseconds;

/// Whether a policy could close it: a network security group is on every way to it, or its ways are
/// not known.
bool can_be_covered(const Topology& topology, const VmId& machine) {
    const Result<std::vector<path::Way>> ways = path::ways_to(topology, machine);
    if (!ways) return true;
    return std::ranges::none_of(*ways, [](const path::Way& way) { return way.nsgs.empty(); });
}

std::string advice_on(const Coverage& coverage) {
    std::vector<std::string> parts;
    if (coverage.not_configured > 0)
        parts.push_back(
            fmt::format("machines in scope that no JitPolicy names: {}", coverage.not_configured));
    if (coverage.unsupported > 0)
        parts.push_back(fmt::format(
            "machines that none can close, since a way to them has no network security group: {}",
            coverage.unsupported));
    return join(parts, "; ");
}

/// An account's conditions: Stalled when its spec or its identity must change, Reconciling until
/// the first sweep or while one fails for a while.
AccountStatus describe_account(const Owner& owner, const CloudAccount& spec,
                               const Account& account) {
    AccountStatus status{.observed_generation = spec.meta.generation,
                         .owner = owner.text(),
                         .last_sweep = account.last_sweep(),
                         .surfaces = account.surfaces()};
    const auto condition = [&](std::string type, Truth truth, const std::string& reason,
                               std::string message) {
        status.conditions.push_back({.type = std::move(type),
                                     .status = truth,
                                     .reason = life::bare(reason),
                                     .message = std::move(message),
                                     .observed_generation = spec.meta.generation});
    };
    // What is in the way stands in the message as well, which `kubectl get -o wide` shows.
    const auto not_ready = [&](Truth ready, const char* why, const std::string& reason,
                               const std::string& message) {
        condition("Ready", ready, reason, message);
        condition(why, Truth::yes, reason, message);
        status.message = message;
    };
    if (!account.problems().empty()) {
        std::string all;
        for (const access::Problem& problem : account.problems()) {
            all += (all.empty() ? "" : "; ") + problem.message;
        }
        not_ready(Truth::no, "Stalled", account.problems().front().reason, all);
        return status;
    }
    if (account.rival()) {
        not_ready(Truth::no, "Stalled", account.rival()->reason, account.rival()->message);
        return status;
    }
    if (const auto& trouble = account.trouble()) {
        const std::string reason = trouble->reason.empty() ? "CloudUnreachable" : trouble->reason;
        const bool stalled = trouble->kind == ErrorKind::denied ||
                             trouble->kind == ErrorKind::invalid ||
                             trouble->kind == ErrorKind::not_found;
        not_ready(Truth::no, stalled ? "Stalled" : "Reconciling", reason, trouble->message);
        return status;
    }
    if (!account.current()) {
        not_ready(Truth::unknown, "Reconciling", "FirstSweep",
                  "the surfaces in scope are being read");
        return status;
    }
    condition("Ready", Truth::yes, "Swept",
              fmt::format("all surfaces in scope are read every {}",
                          format_duration(spec.sweep_interval)));
    return status;
}

}  // namespace

/// The account that is to have this one's subscription, if that is another: the older one, since
/// what two of them believe of one NSG would differ.
std::optional<access::Problem> Engine::find_rival(const CloudAccount& spec) const {
    const auto rank = [](const CloudAccount& each) {
        return std::tuple(each.meta.created, each.meta.key.name);
    };
    std::optional<access::Problem> rival;
    services_.store.each_account([&](const CloudAccount& other) {
        if (other.meta.uid == spec.meta.uid || rank(spec) < rank(other)) return;
        if (!equals_ignoring_case(other.azure.subscription_id, spec.azure.subscription_id)) return;
        rival = {"SubscriptionTaken",
                 fmt::format("spec.azure.subscriptionId {} belongs to CloudAccount {}, which is "
                             "older: a subscription has one account; delete one of them",
                             spec.azure.subscription_id, other.meta.key.name)};
    });
    return rival;
}

std::optional<Coverage> Engine::coverage_of(const std::string& name, const Account& account) const {
    const Topology& topology = account.topology();
    if (!topology.machines) return std::nullopt;
    std::set<VmId> named;
    for (const auto& [uid, policy] : policies_) {
        if (policy.account != name || !policy.standing || !policy.standing->problems.empty())
            continue;
        for (const ResolvedTarget& target : policy.standing->targets) named.insert(target.id);
    }
    Coverage coverage;
    for (const VirtualMachine& machine : *topology.machines) {
        ++(!can_be_covered(topology, machine.id) ? coverage.unsupported
           : named.contains(machine.id)          ? coverage.configured
                                                 : coverage.not_configured);
    }
    return coverage;
}

std::string Engine::sentence_of(const nsg::Finding& finding, const NsgId& nsg) {
    return fmt::format("{}: {}{}: {}", finding.reason,
                       finding.rule.empty() ? "" : "rule " + finding.rule + " on ", nsg.name(),
                       finding.message);
}

/// What no policy and no grant is told of; empty: nothing.
std::string Engine::untold_findings(Account& account) const {
    constexpr std::size_t told_max = 5;
    std::vector<std::string> all;
    for (const auto& [nsg, lane] : account.lanes()) {
        for (const nsg::Finding& finding : lane->last_plan().findings) {
            // A rule without a record goes at once.
            const bool nobodys = finding.uid.empty() && finding.reason != "NoRecord";
            const bool orphan =
                finding.reason == "OrphanLockdown" && !policies_.contains(finding.uid);
            if (!nobodys && !orphan) continue;
            all.push_back(sentence_of(finding, nsg));
        }
    }
    if (all.size() > told_max) {
        const std::size_t more = all.size() - told_max;
        all.resize(told_max);
        all.push_back(fmt::format("and {} more", more));
    }
    return join(all, "; ");
}

/// Whether a record may still need this account's credential: not closed, or a write may land yet.
bool Engine::is_in_use(const std::string& account) const {
    bool in_use = false;
    services_.store.each_record([&](const AccessRecord& record) {
        in_use = in_use || (record.account == account && life::is_live(record));
    });
    const auto active = active_in_.find(account);
    return in_use || (active != active_in_.end() && active->second > 0);
}

/// The object is gone. What records still name goes on until they are done.
std::optional<milliseconds> Engine::retire_account(const std::string& name) {
    const auto it = accounts_.find(name);
    if (it == accounts_.end()) return std::nullopt;
    if (is_in_use(name)) return 60s;
    services_.log.info("account.retired", {{"account", name}});
    it->second->retire();
    retired_.push_back(std::move(it->second));
    accounts_.erase(it);
    look_at_policies_of(name);
    services_.store.each_account(
        [&](const CloudAccount& other) { account_queue_.add(other.meta.key.name); });
    return std::nullopt;
}

Task<std::optional<milliseconds>> Engine::look_at_account(std::string name) {
    const CloudAccount* found = services_.store.account(name);
    if (!found) {
        const auto unread = services_.store.undecodable({Kind::account, {"", name}});
        if (!unread) co_return retire_account(name);
        look_at_policies_of(name);
        // It is not absent: what it was goes on, and it is told what is wrong.
        AccountStatus status{.observed_generation = unread->generation,
                             .conditions = stalled_unread(*unread),
                             .message = unread->message,
                             .owner = settings_.owner.text()};
        const Result<void> told =
            co_await services_.store.publish_account(name, unread->uid, std::move(status));
        co_return again_if_untold(told);
    }
    const CloudAccount spec = *found;
    auto it = accounts_.find(name);
    if (it == accounts_.end()) {
        auto account =
            std::make_unique<Account>(services_, *this, settings_.owner, settings_.writer, spec);
        it = accounts_.emplace(name, std::move(account)).first;
        scope_.start(it->second->run());
        topology_changed(name);
    }
    Account& account = *it->second;
    account.respec(spec);
    account.set_rival(find_rival(spec));
    look_at_policies_of(name);

    const ObjectRef ref{Kind::account, {"", name}};
    Result<void> done;
    const bool ready = account.problems().empty() && !account.trouble() && account.current();
    if (spec.meta.deleted && spec.meta.held()) {
        if (is_in_use(name)) co_return 60s;
        done = co_await services_.store.set_hold(ref, spec.meta.uid, false);
        co_return done ? std::nullopt : std::optional<milliseconds>(5s);
    }
    if (ready && !spec.meta.held() && !spec.meta.deleted) {
        done = co_await services_.store.set_hold(ref, spec.meta.uid, true);
    }
    // An earlier process told of it what this one is about to find out.
    if (is_settling(name, account) && spec.meta.held()) co_return 30s;
    AccountStatus status = describe_account(settings_.owner, spec, account);
    status.coverage = coverage_of(name, account);
    if (ready && status.coverage) {
        const std::string advice = advice_on(*status.coverage);
        const std::string findings = untold_findings(account);
        status.message = advice + (advice.empty() || findings.empty() ? "" : "; ") + findings;
    }
    account.keep_sweep_time(status);
    Result<void> published =
        co_await services_.store.publish_account(name, spec.meta.uid, std::move(status));
    if (!done) co_return 5s;
    co_return again_if_untold(published);
}

}  // namespace sallyport::engine
