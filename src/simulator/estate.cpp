#include "simulator/estate.hpp"

#include <algorithm>
#include <set>
#include <utility>

#include "base/digest.hpp"
#include "base/text.hpp"
#include "simulator/core.hpp"
#include "simulator/switches.hpp"
#include "simulator/yaml.hpp"

namespace sallyport::simulator {

namespace {

using Problems = std::vector<EstateProblem>;

/// Kinds in the order in which they can be made: what is referred to comes first.
enum Stage { groups, asgs, nsgs, rules, public_ips, vnets, nics, vms, locks, stages };

/// Reads one estate; resources are collected by stage.
class EstateReader {
public:
    explicit EstateReader(Problems& problems) : problems_(problems) {}

    Estate read(const YAML::Node& root) {
        {
            YamlMap map(root, "estate", problems_);
            estate_.tenant = map.text("tenant", estate_.tenant);
            location_ = map.text("location", "westeurope");
            for (const YAML::Node& node : map.list("principals")) read_principal(node);
            read_tags(map.node("serviceTags"));
            if (const YAML::Node node = map.node("behaviour"); node.IsDefined()) {
                const std::string problem = node.IsMap()
                                                ? read_behaviour(json_of(node), estate_.behaviour)
                                                : std::string("is not a mapping");
                if (!problem.empty()) problems_.push_back({line_of(node), "behaviour: " + problem});
            }
            const std::vector<YAML::Node> subscriptions = map.list("subscriptions");
            if (subscriptions.empty()) map.problem("subscriptions is missing or empty");
            for (const YAML::Node& node : subscriptions) read_subscription(node);
            for (const YAML::Node& node : map.list("denyAssignments")) read_deny(node);
        }
        for (auto& stage : items_) {
            for (EstateItem& item : stage) estate_.items.push_back(std::move(item));
        }
        return std::move(estate_);
    }

private:
    void add(Stage stage, const std::string& id, const Json& body, int line) {
        items_[stage].push_back({id, dumped(body), line});
    }

    void read_principal(const YAML::Node& node) {
        YamlMap map(node, "principal", problems_);
        Principal principal;
        principal.name = map.required_text("name");
        map.call_it("principal " + principal.name);
        principal.app_id = map.required_text("appId");
        principal.object_id =
            map.text("objectId", uuid_v5("6ba7b810-9dad-11d1-80b4-00c04fd430c8", principal.app_id));
        principal.secret = map.required_text("secret");
        const std::vector<YAML::Node> permissions = map.list("permissions");
        for (const YAML::Node& one : permissions) {
            YamlMap in(one, "permission of " + principal.name, problems_);
            const std::string scope = in.text("scope");
            Permission permission{scope, in.texts("actions"), in.texts("notActions")};
            if (!scope.empty() && !scope.starts_with("/subscriptions/")) {
                in.problem("scope is not a full id");
            }
            principal.permissions.push_back(std::move(permission));
        }
        if (permissions.empty()) principal.permissions.push_back({{}, {"*"}, {}});
        estate_.principals.push_back(std::move(principal));
    }

    void read_deny(const YAML::Node& node) {
        YamlMap map(node, "deny assignment", problems_);
        DenyAssignment deny;
        deny.name = map.required_text("name");
        deny.scope = map.required_text("scope");
        deny.actions = map.texts("actions");
        deny.not_actions = map.texts("notActions");
        deny.excluded = map.texts("excludedPrincipals");
        estate_.deny_assignments.push_back(std::move(deny));
    }

    void read_tags(const YAML::Node& node) {
        if (!node.IsDefined() || node.IsNull()) return;
        if (!node.IsMap()) {
            problems_.push_back({line_of(node), "serviceTags: is not a mapping of lists"});
            return;
        }
        YamlMap map(node, "serviceTags", problems_);
        for (const auto& entry : node) {
            const std::string name = entry.first.Scalar();
            estate_.service_tags[name] = map.texts(name.c_str());
        }
    }

    void read_subscription(const YAML::Node& node) {
        YamlMap map(node, "subscription", problems_);
        const std::string id = map.required_text("id");
        map.call_it("subscription " + id);
        estate_.subscriptions.emplace_back(id, map.text("name", "simulated"));
        subscription_ = "/subscriptions/" + id;
        for (const YAML::Node& one : map.list("resourceGroups")) read_group(one);
        read_locks(map, subscription_);
    }

