#include "model/rule.hpp"

#include <doctest/doctest.h>

#include "model/network.hpp"
#include "support/printers.hpp"

using namespace sallyport;

TEST_CASE("a prefix is an address range, a tag, anything, or unreadable") {
    CHECK(std::holds_alternative<AnyAddress>(parse_prefix("*")));
    CHECK(std::holds_alternative<AnyAddress>(parse_prefix("Any")));
    CHECK(parse_prefix("10.0.0.9/8") == Prefix(*Cidr::parse("10.0.0.0/8")));
    CHECK(parse_prefix("10.0.0.4") == Prefix(*Cidr::parse("10.0.0.4/32")));
    CHECK(parse_prefix("0.0.0.0/0") != parse_prefix("*"));
    CHECK(parse_prefix("VIRTUALNETWORK") == Prefix(ServiceTag{"virtualnetwork"}));
    CHECK(parse_prefix("Storage.WestUS") == Prefix(ServiceTag{"storage.westus"}));
    for (const char* text :
         {"", "10.0.0.0/64", "10.0.0.1-10.0.0.9", "::ffff:1.2.3.4", "a b", "1.2.3"}) {
        CAPTURE(text);
        CHECK(parse_prefix(text) == Prefix(Unreadable{text}));
    }
}

TEST_CASE("a prefix that is written and read again is the same") {
    for (const char* text : {"*", "10.0.0.0/8", "2001:db8::/32", "VirtualNetwork", "Internet",
                             "AzureLoadBalancer", "Storage.WestUS", "some nonsense"}) {
        CAPTURE(text);
        const Prefix prefix = parse_prefix(text);
        CHECK(parse_prefix(to_text(prefix)) == prefix);
    }
    CHECK(to_text(parse_prefix("virtualnetwork")) == "VirtualNetwork");
}

TEST_CASE("a difference names the fields, and name, etag and provisioning state do not count") {
    SecurityRule wanted{.name = "a"};
    wanted.source.prefixes = {parse_prefix("198.51.100.7")};
    wanted.destination_ports = {PortRange::single(22)};
    SecurityRule observed = wanted;
    observed.name = "A";
    observed.etag = "W/\"1\"";
    observed.provisioning_state = "Updating";
    CHECK(difference(wanted, observed).empty());

    observed.source.prefixes = {AnyAddress{}};
    observed.priority = 100;
    CHECK(difference(wanted, observed) == "source prefix, priority");

    SecurityRule all = wanted;
    all.access = Access::deny;
    all.direction = Direction::outbound;
    all.protocol = Protocol::any;
    all.source_ports = {PortRange::single(1)};
    all.destination.prefixes = {AnyAddress{}};
    all.destination_ports = {};
    all.description = "x";
    CHECK(difference(wanted, all) ==
          "access, direction, protocol, source port, destination prefix, destination port, "
          "description");
}

TEST_CASE("a rule is found whatever the case of its name") {
    NsgState state{.id = *NsgId::parse("/subscriptions/s/resourceGroups/g/providers/"
                                       "Microsoft.Network/networkSecurityGroups/n")};
    state.rules = {SecurityRule{.name = "Allow-SSH"}};
    CHECK(state.find("allow-ssh") == &state.rules[0]);
    CHECK(state.find("allow-ss") == nullptr);
}

TEST_CASE("a topology finds its parts by id without case, and nothing when a list is unknown") {
    const std::string group =
        "/subscriptions/s/resourceGroups/g/providers/Microsoft.Network/virtualNetworks/v";
    const auto subnet_id = *SubnetId::parse(group + "/subnets/web");
    Topology topology;
    CHECK(topology.subnet(subnet_id) == nullptr);

    topology.networks = std::vector{VirtualNetwork{
        .id = *VnetId::parse(group),
        .subnets = {
            Subnet{.id = *SubnetId::parse("/subscriptions/S/resourcegroups/G/providers/"
                                          "Microsoft.Network/virtualNetworks/V/subnets/WEB")}}}};
    REQUIRE(topology.subnet(subnet_id) != nullptr);
    CHECK(topology.network_of(subnet_id)->id.text() == group);
    CHECK(topology.subnet(*SubnetId::parse(group + "/subnets/db")) == nullptr);
    CHECK(
        topology.nic(*NicId::parse(
            "/subscriptions/s/resourceGroups/g/providers/Microsoft.Network/networkInterfaces/n")) ==
        nullptr);
}
