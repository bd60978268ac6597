#include "plan/nsg/effect.hpp"

#include <algorithm>

#include "base/check.hpp"
#include "plan/nsg/content.hpp"

namespace sallyport::nsg {
namespace {

AddressSet networks_of(const Peer& peer) {
    std::vector<Cidr> networks;
    for (const Prefix& prefix : peer.prefixes) {
        if (const auto* cidr = std::get_if<Cidr>(&prefix)) networks.push_back(*cidr);
    }
    return AddressSet::of(networks);
}

bool has_any(const Peer& peer) {
    return std::ranges::any_of(
        peer.prefixes, [](const Prefix& p) { return std::holds_alternative<AnyAddress>(p); });
}

/// Only networks: nothing that could mean more than it says.
bool is_plain(const Peer& peer) {
    return peer.asgs.empty() && !peer.prefixes.empty() &&
           std::ranges::all_of(peer.prefixes,
                               [](const Prefix& p) { return std::holds_alternative<Cidr>(p); });
}

/// `Internet` against a tag or space that lies inside: they share nothing.
bool are_apart(const Prefix& a, const Prefix& b) {
    const auto is_tag = [](const Prefix& p, std::string_view name) {
        const auto* tag = std::get_if<ServiceTag>(&p);
        return tag != nullptr && tag->name == name;
    };
    const auto is_inside = [&](const Prefix& p) {
        return is_tag(p, "virtualnetwork") || is_tag(p, "azureloadbalancer");
    };
    const auto is_outside = [&](const Prefix& p) { return is_tag(p, "internet"); };
    if ((is_outside(a) && is_inside(b)) || (is_inside(a) && is_outside(b))) return true;
    const bool two_tags_inside = is_inside(a) && is_inside(b);
    return two_tags_inside && a != b;
}

bool peers_overlap(const Peer& a, const Peer& b) {
    if (is_plain(a) && is_plain(b)) return networks_of(a).intersects(networks_of(b));
    if (a.prefixes.empty() || b.prefixes.empty()) return true;
    return std::ranges::any_of(a.prefixes, [&](const Prefix& x) {
        return std::ranges::any_of(b.prefixes, [&](const Prefix& y) { return !are_apart(x, y); });
    });
}

bool ports_cover(const std::vector<PortRange>& outer, const std::vector<PortRange>& inner) {
    const std::vector<PortRange> all = merged(outer);
    return std::ranges::all_of(inner, [&](const PortRange& part) {
        return std::ranges::any_of(all,
                                   [&](const PortRange& whole) { return whole.contains(part); });
    });
}

bool ports_overlap(const std::vector<PortRange>& a, const std::vector<PortRange>& b) {
    return std::ranges::any_of(a, [&](const PortRange& x) {
        return std::ranges::any_of(b, [&](const PortRange& y) { return x.overlaps(y); });
    });
}

bool matches_nothing(const SecurityRule& rule) {
    return rule.direction == Direction::outbound || is_tombstone(rule);
}

/// Replaced in place by a rule of the same access: an allow that grows opens, a deny that grows
/// closes.
WriteEffect effect_of_change(const SecurityRule& before, const SecurityRule& after) {
    const bool grows = !nsg::covers(before, after);
    const bool shrinks = !nsg::covers(after, before);
    const bool earlier = after.priority < before.priority;
    const bool later = after.priority > before.priority;
    const bool more = grows || earlier;
    const bool less = shrinks || later;
    if (!more && !less) return WriteEffect::neutral;
    const bool opens = after.access == Access::allow ? more : less;
    return opens ? WriteEffect::opens : WriteEffect::closes;
}

}  // namespace

bool covers(const Peer& outer, const Peer& inner) {
    if (has_any(outer)) return true;
    if (inner.prefixes.empty() && inner.asgs.empty())
        return false;  // says nothing: may be anything
    const AddressSet networks = networks_of(outer);
    const bool prefixes = std::ranges::all_of(inner.prefixes, [&](const Prefix& prefix) {
        const auto* cidr = std::get_if<Cidr>(&prefix);
        if (cidr != nullptr) return networks.contains(AddressSet::of(*cidr));
        return !std::holds_alternative<Unreadable>(prefix) &&
               std::ranges::find(outer.prefixes, prefix) != outer.prefixes.end();
    });
    return prefixes && std::ranges::all_of(inner.asgs, [&](const ArmId& asg) {
               return std::ranges::find(outer.asgs, asg) != outer.asgs.end();
           });
}

bool covers(const SecurityRule& outer, const SecurityRule& inner) {
    const bool protocol = outer.protocol == Protocol::any || outer.protocol == inner.protocol;
    return protocol && outer.direction == inner.direction &&
           ports_cover(outer.destination_ports, inner.destination_ports) &&
           ports_cover(outer.source_ports, inner.source_ports) &&
           covers(outer.source, inner.source) && covers(outer.destination, inner.destination);
}

bool may_overlap(const SecurityRule& a, const SecurityRule& b) {
    const bool protocol =
        a.protocol == Protocol::any || b.protocol == Protocol::any || a.protocol == b.protocol;
    return protocol && a.direction == b.direction &&
           ports_overlap(a.destination_ports, b.destination_ports) &&
           peers_overlap(a.source, b.source) && peers_overlap(a.destination, b.destination);
}

WriteEffect effect_of(const SecurityRule* before, const SecurityRule* after) {
    if (before != nullptr && matches_nothing(*before)) before = nullptr;
    if (after != nullptr && matches_nothing(*after)) after = nullptr;
    if (before == nullptr && after == nullptr) return WriteEffect::neutral;
    if (before != nullptr && after != nullptr && before->access == after->access) {
        return effect_of_change(*before, *after);
    }
    const bool allows_less = before != nullptr && before->access == Access::allow;
    const bool denies_more = after != nullptr && after->access == Access::deny;
    const bool allows_more = after != nullptr && after->access == Access::allow;
    const bool denies_less = before != nullptr && before->access == Access::deny;
    check(allows_less || denies_more || allows_more || denies_less, "a rule is there or comes");
    return allows_more || denies_less ? WriteEffect::opens : WriteEffect::closes;
}

}  // namespace sallyport::nsg
