#include "model/network.hpp"

#include <algorithm>

namespace sallyport {
namespace {

template <class T, class Id>
const T* find_by_id(const Known<std::vector<T>>& list, const Id& id) {
    if (!list) return nullptr;
    const auto found = std::ranges::find(*list, id, &T::id);
    return found == list->end() ? nullptr : &*found;
}

}  // namespace

const VirtualMachine* Topology::machine(const VmId& id) const { return find_by_id(machines, id); }

const Nic* Topology::nic(const NicId& id) const { return find_by_id(nics, id); }

const Subnet* Topology::subnet(const SubnetId& id) const {
    const VirtualNetwork* network = network_of(id);
    if (network == nullptr) return nullptr;
    const auto found = std::ranges::find(network->subnets, id, &Subnet::id);
    return found == network->subnets.end() ? nullptr : &*found;
}

const VirtualNetwork* Topology::network_of(const SubnetId& id) const {
    const auto parent = id.id().parent();
    if (!parent) return nullptr;
    const auto network_id = VnetId::of(*parent);
    return network_id ? find_by_id(networks, *network_id) : nullptr;
}

}  // namespace sallyport
