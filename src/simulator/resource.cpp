#include "simulator/resource.hpp"

#include <algorithm>

#include "base/text.hpp"
#include "base/time.hpp"
#include "simulator/address.hpp"

namespace sallyport::simulator {

namespace {

using Refusal = std::optional<http::Response>;

http::Response refuse(std::string_view code, const std::string& message) {
    return arm_error(400, code, message, R"(,"details":[])");
}

http::Response missing_reference(const std::string& id, const std::string& by) {
    return refuse(
        "InvalidResourceReference",
        "Resource " + id + " referenced by resource " + by +
            " was not found. Please make sure that the referenced resource exists, and that "
            "both resources are in the same region.");
}

/// The id of `properties.key`, if it is given.
std::string reference(const Json& properties, const char* key) {
    const Json* ref = member(properties, key);
    return ref ? text_at(*ref, "id") : std::string();
}

Json id_only(const std::string& id) { return Json{{"id", id}}; }

std::vector<std::string> prefixes_of_subnet(const Json& properties) {
    std::vector<std::string> all;
    if (const std::string one = text_at(properties, "addressPrefix"); !one.empty())
        all.push_back(one);
    if (const Json* many = member(properties, "addressPrefixes"); many && many->is_array()) {
        for (const Json& prefix : *many) {
            if (prefix.is_string()) all.push_back(prefix.get<std::string>());
        }
    }
    return all;
}

bool lies_in(const std::string& inner, const Json& outer_list) {
    const auto in = parse_prefix(inner);
    if (!in || !outer_list.is_array()) return false;
    return std::ranges::any_of(outer_list, [&](const Json& text) {
        if (!text.is_string()) return false;
        const auto out = parse_prefix(text.get<std::string>());
        return out && out->bits <= in->bits && out->contains(in->base);
    });
}

Refusal complete_vnet(Core& core, const Call& call, Resource& next) {
    const Json given = call.body.value("properties", Json::object());
    const Json* space = member(given, "addressSpace");
    const Json* prefixes = space ? member(*space, "addressPrefixes") : nullptr;
    if (!prefixes || !prefixes->is_array() || prefixes->empty()) {
        // unverified: code and wording.
        return refuse("InvalidRequestFormat", "Cannot parse the request: addressSpace.");
    }
    for (const Json& prefix : *prefixes) {
        if (prefix.is_string() && parse_prefix(prefix.get<std::string>())) continue;
        return refuse("InvalidCIDRNotation", "The address prefix " + dumped(prefix) +
                                                 " in virtual network " + next.id +
                                                 " has an invalid CIDR notation.");
    }
    const std::string guid = text_at(next.properties, "resourceGuid");
    next.properties = {{"resourceGuid", guid.empty() ? core.random.guid() : guid},
                       {"addressSpace", {{"addressPrefixes", *prefixes}}}};
    ByName<Resource> subnets;
    if (const Json* list = member(given, "subnets"); list && list->is_array()) {
        for (const Json& item : *list) {
            Resource subnet;
            subnet.name = text_at(item, "name");
            subnet.id = next.id + "/subnets/" + subnet.name;
            subnet.type = "Microsoft.Network/virtualNetworks/subnets";
            const Json none = Json::object();
            const Json* own = member(item, "properties");
            if (auto no = complete_subnet(core, own ? *own : none, subnet, next)) return no;
            subnets[lower(subnet.name)] = std::move(subnet);
        }
    }
    next.children = std::move(subnets);
    Json peerings = Json::array();
    if (const Json* list = member(given, "virtualNetworkPeerings"); list && list->is_array()) {
        for (const Json& item : *list) {
            Json peering = {{"name", text_at(item, "name")},
                            {"id", next.id + "/virtualNetworkPeerings/" + text_at(item, "name")},
                            {"etag", ""},
                            {"type", "Microsoft.Network/virtualNetworks/virtualNetworkPeerings"},
                            {"properties", item.value("properties", Json::object())}};
            peering["properties"]["provisioningState"] = "Succeeded";
            peerings.push_back(std::move(peering));
        }
    }
    next.properties["virtualNetworkPeerings"] = std::move(peerings);
    next.properties["enableDdosProtection"] = false;
    return std::nullopt;
}

bool is_taken(Core& core, const std::string& subnet_id, const std::string& address,
              const std::string& but_nic) {
    bool taken = false;
    core.world.each(nic_type, [&](Resource& nic) {
        if (nic.id == but_nic) return;
        for (const Json& config : nic.properties["ipConfigurations"]) {
            taken = taken ||
                    (text_at(config["properties"], "privateIPAddress") == address &&
                     equals_ignoring_case(reference(config["properties"], "subnet"), subnet_id));
        }
    });
    return taken;
}

/// The lowest free address of the subnet; Azure keeps the first four of each.
std::string free_address(Core& core, const Resource& subnet, bool v6, const std::string& nic) {
    for (const std::string& text : prefixes_of_subnet(subnet.properties)) {
        const auto prefix = parse_prefix(text);
        if (!prefix || prefix->base.v6 != v6) continue;
        for (unsigned host = 4; host < 250; ++host) {
            const std::string front = text.substr(0, text.find('/'));
            const std::string address =
                v6 ? front + (front.ends_with("::") ? "" : "::") + std::to_string(host)
                   : front.substr(0, front.rfind('.') + 1) + std::to_string(host);
            if (!is_taken(core, subnet.id, address, nic)) return address;
        }
    }
    return {};
}

Refusal complete_ip_config(Core& core, const Json& given, bool first, const Resource& nic,
                           Json& config) {
    const std::string name = text_at(given, "name");
    const Json none = Json::object();
    const Json* own = member(given, "properties");
    const Json& in = own ? *own : none;
    const std::string subnet_id = reference(in, "subnet");
    const Resource* subnet = core.world.subnet_by_id(subnet_id);
    if (!subnet) return missing_reference(subnet_id, nic.id);
    const std::string version = text_at(in, "privateIPAddressVersion");
    const bool v6 = version == "IPv6";
    std::string address = text_at(in, "privateIPAddress");
    if (address.empty()) address = free_address(core, *subnet, v6, nic.id);
    const auto parsed = parse_address(address);
    const auto prefixes = prefixes_of_subnet(subnet->properties);
    if (!parsed || parsed->v6 != v6 || !std::ranges::any_of(prefixes, [&](const std::string& text) {
            const auto prefix = parse_prefix(text);
            return prefix && prefix->contains(*parsed);
        })) {
        // unverified: code.
        return refuse("PrivateIPAddressNotInSubnet", "Private IP address " + address + " of " +
                                                         nic.id + " does not belong to subnet " +
                                                         subnet->id + ".");
    }
    if (is_taken(core, subnet->id, address, nic.id)) {
        // unverified: code.
        return refuse(
            "PrivateIPAddressIsAllocated",
            "IP address " + address + " is already allocated in subnet " + subnet->id + ".");
    }
    Json out = {{"provisioningState", "Succeeded"},
                {"privateIPAddress", address},
                {"privateIPAllocationMethod", member(in, "privateIPAllocationMethod")
                                                  ? in["privateIPAllocationMethod"]
                                                  : Json("Dynamic")}};
    if (const std::string ip = reference(in, "publicIPAddress"); !ip.empty()) {
        const Resource* known = core.world.resource_by_id(ip);
        if (!known) return missing_reference(ip, nic.id);
        out["publicIPAddress"] = id_only(known->id);
    }
    out["subnet"] = id_only(subnet->id);
    out["primary"] = member(in, "primary") ? in["primary"] : Json(first);
    out["privateIPAddressVersion"] = v6 ? "IPv6" : "IPv4";
    if (const Json* groups = member(in, "applicationSecurityGroups");
        groups && groups->is_array()) {
        Json list = Json::array();
        for (const Json& group : *groups) {
            const Resource* known = core.world.resource_by_id(text_at(group, "id"));
            if (!known) return missing_reference(text_at(group, "id"), nic.id);
            list.push_back(id_only(known->id));
        }
        if (!list.empty()) out["applicationSecurityGroups"] = std::move(list);
    }
    config = {{"name", name},
              {"id", nic.id + "/ipConfigurations/" + name},
              {"etag", ""},
              {"type", "Microsoft.Network/networkInterfaces/ipConfigurations"},
              {"properties", std::move(out)}};
    return std::nullopt;
}

Refusal complete_nic(Core& core, const Call& call, Resource& next) {
    const Json given = call.body.value("properties", Json::object());
    const Json* configs = member(given, "ipConfigurations");
    if (!configs || !configs->is_array() || configs->empty()) {
        // unverified: code and wording.
        return refuse("InvalidRequestFormat", "Cannot parse the request: ipConfigurations.");
    }
    const Json vm = next.properties.value("virtualMachine", Json());
    const Json primary = next.properties.value("primary", Json());
    std::string guid = text_at(next.properties, "resourceGuid");
    Json dns = next.properties.value("dnsSettings", Json());
    if (guid.empty()) guid = core.random.guid();
    if (!dns.is_object()) {
        dns = {{"dnsServers", Json::array()},
               {"appliedDnsServers", Json::array()},
               {"internalDomainNameSuffix",
                core.random.guid().substr(0, 8) + ".bx.internal.cloudapp.net"}};
    }
    Json list = Json::array();
    for (const Json& item : *configs) {
        Json config;
        if (auto no = complete_ip_config(core, item, list.empty(), next, config)) return no;
        list.push_back(std::move(config));
    }
    next.properties = {
        {"resourceGuid", guid}, {"ipConfigurations", std::move(list)}, {"dnsSettings", dns}};
    if (vm.is_object()) next.properties["virtualMachine"] = vm;
    if (primary.is_boolean()) next.properties["primary"] = primary;
    if (const std::string nsg = reference(given, "networkSecurityGroup"); !nsg.empty()) {
        const Nsg* known = core.world.nsg_by_id(nsg);
        if (!known) return missing_reference(nsg, next.id);
        next.properties["networkSecurityGroup"] = id_only(known->id);
    }
    for (const char* flag : {"enableAcceleratedNetworking", "vnetEncryptionSupported",
                             "enableIPForwarding", "disableTcpStateTracking"}) {
        next.properties[flag] = given.value(flag, false);
    }
    next.properties["hostedWorkloads"] = Json::array();
    next.properties["tapConfigurations"] = Json::array();
    next.properties["nicType"] = "Standard";
    next.top["kind"] = "Regular";
    return std::nullopt;
}

Refusal complete_public_ip(Core& core, const Call& call, Resource& next) {
    const Json given = call.body.value("properties", Json::object());
    const std::string guid = text_at(next.properties, "resourceGuid");
    std::string address = text_at(given, "ipAddress");
    if (address.empty()) address = text_at(next.properties, "ipAddress");
    if (address.empty()) {
        address = "20.61." + std::to_string(core.random.below(250)) + "." +
                  std::to_string(1 + core.random.below(250));
    }
    next.properties = {
        {"resourceGuid", guid.empty() ? core.random.guid() : guid},
        {"ipAddress", address},
        {"publicIPAddressVersion", given.value("publicIPAddressVersion", "IPv4")},
        {"publicIPAllocationMethod", given.value("publicIPAllocationMethod", "Static")},
        {"idleTimeoutInMinutes", 4},
        {"ipTags", Json::array()}};
    next.top["sku"] = call.body.value("sku", Json{{"name", "Standard"}, {"tier", "Regional"}});
    return std::nullopt;
}

std::string disk_id(const Json& properties) {
    const Json* storage = member(properties, "storageProfile");
    const Json* disk = storage ? member(*storage, "osDisk") : nullptr;
    const Json* managed = disk ? member(*disk, "managedDisk") : nullptr;
    return managed ? text_at(*managed, "id") : std::string();
}

Refusal complete_vm(Core& core, const Call& call, Resource& next) {
    const Json given = call.body.value("properties", Json::object());
    const std::string id = text_at(next.properties, "vmId");
    const std::string made = text_at(next.properties, "timeCreated");
    Json properties = given;
    for (const char* read_only : {"provisioningState", "instanceView", "vmId", "timeCreated"}) {
        properties.erase(read_only);
    }
    properties["vmId"] = id.empty() ? core.random.guid() : id;
    const Json* profile = member(properties, "networkProfile");
    const Json* nics = profile ? member(*profile, "networkInterfaces") : nullptr;
    if (nics && nics->is_array()) {
        for (const Json& nic : *nics) {
            const Resource* known = core.world.resource_by_id(text_at(nic, "id"));
            if (!known) return missing_reference(text_at(nic, "id"), next.id);
            const std::string owner = reference(known->properties, "virtualMachine");
            if (owner.empty() || equals_ignoring_case(owner, next.id)) continue;
            // unverified: code.
            return refuse("NicInUse", "Network Interface " + known->id +
                                          " is used by existing resource " + owner + ".");
        }
    }
    complete_machine(properties);
    // A disk has an id once it was made; a later PUT that leaves it out does not lose it
    // (recorded).
    if (const auto known = disk_id(next.properties); !known.empty()) {
        properties["storageProfile"]["osDisk"]["managedDisk"]["id"] = known;
    }
    properties["timeCreated"] =
        made.empty() ? format_rfc3339(Timestamp(std::chrono::seconds(core.now_ms / 1000))) : made;
    next.properties = std::move(properties);
    return std::nullopt;
}

}  // namespace

Refusal complete_subnet(Core& core, const Json& properties, Resource& subnet,
                        const Resource& vnet) {
    if (!is_valid_name(subnet.name))
        return refuse("InvalidResourceName", "Resource name " + subnet.name + " is invalid.");
    const std::vector<std::string> prefixes = prefixes_of_subnet(properties);
    const Json* space = member(vnet.properties, "addressSpace");
    const bool good =
        !prefixes.empty() && space && std::ranges::all_of(prefixes, [&](const std::string& prefix) {
            return lies_in(prefix, (*space)["addressPrefixes"]);
        });
    if (!good) {
        // unverified: code.
        return refuse("NetcfgSubnetRangeOutsideVnet",
                      "Subnet '" + subnet.name +
                          "' is not valid because its IP address range is outside the IP "
                          "address range of virtual network '" +
                          vnet.name + "'.");
    }
    Json out = Json::object();
    for (const char* key : {"addressPrefix", "addressPrefixes"}) {
        if (const Json* value = member(properties, key)) out[key] = *value;
    }
    if (const std::string nsg = reference(properties, "networkSecurityGroup"); !nsg.empty()) {
        const Nsg* known = core.world.nsg_by_id(nsg);
        if (!known) return missing_reference(nsg, subnet.id);
        out["networkSecurityGroup"] = id_only(known->id);
    }
    out["delegations"] = Json::array();
    out["privateEndpointNetworkPolicies"] =
        properties.value("privateEndpointNetworkPolicies", "Disabled");
    out["privateLinkServiceNetworkPolicies"] =
        properties.value("privateLinkServiceNetworkPolicies", "Enabled");
    subnet.properties = std::move(out);
    return std::nullopt;
}

Refusal complete(Core& core, const Call& call, Resource& next) {
    const std::string key = lower(next.type);
    if (key == vnet_type) return complete_vnet(core, call, next);
    if (key == nic_type) return complete_nic(core, call, next);
    if (key == public_ip_type) return complete_public_ip(core, call, next);
    if (key == vm_type) return complete_vm(core, call, next);
    return std::nullopt;  // an application security group has no properties of its own
}

void stamp(Resource& resource) {
    for (auto& [key, child] : resource.children) {
        child.etag = resource.etag;
        child.state = resource.state;
    }
    for (const char* list : {"ipConfigurations", "virtualNetworkPeerings"}) {
        const auto it = resource.properties.find(list);
        if (it == resource.properties.end()) continue;
        for (Json& item : *it) item["etag"] = resource.etag;
    }
}

Refusal in_use(Core& core, const Resource& resource) {
    if (lower(resource.type) == nic_type) {
        if (const std::string vm = reference(resource.properties, "virtualMachine"); !vm.empty()) {
            // unverified: code.
            return refuse("NicInUse", "Network Interface " + resource.id +
                                          " is used by existing resource " + vm + ".");
        }
    }
    const bool is_vnet = lower(resource.type) == vnet_type;
    Refusal refusal;
    core.world.each(nic_type, [&](Resource& nic) {
        for (const Json& config : nic.properties["ipConfigurations"]) {
            const Json& in = config["properties"];
            const bool uses =
                is_vnet ? starts_with_ignoring_case(reference(in, "subnet"), resource.id + "/")
                        : equals_ignoring_case(reference(in, "publicIPAddress"), resource.id) ||
                              equals_ignoring_case(reference(in, "subnet"), resource.id);
            if (!uses) continue;
            // unverified: one code for all kinds here.
            refusal = refuse(
                "InUseResourceCannotBeDeleted",
                "Resource " + resource.id + " is in use by " + nic.id + " and cannot be deleted.");
        }
    });
    return refusal;
}

void vm_is_made(Core& core, Resource& vm) {
    Json& disk = vm.properties["storageProfile"]["osDisk"];
    if (disk.contains("managedDisk") && disk.contains("name")) {
        disk["managedDisk"]["id"] =
            vm.id.substr(0, vm.id.find("/virtualMachines/")) + "/disks/" + text_at(disk, "name");
    }
    const Json* profile = member(vm.properties, "networkProfile");
    const Json* nics = profile ? member(*profile, "networkInterfaces") : nullptr;
    if (!nics || !nics->is_array()) return;
    for (const Json& ref : *nics) {
        if (Resource* nic = core.world.resource_by_id(text_at(ref, "id"))) {
            nic->properties["virtualMachine"] = id_only(vm.id);
            nic->properties["primary"] = nics->size() == 1 || &ref == &nics->front();
            nic->was_used = true;
        }
    }
}

void vm_is_gone(Core& core, Resource& vm) {
    core.world.each(nic_type, [&](Resource& nic) {
        if (equals_ignoring_case(reference(nic.properties, "virtualMachine"), vm.id)) {
            nic.properties.erase("virtualMachine");
            nic.properties.erase("primary");
        }
    });
}

}  // namespace sallyport::simulator