    void read_group(const YAML::Node& node) {
        YamlMap map(node, "resource group", problems_);
        name_ = map.required_text("name");
        map.call_it("resource group " + name_);
        group_ = subscription_ + "/resourceGroups/" + name_;
        place_ = map.text("location", location_);
        add(groups, group_, with_tags(map, Json{{"location", place_}}), map.line());
        for (const YAML::Node& one : map.list("applicationSecurityGroups")) read_asg(one);
        for (const YAML::Node& one : map.list("networkSecurityGroups")) read_nsg(one);
        for (const YAML::Node& one : map.list("publicIPAddresses")) read_public_ip(one);
        for (const YAML::Node& one : map.list("virtualNetworks")) read_vnet(one);
        for (const YAML::Node& one : map.list("networkInterfaces")) read_nic(one);
        for (const YAML::Node& one : map.list("virtualMachines")) read_vm(one);
        read_locks(map, group_);
    }

    static Json with_tags(YamlMap& map, Json body) {
        if (const Json tags = map.strings("tags"); tags.is_object()) body["tags"] = tags;
        return body;
    }

    void read_locks(YamlMap& map, const std::string& scope) {
        for (const YAML::Node& one : map.list("locks")) {
            YamlMap lock(one, "lock", problems_);
            const std::string name = lock.required_text("name");
            Json properties = {{"level", lock.required_text("level")}};
            if (const std::string notes = lock.text("notes"); !notes.empty())
                properties["notes"] = notes;
            add(locks, scope + "/providers/Microsoft.Authorization/locks/" + name,
                {{"properties", properties}}, lock.line());
        }
    }

    std::string network(const char* type, const std::string& name) const {
        return group_ + "/providers/Microsoft.Network/" + type + "/" + name;
    }

    /// A reference: a full id, `group/name`, or `name` in the same group.
    std::string refer(const char* type, const std::string& text) const {
        if (text.starts_with("/subscriptions/")) return text;
        const std::size_t slash = text.find('/');
        if (slash == std::string::npos) return network(type, text);
        return subscription_ + "/resourceGroups/" + text.substr(0, slash) +
               "/providers/Microsoft.Network/" + type + "/" + text.substr(slash + 1);
    }

    /// `vnet/subnet`, `group/vnet/subnet` or a full id.
    std::string refer_subnet(const std::string& text) const {
        if (text.starts_with("/subscriptions/")) return text;
        const std::size_t last = text.rfind('/');
        if (last == std::string::npos) return text;
        return refer("virtualNetworks", text.substr(0, last)) + "/subnets/" + text.substr(last + 1);
    }

    static Json ref(const std::string& id) { return Json{{"id", id}}; }

    void read_asg(const YAML::Node& node) {
        YamlMap map(node, "application security group", problems_);
        const std::string name = map.required_text("name");
        add(asgs, network("applicationSecurityGroups", name),
            with_tags(map, Json{{"location", place_}}), map.line());
    }

    void read_nsg(const YAML::Node& node) {
        YamlMap map(node, "network security group", problems_);
        const std::string name = map.required_text("name");
        map.call_it("network security group " + name);
        const std::string id = network("networkSecurityGroups", name);
        Json properties = Json::object();
        if (const auto flush = map.flag("flushConnection")) properties["flushConnection"] = *flush;
        add(nsgs, id, with_tags(map, Json{{"location", place_}, {"properties", properties}}),
            map.line());
        for (const YAML::Node& one : map.list("securityRules")) read_rule(one, id);
        read_locks(map, id);
    }

    static void put_form(Json& properties, const std::string& singular, const std::string& plural,
                         const std::vector<std::string>& values) {
        if (values.size() == 1) {
            properties[singular] = values[0];
        } else if (!values.empty()) {
            properties[plural] = values;
        }
    }

    void put_side(YamlMap& map, Json& properties, const std::string& side, const char* key,
                  const char* groups_key) {
        Json list = Json::array();
        for (const std::string& name : map.texts(groups_key))
            list.push_back(ref(refer("applicationSecurityGroups", name)));
        std::vector<std::string> prefixes = map.texts(key);
        if (prefixes.empty() && list.empty()) prefixes = {"*"};
        put_form(properties, side + "AddressPrefix", side + "AddressPrefixes", prefixes);
        if (!list.empty()) properties[side + "ApplicationSecurityGroups"] = std::move(list);
    }

