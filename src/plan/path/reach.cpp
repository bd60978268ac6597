#include "plan/path/reach.hpp"

#include <algorithm>
#include <set>
#include <string_view>
#include <tuple>

#include "base/check.hpp"
#include "base/text.hpp"

namespace sallyport::path {
namespace {

/// An inbound rule that may concern one way, with its source resolved.
struct Candidate {
    const SecurityRule* rule;
    Bounds source;
};

bool touches(const SecurityRule& rule, const PortRange& ports) {
    return std::ranges::any_of(rule.destination_ports,
                               [&](const PortRange& each) { return each.overlaps(ports); });
}

bool has_every_port(const std::vector<PortRange>& ports) {
    return std::ranges::any_of(ports,
                               [](const PortRange& each) { return each == PortRange::all(); });
}

/// Whether a rule's destination is this way's address: for sure, perhaps, or not.
struct Aim {
    bool surely = false;
    bool possibly = false;
};
Aim aim_of(const SecurityRule& rule, const Topology& topology, const Way& way) {
    Aim aim;
    for (const Prefix& prefix : rule.destination.prefixes) {
        // Most rules name networks: no set is built for those.
        if (const auto* cidr = std::get_if<Cidr>(&prefix)) {
            aim.surely = aim.surely || cidr->contains(way.destination);
            continue;
        }
        if (std::holds_alternative<AnyAddress>(prefix)) {
            aim.surely = true;
            continue;
        }
        const Bounds bounds = resolve({.prefixes = {prefix}}, topology, way);
        aim.surely = aim.surely || bounds.surely.contains(way.destination);
        aim.possibly = aim.possibly || bounds.possibly.contains(way.destination);
    }
    for (const ArmId& asg : rule.destination.asgs) {
        // The way's own membership was read with its NIC: no list has to be complete for it.
        const bool member =
            std::ranges::any_of(way.asgs, [&](const AsgId& a) { return a.id() == asg; });
        aim.surely = aim.surely || member;
    }
    const bool says_nothing = rule.destination.prefixes.empty() && rule.destination.asgs.empty();
    aim.possibly = aim.possibly || aim.surely || says_nothing;
    return aim;
}

/// The rules that may decide about the traffic, in the order in which Azure looks at them.
std::vector<Candidate> candidates(const NsgState& nsg, const Topology& topology, const Way& way,
                                  const Traffic& traffic, const std::vector<std::string>& without) {
    std::vector<Candidate> found;
    const auto consider = [&](const SecurityRule& rule, bool in_force) {
        if (rule.direction != Direction::inbound || !applies_to(rule.protocol, traffic.protocol)) {
            return;
        }
        if (!touches(rule, traffic.ports)) return;
        const Aim aim = aim_of(rule, topology, way);
        if (!aim.possibly) return;
        if (std::ranges::find(without, lower(rule.name)) != without.end()) return;
        Bounds source = resolve(rule.source, topology, way);
        // A rule for some source ports stops or lets in some packets of a source, not all of them;
        // one that is still being written may or may not be in force.
        if (!aim.surely || !has_every_port(rule.source_ports) || !in_force) source.surely = {};
        found.push_back({&rule, std::move(source)});
    };
    for (const SecurityRule& rule : nsg.rules) consider(rule, rule.is_settled());
    for (const SecurityRule& rule : nsg.former) consider(rule, false);
    for (const SecurityRule& rule : nsg.default_rules) consider(rule, rule.is_settled());
    std::ranges::sort(found, {}, [](const Candidate& c) {
        return std::tuple(c.rule->priority, std::string_view(c.rule->name));
    });
    return found;
}

void note(std::vector<Passage::By>& list, const Passage::By& found) {
    if (found.sources.empty()) return;
    for (Passage::By& by : list) {
        if (by.rule != found.rule || by.nsg != found.nsg) continue;
        by.sources = by.sources | found.sources;
        return;
    }
    list.push_back(found);
}

/// Cuts ports into ranges that no rule tells apart.
std::vector<PortRange> slices(const PortRange& ports,
                              const std::vector<const SecurityRule*>& rules) {
    std::set<int> starts{ports.first()};
    for (const SecurityRule* rule : rules) {
        for (const PortRange& each : rule->destination_ports) {
            if (!each.overlaps(ports)) continue;
            if (each.first() > ports.first()) starts.insert(each.first());
            if (each.last() < ports.last()) starts.insert(int{each.last()} + 1);
        }
    }
    std::vector<PortRange> out;
    for (auto start = starts.begin(); start != starts.end(); ++start) {
        const auto next = std::next(start);
        const int last = next == starts.end() ? int{ports.last()} : *next - 1;
        out.push_back(
            PortRange::of(static_cast<std::uint16_t>(*start), static_cast<std::uint16_t>(last)));
    }
    return out;
}

/// First match over ports that no rule tells apart.
void pass_slice(const NsgState& nsg, const std::vector<Candidate>& rules, const PortRange& slice,
                const AddressSet& sources, Passage& passage) {
    AddressSet surely;
    AddressSet not_stopped = sources;  // no deny can have matched these, and no allow surely did
    AddressSet undecided = sources;    // no rule has surely matched these
    for (const Candidate& candidate : rules) {
        if (undecided.empty()) break;
        if (!touches(*candidate.rule, slice)) continue;
        const AddressSet matched = undecided & candidate.source.possibly;
        if (candidate.rule->access == Access::allow) {
            passage.possibly = passage.possibly | matched;
            surely = surely | (not_stopped & candidate.source.surely);
            not_stopped = not_stopped - candidate.source.surely;
            note(passage.allows, {candidate.rule->name, nsg.id, Access::allow, matched});
        } else {
            not_stopped = not_stopped - candidate.source.possibly;
            note(passage.denies, {candidate.rule->name, nsg.id, Access::deny, matched});
        }
        undecided = undecided - candidate.source.surely;
    }
    // Azure's own last rule denies everything. A read without it does not say what happens.
    passage.possibly = passage.possibly | undecided;
    passage.surely = passage.surely & surely;
}

Result<const Subnet*> subnet_of(const Topology& topology, const IpConfiguration& configuration) {
    if (!configuration.subnet) return static_cast<const Subnet*>(nullptr);
    if (!topology.networks) return unavailable("the virtual networks could not be listed");
    const Subnet* subnet = topology.subnet(*configuration.subnet);
    if (subnet == nullptr) {
        return unavailable(fmt::format("subnet {} was not in the list", *configuration.subnet));
    }
    return subnet;
}

Result<void> add_ways(const Topology& topology, const VmId& machine, const Nic& nic,
                      std::vector<Way>& ways) {
    for (const IpConfiguration& configuration : nic.configurations) {
        if (!configuration.private_address) continue;  // nothing can be sent to it
        auto subnet = subnet_of(topology, configuration);
        if (!subnet) return std::move(subnet).error();
        Way way{.machine = machine,
                .nic = nic.id,
                .destination = *configuration.private_address,
                .subnet = configuration.subnet,
                .asgs = configuration.asgs};
        if (*subnet != nullptr && (*subnet)->nsg) way.nsgs.push_back(*(*subnet)->nsg);
        // One NSG on both is met twice and says the same twice.
        if (nic.nsg && (way.nsgs.empty() || way.nsgs.front() != *nic.nsg))
            way.nsgs.push_back(*nic.nsg);
        ways.push_back(std::move(way));
    }
    return {};
}

}  // namespace

Result<std::vector<Way>> ways_to(const Topology& topology, const VmId& machine) {
    if (!topology.machines) return unavailable("the virtual machines could not be listed");
    if (!topology.nics) return unavailable("the network interfaces could not be listed");
    const VirtualMachine* found = topology.machine(machine);
    if (found == nullptr)
        return not_found(fmt::format("virtual machine {} does not exist", machine));
    std::set<NicId> nics(found->nics.begin(), found->nics.end());
    for (const Nic& nic : *topology.nics) {
        if (nic.vm == machine) nics.insert(nic.id);
    }
    // Azure has no machine without one: then the answers did not tell.
    if (nics.empty())
        return unavailable(fmt::format("no network interface of {} was in the lists", machine));
    std::vector<Way> ways;
    for (const NicId& id : nics) {
        const Nic* nic = topology.nic(id);
        if (nic == nullptr)
            return unavailable(fmt::format("network interface {} was not in the list", id));
        if (auto added = add_ways(topology, machine, *nic, ways); !added)
            return std::move(added).error();
    }
    std::ranges::sort(ways, {},
                      [](const Way& way) { return std::tuple(way.nic, way.destination); });
    return ways;
}

Passage through(const NsgState& nsg, const Topology& topology, const Way& way,
                const Traffic& traffic, const std::vector<std::string>& without) {
    check(traffic.protocol != Protocol::any, "traffic has one protocol");
    const std::vector<Candidate> rules = candidates(nsg, topology, way, traffic, without);
    std::vector<const SecurityRule*> cutting;
    for (const Candidate& candidate : rules) cutting.push_back(candidate.rule);
    Passage passage{.surely = traffic.sources};
    for (const PortRange& slice : slices(traffic.ports, cutting)) {
        pass_slice(nsg, rules, slice, traffic.sources, passage);
    }
    // What was never read may let anything in, and stop anything.
    for (const std::string& name : nsg.unsettled) {
        passage.surely = {};
        passage.possibly = traffic.sources;
        note(passage.allows, {name, nsg.id, Access::allow, traffic.sources});
    }
    return passage;
}

Passage along(const Way& way, const std::vector<const NsgState*>& hops, const Topology& topology,
              const Traffic& traffic, const std::map<NsgId, std::vector<std::string>>& without) {
    // The same ports must pass every hop: each slice goes the whole way by itself.
    std::vector<const SecurityRule*> cutting;
    for (const NsgState* hop : hops) {
        for (const auto* list : {&hop->rules, &hop->former, &hop->default_rules}) {
            for (const SecurityRule& rule : *list) {
                const bool counts = rule.direction == Direction::inbound &&
                                    applies_to(rule.protocol, traffic.protocol);
                if (counts) cutting.push_back(&rule);
            }
        }
    }
    Passage all{.surely = traffic.sources};
    for (const PortRange& slice : slices(traffic.ports, cutting)) {
        AddressSet possibly = traffic.sources;
        for (const NsgState* hop : hops) {
            const auto left_out = without.find(hop->id);
            const Passage one =
                through(*hop, topology, way, {possibly, traffic.protocol, slice},
                        left_out == without.end() ? std::vector<std::string>() : left_out->second);
            for (const Passage::By& by : one.allows) note(all.allows, by);
            for (const Passage::By& by : one.denies) note(all.denies, by);
            possibly = one.possibly;
            all.surely = all.surely & one.surely;
        }
        all.possibly = all.possibly | possibly;
    }
    return all;
}

}  // namespace sallyport::path
