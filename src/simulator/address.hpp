#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

namespace sallyport::simulator {

/// The simulator's own reading of addresses. It shares no code with `model/` on purpose: the judge
/// must be able to disagree with the controller.
struct Address {
    bool v6 = false;
    std::array<std::uint8_t, 16> bytes{};  ///< IPv4 uses the first four
    friend auto operator<=>(const Address&, const Address&) = default;
};
std::optional<Address> parse_address(std::string_view text);

struct Prefix {
    Address base;
    unsigned bits = 0;
    /// False for an address of the other family.
    bool contains(const Address& address) const;
};
/// `10.0.0.0/8`, `2001:db8::/32`, or a single address. Host bits may be set; they are not compared.
std::optional<Prefix> parse_prefix(std::string_view text);

struct Ports {
    std::uint16_t from = 0;
    std::uint16_t to = 0;
    bool contains(std::uint16_t port) const { return from <= port && port <= to; }
};
/// `*`, `22` or `8000-8010`.
std::optional<Ports> parse_ports(std::string_view text);

}  // namespace sallyport::simulator