    void read_rule(const YAML::Node& node, const std::string& nsg) {
        YamlMap map(node, "rule", problems_);
        const std::string name = map.required_text("name");
        map.call_it("rule " + name);
        Json properties = {{"protocol", map.text("protocol", "*")},
                           {"access", map.required_text("access")},
                           {"direction", map.text("direction", "Inbound")}};
        if (const auto priority = map.number("priority")) {
            properties["priority"] = *priority;
        } else if (!map.node("priority").IsDefined()) {
            map.problem("priority is missing");
        }
        if (const std::string text = map.text("description"); !text.empty())
            properties["description"] = text;
        const auto ports = [&](const char* key, const char* singular, const char* plural) {
            std::vector<std::string> values = map.texts(key);
            if (values.empty()) values = {"*"};
            put_form(properties, singular, plural, values);
        };
        ports("ports", "destinationPortRange", "destinationPortRanges");
        ports("sourcePorts", "sourcePortRange", "sourcePortRanges");
        put_side(map, properties, "source", "source", "sourceGroups");
        put_side(map, properties, "destination", "destination", "destinationGroups");
        // One item for each rule, so that a refusal has the rule's line.
        add(rules, nsg + "/securityRules/" + name, {{"properties", properties}}, map.line());
    }

    void read_public_ip(const YAML::Node& node) {
        YamlMap map(node, "public IP address", problems_);
        const std::string name = map.required_text("name");
        Json properties = {{"publicIPAllocationMethod", "Static"},
                           {"publicIPAddressVersion", map.text("version", "IPv4")}};
        if (const std::string address = map.text("address"); !address.empty())
            properties["ipAddress"] = address;
        add(public_ips, network("publicIPAddresses", name),
            with_tags(map, Json{{"location", place_},
                                {"sku", {{"name", "Standard"}, {"tier", "Regional"}}},
                                {"properties", properties}}),
            map.line());
    }

    void read_vnet(const YAML::Node& node) {
        YamlMap map(node, "virtual network", problems_);
        const std::string name = map.required_text("name");
        map.call_it("virtual network " + name);
        Json subnets = Json::array();
        for (const YAML::Node& one : map.list("subnets")) {
            YamlMap in(one, "subnet", problems_);
            Json subnet = {{"name", in.required_text("name")}, {"properties", Json::object()}};
            put_form(subnet["properties"], "addressPrefix", "addressPrefixes",
                     in.texts("addressPrefixes"));
            if (const std::string nsg = in.text("networkSecurityGroup"); !nsg.empty()) {
                subnet["properties"]["networkSecurityGroup"] =
                    ref(refer("networkSecurityGroups", nsg));
            }
            subnets.push_back(std::move(subnet));
        }
        Json peerings = Json::array();
        for (const YAML::Node& one : map.list("peerings")) {
            YamlMap in(one, "peering", problems_);
            const std::string peering = in.required_text("name");
            const std::string remote =
                refer("virtualNetworks", in.required_text("remoteVirtualNetwork"));
            peerings.push_back({{"name", peering},
                                {"properties",
                                 {{"peeringState", in.text("state", "Connected")},
                                  {"peeringSyncLevel", "FullyInSync"},
                                  {"remoteVirtualNetwork", ref(remote)},
                                  {"allowVirtualNetworkAccess",
                                   in.flag("allowVirtualNetworkAccess").value_or(true)},
                                  {"allowForwardedTraffic", false}}}});
        }
        const Json properties = {{"addressSpace", {{"addressPrefixes", map.texts("addressSpace")}}},
                                 {"subnets", std::move(subnets)},
                                 {"virtualNetworkPeerings", std::move(peerings)}};
        add(vnets, network("virtualNetworks", name),
            with_tags(map, Json{{"location", place_}, {"properties", properties}}), map.line());
    }

    std::string read_nic(const YAML::Node& node) {
        YamlMap map(node, "network interface", problems_);
        const std::string name = map.required_text("name");
        map.call_it("network interface " + name);
        Json configs = Json::array();
        for (const YAML::Node& one : map.list("ipConfigurations")) {
            YamlMap in(one, "IP configuration of " + name, problems_);
            const std::string address = in.text("address");
            const bool v6 = address.find(':') != std::string::npos || in.text("version") == "IPv6";
            Json own = {{"subnet", ref(refer_subnet(in.required_text("subnet")))},
                        {"privateIPAddressVersion", v6 ? "IPv6" : "IPv4"},
                        {"privateIPAllocationMethod", address.empty() ? "Dynamic" : "Static"}};
            if (!address.empty()) own["privateIPAddress"] = address;
            if (const std::string ip = in.text("publicIPAddress"); !ip.empty()) {
                own["publicIPAddress"] = ref(refer("publicIPAddresses", ip));
            }
            Json members = Json::array();
            for (const std::string& group : in.texts("applicationSecurityGroups")) {
                members.push_back(ref(refer("applicationSecurityGroups", group)));
            }
            if (!members.empty()) own["applicationSecurityGroups"] = std::move(members);
            const std::string config =
                in.text("name", "ipconfig" + std::to_string(configs.size() + 1));
            configs.push_back({{"name", config}, {"properties", std::move(own)}});
        }
        Json properties = {{"ipConfigurations", std::move(configs)}};
        if (const std::string nsg = map.text("networkSecurityGroup"); !nsg.empty()) {
            properties["networkSecurityGroup"] = ref(refer("networkSecurityGroups", nsg));
        }
        const std::string id = network("networkInterfaces", name);
        add(nics, id, with_tags(map, Json{{"location", place_}, {"properties", properties}}),
            map.line());
        return id;
    }

