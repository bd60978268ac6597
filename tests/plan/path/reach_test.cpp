#include "plan/path/reach.hpp"

#include <random>

#include "plan/path/former.hpp"

#include "support/builders.hpp"
#include "support/printers.hpp"

// What the rules of an NSG let through, against a packet-by-packet evaluator, and how tags and
// groups become addresses.

using namespace sallyport;
using namespace sallyport::path;
using namespace sallyport::testing;

namespace {

Way way_to(const Topology& topology, const char* machine = "web01") {
    return must(ways_to(topology, vm_id(machine))).at(0);
}

Traffic ssh_from(const char* network) {
    return {
        .sources = AddressSet::of(cidr(network)), .protocol = Protocol::tcp, .ports = ports("22")};
}

std::vector<std::string> rules(const std::vector<Passage::By>& list) {
    std::vector<std::string> names;
    for (const Passage::By& by : list) names.push_back(by.rule);
    return names;
}

// ---- one packet at a time

struct Packet {
    Address source;
    Address destination;
    int port;
    Protocol protocol;
};

bool matches(const Peer& peer, const Address& address) {
    return std::ranges::any_of(peer.prefixes, [&](const Prefix& prefix) {
        const auto* network = std::get_if<Cidr>(&prefix);
        return std::holds_alternative<AnyAddress>(prefix) ||
               (network != nullptr && network->contains(address));
    });
}

bool passes(std::vector<SecurityRule> rules, const Packet& packet) {
    std::ranges::sort(rules, {}, &SecurityRule::priority);
    for (const SecurityRule& rule : rules) {
        const bool protocol = rule.protocol == Protocol::any || rule.protocol == packet.protocol;
        const bool port = std::ranges::any_of(rule.destination_ports, [&](const PortRange& range) {
            return range.first() <= packet.port && packet.port <= range.last();
        });
        if (rule.direction == Direction::inbound && protocol && port &&
            matches(rule.source, packet.source) && matches(rule.destination, packet.destination)) {
            return rule.access == Access::allow;
        }
    }
    return false;
}

/// Rules over sixteen sources, two destinations, eight ports.
std::vector<SecurityRule> random_rules(std::mt19937& random) {
    const auto up_to = [&](int last) {
        return std::uniform_int_distribution<int>(0, last)(random);
    };
    std::vector<SecurityRule> out;
    for (int i = up_to(10); i > 0; --i) {
        const int first = 20 + up_to(7);
        SecurityRule r = rule(fmt::format("r{}", i), 100 * i + up_to(99));
        r.access = up_to(1) == 0 ? Access::allow : Access::deny;
        r.direction = up_to(7) == 0 ? Direction::outbound : Direction::inbound;
        r.protocol = up_to(2) == 0 ? Protocol::any : up_to(1) == 0 ? Protocol::tcp : Protocol::udp;
        r.destination_ports = {
            PortRange::of(static_cast<std::uint16_t>(first),
                          static_cast<std::uint16_t>(first + up_to(27 - first)))};
        if (up_to(2) > 0)
            r.source.prefixes = {Cidr::of(
                Address{Family::v4, Bits128(0xC6336400U + static_cast<unsigned>(up_to(15)))},
                28 + up_to(4))};
        if (up_to(3) > 0)
            r.destination.prefixes = {cidr(up_to(1) == 0 ? "10.0.0.4/32" : "10.0.0.0/30")};
        out.push_back(r);
    }
    return out;
}

}  // namespace

