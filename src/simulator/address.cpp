#include "simulator/address.hpp"

#include <arpa/inet.h>

#include <algorithm>
#include <charconv>
#include <string>

namespace sallyport::simulator {

namespace {

std::optional<unsigned> number(std::string_view text, unsigned max) {
    unsigned value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size() || value > max)
        return std::nullopt;
    return value;
}

}  // namespace

std::optional<Address> parse_address(std::string_view text) {
    Address address;
    const std::string copy(text);
    if (inet_pton(AF_INET, copy.c_str(), address.bytes.data()) == 1) return address;
    if (inet_pton(AF_INET6, copy.c_str(), address.bytes.data()) != 1) return std::nullopt;
    address.v6 = true;
    return address;
}

std::optional<Prefix> parse_prefix(std::string_view text) {
    const std::size_t slash = text.find('/');
    const auto base = parse_address(text.substr(0, slash));
    if (!base) return std::nullopt;
    const unsigned width = base->v6 ? 128 : 32;
    if (slash == std::string_view::npos) return Prefix{*base, width};
    const auto bits = number(text.substr(slash + 1), width);
    if (!bits) return std::nullopt;
    return Prefix{*base, *bits};
}

bool Prefix::contains(const Address& address) const {
    if (address.v6 != base.v6) return false;
    const unsigned whole = bits / 8;
    if (!std::equal(base.bytes.begin(), base.bytes.begin() + whole, address.bytes.begin())) {
        return false;
    }
    const unsigned rest = bits % 8;
    if (rest == 0) return true;
    const auto mask = static_cast<std::uint8_t>(0xffU << (8 - rest));
    return (base.bytes[whole] & mask) == (address.bytes[whole] & mask);
}

std::optional<Ports> parse_ports(std::string_view text) {
    if (text == "*") return Ports{0, 65535};
    const std::size_t dash = text.find('-');
    const auto from = number(text.substr(0, dash), 65535);
    if (!from) return std::nullopt;
    const auto to = dash == std::string_view::npos ? from : number(text.substr(dash + 1), 65535);
    if (!to || *to < *from) return std::nullopt;
    return Ports{static_cast<std::uint16_t>(*from), static_cast<std::uint16_t>(*to)};
}

}  // namespace sallyport::simulator
