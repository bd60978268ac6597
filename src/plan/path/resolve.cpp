#include <algorithm>
#include <array>

#include "base/check.hpp"
#include "base/text.hpp"
#include "plan/path/reach.hpp"

namespace sallyport::path {
namespace {

Bounds exactly(AddressSet set) { return {set, std::move(set)}; }
Bounds unresolved() { return {{}, AddressSet::everything()}; }

void add(Bounds& to, const Bounds& more) {
    to.surely = to.surely | more.surely;
    to.possibly = to.possibly | more.possibly;
}

AddressSet parsed(std::string_view text) {
    const auto cidr = Cidr::parse(text);
    check(cidr.has_value(), "a constant network is well written");
    return AddressSet::of(*cidr);
}

/// The address that the load balancer's probes come from, the same in every region ("What is IP
/// address 168.63.129.16?" and "IPv6 for Azure Virtual Network" in Azure's documentation).
AddressSet load_balancer() {
    return parsed("168.63.129.16/32") | parsed("fe80::1234:5678:9abc/128");
}

/// What is surely on the public internet to Azure: all but private, shared, local and multicast
/// space and the platform's own address. Too small a set is safe.
AddressSet public_space() {
    constexpr std::array<const char*, 9> special = {
        "0.0.0.0/8",      "10.0.0.0/8",    "100.64.0.0/10",  "127.0.0.0/8", "168.63.129.16/32",
        "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16", "224.0.0.0/3"};
    AddressSet space = AddressSet::all(Family::v4) | parsed("2000::/3");
    for (const char* const network : special) space = space - parsed(network);
    return space;
}

/// What else the tag holds: "all connected on-premises address spaces, [...] virtual networks
/// connected to a virtual network gateway, [...] and address prefixes used on user-defined routes.
/// This tag might also contain default routes" ("Virtual network service tags" in Azure's
/// documentation). None of that is read; where there is any, it may be everything.
bool may_hold_more(const Topology& topology, const VirtualNetwork& network,
                   const SubnetId& subnet) {
    const Subnet* const own = topology.subnet(subnet);
    const bool routed = own == nullptr || own->routed;
    const bool gateway = std::ranges::any_of(network.subnets, [](const Subnet& each) {
        // Azure lets them stand in subnets of these names alone.
        return equals_ignoring_case(each.id.name(), "gatewaysubnet") ||
               equals_ignoring_case(each.id.name(), "routeserversubnet");
    });
    return routed || gateway || std::ranges::any_of(network.peerings, [](const Peering& peering) {
               return peering.connected && peering.remote_gateways;
           });
}

Bounds virtual_network(const Topology& topology, const Way& way) {
    const VirtualNetwork* network = way.subnet ? topology.network_of(*way.subnet) : nullptr;
    if (network == nullptr) return unresolved();
    Bounds bounds = exactly(AddressSet::of(network->address_space));
    if (may_hold_more(topology, *network, *way.subnet)) add(bounds, unresolved());
    for (const Peering& peering : network->peerings) {
        if (!peering.connected || peering.in_tag == Known(false)) continue;
        Bounds space = unresolved();
        const auto& known = *topology.networks;
        const auto remote = std::ranges::find(known, peering.remote, &VirtualNetwork::id);
        if (remote != known.end()) {
            space = exactly(AddressSet::of(remote->address_space));
        } else if (!peering.remote_prefixes.empty()) {
            space = exactly(AddressSet::of(peering.remote_prefixes));
        }
        if (!peering.in_tag) space.surely = {};
        add(bounds, space);
    }
    return bounds;
}

Bounds internet(const Topology& topology, const Way& way) {
    const Bounds inside = virtual_network(topology, way);
    return {public_space() - inside.possibly, AddressSet::everything() - inside.surely};
}

Bounds of_tag(const ServiceTag& tag, const Topology& topology, const Way& way) {
    if (tag.name == "virtualnetwork") return virtual_network(topology, way);
    if (tag.name == "internet") return internet(topology, way);
    if (tag.name == "azureloadbalancer") return exactly(load_balancer());
    const auto listed = topology.service_tags.find(tag.name);
    return listed == topology.service_tags.end() ? unresolved() : exactly(listed->second);
}

Bounds of_asg(const ArmId& asg, const Topology& topology, const Way& way) {
    if (!topology.nics) return unresolved();
    Bounds members;
    for (const Nic& nic : *topology.nics) {
        for (const IpConfiguration& configuration : nic.configurations) {
            const bool member = std::ranges::any_of(
                configuration.asgs, [&](const AsgId& id) { return id.id() == asg; });
            if (member && configuration.private_address) {
                add(members, exactly(AddressSet::of(Cidr::of(*configuration.private_address))));
            }
        }
    }
    // Members that were not listed may exist: the instances of a scale set have interfaces that
    // Azure lists with the set alone. An ASG's NICs are all in one virtual network and so in one
    // subscription; of another one nothing was read.
    const bool complete = topology.whole_subscription && topology.networks &&
                          equals_ignoring_case(asg.subscription(), way.machine.id().subscription());
    if (!complete) {
        add(members, unresolved());
        return members;
    }
    for (const VirtualNetwork& network : *topology.networks) {
        members.possibly = members.possibly | AddressSet::of(network.address_space);
    }
    return members;
}

}  // namespace

Bounds resolve(const Peer& peer, const Topology& topology, const Way& way) {
    if (peer.prefixes.empty() && peer.asgs.empty()) return unresolved();
    Bounds all;
    for (const Prefix& prefix : peer.prefixes) {
        add(all, std::visit(overloaded{
                                [](const AnyAddress&) { return exactly(AddressSet::everything()); },
                                [](const Cidr& cidr) { return exactly(AddressSet::of(cidr)); },
                                [&](const ServiceTag& tag) { return of_tag(tag, topology, way); },
                                [](const Unreadable&) { return unresolved(); },
                            },
                            prefix));
    }
    for (const ArmId& asg : peer.asgs) add(all, of_asg(asg, topology, way));
    return all;
}

}  // namespace sallyport::path
