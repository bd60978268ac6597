#include "codec/arm.hpp"

#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "support/printers.hpp"

using namespace sallyport;
using namespace sallyport::codec;
using nlohmann::json;

namespace {

const std::string group = "/subscriptions/s/resourceGroups/rg/providers/Microsoft.Network";
const std::string nsg_id = group + "/networkSecurityGroups/nsg1";

json rule(std::string_view changes = "{}") {
    json out = json::parse(R"({"name": "r1", "etag": "W/\"1\"", "properties": {
        "provisioningState": "Succeeded", "protocol": "Tcp", "access": "Allow",
        "direction": "Inbound",
        "priority": 200, "sourcePortRange": "*", "sourceAddressPrefix": "198.51.100.7/32",
        "destinationAddressPrefix": "10.0.0.4", "destinationPortRange": "22",
        "sourcePortRanges": [], "sourceAddressPrefixes": [], "destinationPortRanges": [],
        "destinationAddressPrefixes": []}})");
    out["properties"].merge_patch(json::parse(changes));
    return out;
}
SecurityRule read(std::string_view changes) { return *decode_rule(rule(changes).dump()); }

const json nic = {{"id", group + "/networkInterfaces/n1"},
                  {"properties",
                   {{"virtualMachine",
                     {{"id",
                       "/subscriptions/s/resourceGroups/RG/providers/Microsoft.Compute/"
                       "virtualMachines/web01"}}},
                    {"networkSecurityGroup", {{"id", nsg_id}}},
                    {"ipConfigurations",
                     {{{"name", "c1"},
                       {"properties",
                        {{"privateIPAddress", "10.0.0.4"},
                         {"subnet", {{"id", group + "/virtualNetworks/v/subnets/web"}}},
                         {"publicIPAddress", {{"id", group + "/publicIPAddresses/p"}}},
                         {"applicationSecurityGroups",
                          {{{"id", group + "/applicationSecurityGroups/a"}}}}}}}}}}}};
const json network = {
    {"id", group + "/virtualNetworks/v"},
    {"properties",
     {{"addressSpace", {{"addressPrefixes", {"10.0.0.0/16", "fd00::/48"}}}},
      {"subnets",
       {{{"id", group + "/virtualNetworks/v/subnets/web"},
         {"properties",
          {{"addressPrefix", "10.0.0.0/24"}, {"networkSecurityGroup", {{"id", nsg_id}}}}}},
        {{"id", group + "/virtualNetworks/v/subnets/db"},
         {"properties", {{"addressPrefixes", {"10.0.1.0/24", "fd00::/64"}}}}}}},
      {"virtualNetworkPeerings",
       {{{"properties",
          {{"peeringState", "Connected"},
           {"remoteVirtualNetwork", {{"id", group + "/virtualNetworks/w"}}},
           {"remoteAddressSpace", {{"addressPrefixes", {"10.9.0.0/16"}}}}}}}}}}}};

}  // namespace

TEST_CASE("a rule has one form, whichever of its spellings Azure chooses") {
    const SecurityRule plain = read("{}");
    CHECK(plain.source.prefixes == std::vector{parse_prefix("198.51.100.7")});
    CHECK(plain.destination_ports == std::vector{PortRange::single(22)});
    CHECK(plain.source_ports == std::vector{PortRange::all()});
    CHECK(plain.priority == 200);

    for (const char* changes :
         {R"({"sourceAddressPrefix": null, "sourceAddressPrefixes": ["198.51.100.7"]})",
          R"({"sourcePortRange": "0-65535"})", R"({"destinationPortRange": "22-22"})",
          R"({"destinationPortRange": null, "destinationPortRanges": ["22", "22"]})",
          R"({"protocol": "TCP"})", R"({"access": "allow", "direction": "INBOUND"})",
          R"({"destinationAddressPrefix": "10.0.0.4/32"})", R"({"provisioningState": null})",
          R"({"somethingNew": {"x": [1]}})"}) {
        CAPTURE(std::string(changes));
        CHECK(read(changes) == plain);
    }
    CHECK(read(
              R"({"sourceAddressPrefix": null,
                   "sourceAddressPrefixes": ["10.2.0.0/16", "10.1.0.9/16"]})")
              .source.prefixes ==
          std::vector{parse_prefix("10.1.0.0/16"), parse_prefix("10.2.0.0/16")});
    // Two ranges that touch stay two: they are written as two, and are compared as they are
    // written.
    CHECK(read(R"({"destinationPortRange": null, "destinationPortRanges": ["23", "22"]})")
              .destination_ports.size() == 2);
    CHECK(read(R"({"sourceAddressPrefix": null, "sourceApplicationSecurityGroups": [{"id": ")" +
               group + R"(/applicationSecurityGroups/a"}]})")
              .source.asgs.size() == 1);
}

