#include <fmt/format.h>

#include <algorithm>

#include "base/text.hpp"
#include "plan/access/limits.hpp"
#include "plan/access/ticket.hpp"
#include "plan/path/reach.hpp"

namespace sallyport::access {
namespace {

using Problems = std::vector<Problem>;

void check_ports(const JitPolicy& policy, Problems& problems) {
    const auto& ports = policy.network.ports;
    if (ports.empty() || ports.size() > policy_ports_max) {
        problems.push_back(
            {"PortsInvalid", fmt::format("spec.network.ports has {} entries; a policy "
                                         "has 1 to {}",
                                         ports.size(), policy_ports_max)});
    }
    for (std::size_t i = 0; i < ports.size(); ++i) {
        const PolicyPort& port = ports[i];
        if (port.ports.first() == 0) {
            problems.push_back(
                {"PortsInvalid",
                 fmt::format("spec.network.ports[{}].port {} is not within 1 to 65535; "
                             "port 0 cannot be connected to",
                             i, port.ports)});
        }
        if (port.protocol != Protocol::tcp && port.protocol != Protocol::udp &&
            port.protocol != Protocol::any) {
            problems.push_back(
                {"PortsInvalid", fmt::format("spec.network.ports[{}].protocol {} is not "
                                             "Tcp, Udp or Any",
                                             i, port.protocol)});
        }
        if (port.max_duration < policy_duration_min || port.max_duration > policy_duration_max) {
            problems.push_back(
                {"DurationInvalid",
                 fmt::format(
                     "spec.network.ports[{}].maxDuration {} is not within {} to {}, the bounds "
                     "of every policy",
                     i, format_duration(port.max_duration), format_duration(policy_duration_min),
                     format_duration(policy_duration_max))});
        }
    }
}

void check_port_sources(const JitPolicy& policy, Problems& problems) {
    const AddressSet within = AddressSet::of(policy.network.sources.within);
    const auto& ports = policy.network.ports;
    for (std::size_t i = 0; i < ports.size(); ++i) {
        if (!ports[i].sources) continue;
        for (const Cidr& source : *ports[i].sources) {
            if (within.contains(AddressSet::of(source))) continue;
            problems.push_back(
                {"SourcesInvalid",
                 fmt::format("spec.network.ports[{}].sources {} is not inside {}, the policy's own "
                             "spec.network.sources.within; a port's sources may only be narrower",
                             i, source.text(), list_text(policy.network.sources.within))});
        }
    }
}

void check_sources(const JitPolicy& policy, Problems& problems) {
    const SourceLimit& sources = policy.network.sources;
    if (sources.within.empty()) {
        problems.push_back({"SourcesInvalid",
                            "spec.network.sources.within is empty, so nobody could "
                            "come from anywhere; name at least one range"});
    }
    const auto check_widest = [&](std::string_view field, int given, int longest) {
        if (given >= 1 && given <= longest) return;
        problems.push_back({"SourcesInvalid",
                            fmt::format("spec.network.sources.widest.{} {} is not within 1 to {}",
                                        field, given, longest)});
    };
    check_widest("ipv4", sources.widest_v4, address_bits(Family::v4));
    check_widest("ipv6", sources.widest_v6, address_bits(Family::v6));
    check_port_sources(policy, problems);
}

void check_request(const JitPolicy& policy, Problems& problems) {
    if (policy.default_duration < grant_duration_min ||
        policy.default_duration > policy_duration_max) {
        problems.push_back({"DurationInvalid",
                            fmt::format("spec.request.defaultDuration {} is not within {} to {}",
                                        format_duration(policy.default_duration),
                                        format_duration(grant_duration_min),
                                        format_duration(policy_duration_max))});
    }
    if (policy.ticket_pattern.empty()) return;
    if (const auto wrong = pattern_problem(policy.ticket_pattern)) {
        problems.push_back(
            {"TicketPatternInvalid",
             fmt::format("spec.request.ticket.pattern \"{}\" is not a regular expression "
                         "in RE2 syntax: {}",
                         policy.ticket_pattern, *wrong)});
    }
}

void check_lockdown(const JitPolicy& policy, Problems& problems) {
    const auto& exceptions = policy.network.lockdown.exceptions;
    for (std::size_t i = 0; i < exceptions.size(); ++i) {
        const LockdownException& exception = exceptions[i];
        if (exception.tag.has_value() == exception.cidr.has_value()) {
            problems.push_back(
                {"ExceptionInvalid",
                 fmt::format("spec.network.lockdown.exceptions[{}] must have exactly one "
                             "of tag and cidr",
                             i)});
            continue;
        }
        // Such an exception would be a lockdown that locks nothing and says it does.
        const bool everybody = exception.tag ? exception.tag->name == "internet"
                                             : exception.cidr->prefix_length() == 0;
        if (!everybody) continue;
        problems.push_back(
            {"ExceptionInvalid",
             fmt::format("spec.network.lockdown.exceptions[{}] {} lets everybody in; name "
                         "the range that needs it, or set lockdown.mode to None",
                         i, exception.tag ? "Internet" : exception.cidr->text())});
    }
}

void check_account(const JitPolicy& policy, const CloudAccount& account, Problems& problems) {
    const Tenant* tenant = tenant_for(policy, account);
    if (tenant) {
        Problems above = ceiling_problems(policy, account, *tenant);
        std::ranges::move(above, std::back_inserter(problems));
    } else {
        problems.push_back(
            {"NamespaceNotAllowed",
             fmt::format("spec.accountRef.name {}: none of the spec.tenants of {} names "
                         "namespace {}; have it added there",
                         policy.account, subject(account), policy.meta.key.ns)});
    }
    if (const auto own = judge_account(account); !own.empty()) {
        problems.push_back(
            {"AccountInvalid", fmt::format("spec.accountRef.name {}: {} cannot be used: {}",
                                           policy.account, subject(account), own.front().message)});
    }
}

std::string target_text(const PolicyTarget& target) {
    if (const auto* one = std::get_if<MachineTarget>(&target)) {
        return fmt::format("virtualMachine {}/{}", one->resource_group, one->name);
    }
    return "selector";
}

/// Fills `targets`; a target that names nothing is a finding, and so is a machine nothing guards.
void resolve_targets(const JitPolicy& policy, const std::vector<std::string>& scopes,
                     const Topology& topology, PolicyStanding& standing) {
    for (std::size_t i = 0; i < policy.network.targets.size(); ++i) {
        bool any = false;
        for (const VirtualMachine& machine : *topology.machines) {
            if (!names(policy.network.targets[i], machine.id, &machine.tags, scopes)) continue;
            any = true;
            standing.targets.push_back({machine.id, machine.vm_id});
        }
        if (any) continue;
        standing.findings.push_back(
            {"TargetNotFound",
             fmt::format("spec.network.targets[{}]: {} names no virtual machine that exists in the "
                         "account's subscription",
                         i, target_text(policy.network.targets[i]))});
    }
    std::ranges::sort(standing.targets, {}, &ResolvedTarget::id);
    const auto doubles = std::ranges::unique(standing.targets, {}, &ResolvedTarget::id);
    standing.targets.erase(doubles.begin(), doubles.end());
}

/// A machine with a way that no NSG guards is open whatever we write.
std::optional<Problem> unguarded(const std::vector<ResolvedTarget>& targets,
                                 const Topology& topology) {
    for (const ResolvedTarget& target : targets) {
        const auto ways = path::ways_to(topology, target.id);
        if (!ways) {
            return Problem{"TargetsUnknown", fmt::format("the networks of {} are not known yet: {}",
                                                         target.id.name(), ways.error().message)};
        }
        const auto open =
            std::ranges::find_if(*ways, [](const auto& way) { return way.nsgs.empty(); });
        if (open == ways->end()) continue;
        return Problem{
            "NoNsgNoFirewall",
            fmt::format("virtual machine {} is reached at {} without any network security "
                        "group on the way, so nothing can be closed there; put one on the "
                        "network interface {} or its subnet",
                        target.id.name(), open->destination.text(), open->nic.name())};
    }
    return std::nullopt;
}

}  // namespace

PolicyStanding judge_policy(const JitPolicy& policy, const CloudAccount& account,
                            const Known<const Topology*>& topology) {
    PolicyStanding standing;
    if (policy.network.targets.empty()) {
        standing.problems.push_back({"TargetsInvalid",
                                     "spec.network.targets is empty; name at least "
                                     "one virtual machine or selector"});
    }
    check_ports(policy, standing.problems);
    check_sources(policy, standing.problems);
    check_request(policy, standing.problems);
    check_lockdown(policy, standing.problems);
    for (const auto& [reason, message] : policy.unsupported) {
        standing.problems.push_back({reason, message});
    }
    check_account(policy, account, standing.problems);

    const Tenant* tenant = tenant_for(policy, account);
    if (!tenant) return standing;
    if (!topology || !*topology || !(*topology)->machines) {
        standing.not_ready = Problem{
            "TargetsUnknown",
            fmt::format("the virtual machines of {} have not been read yet", subject(account))};
        return standing;
    }
    resolve_targets(policy, tenant->scopes, **topology, standing);
    if (standing.targets.empty()) {
        standing.not_ready = Problem{
            "NoTargets", fmt::format("none of spec.network.targets of {} names a virtual machine "
                                     "that exists within {}",
                                     subject(policy), list_text(tenant->scopes))};
    } else {
        standing.not_ready = unguarded(standing.targets, **topology);
    }
    return standing;
}

}  // namespace sallyport::access
