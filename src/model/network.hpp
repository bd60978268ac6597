#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/known.hpp"
#include "base/time.hpp"
#include "model/address.hpp"
#include "model/arm_id.hpp"

namespace sallyport {

struct IpConfiguration {
    std::string name = {};
    std::optional<Address> private_address = {};
    std::optional<SubnetId> subnet = {};
    std::vector<AsgId> asgs = {};
    std::optional<ArmId> public_ip = {};
    friend bool operator==(const IpConfiguration&, const IpConfiguration&) = default;
};

struct Nic {
    NicId id;
    std::string location = {};
    std::optional<VmId> vm = {};
    std::optional<NsgId> nsg = {};
    std::vector<IpConfiguration> configurations = {};
    friend bool operator==(const Nic&, const Nic&) = default;
};

struct Subnet {
    SubnetId id;
    std::vector<Cidr> prefixes = {};
    std::optional<NsgId> nsg = {};
    bool routed = false;  ///< has a route table, which is not read
    friend bool operator==(const Subnet&, const Subnet&) = default;
};

struct Peering {
    VnetId remote;
    /// The remote address space as the peering tells it; empty when it does not.
    std::vector<Cidr> remote_prefixes = {};
    bool connected = false;
    /// `allowVirtualNetworkAccess`. False: connected, but the remote space is not in this network's
    /// tag `VirtualNetwork` ("Create, change, or delete a virtual network peering" in Azure's
    /// documentation). Missing: the answer did not say.
    Known<bool> in_tag = {};
    bool remote_gateways = false;  ///< `useRemoteGateways`: what those connect to is not read
    friend bool operator==(const Peering&, const Peering&) = default;
};

struct VirtualNetwork {
    VnetId id;
    std::vector<Cidr> address_space = {};
    std::vector<Subnet> subnets = {};
    std::vector<Peering> peerings = {};
    friend bool operator==(const VirtualNetwork&, const VirtualNetwork&) = default;
};

struct VirtualMachine {
    VmId id;
    std::string vm_id =
        {};  ///< `properties.vmId`: another one under the same id is another machine
    std::string location = {};
    std::map<std::string, std::string> tags = {};
    std::vector<NicId> nics = {};
    friend bool operator==(const VirtualMachine&, const VirtualMachine&) = default;
};

/// Service tags of one region: the address prefixes behind names such as `Storage.WestUS`; keys are
/// lower case.
using ServiceTagList = std::map<std::string, AddressSet>;

/// What one sweep learnt of an account's networks, apart from the NSGs' rules. `Known` parts may be
/// missing when their list failed; an answer built on a missing part is Unknown, never "none".
struct Topology {
    Known<std::vector<VirtualMachine>> machines = {};
    Known<std::vector<Nic>> nics = {};
    Known<std::vector<VirtualNetwork>> networks = {};
    ServiceTagList service_tags = {};  ///< empty: tags do not resolve
    /// True when the lists covered the whole subscription, so that an ASG's members are all known.
    bool whole_subscription = true;
    SteadyTime read_sent{};
    Timestamp read_at{};

    const VirtualMachine* machine(const VmId& id) const;
    const Nic* nic(const NicId& id) const;
    const Subnet* subnet(const SubnetId& id) const;
    const VirtualNetwork* network_of(const SubnetId& id) const;
};

}  // namespace sallyport
