#include "simulator/rule.hpp"

#include <algorithm>
#include <array>
#include <cctype>

#include "base/text.hpp"
#include "simulator/address.hpp"
#include "simulator/errors.hpp"

namespace sallyport::simulator {

namespace {

using Refusal = std::optional<http::Response>;

http::Response bad(std::string_view code, std::string message) {
    return arm_error(400, code, message, R"(,"details":[])");
}

std::vector<std::string> with_front(const std::optional<std::string>& one,
                                    const std::vector<std::string>& many) {
    std::vector<std::string> all = many;
    if (one) all.insert(all.begin(), *one);
    return all;
}

/// A list of strings; false when it is there and is something else.
bool read_texts(const Json& properties, std::string_view key, std::vector<std::string>& into) {
    const Json* list = member(properties, key);
    if (!list) return true;
    if (!list->is_array()) return false;
    for (const Json& item : *list) {
        if (!item.is_string()) return false;
        into.push_back(item.get<std::string>());
    }
    return true;
}

bool read_text(const Json& properties, std::string_view key, std::optional<std::string>& into) {
    const Json* text = member(properties, key);
    if (!text) return true;
    if (!text->is_string()) return false;
    if (!text->get_ref<const std::string&>().empty()) into = text->get<std::string>();
    return true;
}

bool read_groups(const Json& properties, std::string_view key, std::vector<std::string>& into) {
    const Json* list = member(properties, key);
    if (!list) return true;
    if (!list->is_array()) return false;
    for (const Json& item : *list) {
        const std::string id = text_at(item, "id");
        if (id.empty()) return false;
        into.push_back(id);
    }
    return true;
}

/// The listed spelling of `text`, compared without case.
template <std::size_t N>
std::optional<std::string> spelled(const std::string& text,
                                   const std::array<const char*, N>& known) {
    for (const char* word : known) {
        if (equals_ignoring_case(text, word)) return word;
    }
    return std::nullopt;
}

Refusal read_words(const Json& properties, RuleSpec& rule) {
    static constexpr std::array protocols = {"Tcp", "Udp", "Icmp", "Esp", "Ah", "*"};
    static constexpr std::array accesses = {"Allow", "Deny"};
    static constexpr std::array directions = {"Inbound", "Outbound"};
    for (const char* required : {"protocol", "access", "priority", "direction"}) {
        if (!member(properties, required)) {
            // unverified: code and wording for a missing member.
            return bad("InvalidRequestFormat",
                       std::string("Cannot parse the request. Required property '") + required +
                           "' not found in JSON.");
        }
    }
    // unverified: that case is ignored on input; the codes for unknown words.
    const auto protocol = spelled(text_at(properties, "protocol"), protocols);
    if (!protocol) {
        return bad("SecurityRuleInvalidProtocol",
                   "Security rule has invalid Protocol. Value provided: " +
                       text_at(properties, "protocol") + ".");
    }
    const auto access = spelled(text_at(properties, "access"), accesses);
    if (!access) {
        return bad("SecurityRuleInvalidAccessType",
                   "Security rule has invalid Access. Value provided: " +
                       text_at(properties, "access") + ".");
    }
    const auto direction = spelled(text_at(properties, "direction"), directions);
    if (!direction) {
        return bad("SecurityRuleInvalidDirection",
                   "Security rule has invalid Direction. Value provided: " +
                       text_at(properties, "direction") + ".");
    }
    rule.protocol = *protocol;
    rule.allow = *access == "Allow";
    rule.inbound = *direction == "Inbound";
    return std::nullopt;
}

Refusal read_priority(const Json& properties, RuleSpec& rule) {
    const Json& priority = properties["priority"];
    // unverified: code and wording.
    if (!priority.is_number_integer() || priority.get<std::int64_t>() < priority_min ||
        priority.get<std::int64_t>() > priority_max) {
        return bad("SecurityRuleInvalidPriority",
                   "Security rule has invalid Priority. Value provided: " + dumped(priority) +
                       " Allowed range 100-4096.");
    }
    rule.priority = priority.get<int>();
    return std::nullopt;
}

Refusal check_ports(const RulePorts& ports) {
    for (const std::string& text : ports.all()) {
        if (parse_ports(text)) continue;
        return bad("SecurityRuleInvalidPortRange",
                   "Security rule has invalid Port range. Value provided: " + text +
                       ". Value should be an integer OR integer range with '-' delimiter.");
    }
    return std::nullopt;
}

Refusal both_forms(const char* name) {
    // unverified: that both forms are refused with this code.
    return bad("SecurityRuleParameterContainsUnsupportedValue",
               std::string("Security rule has both ") + name + " and its plural form.");
}

Refusal read_ports(const Json& properties, const char* singular, const char* plural,
                   RulePorts& ports) {
    if (!read_text(properties, singular, ports.range) ||
        !read_texts(properties, plural, ports.ranges)) {
        return bad("InvalidRequestFormat",
                   std::string("Cannot parse the request: ") + singular + " or " + plural + ".");
    }
    if (ports.range && !ports.ranges.empty()) return both_forms(singular);
    if (!ports.range && ports.ranges.empty()) {
        // unverified: code and wording.
        return bad("SecurityRuleInvalidPortRange",
                   "Security rule has invalid Port range. Value provided: . Value should be an "
                   "integer OR integer range with '-' delimiter.");
    }
    return check_ports(ports);
}

/// Adds the families of `side` to `v4` and `v6`; refuses what is neither prefix nor tag.
Refusal check_side(const RuleSide& side, const TagNames& tags, bool& v4, bool& v6) {
    const bool plural = !side.prefixes.empty();
    for (const std::string& text : side.all()) {
        if (const auto prefix = parse_prefix(text)) {
            (prefix->base.v6 ? v6 : v4) = true;
            continue;
        }
        const bool any = text == "*";
        // unverified: `*` must be alone; service tags in plural arrays are let through as newer
        // api-versions do.
        if (any && !plural) continue;
        if (!any && tags.contains(lower(text))) continue;
        return bad("SecurityRuleInvalidAddressPrefix",
                   "Security rule has invalid Address prefix. Value provided: " + text + ".");
    }
    return std::nullopt;
}

Refusal read_side(const Json& properties, const std::string& which, RuleSide& side) {
    const std::string singular = which + "AddressPrefix";
    const std::string plural = which + "AddressPrefixes";
    if (!read_text(properties, singular, side.prefix) ||
        !read_texts(properties, plural, side.prefixes) ||
        !read_groups(properties, which + "ApplicationSecurityGroups", side.groups)) {
        return bad("InvalidRequestFormat", "Cannot parse the request: " + singular + ", " + plural +
                                               " or " + which + "ApplicationSecurityGroups.");
    }
    if (side.prefix && !side.prefixes.empty()) return both_forms(singular.c_str());
    const bool addresses = side.prefix || !side.prefixes.empty();
    if (addresses == side.groups.empty()) return std::nullopt;
    // unverified: code for addresses and groups together, and for neither.
    return bad("SecurityRuleParameterContainsUnsupportedValue", "Security rule must have either " +
                                                                    singular + "(es) or " + which +
                                                                    "ApplicationSecurityGroups.");
}

std::string list_text(const char* key, const std::vector<std::string>& values) {
    std::string text = std::string(",\"") + key + "\":[";
    for (std::size_t i = 0; i < values.size(); ++i) text += (i ? "," : "") + json_text(values[i]);
    return text + "]";
}

std::string group_text(const char* key, const std::vector<std::string>& ids) {
    if (ids.empty()) return {};
    std::string text = std::string(",\"") + key + "\":[";
    for (std::size_t i = 0; i < ids.size(); ++i) {
        text += (i ? ",{\"id\":" : "{\"id\":") + json_text(ids[i]) + "}";
    }
    return text + "]";
}

/// Unused plurals come back as `[]`, unused singulars are absent (recorded).
std::string render(const RuleSpec& rule, const std::optional<std::string>& description) {
    std::string text;
    const auto put = [&](const char* key, const std::optional<std::string>& value) {
        if (value) text += std::string(",\"") + key + "\":" + json_text(*value);
    };
    put("description", description);
    put("protocol", rule.protocol);
    put("sourcePortRange", rule.source_ports.range);
    put("destinationPortRange", rule.destination_ports.range);
    put("sourceAddressPrefix", rule.source.prefix);
    put("destinationAddressPrefix", rule.destination.prefix);
    put("access", rule.allow ? "Allow" : "Deny");
    text += ",\"priority\":" + std::to_string(rule.priority);
    put("direction", rule.inbound ? "Inbound" : "Outbound");
    text += list_text("sourcePortRanges", rule.source_ports.ranges);
    text += list_text("destinationPortRanges", rule.destination_ports.ranges);
    text += list_text("sourceAddressPrefixes", rule.source.prefixes);
    text += list_text("destinationAddressPrefixes", rule.destination.prefixes);
    text += group_text("sourceApplicationSecurityGroups", rule.source.groups);
    text += group_text("destinationApplicationSecurityGroups", rule.destination.groups);
    return text;
}

Refusal read_rule(const Json& properties, const TagNames& tags, RuleSpec& rule) {
    if (auto no = read_words(properties, rule)) return no;
    if (auto no = read_priority(properties, rule)) return no;
    if (auto no =
            read_ports(properties, "sourcePortRange", "sourcePortRanges", rule.source_ports)) {
        return no;
    }
    if (auto no = read_ports(properties, "destinationPortRange", "destinationPortRanges",
                             rule.destination_ports)) {
        return no;
    }
    if (auto no = read_side(properties, "source", rule.source)) return no;
    if (auto no = read_side(properties, "destination", rule.destination)) return no;
    bool v4 = false;
    bool v6 = false;
    if (auto no = check_side(rule.source, tags, v4, v6)) return no;
    if (auto no = check_side(rule.destination, tags, v4, v6)) return no;
    if (v4 && v6) {
        // unverified: that the families may not be mixed in one rule, and the code.
        return bad(
            "SecurityRuleInvalidAddressPrefix",
            "Security rule has IPv4 and IPv6 address prefixes. All prefixes of a rule must be "
            "of the same IP version.");
    }
    std::optional<std::string> description;
    if (!read_text(properties, "description", description)) {
        return bad("InvalidRequestFormat", "Cannot parse the request: description.");
    }
    if (description && description->size() > description_max) {
        // unverified: code and wording; the limit is documented.
        return bad("SecurityRuleInvalidDescription",
                   "Security rule description is longer than 140 characters.");
    }
    rule.rendered = render(rule, description);
    return std::nullopt;
}

std::shared_ptr<const RuleSpec> default_rule(const char* name, int priority, bool inbound,
                                             bool allow, const char* source,
                                             const char* destination, const char* description) {
    auto rule = std::make_shared<RuleSpec>();
    rule->name = name;
    rule->priority = priority;
    rule->inbound = inbound;
    rule->allow = allow;
    rule->protocol = "*";
    rule->source.prefix = source;
    rule->destination.prefix = destination;
    rule->source_ports.range = "*";
    rule->destination_ports.range = "*";
    rule->rendered = render(*rule, description);
    return rule;
}

}  // namespace

std::vector<std::string> RuleSide::all() const { return with_front(prefix, prefixes); }
std::vector<std::string> RulePorts::all() const { return with_front(range, ranges); }

bool is_valid_name(std::string_view name) {
    const auto alphanumeric = [](char c) {
        return std::isalnum(static_cast<unsigned char>(c)) != 0;
    };
    if (name.empty() || name.size() > 80) return false;
    if (!alphanumeric(name.front()) || !(alphanumeric(name.back()) || name.back() == '_'))
        return false;
    return std::ranges::all_of(
        name, [&](char c) { return alphanumeric(c) || c == '_' || c == '.' || c == '-'; });
}

std::variant<std::shared_ptr<const RuleSpec>, http::Response> parse_rule(std::string_view name,
                                                                         const Json& properties,
                                                                         const TagNames& tags) {
    if (!is_valid_name(name)) {
        // unverified: code and wording.
        return bad(
            "InvalidResourceName",
            "Resource name " + std::string(name) +
                " is invalid. The name can be up to 80 characters long. It must begin with a "
                "word character, and it must end with a word character or with '_'.");
    }
    if (!properties.is_object()) {
        return bad("InvalidRequestFormat", "Cannot parse the request: properties.");
    }
    auto rule = std::make_shared<RuleSpec>();
    rule->name = name;
    if (auto no = read_rule(properties, tags, *rule)) return std::move(*no);
    return std::shared_ptr<const RuleSpec>(std::move(rule));
}

const std::vector<std::shared_ptr<const RuleSpec>>& default_rules() {
    static const std::vector<std::shared_ptr<const RuleSpec>> rules = {
        default_rule("AllowVnetInBound", 65000, true, true, "VirtualNetwork", "VirtualNetwork",
                     "Allow inbound traffic from all VMs in VNET"),
        default_rule("AllowAzureLoadBalancerInBound", 65001, true, true, "AzureLoadBalancer", "*",
                     "Allow inbound traffic from azure load balancer"),
        default_rule("DenyAllInBound", 65500, true, false, "*", "*", "Deny all inbound traffic"),
        default_rule("AllowVnetOutBound", 65000, false, true, "VirtualNetwork", "VirtualNetwork",
                     "Allow outbound traffic from all VMs to all VMs in VNET"),
        default_rule("AllowInternetOutBound", 65001, false, true, "*", "Internet",
                     "Allow outbound traffic from all VMs to Internet"),
        default_rule("DenyAllOutBound", 65500, false, false, "*", "*", "Deny all outbound traffic"),
    };
    return rules;
}

}  // namespace sallyport::simulator
