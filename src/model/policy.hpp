#pragma once

#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "model/account.hpp"
#include "model/object.hpp"
#include "model/port.hpp"
#include "model/rule.hpp"

namespace sallyport {

struct MachineTarget {
    std::string resource_group;
    std::string name;
    friend bool operator==(const MachineTarget&, const MachineTarget&) = default;
};
struct SelectorTarget {
    std::vector<std::string> resource_groups = {};  ///< empty: the scopes of the tenant
    std::map<std::string, std::string> tags = {};
    friend bool operator==(const SelectorTarget&, const SelectorTarget&) = default;
};
using PolicyTarget = std::variant<MachineTarget, SelectorTarget>;

struct PolicyPort {
    PortRange ports = PortRange::single(22);
    Protocol protocol = Protocol::tcp;  ///< tcp, udp or any
    seconds max_duration{3 * 3600};
    std::optional<std::vector<Cidr>> sources = {};  ///< narrower than the policy's own
    friend bool operator==(const PolicyPort&, const PolicyPort&) = default;
};

enum class LockdownMode { deny, none };
enum class LockdownAgainst { any, internet };
enum class Precedence { below_existing, above_existing };

struct LockdownException {
    std::optional<ServiceTag> tag = {};  ///< exactly one of tag and cidr
    std::optional<Cidr> cidr = {};
    std::string reason = {};
    friend bool operator==(const LockdownException&, const LockdownException&) = default;
};

struct Lockdown {
    LockdownMode mode = LockdownMode::deny;
    LockdownAgainst against = LockdownAgainst::any;
    Precedence precedence = Precedence::below_existing;
    std::vector<LockdownException> exceptions = {};
    bool confirmed = false;
    bool remove_on_delete = false;
    friend bool operator==(const Lockdown&, const Lockdown&) = default;
};

enum class ApprovalMode { automatic, manual };
enum class ClockStarts { when_approved, when_open };
std::string_view to_text(ClockStarts clock_starts);  ///< `WhenApproved`, `WhenOpen`

struct NetworkPolicy {
    std::vector<PolicyTarget> targets = {};
    std::vector<PolicyPort> ports = {};  ///< the default four when the policy gives none
    SourceLimit sources = {};
    bool override_foreign_deny = false;
    Lockdown lockdown = {};
    friend bool operator==(const NetworkPolicy&, const NetworkPolicy&) = default;
};

struct JitPolicy {
    ObjectMeta meta;
    std::string account = {};
    NetworkPolicy network = {};
    std::vector<std::string> allowed_groups = {};
    std::vector<std::string> allowed_users = {};
    bool justification_required = true;
    std::string ticket_pattern = {};  ///< RE2 syntax; empty: no ticket needed
    std::optional<int> max_active_per_requester = {};
    seconds default_duration{3600};
    ApprovalMode approval = ApprovalMode::manual;
    int approvals_required = 0;
    std::vector<std::string> approver_groups = {};
    seconds approval_expires_after{3600};
    ClockStarts clock_starts = ClockStarts::when_open;
    bool repair_closed = true;  ///< drift.closed: Repair
    bool repair_open = true;    ///< drift.open: Repair; else the grant ends
    seconds retain_ended{168 * 3600};
    /// Parts of the spec that this version refuses, each as {reason, message}.
    std::vector<std::pair<std::string, std::string>> unsupported = {};
    friend bool operator==(const JitPolicy&, const JitPolicy&) = default;
};

struct PolicyStatus {
    std::int64_t observed_generation = -1;
    std::vector<Condition> conditions = {};
    std::string phase = {};
    std::string message = {};
    int targets = 0;
    int open_grants = 0;
    /// Per target and port: `Closed`, `Open`, `Shadowed by <rule>`, `Unknown`, as sentences.
    std::vector<std::string> findings = {};
    friend bool operator==(const PolicyStatus&, const PolicyStatus&) = default;
};

}  // namespace sallyport
