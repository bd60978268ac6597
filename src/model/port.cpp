#include "model/port.hpp"

#include <algorithm>
#include <charconv>
#include <optional>

#include "base/check.hpp"
#include "base/text.hpp"

namespace sallyport {
namespace {

constexpr int port_max = 65535;

std::optional<int> number(std::string_view digits) {
    int value = 0;
    const auto [stopped, failure] =
        std::from_chars(digits.data(), digits.data() + digits.size(), value);
    const bool all_read = failure == std::errc() && stopped == digits.data() + digits.size();
    if (!all_read || value < 0 || digits.front() == '-' || digits.size() > 9) return std::nullopt;
    return value;
}

}  // namespace

Result<PortRange> PortRange::parse(std::string_view text) {
    const auto refuse = [&](std::string_view why) {
        return invalid(fmt::format("\"{}\" {}", text.substr(0, 32), why));
    };
    if (text == "*") return all();
    const std::size_t dash = text.find('-');
    const auto first = number(trimmed(text.substr(0, dash)));
    const auto last = dash == text.npos ? first : number(trimmed(text.substr(dash + 1)));
    if (!first || !last) return refuse("is not a port such as 22 or a range such as 8000-8010");
    if (*first > port_max || *last > port_max) return refuse("is above the highest port, 65535");
    if (*first > *last) return refuse("is a port range the wrong way round");
    return of(static_cast<std::uint16_t>(*first), static_cast<std::uint16_t>(*last));
}

PortRange PortRange::of(std::uint16_t first, std::uint16_t last) {
    check(first <= last, "a port range is not reversed");
    return {first, last};
}

std::string PortRange::text() const {
    if (*this == all()) return "*";
    return first_ == last_ ? fmt::format("{}", first_) : fmt::format("{}-{}", first_, last_);
}

std::vector<PortRange> merged(std::vector<PortRange> ranges) {
    std::ranges::sort(ranges);
    std::vector<PortRange> out;
    for (const PortRange& range : ranges) {
        // In int: 65535 + 1 must not wrap to 0.
        if (!out.empty() && range.first() <= int{out.back().last()} + 1) {
            out.back() =
                PortRange::of(out.back().first(), std::max(out.back().last(), range.last()));
        } else {
            out.push_back(range);
        }
    }
    return out;
}

std::string_view to_text(Protocol protocol) {
    switch (protocol) {
        case Protocol::tcp: return "Tcp";
        case Protocol::udp: return "Udp";
        case Protocol::icmp: return "Icmp";
        case Protocol::esp: return "Esp";
        case Protocol::ah: return "Ah";
        case Protocol::any: return "Any";
    }
    throw Bug("a protocol out of range");
}

Result<Protocol> parse_protocol(std::string_view text) {
    if (text == "*") return Protocol::any;
    for (const Protocol protocol : {Protocol::tcp, Protocol::udp, Protocol::icmp, Protocol::esp,
                                    Protocol::ah, Protocol::any}) {
        if (equals_ignoring_case(text, to_text(protocol))) return protocol;
    }
    return invalid(fmt::format("\"{}\" is not a protocol", text.substr(0, 32)));
}

bool applies_to(Protocol rule, Protocol traffic) {
    check(traffic != Protocol::any, "traffic has one protocol");
    return rule == Protocol::any || rule == traffic;
}

}  // namespace sallyport