TEST_CASE("law: through says of every source what a packet-by-packet evaluation says") {
    const Topology topology = TopologyBuilder().machine("web01", {"10.0.0.4"});
    const Way way = way_to(topology);
    for (std::uint32_t seed = 0; seed < 600; ++seed) {
        CAPTURE(seed);
        std::mt19937 random(seed);
        NsgState state = read_of("nsg-web", random_rules(random));
        std::ranges::shuffle(state.rules, random);
        const int first = 20 + static_cast<int>(random() % 8);
        const int last =
            first + static_cast<int>(random() % static_cast<std::uint32_t>(28 - first));
        const Protocol protocol = random() % 2 == 0 ? Protocol::tcp : Protocol::udp;
        std::vector<SecurityRule> all = state.rules;

        const Passage passage = through(
            state, topology, way,
            {AddressSet::of(cidr("198.51.100.0/28")), protocol,
             PortRange::of(static_cast<std::uint16_t>(first), static_cast<std::uint16_t>(last))});

        for (unsigned host = 0; host < 16; ++host) {
            const Address source{Family::v4, Bits128{0xC6336400U + host}};
            int passing = 0;
            for (int port = first; port <= last; ++port) {
                passing += passes(all, {source, way.destination, port, protocol}) ? 1 : 0;
            }
            CHECK(passage.surely.contains(source) == (passing == last - first + 1));
            CHECK(passage.possibly.contains(source) == (passing > 0));
        }
    }
}

TEST_CASE("law: along two NSGs a source passes only where both let the same port pass") {
    const Topology topology =
        TopologyBuilder().subnet_nsg("nsg-subnet").machine("web01", {"10.0.0.4"});
    const Way way = way_to(topology);
    REQUIRE(way.nsgs == std::vector{nsg_id("nsg-subnet"), nsg_id("nsg-web")});
    for (std::uint32_t seed = 0; seed < 100; ++seed) {
        CAPTURE(seed);
        std::mt19937 random(seed);
        const NsgState outer = read_of("nsg-subnet", random_rules(random));
        const NsgState inner = read_of("nsg-web", random_rules(random));

        const Passage passage =
            along(way, {&outer, &inner}, topology,
                  {AddressSet::of(cidr("198.51.100.0/28")), Protocol::tcp, ports("20-27")});

        for (unsigned host = 0; host < 16; ++host) {
            const Address source{Family::v4, Bits128{0xC6336400U + host}};
            int passing = 0;
            for (int port = 20; port <= 27; ++port) {
                const Packet packet{source, way.destination, port, Protocol::tcp};
                passing += passes(outer.rules, packet) && passes(inner.rules, packet) ? 1 : 0;
            }
            CHECK(passage.surely.contains(source) == (passing == 8));
            CHECK(passage.possibly.contains(source) == (passing > 0));
        }
    }
}

TEST_CASE("the first rule that matches decides, and is named") {
    const Topology topology = TopologyBuilder().machine("web01", {"10.0.0.4"});
    const NsgState state = read_of("nsg-web", {rule("later", 300).from({"198.51.100.0/24"}),
                                               rule("first", 200).deny().from({"198.51.100.7"})});

    const Passage passage = through(state, topology, way_to(topology), ssh_from("198.51.100.0/30"));
    const Passage stopped = through(state, topology, way_to(topology), ssh_from("198.51.100.7/32"));

    CHECK(passage.surely == AddressSet::of(cidr("198.51.100.0/30")));
    CHECK(rules(passage.allows) == std::vector<std::string>{"later"});
    CHECK(stopped.possibly.empty());
    CHECK(rules(stopped.denies) == std::vector<std::string>{"first"});
}

TEST_CASE("what cannot be resolved counts against us both ways") {
    const Topology topology = TopologyBuilder().machine("web01", {"10.0.0.4"});
    const Way way = way_to(topology);
    const NsgState allow = read_of("nsg-web", {rule("a", 200).from({"Storage.WestUS"})});
    const NsgState deny =
        read_of("nsg-web", {rule("d", 200).deny().from({"Storage.WestUS"}), rule("a", 300)});

    const Passage opened = through(allow, topology, way, ssh_from("198.51.100.7/32"));
    CHECK_FALSE(opened.possibly.empty());
    CHECK(opened.surely.empty());
    const Passage blocked = through(deny, topology, way, ssh_from("198.51.100.7/32"));
    CHECK_FALSE(blocked.possibly.empty());
    CHECK(blocked.surely.empty());

    const Topology listed = TopologyBuilder()
                                .machine("web01", {"10.0.0.4"})
                                .tag("storage.westus", cidrs({"20.0.0.0/8"}));
    CHECK(through(allow, listed, way, ssh_from("198.51.100.7/32")).possibly.empty());
    CHECK_FALSE(through(allow, listed, way, ssh_from("20.1.1.1/32")).surely.empty());
}

