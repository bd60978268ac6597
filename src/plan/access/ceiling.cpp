#include <fmt/format.h>

#include <algorithm>

#include "base/check.hpp"
#include "plan/access/limits.hpp"

namespace sallyport::access {
namespace {

/// One policy against one tenant; `limit` names where a limit comes from.
struct CeilingComparison {
    const JitPolicy& policy;
    const CloudAccount& account;
    const Tenant& tenant;
    std::vector<Problem>& problems;

    std::string limit(std::string_view field) const {
        const auto index = &tenant - account.tenants.data();
        return fmt::format("{} for namespace {} (spec.tenants[{}].{})", subject(account),
                           policy.meta.key.ns, index, field);
    }
    void refuse(const char* reason, std::string message) const {
        problems.push_back({reason, std::move(message)});
    }
};

void compare_kinds(const CeilingComparison& c) {
    const auto& kinds = c.tenant.ceiling.kinds;
    if (kinds.empty() || std::ranges::find(kinds, "network") != kinds.end()) return;
    c.refuse(
        "KindNotAllowed",
        fmt::format("spec.network is not among {}, the kinds that {} allows; ask for network to "
                    "be added there",
                    list_text(kinds), c.limit("ceiling.kinds")));
}

void compare_scopes(const CeilingComparison& c) {
    const auto& targets = c.policy.network.targets;
    const auto refuse = [&](std::size_t i, std::string_view field, const std::string& group) {
        c.refuse(
            "TargetOutsideScope",
            fmt::format("spec.network.targets[{}].{} {} is outside {}, the scopes that {} allows; "
                        "name a resource group inside them",
                        i, field, group, list_text(c.tenant.scopes), c.limit("scopes")));
    };
    for (std::size_t i = 0; i < targets.size(); ++i) {
        std::visit(overloaded{
                       [&](const MachineTarget& one) {
                           if (!in_scope(one.resource_group, c.tenant.scopes)) {
                               refuse(i, "virtualMachine.resourceGroup", one.resource_group);
                           }
                       },
                       [&](const SelectorTarget& selector) {
                           for (const std::string& group : selector.resource_groups) {
                               if (!in_scope(group, c.tenant.scopes)) {
                                   refuse(i, "selector.resourceGroups", group);
                               }
                           }
                       },
                   },
                   targets[i]);
    }
}

void compare_ports(const CeilingComparison& c) {
    const Ceiling& ceiling = c.tenant.ceiling;
    const std::vector<PortRange> allowed = merged(ceiling.ports);
    const auto& ports = c.policy.network.ports;
    for (std::size_t i = 0; i < ports.size(); ++i) {
        const bool inside =
            allowed.empty() || std::ranges::any_of(allowed, [&](const PortRange& range) {
                return range.contains(ports[i].ports);
            });
        if (!inside) {
            c.refuse(
                "PortAboveCeiling",
                fmt::format("spec.network.ports[{}].port {} is not among {}, the ports that {} "
                            "allows; drop it or have it allowed there",
                            i, ports[i].ports, list_text(ceiling.ports), c.limit("ceiling.ports")));
        }
        if (ceiling.max_duration && ports[i].max_duration > *ceiling.max_duration) {
            c.refuse(
                "DurationAboveCeiling",
                fmt::format("spec.network.ports[{}].maxDuration {} is longer than {}, the longest "
                            "that {} allows; give {} or less",
                            i, format_duration(ports[i].max_duration),
                            format_duration(*ceiling.max_duration), c.limit("ceiling.maxDuration"),
                            format_duration(*ceiling.max_duration)));
        }
    }
}

void compare_widest(const CeilingComparison& c, Family family, std::string_view field) {
    const SourceLimit& limit = *c.tenant.ceiling.sources;
    const int given = widest_of(c.policy.network.sources, family);
    const int most = widest_of(limit, family);
    if (given >= most) return;
    c.refuse("SourcesAboveCeiling",
             fmt::format(
                 "spec.network.sources.widest.{} {} is wider than {}, the widest that {} allows; "
                 "give {} or more",
                 field, given, most, c.limit("ceiling.sources.widest"), most));
}

void compare_sources(const CeilingComparison& c) {
    if (!c.tenant.ceiling.sources) return;
    const SourceLimit& limit = *c.tenant.ceiling.sources;
    const AddressSet allowed = AddressSet::of(limit.within);
    const auto& within = c.policy.network.sources.within;
    for (std::size_t i = 0; i < within.size(); ++i) {
        if (allowed.contains(AddressSet::of(within[i]))) continue;
        c.refuse(
            "SourcesAboveCeiling",
            fmt::format("spec.network.sources.within[{}] {} is not inside {}, the sources that {} "
                        "allows; name a range inside them",
                        i, within[i].text(), list_text(limit.within),
                        c.limit("ceiling.sources.within")));
    }
    compare_widest(c, Family::v4, "ipv4");
    compare_widest(c, Family::v6, "ipv6");
}

/// What no address on the internet is in: RFC 1918, RFC 6598, RFC 3927, RFC 4193, RFC 4291.
AddressSet private_space() {
    AddressSet space;
    for (const char* const text : {"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10",
                                   "169.254.0.0/16", "fc00::/7", "fe80::/10"}) {
        const auto network = Cidr::parse(text);
        check(network.has_value(), "a constant network is well written");
        space = space | AddressSet::of(*network);
    }
    return space;
}

/// An exception lets in without a grant and without an end. From inside (a jump host, a probe) that
/// is the policy's own affair; from the internet only where the ceiling lets people come from.
void compare_exceptions(const CeilingComparison& c) {
    if (!c.tenant.ceiling.sources) return;
    const SourceLimit& limit = *c.tenant.ceiling.sources;
    const AddressSet allowed = AddressSet::of(limit.within) | private_space();
    const auto& exceptions = c.policy.network.lockdown.exceptions;
    for (std::size_t i = 0; i < exceptions.size(); ++i) {
        const auto& [tag, cidr, reason] = exceptions[i];
        const bool inside = tag ? tag->name == "virtualnetwork" || tag->name == "azureloadbalancer"
                                : !cidr || allowed.contains(AddressSet::of(*cidr));
        if (inside) continue;
        c.refuse("ExceptionAboveCeiling",
                 fmt::format("spec.network.lockdown.exceptions[{}] {} lets in from outside {}, the "
                             "sources that {} allows; name a range inside them, or one that is "
                             "private",
                             i, tag ? to_text(Prefix(*tag)) : cidr->text(), list_text(limit.within),
                             c.limit("ceiling.sources.within")));
    }
}

void compare_approval(const CeilingComparison& c) {
    const Ceiling& ceiling = c.tenant.ceiling;
    if (c.policy.approval == ApprovalMode::automatic) {
        if (!ceiling.automatic_approval) {
            c.refuse(
                "ApprovalBelowCeiling",
                fmt::format("spec.approval.mode Automatic is not what {} allows: false; set it "
                            "to Manual",
                            c.limit("ceiling.approval.automatic")));
        }
        return;
    }
    if (c.policy.approvals_required < ceiling.approvals_required_min) {
        c.refuse("ApprovalBelowCeiling",
                 fmt::format("spec.approval.stages ask for {} approvers, fewer than {}, the fewest "
                             "that {} allows",
                             c.policy.approvals_required, ceiling.approvals_required_min,
                             c.limit("ceiling.approval.minimumRequired")));
    }
    if (ceiling.approver_groups.empty()) return;
    for (const std::string& group : c.policy.approver_groups) {
        if (std::ranges::find(ceiling.approver_groups, group) != ceiling.approver_groups.end())
            continue;
        c.refuse(
            "ApprovalBelowCeiling",
            fmt::format("spec.approval.stages name group {}, which is not among {}, the approvers "
                        "that {} allows",
                        group, list_text(ceiling.approver_groups),
                        c.limit("ceiling.approval.approverGroups")));
    }
}

}  // namespace

std::vector<Problem> ceiling_problems(const JitPolicy& policy, const CloudAccount& account,
                                      const Tenant& tenant) {
    std::vector<Problem> problems;
    const CeilingComparison comparison{policy, account, tenant, problems};
    compare_kinds(comparison);
    compare_scopes(comparison);
    compare_ports(comparison);
    compare_sources(comparison);
    compare_exceptions(comparison);
    compare_approval(comparison);
    return problems;
}

}  // namespace sallyport::access
