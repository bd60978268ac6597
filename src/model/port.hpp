#pragma once

#include <fmt/format.h>

#include <compare>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"

namespace sallyport {

/// Ports first to last, inclusive, never reversed. `*` and `0-65535` are the same range.
class PortRange {
public:
    /// `22`, `8000-8010` or `*`. `invalid` names what is wrong (above 65535, reversed, not a
    /// number).
    static Result<PortRange> parse(std::string_view text);
    static PortRange single(std::uint16_t port) { return PortRange(port, port); }
    static PortRange all() { return PortRange(0, 65535); }
    /// Requires first <= last (`Bug`).
    static PortRange of(std::uint16_t first, std::uint16_t last);

    std::uint16_t first() const { return first_; }
    std::uint16_t last() const { return last_; }
    bool contains(std::uint16_t port) const { return first_ <= port && port <= last_; }
    bool contains(const PortRange& other) const {
        return first_ <= other.first_ && other.last_ <= last_;
    }
    bool overlaps(const PortRange& other) const {
        return first_ <= other.last_ && other.first_ <= last_;
    }
    std::string text() const;  ///< `22`, `8000-8010`, `*`

    friend bool operator==(const PortRange&, const PortRange&) = default;
    friend std::strong_ordering operator<=>(const PortRange&, const PortRange&) = default;

private:
    PortRange(std::uint16_t first, std::uint16_t last) : first_(first), last_(last) {}
    std::uint16_t first_;
    std::uint16_t last_;
};

/// Sorted, merged where they touch or overlap.
std::vector<PortRange> merged(std::vector<PortRange> ranges);

/// What an NSG rule may name. `any` is `*` on the wire.
enum class Protocol { tcp, udp, icmp, esp, ah, any };
std::string_view to_text(Protocol protocol);  ///< `Tcp`, `Udp`, `Icmp`, `Esp`, `Ah`, `Any`
/// Without case; `*` and `Any` are the same.
Result<Protocol> parse_protocol(std::string_view text);
/// Whether a rule for `rule` applies to traffic of `traffic` (which is never `any`).
bool applies_to(Protocol rule, Protocol traffic);

}  // namespace sallyport

template <>
struct fmt::formatter<sallyport::PortRange> : fmt::formatter<std::string> {
    auto format(const sallyport::PortRange& p, format_context& ctx) const {
        return fmt::formatter<std::string>::format(p.text(), ctx);
    }
};
template <>
struct fmt::formatter<sallyport::Protocol> : fmt::formatter<std::string_view> {
    auto format(sallyport::Protocol p, format_context& ctx) const {
        return fmt::formatter<std::string_view>::format(sallyport::to_text(p), ctx);
    }
};