TEST_CASE("what cannot be read of a rule is unreadable, so that neither proof leans on it") {
    for (const char* changes : {R"({"protocol": "Sctp"})", R"({"destinationPortRange": "80,443"})",
                                R"({"sourcePortRange": null})", R"({"sourceAddressPrefix": null})",
                                R"({"sourceAddressPrefix": "10.0.0.1-10.0.0.9"})"}) {
        CAPTURE(std::string(changes));
        const SecurityRule odd = read(changes);
        CHECK(std::ranges::any_of(odd.source.prefixes, [](const Prefix& p) {
            return std::holds_alternative<Unreadable>(p);
        }));
    }
    // Nothing else is left of its source: a deny of everybody would else pass for one that is sure.
    for (const char* changes : {R"({"protocol": "Sctp", "access": "Deny"})",
                                R"({"destinationPortRange": "80,443", "access": "Deny"})"}) {
        CAPTURE(std::string(changes));
        const SecurityRule odd = read(changes);
        REQUIRE(odd.source.prefixes.size() == 1);
        CHECK(std::holds_alternative<Unreadable>(odd.source.prefixes.front()));
        CHECK(odd.source.asgs.empty());
    }
    CHECK_FALSE(decode_rule(rule(R"({"access": "Maybe"})").dump()));
    CHECK_FALSE(decode_rule(rule(R"({"direction": null})").dump()));
    CHECK_FALSE(decode_rule(rule(R"({"priority": "200"})").dump()));
    CHECK(decode_rule("<html>502</html>").error().kind == ErrorKind::unavailable);
}

TEST_CASE("a group that tells of no rules at all, not even Azure's own, was not read") {
    const auto group_with = [](const json& properties) {
        return decode_nsg(json{{"id", nsg_id}, {"properties", properties}}.dump());
    };

    CHECK_FALSE(group_with(json::object()));
    CHECK_FALSE(group_with({{"securityRules", nullptr}, {"provisioningState", "Updating"}}));
    CHECK(group_with({{"securityRules", json::array()}}));
    CHECK(group_with({{"defaultSecurityRules", json::array()}}));
}

TEST_CASE("routes and gateways that are not read are told of a network") {
    const auto patched = [](const char* patch) {
        json told = network;
        told = told.patch(json::parse(patch));
        return decode_networks(json{{"value", {told}}}.dump()).value().values.at(0);
    };

    const VirtualNetwork plain = patched("[]");
    const VirtualNetwork routed = patched(
        R"([{"op": "add", "path": "/properties/subnets/0/properties/routeTable",
             "value": {"id": "/subscriptions/s/resourceGroups/rg/providers/x/routeTables/r"}}])");
    const VirtualNetwork through_hub = patched(
        R"([{"op": "add",
             "path": "/properties/virtualNetworkPeerings/0/properties/useRemoteGateways",
             "value": true}])");

    CHECK_FALSE(plain.subnets.at(0).routed);
    CHECK_FALSE(plain.peerings.at(0).remote_gateways);
    CHECK(routed.subnets.at(0).routed);
    CHECK_FALSE(routed.subnets.at(1).routed);
    CHECK(through_hub.peerings.at(0).remote_gateways);
}

TEST_CASE("a group's rules are in the order in which they are asked") {
    json first = rule();
    json second = rule(R"({"priority": 100})");
    json outbound = rule(R"({"priority": 50, "direction": "Outbound"})");
    second["name"] = "r2";
    outbound["name"] = "r3";
    const json body = {{"id", nsg_id},
                       {"location", "westus2"},
                       {"etag", "W/\"7\""},
                       {"properties",
                        {{"flushConnection", true},
                         {"securityRules", {outbound, first, second}},
                         {"defaultSecurityRules", json::array()}}}};

    const auto state = decode_nsg(body.dump());

    if (!state) FAIL(state.error().message);
    CHECK(state->id.text() == nsg_id);
    CHECK(state->flush_connection);
    CHECK(state->provisioning_state == "Succeeded");
    std::string order;
    for (const SecurityRule& r : state->rules) order += r.name + " ";
    CHECK(order == "r2 r1 r3 ");
}