TEST_CASE("a rule for some source ports, or still being written, decides nothing for sure") {
    const Topology topology = TopologyBuilder().machine("web01", {"10.0.0.4"});
    for (const SecurityRule& half : std::vector<SecurityRule>{
             rule("a", 200).source_port("1024-65535"), rule("a", 200).updating()}) {
        const NsgState state = read_of("nsg-web", {half});
        const Passage passage =
            through(state, topology, way_to(topology), ssh_from("198.51.100.7/32"));
        CHECK(passage.surely.empty());
        CHECK_FALSE(passage.possibly.empty());
    }
}

TEST_CASE("a rule that is being written counts with its new text and with the one before") {
    const Topology topology = TopologyBuilder().machine("web01", {"10.0.0.4"});
    const Way way = way_to(topology);
    const auto pass = [&](const SecurityRule& before, const SecurityRule& now) {
        const NsgState first = read_of("nsg-web", {before});
        NsgState second = read_of("nsg-web", {now});
        carry_former(second, &first);
        return through(second, topology, way, ssh_from("198.51.100.0/24"));
    };
    const AddressSet all = AddressSet::of(cidr("198.51.100.0/24"));
    const AddressSet one = AddressSet::of(cidr("198.51.100.7/32"));

    const Passage narrowed = pass(rule("a", 200), rule("a", 200).from({"198.51.100.7"}).updating());
    CHECK(narrowed.surely.empty());
    CHECK(narrowed.possibly == all);
    CHECK(rules(narrowed.allows) == std::vector<std::string>{"a"});

    const Passage denied = pass(rule("a", 200), rule("a", 200).deny().updating());
    CHECK(denied.possibly == all);
    const Passage allowed = pass(rule("a", 200).deny(), rule("a", 200).updating());
    CHECK(allowed.surely.empty());
    CHECK(allowed.possibly == all);
    const Passage renumbered = pass(rule("a", 200).from({"198.51.100.7"}).deny(),
                                    rule("a", 4000).from({"198.51.100.7"}).deny().updating());
    CHECK(renumbered.possibly.empty());

    NsgState with_another = read_of("nsg-web", {rule("a", 4000).deny().updating(), rule("b", 300)});
    const NsgState first =
        read_of("nsg-web", {rule("a", 200).from({"198.51.100.7"}).deny(), rule("b", 300)});
    carry_former(with_another, &first);
    const Passage stopped = through(with_another, topology, way, ssh_from("198.51.100.0/24"));
    CHECK(stopped.surely == all - one);  // the old deny stood in front, and may stand there still
    CHECK(stopped.possibly == all);
}

TEST_CASE("what a rule said before is carried from read to read until its write has ended") {
    const SecurityRule open = rule("Tf-1", 200);
    const SecurityRule narrow = rule("Tf-1", 200).from({"198.51.100.7"}).updating();
    const SecurityRule shut = rule("tf-1", 200).deny().updating();
    const SecurityRule settled = rule("tf-1", 200).deny();
    NsgState read = read_of("nsg-web", {open});
    const auto next = [&](std::vector<SecurityRule> list) {
        NsgState later = read_of("nsg-web", std::move(list));
        later.read_sent = read.read_sent + seconds(60);
        carry_former(later, &read);
        read = std::move(later);
    };

    next({open});
    CHECK(read.former.empty());
    next({narrow});
    CHECK(read.former == std::vector{open});
    next({shut});  // the narrow text may have come into force in between
    CHECK(read.former == std::vector{narrow, open});
    next({settled});
    CHECK(read.former.empty());
    next({});
    next({narrow});  // new: there was nothing before
    CHECK(read.former.empty());
    CHECK(read.unsettled.empty());
}

