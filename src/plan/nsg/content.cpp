#include "plan/nsg/content.hpp"

#include <algorithm>

#include "base/digest.hpp"
#include "base/mutant.hpp"
#include "base/text.hpp"

namespace sallyport::nsg {
namespace {

constexpr std::size_t key_bytes = 8;
constexpr std::size_t uid_size_max = 36;  // what a mark has room for

/// Sorted, without doubles. Networks come in order of address, as the model sorts them.
void put_in_order(Peer& peer) {
    std::ranges::sort(peer.prefixes);
    const auto doubles = std::ranges::unique(peer.prefixes);
    peer.prefixes.erase(doubles.begin(), doubles.end());
    std::ranges::sort(peer.asgs);
    const auto same = std::ranges::unique(peer.asgs);
    peer.asgs.erase(same.begin(), same.end());
}

std::string text_of(const Peer& peer) {
    std::vector<std::string> parts;
    for (const Prefix& prefix : peer.prefixes) parts.push_back(to_text(prefix));
    for (const ArmId& asg : peer.asgs) parts.push_back(asg.folded());
    return join(parts, ",");
}

Peer nowhere() { return {.prefixes = {Cidr::of(Address{Family::v4, 0xC0000201})}}; }  // RFC 5737

}  // namespace

RuleContent canonical(RuleContent content) {
    put_in_order(content.source);
    put_in_order(content.destination);
    content.ports = merged(std::move(content.ports));
    return content;
}

std::string content_key(const RuleContent& content) {
    const RuleContent c = canonical(content);
    std::vector<std::string> ports;
    for (const PortRange& range : c.ports) ports.push_back(range.text());
    std::string text(to_text(c.access));
    text.append("\n").append(to_text(c.protocol)).append("\n").append(text_of(c.source));
    text.append("\n").append(text_of(c.destination)).append("\n").append(join(ports, ","));
    return hex(sha256(text).substr(0, key_bytes));
}

SecurityRule rule_of(const RuleContent& content, std::string name, const Mark& mark) {
    RuleContent c = canonical(content);
    return {.name = std::move(name),
            .description = mark.text(),
            .access = c.access,
            .protocol = c.protocol,
            .source = std::move(c.source),
            .destination = std::move(c.destination),
            .destination_ports = std::move(c.ports)};
}

std::optional<RuleContent> content_of(const SecurityRule& rule) {
    const bool every_source_port = merged(rule.source_ports) == std::vector{PortRange::all()};
    if (rule.direction != Direction::inbound || !every_source_port) return std::nullopt;
    return canonical({.access = rule.access,
                      .protocol = rule.protocol,
                      .source = rule.source,
                      .destination = rule.destination,
                      .ports = rule.destination_ports});
}

std::string change(const SecurityRule& wanted, const SecurityRule& stored) {
    std::string plain = difference(wanted, stored);
    if (plain.empty()) return plain;
    const auto asked = content_of(wanted);
    const auto found = content_of(stored);
    if (!asked || !found) return plain;
    SecurityRule now = stored;
    now.source_ports = wanted.source_ports;
    if (found->source == asked->source) now.source = wanted.source;
    if (found->destination == asked->destination) now.destination = wanted.destination;
    if (found->ports == asked->ports) now.destination_ports = wanted.destination_ports;
    return difference(wanted, now);
}

SecurityRule tombstone_of(const SecurityRule& rule) {
    return {.name = rule.name,
            .description = rule.description,
            .access = Access::deny,
            .direction = rule.direction,
            .priority = rule.priority,
            .protocol = Protocol::tcp,
            .source = nowhere(),
            .destination = nowhere(),
            .destination_ports = {PortRange::single(1)}};
}

bool is_tombstone(const SecurityRule& rule) {
    if (planted("every-deny-is-a-tombstone")) return rule.access == Access::deny;
    const SecurityRule dead = tombstone_of(rule);
    return rule.access == dead.access && rule.source == dead.source &&
           rule.destination == dead.destination;
}

bool is_usable_uid(std::string_view uid) {
    const auto usable = [](char c) {
        return (lower(c) >= 'a' && lower(c) <= 'z') || (c >= '0' && c <= '9') || c == '-';
    };
    return !uid.empty() && uid.size() <= uid_size_max && std::ranges::all_of(uid, usable);
}

}  // namespace sallyport::nsg