TEST_CASE("one entry that cannot be read spoils a list: it must not look absent") {
    const json good = {{"id", nsg_id}, {"properties", {{"securityRules", json::array()}}}};
    const auto page =
        decode_nsgs(json{{"value", {good}}, {"nextLink", "https://x/?$skipToken=1"}}.dump());
    REQUIRE(page);
    CHECK(page->values.size() == 1);
    CHECK(page->next_link == "https://x/?$skipToken=1");
    CHECK(decode_nsgs(R"({"value": [], "nextLink": null})")->next_link.empty());

    const auto refused = decode_nsgs(
        json{{"value", {good, {{"id", "nonsense"}, {"properties", json::object()}}}}}.dump());
    REQUIRE_FALSE(refused);
    CHECK(refused.error().kind == ErrorKind::unavailable);
    for (const char* body :
         {"", "{}", "[]", R"({"value": {}})", R"({"value": [7]})", R"({"value": [{}]})"}) {
        CAPTURE(std::string(body));
        CHECK_FALSE(decode_nsgs(body));
        CHECK_FALSE(decode_nics(body));
        CHECK_FALSE(decode_networks(body));
        CHECK_FALSE(decode_machines(body));
    }
}

TEST_CASE("an interface is read with its references") {
    const auto nics = decode_nics(json{{"value", {nic}}}.dump());
    if (!nics) FAIL(nics.error().message);
    const Nic& n = nics->values.at(0);
    CHECK(n.vm->name() == "web01");
    CHECK(n.nsg->text() == nsg_id);
    CHECK(n.configurations.at(0).private_address == *Address::parse("10.0.0.4"));
    CHECK(n.configurations.at(0).subnet->name() == "web");
    CHECK(n.configurations.at(0).asgs.size() == 1);

    // A group that is there but cannot be read must not become "no group", which would let all
    // pass.
    json broken = nic;
    broken["properties"]["networkSecurityGroup"] = {{"id", "?"}};
    CHECK_FALSE(decode_nics(json{{"value", {broken}}}.dump()));
    broken["properties"]["networkSecurityGroup"] = json::object();
    CHECK_FALSE(decode_nics(json{{"value", {broken}}}.dump()));
    json scale_set = nic;
    scale_set["properties"]["virtualMachine"]["id"] =
        "/subscriptions/s/resourceGroups/rg/providers/Microsoft.Compute/virtualMachineScaleSets/x/"
        "virtualMachines/0";
    CHECK_FALSE(decode_nics(json{{"value", {scale_set}}}.dump())->values.at(0).vm);
}

TEST_CASE("a network is read with its subnets and peerings") {
    const auto networks = decode_networks(json{{"value", {network}}}.dump());
    if (!networks) FAIL(networks.error().message);
    const VirtualNetwork& v = networks->values.at(0);
    CHECK(v.address_space.size() == 2);
    CHECK(v.subnets.at(0).nsg->text() == nsg_id);
    CHECK(v.subnets.at(1).prefixes.size() == 2);
    CHECK_FALSE(v.subnets.at(1).nsg);
    CHECK(v.peerings.at(0).connected);
    CHECK(v.peerings.at(0).remote_prefixes == std::vector{*Cidr::parse("10.9.0.0/16")});
    CHECK_FALSE(v.peerings.at(0).in_tag);  // it does not say
    for (const bool allowed : {true, false}) {
        json told = network;
        told["properties"]["virtualNetworkPeerings"][0]["properties"]["allowVirtualNetworkAccess"] =
            allowed;
        const auto again = decode_networks(json{{"value", {told}}}.dump());
        CHECK(again->values.at(0).peerings.at(0).in_tag == Known(allowed));
    }
}

