#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <tuple>

#include "base/check.hpp"
#include "base/text.hpp"
#include "codec/arm_read.hpp"

namespace sallyport::codec {
namespace {

using nlohmann::json;

template <class T>
void make_canonical(std::vector<T>& values) {
    std::ranges::sort(values);
    const auto doubles = std::ranges::unique(values);
    values.erase(doubles.begin(), doubles.end());
}

/// Names of one field in its two spellings.
struct Spelling {
    const char* singular;
    const char* plural;
};
constexpr Spelling source_addresses = {"sourceAddressPrefix", "sourceAddressPrefixes"};
constexpr Spelling destination_addresses = {"destinationAddressPrefix",
                                            "destinationAddressPrefixes"};
constexpr Spelling source_ports = {"sourcePortRange", "sourcePortRanges"};
constexpr Spelling destination_ports = {"destinationPortRange", "destinationPortRanges"};

/// Singular and plural together: which of them Azure answers with is its own affair.
std::vector<std::string> read_both(const Field& properties, Spelling spelling) {
    std::vector<std::string> texts = properties[spelling.plural].texts(arm_list_max);
    const std::string single = read_loose_text(properties[spelling.singular]);
    if (!single.empty()) texts.push_back(single);
    return texts;
}

Peer read_peer(const Field& properties, Spelling spelling, const char* groups) {
    Peer peer;
    for (const std::string& text : read_both(properties, spelling)) {
        peer.prefixes.push_back(parse_prefix(text));
    }
    for (const Field& item : properties[groups].items(arm_list_max)) {
        if (auto id = read_reference<ArmId>(item)) peer.asgs.push_back(*std::move(id));
    }
    if (peer.prefixes.empty() && peer.asgs.empty()) peer.prefixes.emplace_back(Unreadable{""});
    make_canonical(peer.prefixes);
    make_canonical(peer.asgs);
    return peer;
}

/// Sorted, and not merged: what was written as two ranges comes back as two.
/// nullopt: one of them cannot be read.
std::optional<std::vector<PortRange>> read_ranges(const Field& properties, Spelling spelling) {
    std::vector<PortRange> ranges;
    for (const std::string& text : read_both(properties, spelling)) {
        const auto range = PortRange::parse(text);
        if (!range) return std::nullopt;
        ranges.push_back(*range);
    }
    if (ranges.empty()) return std::nullopt;
    make_canonical(ranges);
    return ranges;
}

std::optional<SecurityRule> read_rule(const Field& item) {
    const Field properties = item["properties"].required();
    SecurityRule rule{.name = item["name"].name()};
    rule.etag = read_loose_text(item["etag"]);
    rule.description = read_loose_text(properties["description"]);
    rule.access = equals_ignoring_case(read_loose_text(properties["access"]), "Allow")
                      ? Access::allow
                      : Access::deny;
    if (rule.access == Access::deny &&
        !equals_ignoring_case(read_loose_text(properties["access"]), "Deny")) {
        properties["access"].refuse("is neither Allow nor Deny");
    }
    rule.direction = equals_ignoring_case(read_loose_text(properties["direction"]), "Inbound")
                         ? Direction::inbound
                         : Direction::outbound;
    if (rule.direction == Direction::outbound &&
        !equals_ignoring_case(read_loose_text(properties["direction"]), "Outbound")) {
        properties["direction"].refuse("is neither Inbound nor Outbound");
    }
    rule.priority =
        static_cast<int>(properties["priority"].required().integer(0, 65535).value_or(0));
    rule.source = read_peer(properties, source_addresses, "sourceApplicationSecurityGroups");
    rule.destination =
        read_peer(properties, destination_addresses, "destinationApplicationSecurityGroups");
    const auto from_ports = read_ranges(properties, source_ports);
    const auto to_ports = read_ranges(properties, destination_ports);
    const auto protocol = parse_protocol(read_loose_text(properties["protocol"]));
    rule.source_ports = from_ports.value_or(std::vector{PortRange::all()});
    rule.destination_ports = to_ports.value_or(std::vector{PortRange::all()});
    rule.protocol = protocol ? *protocol : Protocol::any;
    if (!from_ports || !to_ports || !protocol) {
        // Widened, and unreadable as a whole: an allow may reach anything, and is no proof that it
        // does; a deny that stood for all it names would prove ports closed that it does not close.
        rule.source = {.prefixes = {Unreadable{"a protocol or port that cannot be read"}}};
    }
    const std::string state = read_loose_text(properties["provisioningState"]);
    if (!state.empty()) rule.provisioning_state = state;
    return rule;
}

std::vector<SecurityRule> read_rules(const Field& list) {
    std::vector<SecurityRule> rules;
    for (const Field& item : list.items(arm_list_max)) {
        if (auto rule = read_rule(item)) rules.push_back(*std::move(rule));
    }
    std::ranges::sort(rules, [](const SecurityRule& a, const SecurityRule& b) {
        return std::tie(a.direction, a.priority, a.name) <
               std::tie(b.direction, b.priority, b.name);
    });
    return rules;
}

std::optional<NsgState> read_nsg(const Field& item) {
    const auto id = read_arm_id<NsgId>(item["id"].required());
    const Field properties = item["properties"].required();
    if (!id) return std::nullopt;
    NsgState state{.id = *id};
    state.location = read_loose_text(item["location"]);
    state.etag = read_loose_text(item["etag"]);
    const std::string provisioning = read_loose_text(properties["provisioningState"]);
    if (!provisioning.empty()) state.provisioning_state = provisioning;
    state.flush_connection = properties["flushConnection"].boolean().value_or(false);
    // Azure tells its default rules at least: without any list it did not say that there are none.
    if (!properties["defaultSecurityRules"]) properties["securityRules"].required();
    state.rules = read_rules(properties["securityRules"]);
    state.default_rules = read_rules(properties["defaultSecurityRules"]);
    return state;
}

bool must_stand_alone(const Prefix& prefix) { return !std::holds_alternative<Cidr>(prefix); }

void put_texts(json& properties, Spelling spelling, const std::vector<std::string>& texts) {
    if (texts.size() == 1) {
        properties[spelling.singular] = texts.front();
    } else {
        properties[spelling.plural] = texts;
    }
}

void put_peer(json& properties, const Peer& peer, Spelling spelling, const char* groups) {
    check(peer.prefixes.empty() != peer.asgs.empty(), "a side of a rule has prefixes or groups");
    if (!peer.asgs.empty()) {
        for (const ArmId& id : peer.asgs) properties[groups].push_back({{"id", id.text()}});
        return;
    }
    std::vector<std::string> texts;
    for (const Prefix& prefix : peer.prefixes) {
        check(!std::holds_alternative<Unreadable>(prefix), "a rule of ours has readable prefixes");
        check(peer.prefixes.size() == 1 || !must_stand_alone(prefix),
              "a tag or * stands alone in a rule");
        texts.push_back(to_text(prefix));
    }
    put_texts(properties, spelling, texts);
}

void put_ranges(json& properties, const std::vector<PortRange>& ranges, Spelling spelling) {
    check(!ranges.empty(), "a rule has ports");
    std::vector<std::string> texts;
    for (const PortRange& range : ranges) {
        check(ranges.size() == 1 || range != PortRange::all(), "* stands alone in a rule");
        texts.push_back(range.text());
    }
    put_texts(properties, spelling, texts);
}

}  // namespace

Result<NsgState> decode_nsg(std::string_view body) {
    return decode_body<NsgState>(body, "network security group", read_nsg);
}

Result<SecurityRule> decode_rule(std::string_view body) {
    return decode_body<SecurityRule>(body, "security rule", read_rule);
}

Result<Page<NsgState>> decode_nsgs(std::string_view body) {
    return decode_page<NsgState>(body, "list of network security groups", read_nsg);
}

std::string encode_rule(const SecurityRule& rule) {
    json properties = {{"access", to_text(rule.access)},
                       {"direction", to_text(rule.direction)},
                       {"priority", rule.priority},
                       {"protocol", rule.protocol == Protocol::any ? "*" : to_text(rule.protocol)}};
    if (!rule.description.empty()) properties["description"] = rule.description;
    put_peer(properties, rule.source, source_addresses, "sourceApplicationSecurityGroups");
    put_peer(properties, rule.destination, destination_addresses,
             "destinationApplicationSecurityGroups");
    put_ranges(properties, rule.source_ports, source_ports);
    put_ranges(properties, rule.destination_ports, destination_ports);
    return json_text({{"properties", std::move(properties)}});
}

}  // namespace sallyport::codec
