#include "plan/access/request.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "base/check.hpp"
#include "base/text.hpp"
#include "plan/access/limits.hpp"

namespace sallyport::access {
namespace {

std::vector<ResolvedPort> ports_of(const RequestedAccess& line, const JitPolicy& policy) {
    std::vector<ResolvedPort> ports;
    if (!line.ports) {
        for (const PolicyPort& port : policy.network.ports)
            ports.push_back({port.ports, port.protocol});
        return ports;
    }
    for (const RequestedPort& asked : *line.ports) {
        const PortsFound found = find_ports(asked, policy.network.ports);
        check(!found.ports.empty(), "ports were checked before they are resolved");
        ports.insert(ports.end(), found.ports.begin(), found.ports.end());
    }
    return ports;
}

/// Sorted, without what lies inside another: Azure refuses rules that say a thing twice.
std::vector<ResolvedPort> minimal(std::vector<ResolvedPort> ports) {
    std::ranges::sort(ports);
    ports.erase(std::ranges::unique(ports).begin(), ports.end());
    std::vector<ResolvedPort> kept;
    for (const ResolvedPort& port : ports) {
        const bool inside = std::ranges::any_of(ports, [&](const ResolvedPort& other) {
            return other != port && other.ports.contains(port.ports) &&
                   covers(other.protocol, port.protocol);
        });
        if (!inside) kept.push_back(port);
    }
    return kept;
}

std::vector<Cidr> minimal(std::vector<Cidr> cidrs) {
    std::ranges::sort(cidrs);
    cidrs.erase(std::ranges::unique(cidrs).begin(), cidrs.end());
    std::vector<Cidr> kept;
    for (const Cidr& cidr : cidrs) {
        const bool inside = std::ranges::any_of(
            cidrs, [&](const Cidr& other) { return other != cidr && other.contains(cidr); });
        if (!inside) kept.push_back(cidr);
    }
    return kept;
}

}  // namespace

std::vector<RequestedAccess> lines_of(const AccessGrant& grant) {
    if (grant.access.empty()) return {RequestedAccess()};
    return grant.access;
}

std::string port_field(const AccessGrant& grant, std::size_t line, std::size_t port) {
    const bool differ = std::ranges::any_of(
        grant.access, [&](const auto& other) { return other.ports != grant.access.front().ports; });
    if (differ) return fmt::format("spec.network.access[{}].ports[{}]", line, port);
    return fmt::format("spec.network.ports[{}]", port);
}

std::string text_of(const RequestedPort& port) {
    if (!port.protocol) return port.ports.text();
    return fmt::format("{} {}", port.ports, *port.protocol);
}

std::set<std::size_t> touched_ports(const AccessGrant& grant, const JitPolicy& policy) {
    std::set<std::size_t> touched;
    for (const RequestedAccess& line : lines_of(grant)) {
        if (!line.ports) {
            for (std::size_t i = 0; i < policy.network.ports.size(); ++i) touched.insert(i);
            continue;
        }
        for (const RequestedPort& asked : *line.ports) {
            touched.merge(find_ports(asked, policy.network.ports).entries);
        }
    }
    return touched;
}

std::vector<ResolvedTarget> targets_named(const std::optional<std::string>& machine,
                                          const std::vector<ResolvedTarget>& targets) {
    if (!machine) return targets;
    std::vector<ResolvedTarget> found;
    std::ranges::copy_if(targets, std::back_inserter(found), [&](const ResolvedTarget& target) {
        return equals_ignoring_case(target.id.name(), *machine);
    });
    return found;
}

Timestamp asked_from(const AccessGrant& grant) {
    return grant.not_before ? std::max(grant.meta.created, *grant.not_before) : grant.meta.created;
}

seconds asked_duration(const AccessGrant& grant, const JitPolicy& policy) {
    if (grant.not_after) return *grant.not_after - asked_from(grant);
    return grant.duration.value_or(policy.default_duration);
}

ResolvedRequest resolve(const AccessGrant& grant, const JitPolicy& policy,
                        const std::vector<ResolvedTarget>& targets) {
    std::vector<Cidr> sources;
    for (const std::string& text : grant.sources) {
        const auto source = Cidr::parse(text);
        check(source.has_value(), "sources were checked before they are resolved");
        sources.push_back(*source);
    }
    sources = minimal(std::move(sources));

    std::map<VmId, ResolvedAccess> by_target;
    for (const RequestedAccess& line : lines_of(grant)) {
        const std::vector<ResolvedPort> ports = ports_of(line, policy);
        for (const ResolvedTarget& target : targets_named(line.machine, targets)) {
            const ResolvedAccess nothing{.target = target, .sources = sources};
            auto& access = by_target.try_emplace(target.id, nothing).first->second;
            access.ports.insert(access.ports.end(), ports.begin(), ports.end());
        }
    }
    ResolvedRequest request{.policy_uid = policy.meta.uid,
                            .not_after = grant.not_after,
                            .not_before = grant.not_before};
    if (!grant.not_after) request.duration = asked_duration(grant, policy);
    for (auto& [id, access] : by_target) {
        access.ports = minimal(std::move(access.ports));
        request.access.push_back(std::move(access));
    }
    return request;
}

}  // namespace sallyport::access