TEST_CASE("what no near read tells of a rule that is being written may be anything") {
    const Topology topology = TopologyBuilder().machine("web01", {"10.0.0.4"});
    const Way way = way_to(topology);
    NsgState first = read_of("nsg-web", {rule("a", 200).from({"203.0.113.1"}).updating()});
    carry_former(first, nullptr);
    CHECK(first.unsettled == std::vector<std::string>{"a"});
    NsgState still = first;
    carry_former(still, &first);
    CHECK(still.unsettled == std::vector<std::string>{"a"});
    const NsgState old = read_of("nsg-web", {rule("a", 200)});
    NsgState late = first;
    late.read_sent = old.read_sent + former_reach + seconds(1);
    carry_former(late, &old);
    CHECK(late.unsettled == std::vector<std::string>{"a"});

    const Passage passage = through(late, topology, way, ssh_from("198.51.100.0/24"));
    CHECK(passage.surely.empty());
    CHECK(passage.possibly == AddressSet::of(cidr("198.51.100.0/24")));
}

TEST_CASE("VirtualNetwork is the network and its connected peers, or unresolved") {
    const Topology alone = TopologyBuilder().machine("web01", {"10.0.0.4"});
    const Topology peered = TopologyBuilder()
                                .machine("web01", {"10.0.0.4"})
                                .peered("hub", cidrs({"10.9.0.0/16"}))
                                .peered("off", {}, false);
    const Topology unreadable = TopologyBuilder().machine("web01", {"10.0.0.4"}).peered("far", {});
    const Peer tag{.prefixes = {parse_prefix("VirtualNetwork")}};
    const AddressSet own = AddressSet::of(cidrs({"10.0.0.0/16", "fd00::/48"}));

    CHECK(resolve(tag, alone, way_to(alone)).surely == own);
    CHECK(resolve(tag, alone, way_to(alone)).possibly == own);
    CHECK(resolve(tag, peered, way_to(peered)).possibly ==
          (own | AddressSet::of(cidr("10.9.0.0/16"))));
    CHECK(resolve(tag, unreadable, way_to(unreadable)).surely == own);
    CHECK(resolve(tag, unreadable, way_to(unreadable)).possibly == AddressSet::everything());
}

TEST_CASE(
    "a peering without virtual network access is not in the tag; one that does not say may be") {
    const auto peered = [](Known<bool> in_tag) {
        return Topology(TopologyBuilder()
                            .machine("web01", {"10.0.0.4"})
                            .peered("hub", cidrs({"10.9.0.0/16"}), true, in_tag));
    };
    const Peer tag{.prefixes = {parse_prefix("VirtualNetwork")}};
    const Address there = address("10.9.0.4");

    const auto bounds = [&](Known<bool> in_tag) {
        const Topology topology = peered(in_tag);
        return resolve(tag, topology, way_to(topology));
    };

    CHECK(bounds(true).surely.contains(there));
    CHECK_FALSE(bounds(false).possibly.contains(there));
    CHECK_FALSE(bounds({}).surely.contains(there));
    CHECK(bounds({}).possibly.contains(there));
    // What is not inside may be outside, and the other way round.
    const Topology apart = peered(false);
    const Bounds internet = resolve({.prefixes = {parse_prefix("Internet")}}, apart, way_to(apart));
    CHECK(internet.possibly.contains(there));
}

TEST_CASE("VirtualNetwork may be everything where routes or gateways that are not read add to it") {
    const auto builder = [] { return TopologyBuilder().machine("web01", {"10.0.0.4"}); };
    const Peer tag{.prefixes = {parse_prefix("VirtualNetwork")}};
    const Address far = address("8.8.8.8");
    for (const Topology& topology : std::vector<Topology>{
             builder().routed(), builder().with_subnet("gatewaysubnet"),
             builder().with_subnet("RouteServerSubnet"), builder().through_gateways_of("hub")}) {
        const Bounds inside = resolve(tag, topology, way_to(topology));
        CHECK(inside.surely.contains(address("10.0.3.3")));
        CHECK_FALSE(inside.surely.contains(far));
        CHECK(inside.possibly == AddressSet::everything());
        // What may be inside is not surely outside.
        const Bounds internet =
            resolve({.prefixes = {parse_prefix("Internet")}}, topology, way_to(topology));
        CHECK(internet.surely.empty());
        CHECK(internet.possibly.contains(far));
    }
    const Topology other = builder().with_subnet("AzureFirewallSubnet");
    CHECK_FALSE(resolve(tag, other, way_to(other)).possibly.contains(far));
}

