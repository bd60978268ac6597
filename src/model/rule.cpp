#include "model/rule.hpp"

#include <algorithm>
#include <array>

#include "base/check.hpp"
#include "base/text.hpp"

namespace sallyport {
namespace {

constexpr std::size_t tag_size_max = 128;

bool is_letter(char c) { return lower(c) >= 'a' && lower(c) <= 'z'; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }

bool is_tag(std::string_view text) {
    if (text.empty() || text.size() > tag_size_max || !is_letter(text.front())) return false;
    return std::ranges::all_of(text, [](char c) {
        return is_letter(c) || is_digit(c) || c == '.' || c == '-' || c == '_';
    });
}

/// Tags as Azure spells them, for messages and for the rules that we write: whether ARM reads tags
/// without case is not documented. A tag that is not here is written in lower case.
std::string tag_text(const std::string& folded) {
    constexpr std::array<const char*, 9> spelled = {
        "VirtualNetwork", "AzureLoadBalancer", "Internet",
        "AzureCloud",     "GatewayManager",    "AzureMonitor",
        "AzureDevOps",    "AzureBackup",       "AzureActiveDirectory"};
    for (const char* const name : spelled) {
        if (equals_ignoring_case(name, folded)) return name;
    }
    return folded;
}

}  // namespace

std::string_view to_text(Access access) { return access == Access::allow ? "Allow" : "Deny"; }

std::string_view to_text(Direction direction) {
    return direction == Direction::inbound ? "Inbound" : "Outbound";
}

Prefix parse_prefix(std::string_view text) {
    const std::string_view trimmed_text = trimmed(text);
    if (trimmed_text == "*" || equals_ignoring_case(trimmed_text, "any")) return AnyAddress{};
    if (auto cidr = Cidr::parse(trimmed_text, Cidr::HostBits::mask)) return *cidr;
    if (is_tag(trimmed_text)) return ServiceTag{lower(trimmed_text)};
    return Unreadable{std::string(text)};
}

std::string to_text(const Prefix& prefix) {
    return std::visit(overloaded{
                          [](const AnyAddress&) { return std::string("*"); },
                          [](const Cidr& cidr) { return cidr.text(); },
                          [](const ServiceTag& tag) { return tag_text(tag.name); },
                          [](const Unreadable& unreadable) { return unreadable.text; },
                      },
                      prefix);
}

std::string difference(const SecurityRule& wanted, const SecurityRule& observed) {
    std::vector<std::string> parts;
    const auto compare = [&](bool equal, const char* what) {
        if (!equal) parts.emplace_back(what);
    };
    compare(wanted.access == observed.access, "access");
    compare(wanted.direction == observed.direction, "direction");
    compare(wanted.protocol == observed.protocol, "protocol");
    compare(wanted.source.prefixes == observed.source.prefixes, "source prefix");
    compare(wanted.source.asgs == observed.source.asgs, "source application security group");
    compare(wanted.source_ports == observed.source_ports, "source port");
    compare(wanted.destination.prefixes == observed.destination.prefixes, "destination prefix");
    compare(wanted.destination.asgs == observed.destination.asgs,
            "destination application security group");
    compare(wanted.destination_ports == observed.destination_ports, "destination port");
    compare(wanted.priority == observed.priority, "priority");
    compare(wanted.description == observed.description, "description");
    return join(parts, ", ");
}

bool SecurityRule::is_settled() const {
    return equals_ignoring_case(provisioning_state, "Succeeded");
}

const SecurityRule* NsgState::find(std::string_view rule_name) const {
    const auto found = std::ranges::find_if(rules, [&](const SecurityRule& rule) {
        return equals_ignoring_case(rule.name, rule_name);
    });
    return found == rules.end() ? nullptr : &*found;
}

}  // namespace sallyport
