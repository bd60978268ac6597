#include <fmt/format.h>

#include <algorithm>

#include "plan/access/limits.hpp"

namespace sallyport::access {
namespace {

struct Comparison {
    const AccessRecord& record;
    const JitPolicy& policy;
    const CloudAccount& account;
};
using Narrowed = std::optional<Problem>;

Narrowed narrowed(std::string message) { return Problem{"PolicyNarrowed", std::move(message)}; }

Narrowed compare_target(const Comparison& c, const ResolvedTarget& target, const Tenant& tenant,
                        const Topology* topology) {
    const VirtualMachine* machine = topology ? topology->machine(target.id) : nullptr;
    const auto* tags = machine ? &machine->tags : nullptr;
    const bool named = std::ranges::any_of(c.policy.network.targets, [&](const PolicyTarget& each) {
        return names(each, target.id, tags, tenant.scopes);
    });
    if (named) return std::nullopt;
    return narrowed(
        fmt::format("virtual machine {} is not among the targets of {} any more "
                    "(spec.network.targets)",
                    target.id.name(), subject(c.policy)));
}

/// `whose` and `field` name where the limit comes from.
Narrowed compare_source(const Cidr& source, const SourceLimit& limit, const std::string& whose,
                        std::string_view field) {
    if (!AddressSet::of(limit.within).contains(AddressSet::of(source))) {
        return narrowed(
            fmt::format("source {} is not inside {} any more, the sources of {} ({}.within)",
                        source.text(), list_text(limit.within), whose, field));
    }
    const int widest = widest_of(limit, source.family());
    if (source.prefix_length() >= widest) return std::nullopt;
    return narrowed(
        fmt::format("source {} is wider than /{}, the widest that {} allows now ({}.widest)",
                    source.text(), widest, whose, field));
}

Narrowed compare_sources(const Comparison& c, const ResolvedAccess& access, const Tenant& tenant) {
    for (const Cidr& source : access.sources) {
        if (auto why = compare_source(source, c.policy.network.sources, subject(c.policy),
                                      "spec.network.sources")) {
            return why;
        }
        if (!tenant.ceiling.sources) continue;
        if (auto why = compare_source(source, *tenant.ceiling.sources, subject(c.account),
                                      "spec.tenants[].ceiling.sources")) {
            return why;
        }
    }
    return std::nullopt;
}

Narrowed compare_ceiling(const Comparison& c, const ResolvedPort& port, const Ceiling& ceiling) {
    const std::vector<PortRange> allowed = merged(ceiling.ports);
    const bool inside =
        allowed.empty() || std::ranges::any_of(allowed, [&](const PortRange& range) {
            return range.contains(port.ports);
        });
    if (inside) return std::nullopt;
    return narrowed(
        fmt::format("port {} is not among {} any more, the ports that {} allows "
                    "(spec.tenants[].ceiling.ports)",
                    port.ports, list_text(ceiling.ports), subject(c.account)));
}

/// Sets `shortest` to the least maximum of the policy's ports behind this one.
Narrowed compare_port(const Comparison& c, const ResolvedPort& port,
                      const std::vector<Cidr>& sources, seconds& shortest) {
    const PortsFound found = find_ports({port.ports, port.protocol}, c.policy.network.ports);
    if (found.ports.empty()) {
        return narrowed(
            fmt::format("port {} {} is not among those of {} any more (spec.network.ports)",
                        port.ports, port.protocol, subject(c.policy)));
    }
    for (const std::size_t i : found.entries) {
        const PolicyPort& entry = c.policy.network.ports[i];
        shortest = std::min(shortest, entry.max_duration);
        if (!entry.sources || AddressSet::of(*entry.sources).contains(AddressSet::of(sources)))
            continue;
        return narrowed(fmt::format(
            "sources {} are not inside {}, those that {} allows for port {} now "
            "(spec.network.ports[{}].sources)",
            list_text(sources), list_text(*entry.sources), subject(c.policy), entry.ports, i));
    }
    return std::nullopt;
}

}  // namespace

Continuation still_allowed(const AccessRecord& record, const JitPolicy& policy,
                           const CloudAccount& account, const Known<const Topology*>& topology) {
    const Comparison c{record, policy, account};
    const Topology* known = topology ? *topology : nullptr;
    const Tenant* tenant = tenant_for(policy, account);
    if (!tenant) {
        return {narrowed(fmt::format("{} does not serve namespace {} any more (spec.tenants)",
                                     subject(account), policy.meta.key.ns))};
    }
    seconds shortest = tenant->ceiling.max_duration.value_or(policy_duration_max);
    for (const ResolvedAccess& access : record.request.access) {
        if (auto why = compare_target(c, access.target, *tenant, known)) return {std::move(why)};
        if (auto why = compare_sources(c, access, *tenant)) return {std::move(why)};
        for (const ResolvedPort& port : access.ports) {
            if (auto why = compare_port(c, port, access.sources, shortest)) return {std::move(why)};
            if (auto why = compare_ceiling(c, port, tenant->ceiling)) return {std::move(why)};
        }
    }
    if (record.clock_starts == ClockStarts::when_approved || record.request.not_after) {
        return {.end_by = record.decided_at + shortest};
    }
    // A clock that starts with the opening has not started before it: there is nothing to shorten
    // yet.
    if (!record.opened_at) return {};
    return {.end_by = *record.opened_at + shortest};
}

}  // namespace sallyport::access
