#pragma once

#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "plan/access/decide.hpp"

/// The limits of policies and ceilings as questions, shared by the first decision, the check of a
/// policy against its ceiling, and the check of open grants against a policy that changed.
namespace sallyport::access {

/// Bounds of every policy, whatever its ceiling.
inline constexpr seconds policy_duration_min{5 * 60};
inline constexpr seconds policy_duration_max{24 * 3600};
inline constexpr seconds grant_duration_min{10};
inline constexpr std::size_t policy_ports_max = 32;
/// How long a missing policy or account may still be on its way.
inline constexpr seconds arrival_allowance{2 * 60};

std::string subject(const JitPolicy& policy);      ///< `policy payments/web-ssh`
std::string subject(const CloudAccount& account);  ///< `account prod`
std::string list_text(const std::vector<PortRange>& ports);
std::string list_text(const std::vector<Cidr>& cidrs);
std::string list_text(const std::vector<std::string>& words);

int widest_of(const SourceLimit& limit, Family family);
/// Whether a port of `entry` protocol takes traffic of `asked`; `Any` stands for Tcp and Udp.
bool covers(Protocol entry, Protocol asked);

/// A requested port as the policy's ports give it.
struct PortsFound {
    std::vector<ResolvedPort> ports = {};  ///< empty: the policy does not have all of it
    std::set<std::size_t> entries = {};    ///< indexes of the policy's ports that are touched
};
PortsFound find_ports(const RequestedPort& asked, const std::vector<PolicyPort>& policy_ports);

/// `resourceGroups/<name>` or `subscription`, without case.
bool in_scope(std::string_view resource_group, const std::vector<std::string>& scopes);
/// Whether a target of the policy names this machine. `tags` null: they are not known, and not
/// compared.
bool names(const PolicyTarget& target, const VmId& machine,
           const std::map<std::string, std::string>* tags, const std::vector<std::string>& scopes);

/// The tenants of an account that a namespace belongs to.
std::vector<const Tenant*> tenants_of(const CloudAccount& account, const std::string& ns);
/// A policy against one tenant's scopes and ceiling.
std::vector<Problem> ceiling_problems(const JitPolicy& policy, const CloudAccount& account,
                                      const Tenant& tenant);
/// The tenant that judges this policy: of those of its namespace the one it violates least.
const Tenant* tenant_for(const JitPolicy& policy, const CloudAccount& account);

}  // namespace sallyport::access
