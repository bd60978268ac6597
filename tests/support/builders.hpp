#pragma once

#include <fmt/ranges.h>

#include <string>
#include <string_view>
#include <vector>

#include "base/check.hpp"
#include "model/network.hpp"
#include "model/policy.hpp"
#include "model/record.hpp"
#include "model/rule.hpp"
#include "plan/nsg/plan.hpp"

/// Worlds for tests, in few words: what a test does not name is the same everywhere. One
/// subscription, one resource group, one network 10.0.0.0/16 (and fd00::/48); the day is
/// 2026-11-21.
namespace sallyport::testing {

template <class T>
T must(Result<T> result) {
    check(result.has_value(), "test data is well formed");
    return *std::move(result);
}

inline Timestamp at(std::string_view time) {
    return must(
        parse_rfc3339(fmt::format("2026-11-21T{}{}Z", time, time.size() == 5 ? ":00" : "")));
}
inline SteadyTime steady(std::string_view time) { return SteadyTime(at(time).time_since_epoch()); }

inline constexpr const char* group = "/subscriptions/s/resourceGroups/rg-web/providers/";
inline NsgId nsg_id(std::string_view name = "nsg-web") {
    return must(
        NsgId::parse(fmt::format("{}Microsoft.Network/networkSecurityGroups/{}", group, name)));
}
inline VmId vm_id(std::string_view name) {
    return must(VmId::parse(fmt::format("{}Microsoft.Compute/virtualMachines/{}", group, name)));
}
inline NicId nic_id(std::string_view name) {
    return must(NicId::parse(fmt::format("{}Microsoft.Network/networkInterfaces/{}", group, name)));
}
inline VnetId vnet_id(std::string_view name) {
    return must(VnetId::parse(fmt::format("{}Microsoft.Network/virtualNetworks/{}", group, name)));
}
inline SubnetId subnet_id(std::string_view vnet, std::string_view name) {
    return must(SubnetId::parse(fmt::format("{}/subnets/{}", vnet_id(vnet).text(), name)));
}
inline AsgId asg_id(std::string_view name) {
    return must(
        AsgId::parse(fmt::format("{}Microsoft.Network/applicationSecurityGroups/{}", group, name)));
}
inline Address address(std::string_view text) { return must(Address::parse(text)); }
inline Cidr cidr(std::string_view text) { return must(Cidr::parse(text)); }
inline std::vector<Cidr> cidrs(std::initializer_list<const char*> texts) {
    std::vector<Cidr> out;
    for (const char* text : texts) out.push_back(cidr(text));
    return out;
}
inline PortRange ports(std::string_view text) { return must(PortRange::parse(text)); }
inline Owner owner(std::string_view text = "k7f2m3qa") { return must(Owner::parse(text)); }

/// A foreign rule unless it is given a name and mark of ours. Allow, inbound, Tcp, `*` to `*`
/// port 22.
class RuleBuilder {
public:
    explicit RuleBuilder(std::string name, int priority) {
        rule_.name = std::move(name);
        rule_.priority = priority;
        rule_.source.prefixes = {AnyAddress{}};
        rule_.destination.prefixes = {AnyAddress{}};
        rule_.destination_ports = {PortRange::single(22)};
    }
    RuleBuilder& allow() { return rule_.access = Access::allow, *this; }
    RuleBuilder& deny() { return rule_.access = Access::deny, *this; }
    RuleBuilder& outbound() { return rule_.direction = Direction::outbound, *this; }
    RuleBuilder& protocol(Protocol protocol) { return rule_.protocol = protocol, *this; }
    RuleBuilder& from(std::initializer_list<const char*> prefixes) {
        return fill(rule_.source, prefixes);
    }
    RuleBuilder& to(std::initializer_list<const char*> prefixes) {
        return fill(rule_.destination, prefixes);
    }
    RuleBuilder& from_asg(std::string_view name) {
        return rule_.source = {.asgs = {asg_id(name).id()}}, *this;
    }
    RuleBuilder& to_asg(std::string_view name) {
        return rule_.destination = {.asgs = {asg_id(name).id()}}, *this;
    }
    RuleBuilder& source_port(std::string_view text) {
        return rule_.source_ports = {ports(text)}, *this;
    }
    RuleBuilder& port(std::string_view text) {
        return rule_.destination_ports = {ports(text)}, *this;
    }
    RuleBuilder& described(std::string text) { return rule_.description = std::move(text), *this; }
    RuleBuilder& updating() { return rule_.provisioning_state = "Updating", *this; }
    operator SecurityRule() const {
        return rule_;
    }  // so that builders stand where rules are listed

private:
    RuleBuilder& fill(Peer& peer, std::initializer_list<const char*> prefixes) {
        peer = {};
        for (const char* text : prefixes) peer.prefixes.push_back(parse_prefix(text));
        return *this;
    }
    SecurityRule rule_;
};
inline RuleBuilder rule(std::string name, int priority) {
    return RuleBuilder(std::move(name), priority);
}

/// The six rules behind every NSG's own; the inbound three.
inline std::vector<SecurityRule> default_rules() {
    return {rule("AllowVnetInBound", 65000)
                .protocol(Protocol::any)
                .from({"VirtualNetwork"})
                .to({"VirtualNetwork"})
                .port("*"),
            rule("AllowAzureLoadBalancerInBound", 65001)
                .protocol(Protocol::any)
                .from({"AzureLoadBalancer"})
                .port("*"),
            rule("DenyAllInBound", 65500).deny().protocol(Protocol::any).port("*")};
}

inline NsgState read_of(std::string_view name, std::vector<SecurityRule> rules) {
    return {.id = nsg_id(name),
            .rules = std::move(rules),
            .default_rules = default_rules(),
            .read_sent = steady("09:00")};
}

/// One network with machines; each machine has a NIC of its own in subnet `web`.
class TopologyBuilder {
public:
    TopologyBuilder() {
        topology_.machines = std::vector<VirtualMachine>();
        topology_.nics = std::vector<Nic>();
        topology_.read_sent = steady("09:00");
        topology_.read_at = at("09:00");
    }
    TopologyBuilder& subnet_nsg(std::string_view name) { return subnet_nsg_ = nsg_id(name), *this; }
    TopologyBuilder& machine(std::string_view name, std::initializer_list<const char*> addresses,
                             std::optional<NsgId> nic_nsg = nsg_id(),
                             std::vector<AsgId> asgs = {}) {
        const NicId id = nic_id(fmt::format("{}-nic", name));
        Nic nic{.id = id, .vm = vm_id(name), .nsg = std::move(nic_nsg)};
        for (const char* text : addresses) {
            nic.configurations.push_back({.name = fmt::format("ip{}", nic.configurations.size()),
                                          .private_address = address(text),
                                          .subnet = subnet_id("vnet", "web"),
                                          .asgs = asgs});
        }
        nics_.push_back(std::move(nic));
        machines_.push_back(
            {.id = vm_id(name), .vm_id = fmt::format("vmid-{}", name), .nics = {id}});
        return *this;
    }
    TopologyBuilder& peered(std::string_view name, std::vector<Cidr> prefixes,
                            bool connected = true, Known<bool> in_tag = true) {
        peerings_.push_back({vnet_id(name), std::move(prefixes), connected, in_tag});
        return *this;
    }
    TopologyBuilder& through_gateways_of(std::string_view name) {
        peerings_.push_back({vnet_id(name), {}, true, true, true});
        peerings_.back().remote_prefixes = {cidr("10.9.0.0/16")};
        return *this;
    }
    TopologyBuilder& routed() { return routed_ = true, *this; }
    TopologyBuilder& with_subnet(std::string_view name) {
        more_subnets_.push_back({.id = subnet_id("vnet", name)});
        return *this;
    }
    TopologyBuilder& tag(std::string name, std::vector<Cidr> networks) {
        topology_.service_tags[std::move(name)] = AddressSet::of(networks);
        return *this;
    }
    operator Topology() const {
        Topology topology = topology_;
        topology.machines = machines_;
        topology.nics = nics_;
        std::vector<Subnet> subnets = {{.id = subnet_id("vnet", "web"),
                                        .prefixes = cidrs({"10.0.0.0/24"}),
                                        .nsg = subnet_nsg_,
                                        .routed = routed_}};
        subnets.insert(subnets.end(), more_subnets_.begin(), more_subnets_.end());
        topology.networks =
            std::vector<VirtualNetwork>{{.id = vnet_id("vnet"),
                                         .address_space = cidrs({"10.0.0.0/16", "fd00::/48"}),
                                         .subnets = std::move(subnets),
                                         .peerings = peerings_}};
        return topology;
    }

private:
    Topology topology_;
    std::vector<VirtualMachine> machines_;
    std::vector<Nic> nics_;
    std::vector<Peering> peerings_;
    std::vector<Subnet> more_subnets_;
    std::optional<NsgId> subnet_nsg_;
    bool routed_ = false;
};

inline nsg::RuleContent content(const SecurityRule& rule) {
    return {rule.access, rule.protocol, rule.source, rule.destination, rule.destination_ports};
}
/// What a grant usually wants: from one address to one address, Tcp 22.
inline nsg::RuleContent opening(const char* from = "198.51.100.7/32",
                                const char* to = "10.0.0.4/32", const char* port = "22") {
    return content(rule("", 0).from({from}).to({to}).port(port));
}
inline nsg::RuleContent deny_all(const char* to = "10.0.0.4/32", const char* port = "22") {
    return content(rule("", 0).deny().to({to}).port(port));
}

/// A grant's claim on an NSG: authorised, until 12:00.
class ClaimBuilder {
public:
    explicit ClaimBuilder(std::string uid) {
        claim_.uid = std::move(uid);
        claim_.name = {"payments", claim_.uid};
        claim_.wanted = {opening()};
        claim_.may_open = true;
        until("12:00");
    }
    ClaimBuilder& wants(std::vector<nsg::RuleContent> contents) {
        return claim_.wanted = std::move(contents), *this;
    }
    ClaimBuilder& wants_nothing(std::string why) {
        claim_.wanted.clear();
        claim_.closing_reason = std::move(why);
        return *this;
    }
    ClaimBuilder& wants_unknown() {
        return claim_.wanted.clear(), claim_.wanted_known = false, *this;
    }
    ClaimBuilder& until(std::string_view time) {
        claim_.end = at(time);
        claim_.latest_end = at(time) + seconds(300);
        return *this;
    }
    ClaimBuilder& may_not_open() { return claim_.may_open = false, *this; }
    /// The record has a rule of that content on the NSG.
    ClaimBuilder& recorded(const nsg::RuleContent& content, int n,
                           std::optional<int> priority = {}) {
        claim_.recorded.push_back({.nsg = nsg_id(),
                                   .content = nsg::content_key(content),
                                   .n = n,
                                   .name = RuleName::of(owner(), claim_.uid, n).text(),
                                   .priority = priority,
                                   .openings = 1});
        return *this;
    }
    operator nsg::GrantClaim() const { return claim_; }

private:
    nsg::GrantClaim claim_;
};
inline ClaimBuilder grant(std::string uid) { return ClaimBuilder(std::move(uid)); }

/// A rule of ours as the planner writes it for that claim.
inline SecurityRule rule_of(const nsg::GrantClaim& claim, int n, int priority,
                            const nsg::RuleContent& says = opening()) {
    return {.name = RuleName::of(owner(), claim.uid, n).text(),
            .description = Mark{.owner = owner().text(),
                                .kind = MarkKind::grant,
                                .uid = claim.uid,
                                .end = claim.latest_end,
                                .seq = claim.seq,
                                .subject = fmt::format("{}", claim.name)}
                               .text(),
            .access = says.access,
            .priority = priority,
            .protocol = says.protocol,
            .source = says.source,
            .destination = says.destination,
            .destination_ports = says.ports};
}
inline SecurityRule rule_of(const nsg::PolicyClaim& claim, int n, int priority,
                            const nsg::RuleContent& says) {
    return {.name = RuleName::of(owner(), claim.uid, n).text(),
            .description = Mark{.owner = owner().text(),
                                .kind = MarkKind::policy,
                                .uid = claim.uid,
                                .subject = fmt::format("{}", claim.name)}
                               .text(),
            .access = says.access,
            .priority = priority,
            .protocol = says.protocol,
            .source = says.source,
            .destination = says.destination,
            .destination_ports = says.ports};
}

/// A policy that closes Tcp 22 of 10.0.0.4, confirmed.
inline nsg::PolicyClaim policy(std::string uid) {
    return {.uid = uid, .name = {"payments", uid}, .denies = {deny_all()}, .confirmed = true};
}

/// All lists complete, at 09:00.
inline nsg::Inputs inputs(const NsgState* observed, std::vector<nsg::GrantClaim> grants,
                          std::vector<nsg::PolicyClaim> policies = {}) {
    return {.observed = observed,
            .grants = std::move(grants),
            .grants_complete = true,
            .policies = std::move(policies),
            .policies_complete = true,
            .owner = owner(),
            .now = at("09:00")};
}

}  // namespace sallyport::testing