TEST_CASE("Internet is surely the public addresses outside the network, possibly all outside it") {
    const Topology topology = TopologyBuilder().machine("web01", {"10.0.0.4"});
    const Bounds internet =
        resolve({.prefixes = {parse_prefix("Internet")}}, topology, way_to(topology));

    CHECK(internet.surely.contains(address("8.8.8.8")));
    CHECK(internet.surely.contains(address("2a00::1")));
    CHECK_FALSE(internet.surely.contains(address("192.168.1.1")));
    CHECK(internet.possibly.contains(address("192.168.1.1")));
    CHECK_FALSE(internet.possibly.contains(address("10.0.3.3")));
}

TEST_CASE("AzureLoadBalancer is the address that its probes come from") {
    const Topology topology = TopologyBuilder().machine("web01", {"10.0.0.4"});
    const Bounds probe =
        resolve({.prefixes = {parse_prefix("AzureLoadBalancer")}}, topology, way_to(topology));

    CHECK(probe.surely == AddressSet::of(cidrs({"168.63.129.16/32", "fe80::1234:5678:9abc/128"})));
    CHECK(probe.possibly == probe.surely);
}

TEST_CASE(
    "an application security group is its listed members, and may have others in the networks: "
    "instances of scale sets are in no list of NICs") {
    Topology topology = TopologyBuilder()
                            .machine("web01", {"10.0.0.4"}, nsg_id(), {asg_id("web")})
                            .machine("ops01", {"10.0.0.9"}, nsg_id(), {asg_id("ops")});
    const Way way = way_to(topology);
    const Peer ops{.asgs = {asg_id("ops").id()}};

    CHECK(resolve(ops, topology, way).surely == AddressSet::of(cidr("10.0.0.9/32")));
    CHECK(resolve(ops, topology, way).possibly ==
          AddressSet::of(cidrs({"10.0.0.0/16", "fd00::/48"})));
    const Peer empty{.asgs = {asg_id("set").id()}};
    CHECK(resolve(empty, topology, way).surely.empty());
    CHECK(resolve(empty, topology, way).possibly.contains(address("10.0.7.7")));
    topology.whole_subscription = false;
    CHECK(resolve(ops, topology, way).surely == AddressSet::of(cidr("10.0.0.9/32")));
    CHECK(resolve(ops, topology, way).possibly == AddressSet::everything());

    const NsgState to_web = read_of("nsg-web", {rule("a", 200).to_asg("web")});
    const NsgState to_ops = read_of("nsg-web", {rule("a", 200).to_asg("ops")});
    CHECK_FALSE(through(to_web, topology, way, ssh_from("198.51.100.7/32")).surely.empty());
    CHECK(through(to_ops, topology, way, ssh_from("198.51.100.7/32")).surely.empty());
}

TEST_CASE("a machine has a way for every address of every NIC, and nothing is guessed") {
    const Topology topology =
        TopologyBuilder().subnet_nsg("nsg-subnet").machine("web01", {"10.0.0.4", "fd00::4"});
    Topology unread = topology;
    unread.nics = {};
    Topology untold = topology;
    untold.machines = std::vector<VirtualMachine>{{.id = vm_id("web01")}};
    untold.nics = std::vector<Nic>();
    Topology lost_subnet = topology;
    lost_subnet.networks = std::vector<VirtualNetwork>();

    CHECK(must(ways_to(topology, vm_id("web01"))).size() == 2);
    CHECK(ways_to(topology, vm_id("nobody")).error().kind == ErrorKind::not_found);
    CHECK(ways_to(unread, vm_id("web01")).error().kind == ErrorKind::unavailable);
    CHECK(ways_to(untold, vm_id("web01")).error().kind == ErrorKind::unavailable);
    CHECK(ways_to(lost_subnet, vm_id("web01")).error().kind == ErrorKind::unavailable);
}
