#include "plan/path/wanted.hpp"

#include <set>
#include <tuple>

#include "base/check.hpp"
#include "base/mutant.hpp"
#include "plan/path/reach.hpp"

namespace sallyport::path {
namespace {

using nsg::RuleContent;

Error no_nsg(const VmId& machine, const Way& way) {
    return {.kind = ErrorKind::invalid,
            .message = fmt::format(
                "{} of {} ({}) has no network security group on its way: nothing can be "
                "closed there",
                way.destination, machine.name(), way.nic.name()),
            .reason = "NoNsgNoFirewall"};
}

/// The ways to a machine, each with at least one NSG.
Result<std::vector<Way>> guarded_ways(const Topology& topology, const VmId& machine) {
    auto ways = ways_to(topology, machine);
    if (!ways) return std::move(ways).error();
    for (const Way& way : *ways) {
        if (way.nsgs.empty()) return no_nsg(machine, way);
    }
    return ways;
}

/// What rules may not mix: on one NSG, one protocol and family, one set of sources.
struct Group {
    NsgId nsg;
    Protocol protocol;
    Family family;
    std::vector<Cidr> sources;
    friend auto operator<=>(const Group&, const Group&) = default;
};

Peer peer_of(const std::set<Address>& addresses) {
    Peer peer;
    for (const Address& address : addresses) peer.prefixes.emplace_back(Cidr::of(address));
    return peer;
}

Peer peer_of(const std::vector<Cidr>& networks) {
    return {.prefixes = std::vector<Prefix>(networks.begin(), networks.end())};
}

/// Sources of one family, the fewest networks that say the same.
std::vector<Cidr> of_family(const std::vector<Cidr>& sources, Family family) {
    std::vector<Cidr> of = AddressSet::of(sources).only(family).cidrs();
    if (planted("widen-by-masking")) {
        for (Cidr& cidr : of) cidr = Cidr::of(cidr.network(), std::min(cidr.prefix_length(), 24));
    }
    return of;
}

using PortsByProtocol = std::map<Protocol, std::vector<PortRange>>;
using PortsByDestination = std::map<Address, std::vector<PortRange>>;

/// One rule per distinct set of ports; destinations with the same ports share it.
std::vector<RuleContent> contents_of(const Group& group, const PortsByDestination& by_destination) {
    std::map<std::vector<PortRange>, std::set<Address>> by_ports;
    for (const auto& [destination, ports] : by_destination)
        by_ports[merged(ports)].insert(destination);
    std::vector<RuleContent> contents;
    for (const auto& [ports, destinations] : by_ports) {
        contents.push_back({.access = Access::allow,
                            .protocol = group.protocol,
                            .source = peer_of(group.sources),
                            .destination = peer_of(destinations),
                            .ports = ports});
    }
    return contents;
}

using Guarded = std::map<NsgId, std::map<Family, std::set<Address>>>;

Result<Guarded> guarded_addresses(const Topology& topology, const std::vector<VmId>& machines) {
    Guarded guarded;
    for (const VmId& machine : machines) {
        auto ways = guarded_ways(topology, machine);
        if (!ways) return std::move(ways).error();
        for (const Way& way : *ways) {
            for (const NsgId& id : way.nsgs)
                guarded[id][way.destination.family].insert(way.destination);
        }
    }
    return guarded;
}

/// What an exception lets in, if it can be a source of that family.
std::optional<Peer> excepted(const LockdownException& exception, Family family) {
    if (exception.tag) return Peer{.prefixes = {*exception.tag}};
    if (exception.cidr && exception.cidr->family() == family)
        return Peer{.prefixes = {*exception.cidr}};
    return std::nullopt;
}

void lock_down(const Lockdown& lockdown, const PortsByProtocol& ports, Family family,
               const std::set<Address>& addresses, WantedLockdown& wanted) {
    const Prefix against = lockdown.against == LockdownAgainst::any
                               ? Prefix(AnyAddress{})
                               : Prefix(ServiceTag{"internet"});
    for (const auto& [protocol, ranges] : ports) {
        RuleContent rule{.access = Access::deny,
                         .protocol = protocol,
                         .source = {.prefixes = {against}},
                         .destination = peer_of(addresses),
                         .ports = merged(ranges)};
        wanted.denies.push_back(rule);
        rule.access = Access::allow;
        for (const LockdownException& exception : lockdown.exceptions) {
            auto source = excepted(exception, family);
            if (!source) continue;
            rule.source = *std::move(source);
            wanted.exceptions.push_back(rule);
        }
    }
}

using WaysOf = Result<std::vector<Way>>(const Topology& topology, const VmId& machine);

Result<WantedByNsg> rules_on(WaysOf* ways_of, const ResolvedRequest& request,
                             const Topology& topology) {
    std::map<Group, PortsByDestination> groups;
    for (const ResolvedAccess& access : request.access) {
        auto ways = ways_of(topology, access.target.id);
        if (!ways) return std::move(ways).error();
        for (const Way& way : *ways) {
            const Family family = way.destination.family;
            const std::vector<Cidr> sources = of_family(access.sources, family);
            if (sources.empty()) continue;
            for (const NsgId& id : way.nsgs) {
                for (const ResolvedPort& port : access.ports) {
                    groups[{id, port.protocol, family, sources}][way.destination].push_back(
                        port.ports);
                }
            }
        }
    }
    WantedByNsg wanted;
    for (const auto& [group, by_destination] : groups) {
        std::vector<RuleContent>& rules = wanted[group.nsg];
        for (RuleContent& content : contents_of(group, by_destination))
            rules.push_back(std::move(content));
    }
    return wanted;
}

}  // namespace

Result<WantedByNsg> wanted_rules(const ResolvedRequest& request, const Topology& topology) {
    return rules_on(guarded_ways, request, topology);
}

Result<WantedByNsg> guarded_rules(const ResolvedRequest& request, const Topology& topology) {
    return rules_on(ways_to, request, topology);
}

Result<std::map<NsgId, WantedLockdown>> wanted_lockdown(const JitPolicy& policy,
                                                        const std::vector<VmId>& machines,
                                                        const Topology& topology) {
    std::map<NsgId, WantedLockdown> wanted;
    auto guarded = guarded_addresses(topology, machines);
    if (!guarded) return std::move(guarded).error();
    if (policy.network.lockdown.mode == LockdownMode::none) return wanted;
    PortsByProtocol ports;
    for (const PolicyPort& port : policy.network.ports) ports[port.protocol].push_back(port.ports);
    for (const auto& [id, families] : *guarded) {
        for (const auto& [family, addresses] : families) {
            lock_down(policy.network.lockdown, ports, family, addresses, wanted[id]);
        }
    }
    return wanted;
}

}  // namespace sallyport::path
