#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/text.hpp"
#include "codec/arm_read.hpp"

namespace sallyport::codec {
namespace {

std::optional<IpConfiguration> read_configuration(const Field& item) {
    const Field properties = item["properties"].required();
    IpConfiguration out;
    out.name = read_loose_text(item["name"]);
    out.private_address = properties["privateIPAddress"].parsed(Address::parse);
    out.subnet = read_reference<SubnetId>(properties["subnet"]);
    out.public_ip = read_reference<ArmId>(properties["publicIPAddress"]);
    for (const Field& group : properties["applicationSecurityGroups"].items(arm_list_max)) {
        if (auto id = read_reference<AsgId>(group)) out.asgs.push_back(*std::move(id));
    }
    return out;
}

std::optional<Nic> read_nic(const Field& item) {
    const auto id = read_arm_id<NicId>(item["id"].required());
    if (!id) return std::nullopt;
    const Field properties = item["properties"].required();
    Nic nic{.id = *id};
    nic.location = read_loose_text(item["location"]);
    nic.nsg = read_reference<NsgId>(properties["networkSecurityGroup"]);
    // A scale set's instance has an id of another type, and no policy can name it.
    if (const auto vm = ArmId::parse(read_loose_text(properties["virtualMachine"]["id"]))) {
        if (const auto vm_id = VmId::of(*vm)) nic.vm = *vm_id;
    }
    for (const Field& configuration : properties["ipConfigurations"].items(arm_list_max)) {
        if (auto read = read_configuration(configuration))
            nic.configurations.push_back(*std::move(read));
    }
    return nic;
}

std::optional<Subnet> read_subnet(const Field& item) {
    const auto id = read_arm_id<SubnetId>(item["id"].required());
    if (!id) return std::nullopt;
    const Field properties = item["properties"].required();
    Subnet subnet{.id = *id};
    subnet.prefixes = read_networks(properties["addressPrefixes"]);
    const auto single = properties["addressPrefix"].parsed(
        [](std::string_view text) { return Cidr::parse(text, Cidr::HostBits::mask); });
    if (single && std::ranges::find(subnet.prefixes, *single) == subnet.prefixes.end()) {
        subnet.prefixes.push_back(*single);
    }
    subnet.nsg = read_reference<NsgId>(properties["networkSecurityGroup"]);
    subnet.routed = static_cast<bool>(properties["routeTable"]);
    return subnet;
}

std::optional<Peering> read_peering(const Field& item) {
    const Field properties = item["properties"].required();
    const auto remote = read_reference<VnetId>(properties["remoteVirtualNetwork"].required());
    if (!remote) return std::nullopt;
    Peering peering{.remote = *remote};
    // The second name is the newer one, and then the truer.
    const Field newer = properties["remoteVirtualNetworkAddressSpace"]["addressPrefixes"];
    peering.remote_prefixes =
        read_networks(newer ? newer : properties["remoteAddressSpace"]["addressPrefixes"]);
    peering.connected =
        equals_ignoring_case(read_loose_text(properties["peeringState"]), "Connected");
    if (const Field access = properties["allowVirtualNetworkAccess"]) {
        if (const auto allowed = access.boolean()) peering.in_tag = *allowed;
    }
    peering.remote_gateways = properties["useRemoteGateways"].boolean().value_or(false);
    return peering;
}

std::optional<VirtualNetwork> read_network(const Field& item) {
    const auto id = read_arm_id<VnetId>(item["id"].required());
    if (!id) return std::nullopt;
    const Field properties = item["properties"].required();
    VirtualNetwork network{.id = *id};
    network.address_space = read_networks(properties["addressSpace"]["addressPrefixes"]);
    for (const Field& subnet : properties["subnets"].items(arm_list_max)) {
        if (auto read = read_subnet(subnet)) network.subnets.push_back(*std::move(read));
    }
    for (const Field& peering : properties["virtualNetworkPeerings"].items(arm_list_max)) {
        if (auto read = read_peering(peering)) network.peerings.push_back(*std::move(read));
    }
    return network;
}

std::optional<VirtualMachine> read_machine(const Field& item) {
    const auto id = read_arm_id<VmId>(item["id"].required());
    if (!id) return std::nullopt;
    const Field properties = item["properties"].required();
    VirtualMachine machine{.id = *id};
    machine.vm_id = read_loose_text(properties["vmId"]);
    machine.location = read_loose_text(item["location"]);
    for (const auto& [key, value] : item["tags"].members())
        machine.tags.emplace(key, read_loose_text(value));
    for (const Field& nic : properties["networkProfile"]["networkInterfaces"].items(arm_list_max)) {
        if (auto nic_id = read_reference<NicId>(nic)) machine.nics.push_back(*std::move(nic_id));
    }
    return machine;
}

std::optional<ArmPermission> read_permission(const Field& item) {
    return ArmPermission{.actions = item["actions"].texts(arm_list_max),
                         .not_actions = item["notActions"].texts(arm_list_max)};
}

std::optional<ArmLock> read_lock(const Field& item) {
    const auto id = read_arm_id<ArmId>(item["id"].required());
    if (!id) return std::nullopt;
    const std::string level = read_loose_text(item["properties"]["level"]);
    return ArmLock{.id = *id, .read_only = equals_ignoring_case(level, "ReadOnly")};
}

std::optional<ArmDenyAssignment> read_deny_assignment(const Field& item) {
    ArmDenyAssignment out;
    out.id = item["id"].name();
    for (const Field& permission : item["properties"]["permissions"].items(arm_list_max)) {
        out.denied.push_back(*read_permission(permission));
    }
    return out;
}

}  // namespace

Result<Page<Nic>> decode_nics(std::string_view body) {
    return decode_page<Nic>(body, "list of network interfaces", read_nic);
}

Result<Page<VirtualNetwork>> decode_networks(std::string_view body) {
    return decode_page<VirtualNetwork>(body, "list of virtual networks", read_network);
}

Result<Page<VirtualMachine>> decode_machines(std::string_view body) {
    return decode_page<VirtualMachine>(body, "list of virtual machines", read_machine);
}

Result<Page<ArmPermission>> decode_permissions(std::string_view body) {
    return decode_page<ArmPermission>(body, "permissions", read_permission);
}

Result<Page<ArmLock>> decode_locks(std::string_view body) {
    return decode_page<ArmLock>(body, "list of locks", read_lock);
}

Result<Page<ArmDenyAssignment>> decode_deny_assignments(std::string_view body) {
    return decode_page<ArmDenyAssignment>(body, "list of deny assignments", read_deny_assignment);
}

Result<ServiceTagList> decode_service_tags(std::string_view body) {
    return decode_body<ServiceTagList>(body, "service tags", [](const Field& root) {
        std::optional<ServiceTagList> tags = ServiceTagList();
        for (const Field& item : root["values"].required().items(arm_list_max)) {
            const std::string name = lower(read_loose_text(item["name"]));
            Problems own;
            std::vector<Cidr> prefixes;
            if (const Field list = item["properties"]["addressPrefixes"]) {
                prefixes = read_networks(Field(*list.raw(), own));
            }
            if (!name.empty() && !prefixes.empty() && own.empty())
                tags->emplace(name, AddressSet::of(prefixes));
        }
        return tags;
    });
}

}  // namespace sallyport::codec
