#pragma once

#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/time.hpp"
#include "model/address.hpp"
#include "model/arm_id.hpp"
#include "model/port.hpp"

namespace sallyport {

enum class Access { allow, deny };
enum class Direction { inbound, outbound };
std::string_view to_text(Access access);        ///< `Allow`, `Deny`
std::string_view to_text(Direction direction);  ///< `Inbound`, `Outbound`

/// Azure networking limits, per NSG.
inline constexpr int rules_per_nsg_max = 1000;
inline constexpr int addresses_per_side_max = 4000;
inline constexpr int priority_min = 100;
inline constexpr int priority_max = 4096;
inline constexpr std::size_t description_max = 140;

struct AnyAddress {
    friend auto operator<=>(const AnyAddress&, const AnyAddress&) = default;
};
/// `VirtualNetwork`, `Internet`, `Storage.WestUS` …; compares without case, `name` is lower case.
struct ServiceTag {
    std::string name;
    friend auto operator<=>(const ServiceTag&, const ServiceTag&) = default;
};
/// Something in a prefix field that we cannot read; it can mean anything.
struct Unreadable {
    std::string text;
    friend auto operator<=>(const Unreadable&, const Unreadable&) = default;
};
/// One entry of a rule's source or destination. `*` and `0.0.0.0/0` are kept apart: the latter is
/// one family only.
using Prefix = std::variant<AnyAddress, Cidr, ServiceTag, Unreadable>;
/// Never fails: what is neither an address nor a tag becomes `Unreadable`. Host bits are masked.
Prefix parse_prefix(std::string_view text);
std::string to_text(const Prefix& prefix);

/// One side of a rule: prefixes, or application security groups. Canonical: sorted, without
/// doubles.
struct Peer {
    std::vector<Prefix> prefixes = {};
    std::vector<ArmId> asgs = {};
    friend bool operator==(const Peer&, const Peer&) = default;
};

/// An NSG rule in canonical form, so that `==` of the content is the drift check: singular and
/// plural fields are one list, sorted; `*` and `0-65535` are one range; addresses are masked.
struct SecurityRule {
    std::string name;
    std::string description = {};
    Access access = Access::allow;
    Direction direction = Direction::inbound;
    int priority = 0;
    Protocol protocol = Protocol::tcp;
    Peer source = {};
    std::vector<PortRange> source_ports = {PortRange::all()};
    Peer destination = {};
    std::vector<PortRange> destination_ports = {};
    std::string provisioning_state = "Succeeded";  ///< missing means Succeeded
    std::string etag = {};

    /// The write that made it so has ended well; else its text may not be in force yet.
    bool is_settled() const;

    friend bool operator==(const SecurityRule&, const SecurityRule&) = default;
};

/// Where two rules differ, in words for a reason ("source prefix, priority"); empty: they are
/// equal. Name, etag and provisioning state do not count; the description counts.
std::string difference(const SecurityRule& wanted, const SecurityRule& observed);

/// What ARM said of one NSG, and when the read was *sent*: a fact about the world between then and
/// now. Rules are in the order of their priorities within a direction.
struct NsgState {
    NsgId id;
    std::string location = {};
    std::string etag = {};
    std::string provisioning_state = "Succeeded";
    bool flush_connection = false;
    std::vector<SecurityRule> rules = {};
    std::vector<SecurityRule> default_rules = {};
    /// Not in the answer, but in the reads before it (`path::carry_former`): what rules that are
    /// not settled said before, which may be in force still; and the names of those of which that
    /// is not known.
    std::vector<SecurityRule> former = {};
    std::vector<std::string> unsettled = {};
    SteadyTime read_sent{};

    const SecurityRule* find(
        std::string_view rule_name) const;  ///< without case; nullptr: not there
};

}  // namespace sallyport
