#include <fmt/format.h>

#include "engine/engine.hpp"

namespace sallyport::engine {
namespace {

using namespace std::chrono_literals;
using std::chrono::milliseconds;

/// An account's conditions: Stalled when its spec or its identity must change, Reconciling until
/// the first sweep or while one fails for a while.
AccountStatus describe_account(const Owner& owner, const CloudAccount& spec,
                               const Account& account) {
    AccountStatus status{.observed_generation = spec.meta.generation, .owner = owner.text()};
    const auto condition = [&](std::string type, Truth truth, std::string reason,
                               std::string message) {
        status.conditions.push_back({.type = std::move(type),
                                     .status = truth,
                                     .reason = std::move(reason),
                                     .message = std::move(message),
                                     .observed_generation = spec.meta.generation});
    };
    if (!account.problems().empty()) {
        std::string all;
        for (const access::Problem& problem : account.problems()) {
            all += (all.empty() ? "" : "; ") + problem.message;
        }
        condition("Ready", Truth::no, account.problems().front().reason, all);
        condition("Stalled", Truth::yes, account.problems().front().reason, all);
        return status;
    }
    if (const auto& trouble = account.trouble()) {
        const std::string reason = trouble->reason.empty() ? "CloudUnreachable" : trouble->reason;
        const bool stalled = trouble->kind == ErrorKind::denied ||
                             trouble->kind == ErrorKind::invalid ||
                             trouble->kind == ErrorKind::not_found;
        condition("Ready", Truth::no, reason, trouble->message);
        condition(stalled ? "Stalled" : "Reconciling", Truth::yes, reason, trouble->message);
        return status;
    }
    if (!account.swept()) {
        condition("Ready", Truth::unknown, "FirstSweep", "the surfaces in scope are being read");
        condition("Reconciling", Truth::yes, "FirstSweep", "the surfaces in scope are being read");
        return status;
    }
    condition("Ready", Truth::yes, "Swept",
              fmt::format("all surfaces in scope are read every {}",
                          format_duration(spec.sweep_interval)));
    return status;
}

}  // namespace

Task<std::optional<milliseconds>> Engine::look_at_account(std::string name) {
    const CloudAccount* found = services_.store.account(name);
    if (!found) co_return std::nullopt;  // its sweeps go on for as long as records name it
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
    for (const auto& [uid, policy] : policies_) {
        if (policy.account == name) policy_queue_.add(uid);
    }
    const auto active = active_in_.find(name);
    const bool in_use = active != active_in_.end() && active->second > 0;

    const ObjectRef ref{Kind::account, {"", name}};
    Result<void> done;
    const bool ready = account.problems().empty() && !account.trouble() && account.swept();
    if (spec.meta.deleted && spec.meta.held() && !in_use) {
        done = co_await services_.store.set_hold(ref, spec.meta.uid, false);
        co_return done ? std::nullopt : std::optional<milliseconds>(5s);
    }
    if (ready && !spec.meta.held() && !spec.meta.deleted) {
        done = co_await services_.store.set_hold(ref, spec.meta.uid, true);
    }
    AccountStatus status = describe_account(settings_.owner, spec, account);
    Result<void> published =
        co_await services_.store.publish_account(name, spec.meta.uid, std::move(status));
    if (!done || (!published && published.error().kind != ErrorKind::not_found)) co_return 5s;
    co_return std::nullopt;
}

}  // namespace sallyport::engine
