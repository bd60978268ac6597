#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "model/network.hpp"
#include "model/rule.hpp"

/// Proof: what the rules as they were read let through, by first match, in address and port sets.
namespace sallyport::path {

/// One way to one address of a machine: the subnet's NSG, then the NIC's. A hop without an NSG lets
/// everything pass and is simply not in the list.
struct Way {
    VmId machine;
    NicId nic;
    Address destination;
    std::optional<SubnetId> subnet = {};
    std::vector<AsgId> asgs = {};
    std::vector<NsgId> nsgs = {};  ///< in the order in which a packet meets them; 0 to 2
};

/// All ways to a machine: every address of every NIC, in order of NIC and address. Unknown parts of
/// the topology (a list that failed, a subnet or NIC that is named but was not listed) give
/// `unavailable`, a machine that is not listed `not_found`.
Result<std::vector<Way>> ways_to(const Topology& topology, const VmId& machine);

/// A set of addresses that cannot be told exactly: everything in `surely` belongs to it, nothing
/// outside `possibly` does.
struct Bounds {
    AddressSet surely = {};
    AddressSet possibly = {};
};

/// Turns prefixes, tags and ASGs into addresses as seen from one way's network:
/// `VirtualNetwork` is the network's space and that of its connected peers, but for peerings that
/// say `allowVirtualNetworkAccess: false` (surely not) or nothing of it, and possibly everything
/// where the subnet has a route table or the network a gateway, its own or a peer's; `Internet`
/// surely the public addresses outside it, possibly all outside it; `AzureLoadBalancer` the probe
/// address 168.63.129.16 and fe80::1234:5678:9abc; other tags come from the service-tag list. An
/// ASG is surely the listed NICs in it, possibly all of the networks, for the instances of scale
/// sets. What is not known, or says nothing, is surely nothing and possibly everything.
Bounds resolve(const Peer& peer, const Topology& topology, const Way& way);

/// Traffic of one protocol to one way and one range of ports.
struct Traffic {
    AddressSet sources = {};
    Protocol protocol = Protocol::tcp;  ///< never any
    PortRange ports = PortRange::all();
};

/// Which sources get through, and by which rules.
struct Passage {
    AddressSet surely = {};    ///< each of these gets through to every port of the range
    AddressSet possibly = {};  ///< nothing else gets through to any port of the range
    struct By {
        std::string rule;
        NsgId nsg;
        Access access = Access::allow;
        AddressSet sources = {};  ///< of `possibly` for an allow; of what it may stop for a deny
        friend bool operator==(const By&, const By&) = default;
    };
    std::vector<By> allows = {};
    std::vector<By> denies = {};
};

/// Through one NSG. A rule that is not settled may be in force with its new text, with any of its
/// `former` ones, or not at all, and one of `unsettled` with any text. Unresolvable sets count
/// against us both ways: an allow that may match widens `possibly`, a deny that may match narrows
/// `surely`. `without`: names of rules (folded) to leave out.
Passage through(const NsgState& nsg, const Topology& topology, const Way& way,
                const Traffic& traffic, const std::vector<std::string>& without = {});

/// Along a whole way: a packet passes only if every hop lets it. `hops` are the reads of
/// `way.nsgs`, in their order; none: everything passes. `without`: folded names to leave out, by
/// NSG.
Passage along(const Way& way, const std::vector<const NsgState*>& hops, const Topology& topology,
              const Traffic& traffic,
              const std::map<NsgId, std::vector<std::string>>& without = {});

}  // namespace sallyport::path