    void read_vm(const YAML::Node& node) {
        YamlMap map(node, "virtual machine", problems_);
        const std::string name = map.required_text("name");
        map.call_it("virtual machine " + name);
        Json interfaces = Json::array();
        for (const YAML::Node& one : map.list("networkInterfaces")) {
            const std::string id =
                one.IsScalar() ? refer("networkInterfaces", one.Scalar()) : read_nic(one);
            interfaces.push_back({{"id", id}, {"properties", {{"primary", interfaces.empty()}}}});
        }
        const Json properties = {
            {"hardwareProfile", {{"vmSize", map.text("size", "Standard_D2s_v3")}}},
            {"storageProfile",
             {{"osDisk", {{"osType", map.text("os", "Linux")}, {"createOption", "FromImage"}}}}},
            {"osProfile", {{"computerName", name}, {"adminUsername", "azureuser"}}},
            {"networkProfile", {{"networkInterfaces", std::move(interfaces)}}}};
        const std::string id = group_ + "/providers/Microsoft.Compute/virtualMachines/" + name;
        add(vms, id, with_tags(map, Json{{"location", place_}, {"properties", properties}}),
            map.line());
        read_locks(map, id);
    }

    Problems& problems_;
    Estate estate_;
    std::vector<EstateItem> items_[stages];
    std::string location_, subscription_, group_, name_, place_;
};

}  // namespace

Estate empty_estate() {
    Estate estate;
    estate.principals.push_back({"owner",
                                 "00000000-0000-0000-0000-000000000001",
                                 "00000000-0000-0000-0000-000000000002",
                                 "azure-sim",
                                 {{{}, {"*"}, {}}}});
    estate.subscriptions.emplace_back("00000000-0000-0000-0000-000000000000", "simulated");
    return estate;
}

Estate read_estate(std::string_view yaml, std::vector<EstateProblem>& problems) {
    YAML::Node root;
    try {
        root = YAML::Load(std::string(yaml));
    } catch (const YAML::Exception& error) {
        problems.push_back({error.mark.line + 1, error.msg});
        return empty_estate();
    }
    return EstateReader(problems).read(root);
}

void build_estate(Core& core, const Estate& estate, std::vector<EstateProblem>& problems) {
    constexpr std::int64_t long_ago_ms =
        1'700'000'000'000;  // an estate existed before the simulation
    core.now_ms = long_ago_ms;
    core.deny_assignments = estate.deny_assignments;
    core.world.service_tags = estate.service_tags;
    core.learn_tags();
    for (const auto& [id, name] : estate.subscriptions) {
        Subscription& sub = core.world.subscriptions[lower(id)];
        sub.id = id;
        sub.name = name;
    }
    const std::int64_t operation_ms = std::exchange(core.behaviour.operation_ms, 0);
    std::set<std::string> made;
    for (const EstateItem& item : estate.items) {
        const std::string version = item.id.find("/Microsoft.Authorization/") != std::string::npos
                                        ? "2020-05-01"
                                        : "2024-01-01";
        const http::Request request{
            "PUT", "https://estate", item.id + "?api-version=" + version, {}, item.body};
        const http::Target target(request.target);
        const auto path = parse_arm_path(target.segments());
        if (!path) {
            problems.push_back({item.line, "not a resource's id: " + item.id});
            continue;
        }
        if (!made.insert(lower(item.id)).second) {
            problems.push_back({item.line, item.id + " is given twice"});
            continue;
        }
        Call call{request, target, *path, version, request.origin, Json::parse(item.body),
                  nullptr, {}};
        const http::Response response = answer_arm(core, call);
        core.advance(core.now_ms);
        if (response.status < 400) continue;
        const Json error = Json::parse(response.body, nullptr, false);
        const Json* inner = member(error, "error");
        problems.push_back(
            {item.line, inner ? text_at(*inner, "code") + ": " + text_at(*inner, "message")
                              : "refused with " + std::to_string(response.status)});
    }
    core.behaviour.operation_ms = operation_ms;
    core.operations.clear();
    core.agenda.clear();
    core.now_ms = 0;
}

}  // namespace sallyport::simulator