TEST_CASE("a machine is read with its tags and interfaces") {
    const auto machines = decode_machines(json{
        {"value",
         {{{"id",
            "/subscriptions/s/resourceGroups/rg/providers/Microsoft.Compute/virtualMachines/web01"},
           {"tags", {{"env", "prod"}}},
           {"properties",
            {{"vmId", "0b1f"},
             {"networkProfile", {{"networkInterfaces", {{{"id", nic["id"]}}}}}}}}}}}}
                                              .dump());
    if (!machines) FAIL(machines.error().message);
    CHECK(machines->values.at(0).vm_id == "0b1f");
    CHECK(machines->values.at(0).nics.at(0).text() == nic["id"].get<std::string>());
    CHECK(machines->values.at(0).tags.at("env") == "prod");
}

TEST_CASE("preflight's lists and service tags are read") {
    CHECK(decode_permissions(
              R"({"value": [{"actions": ["*/read"], "notActions": ["x"]}, {"actions": []}]})")
              ->values == std::vector<ArmPermission>{{{"*/read"}, {"x"}}, {}});
    const auto locks = decode_locks(
        R"({"value": [{"id": "/subscriptions/s/providers/Microsoft.Authorization/locks/l",
                                        "properties": {"level": "ReadOnly"}}]})");
    REQUIRE(locks);
    CHECK(locks->values.at(0).read_only);
    const auto denied = decode_deny_assignments(
        R"({"value": [{"id": "/d", "properties": {"permissions": [
            {"actions": ["*"], "notActions": ["*/read"]}]}}]})");
    REQUIRE(denied);
    CHECK(denied->values.at(0).denied.at(0).not_actions == std::vector<std::string>{"*/read"});

    const auto tags = decode_service_tags(
        R"({"values": [{"name": "Storage.WestUS",
                        "properties": {"addressPrefixes": ["10.0.0.0/8", "fd00::/8"]}},
                       {"name": "Odd", "properties": {"addressPrefixes": ["10.0.0.0/8", "what"]}},
                       {"name": "Empty", "properties": {}}]})");
    REQUIRE(tags);
    CHECK(tags->size() == 1);
    CHECK(tags->at("storage.westus").contains(*Address::parse("fd00::1")));
}

TEST_CASE("a rule that is written and read again is the same") {
    struct Row {
        const char* changes;
        const char* written;
    };
    for (const Row& row : {
             Row{"{}", R"("sourceAddressPrefix":"198.51.100.7/32","sourcePortRange":"*")"},
             Row{R"({"destinationPortRanges": ["8000-8010"]})",
                 R"("destinationPortRanges":["22","8000-8010"])"},
             Row{R"({"destinationAddressPrefix": "VirtualNetwork"})",
                 R"("destinationAddressPrefix":"VirtualNetwork")"},
             Row{R"({"sourceAddressPrefix": "*", "access": "Deny", "protocol": "*"})",
                 R"("protocol":"*")"},
             Row{R"({"sourceAddressPrefixes": ["203.0.113.0/24"]})",
                 R"("sourceAddressPrefixes":["198.51.100.7/32","203.0.113.0/24"])"},
             Row{R"({"description": "it's \"ours\""})", R"("description":"it's \"ours\"")"},
         }) {
        CAPTURE(std::string(row.changes));
        const SecurityRule original = read(row.changes);

        const std::string body = encode_rule(original);

        CHECK(body.find(row.written) != std::string::npos);
        json answered = json::parse(body);
        answered["name"] = original.name;
        answered["etag"] = original.etag;
        CHECK(*decode_rule(answered.dump()) == original);
    }
}

TEST_CASE("a rule that Azure would misread is not written") {
    SecurityRule tags = read("{}");
    tags.source.prefixes.push_back(ServiceTag{"internet"});
    CHECK_THROWS_AS(static_cast<void>(encode_rule(tags)), Bug);
    SecurityRule unreadable = read(R"({"protocol": "Sctp"})");
    CHECK_THROWS_AS(static_cast<void>(encode_rule(unreadable)), Bug);
    SecurityRule empty = read("{}");
    empty.destination.prefixes.clear();
    CHECK_THROWS_AS(static_cast<void>(encode_rule(empty)), Bug);
}

TEST_CASE("a number that no machine can hold makes an answer unreadable, and nothing worse") {
    const auto state = decode_nsg(R"({"id": "x", "properties": {"a": 1e999}})");
    REQUIRE_FALSE(state);
    CHECK(state.error().message.find("out of range") != std::string::npos);
}
