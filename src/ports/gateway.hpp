#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "base/secret.hpp"
#include "base/task.hpp"
#include "model/account.hpp"
#include "model/network.hpp"
#include "model/rule.hpp"

namespace sallyport {

/// Where a list looks: the subscription, or one resource group of it.
struct ArmScope {
    std::string subscription;
    std::string resource_group = {};  ///< empty: the whole subscription
};

/// How a write leaves.
struct Departure {
    std::string request_id = {};
    /// Asked each time in the turn in which the request is handed to the transport (fetching a
    /// token may have taken a while, and a 401 makes it leave twice). An error: it does not leave,
    /// and that error is the answer. Empty: nothing is asked.
    std::function<Result<void>()> last_look = {};
};

/// A write that was accepted. `operation_url` empty: it has ended already, successfully.
struct AcceptedWrite {
    std::string operation_url = {};
    std::string correlation_id = {};
    std::optional<seconds> retry_after = {};
    /// Of a rule that was put: what Azure made of it, where the answer shows it.
    std::optional<SecurityRule> stored = {};
};

enum class OperationStatus { running, succeeded, failed, canceled };
struct OperationState {
    OperationStatus status = OperationStatus::running;
    std::optional<Error> error = {};  ///< why it failed or was cancelled, classified like an answer
    std::optional<seconds> retry_after = {};
};

/// What an identity may do at a scope, as `permissions` tells.
struct Permission {
    std::vector<std::string> actions = {};
    std::vector<std::string> not_actions = {};
};
struct ManagementLock {
    ArmId id;
    bool read_only = false;  ///< else CanNotDelete
};
struct DenyAssignment {
    std::string id = {};
    Permission denied = {};
};

/// What is left in one of ARM's token buckets, by the newest answer's headers.
struct Quota {
    std::optional<int> reads = {};
    std::optional<int> writes = {};
    std::optional<int> deletes = {};
};

/// Azure as the engine needs it, for one account. It does not compare, choose or retry (but for one
/// fresh token after a 401): it does what a step says. Every call suspends up to its timeout; an
/// error says by its kind what to do next. Errors carry a docs/reasons.md reason where the answer
/// tells.
class Gateway {
public:
    virtual ~Gateway() = default;

    // The four lists of a sweep, all pages.
    virtual Task<Result<std::vector<NsgState>>> list_nsgs(ArmScope scope) = 0;
    virtual Task<Result<std::vector<Nic>>> list_nics(ArmScope scope) = 0;
    virtual Task<Result<std::vector<VirtualNetwork>>> list_networks(ArmScope scope) = 0;
    virtual Task<Result<std::vector<VirtualMachine>>> list_machines(ArmScope scope) = 0;
    virtual Task<Result<ServiceTagList>> service_tags(std::string subscription,
                                                      std::string location) = 0;

    /// One NSG with all its rules, ours and foreign, in one request. `not_found` if it does not
    /// exist; never an empty state in its place.
    virtual Task<Result<NsgState>> read(NsgId nsg) = 0;
    /// Creates or replaces one rule. `unavailable`: it may land later.
    virtual Task<Result<AcceptedWrite>> put_rule(NsgId nsg, SecurityRule rule,
                                                 Departure departure) = 0;
    /// Absent is success (204, or 404 of the rule). 404 of the NSG itself is `not_found`.
    virtual Task<Result<AcceptedWrite>> delete_rule(NsgId nsg, std::string rule,
                                                    Departure departure) = 0;
    /// Some `writes` are due within seconds: has a token and connections ready, so that they need
    /// not wait for either. Tells nothing: a write works without, only later.
    virtual Task<void> prepare(int writes) = 0;
    /// One look at a long-running operation; the URL as it came.
    virtual Task<Result<OperationState>> poll(std::string operation_url) = 0;

    // Preflight.
    virtual Task<Result<std::vector<Permission>>> permissions(ArmScope scope) = 0;
    virtual Task<Result<std::vector<ManagementLock>>> locks(ArmScope scope) = 0;
    virtual Task<Result<std::vector<DenyAssignment>>> deny_assignments(ArmScope scope) = 0;

    /// What the answers since the last call told; asked twice, the second time tells nothing, so
    /// that an old figure is not believed again and again.
    virtual Quota quota() = 0;
};

/// Makes gateways; `secret` is the account's client secret, `ca_pem` the extra roots of a custom
/// cloud (empty: the system's).
class Gateways {
public:
    virtual ~Gateways() = default;
    /// `invalid` when the account cannot be reached as it is written (an endpoint that is not
    /// allowed).
    virtual Result<std::unique_ptr<Gateway>> open(const AzureAccount& account, Secret secret,
                                                  std::string ca_pem) = 0;
};

}  // namespace sallyport
