#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "http/message.hpp"
#include "simulator/json.hpp"

namespace sallyport::simulator {

/// One side of a rule as it was written: a prefix or a list of them, or application security
/// groups.
struct RuleSide {
    std::optional<std::string> prefix;
    std::vector<std::string> prefixes;
    std::vector<std::string> groups;  ///< ARM ids, as written

    /// `prefix` and `prefixes` in one list.
    std::vector<std::string> all() const;
};

struct RulePorts {
    std::optional<std::string> range;
    std::vector<std::string> ranges;

    std::vector<std::string> all() const;
};

/// A security rule as Azure stores it. Immutable once parsed.
struct RuleSpec {
    std::string name;
    bool inbound = true;
    bool allow = false;
    std::string protocol;  ///< `Tcp`, `Udp`, `Icmp`, `Esp`, `Ah` or `*`
    int priority = 0;
    RuleSide source, destination;
    RulePorts source_ports, destination_ports;
    /// The members of `properties` behind `provisioningState`, in Azure's order, as JSON text: what
    /// an answer carries, and what tells whether a PUT changes anything.
    std::string rendered;
};

inline constexpr int priority_min = 100;
inline constexpr int priority_max = 4096;
/// Azure networking limits, per NSG.
inline constexpr std::size_t rules_per_nsg_max = 1000;
inline constexpr std::size_t addresses_per_side_max = 4000;
inline constexpr std::size_t description_max = 140;

/// Names of service tags that rules may use, in lower case.
using TagNames = std::set<std::string, std::less<>>;

/// Reads the `properties` of a securityRule PUT, or says what Azure would answer.
std::variant<std::shared_ptr<const RuleSpec>, http::Response> parse_rule(std::string_view name,
                                                                         const Json& properties,
                                                                         const TagNames& tags);

/// Letters, digits, `_ . -`; 1 to 80; starts with a letter or digit, ends with one or `_`.
bool is_valid_name(std::string_view name);

/// The six rules that every NSG has and nobody can change.
const std::vector<std::shared_ptr<const RuleSpec>>& default_rules();

}  // namespace sallyport::simulator
