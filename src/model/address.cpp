#include "model/address.hpp"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <charconv>

#include "base/check.hpp"

namespace sallyport {
namespace {

constexpr std::size_t address_text_max = 45;
constexpr int groups_v6 = 8;
constexpr Bits128 mapped_prefix = 0xFFFF;  // ::ffff:0:0/96, RFC 4291 2.5.5.2

Bits128 all_ones(Family family) {
    return family == Family::v4 ? Bits128{0xFFFFFFFFU} : ~Bits128{0};
}

Bits128 host_mask(Family family, int prefix_length) {
    const int host_bits = address_bits(family) - prefix_length;
    return host_bits == 128 ? ~Bits128{0} : (Bits128{1} << host_bits) - 1;
}

std::string text_v6(Bits128 bits) {
    std::array<unsigned, groups_v6> groups{};
    for (int i = 0; i < groups_v6; ++i) {
        groups[static_cast<std::size_t>(i)] =
            static_cast<unsigned>((bits >> (112 - 16 * i)) & 0xFFFFU);
    }
    // RFC 5952 4.2: the longest run of at least two zero groups is cut, the first of equals.
    std::size_t best_at = groups.size();
    std::size_t best_size = 1;
    for (std::size_t at = 0; at < groups.size(); ++at) {
        std::size_t end = at;
        while (end < groups.size() && groups[end] == 0) ++end;
        if (end - at > best_size) {
            best_at = at;
            best_size = end - at;
        }
        at = std::max(at, end);
    }
    std::string text;
    for (std::size_t i = 0; i < groups.size(); ++i) {
        if (i == best_at) {
            text += "::";
            i += best_size - 1;
            continue;
        }
        if (!text.empty() && text.back() != ':') text += ':';
        text += fmt::format("{:x}", groups[i]);
    }
    return text;
}

bool starts_before(const AddressSet::Range& a, const AddressSet::Range& b) {
    return a.first < b.first;
}

/// Whether `next`, which starts no earlier, continues `range` without a gap.
bool continues(const AddressSet::Range& range, const AddressSet::Range& next) {
    if (range.last.family != next.first.family) return false;
    return range.last.bits == all_ones(range.last.family) || next.first.bits <= range.last.bits + 1;
}

/// Merges sorted ranges where they touch or overlap, so that equal sets have equal ranges.
std::vector<AddressSet::Range> coalesced(const std::vector<AddressSet::Range>& sorted) {
    std::vector<AddressSet::Range> out;
    for (const AddressSet::Range& range : sorted) {
        if (!out.empty() && continues(out.back(), range)) {
            out.back().last = std::max(out.back().last, range.last);
        } else {
            out.push_back(range);
        }
    }
    return out;
}

AddressSet::Range range_of(const Cidr& cidr) { return {cidr.network(), cidr.last()}; }

}  // namespace

std::string_view to_text(Family family) { return family == Family::v4 ? "IPv4" : "IPv6"; }

int address_bits(Family family) { return family == Family::v4 ? 32 : 128; }

Result<Address> Address::parse(std::string_view text) {
    const auto refuse = [&](std::string_view why) {
        return invalid(fmt::format("\"{}\" {}", text.substr(0, 64), why));
    };
    if (text.empty() || text.size() > address_text_max || text.find('\0') != text.npos) {
        return refuse("is not an IP address");
    }
    const std::string copy(text);
    std::array<unsigned char, 16> bytes{};
    const Family family = text.find(':') == text.npos ? Family::v4 : Family::v6;
    const int wire_family = family == Family::v4 ? AF_INET : AF_INET6;
    if (inet_pton(wire_family, copy.c_str(), bytes.data()) != 1)
        return refuse("is not an IP address");
    Address address{family, 0};
    const std::size_t size = family == Family::v4 ? 4 : 16;
    for (std::size_t i = 0; i < size; ++i) address.bits = (address.bits << 8U) | bytes[i];
    if (family == Family::v6 && (address.bits >> 32U) == mapped_prefix) {
        return refuse("is an IPv4-mapped IPv6 address; write it as an IPv4 address");
    }
    return address;
}

std::string Address::text() const {
    if (family == Family::v6) return text_v6(bits);
    const auto b = static_cast<std::uint32_t>(bits);
    return fmt::format("{}.{}.{}.{}", b >> 24U, (b >> 16U) & 255U, (b >> 8U) & 255U, b & 255U);
}

Result<Cidr> Cidr::parse(std::string_view text, HostBits host_bits) {
    const std::size_t slash = text.find('/');
    auto address = Address::parse(text.substr(0, slash));
    if (!address) {
        if (address.error().message.find("mapped") != std::string::npos)
            return std::move(address).error();
        return invalid(fmt::format("\"{}\" is not an address range such as 198.51.100.7/32",
                                   text.substr(0, 64)));
    }
    if (slash == text.npos) return of(*address);
    const std::string_view digits = text.substr(slash + 1);
    int length = 0;
    const auto [stopped, failure] =
        std::from_chars(digits.data(), digits.data() + digits.size(), length);
    const bool canonical = failure == std::errc() && stopped == digits.data() + digits.size() &&
                           digits.size() <= 3 && (digits.size() == 1 || digits.front() != '0');
    const int length_max = address_bits(address->family);
    if (!canonical || length < 0 || length > length_max) {
        return invalid(fmt::format("\"{}\" has a prefix length that is not 0 to {}",
                                   text.substr(0, 64), length_max));
    }
    const Cidr network = of(*address, length);
    if (host_bits == HostBits::refuse && network.network() != *address) {
        return invalid(fmt::format("\"{}\" has bits behind its prefix; the network is {}",
                                   text.substr(0, 64), network.text()));
    }
    return network;
}

Cidr Cidr::of(Address address) { return Cidr(address, address_bits(address.family)); }

Cidr Cidr::of(Address address, int prefix_length) {
    check(0 <= prefix_length && prefix_length <= address_bits(address.family),
          "a prefix length is one of its family");
    address.bits &= ~host_mask(address.family, prefix_length);
    return Cidr(address, prefix_length);
}

Address Cidr::last() const {
    return {network_.family, network_.bits | host_mask(network_.family, prefix_length_)};
}

bool Cidr::contains(const Address& address) const {
    return address.family == network_.family && network_ <= address && address <= last();
}

bool Cidr::contains(const Cidr& other) const {
    return other.prefix_length_ >= prefix_length_ && contains(other.network_);
}

std::string Cidr::text() const { return fmt::format("{}/{}", network_.text(), prefix_length_); }

AddressSet AddressSet::of(const Cidr& cidr) {
    AddressSet set;
    set.ranges_.push_back(range_of(cidr));
    return set;
}

AddressSet AddressSet::of(const std::vector<Cidr>& cidrs) {
    std::vector<Range> ranges;
    ranges.reserve(cidrs.size());
    for (const Cidr& cidr : cidrs) ranges.push_back(range_of(cidr));
    std::ranges::sort(ranges, starts_before);
    AddressSet set;
    set.ranges_ = coalesced(ranges);
    return set;
}

AddressSet AddressSet::of_range(Address first, Address last) {
    check(first.family == last.family && first <= last,
          "an address range is of one family and in order");
    AddressSet set;
    set.ranges_.push_back({first, last});
    return set;
}

AddressSet AddressSet::all(Family family) {
    return of_range({family, 0}, {family, all_ones(family)});
}

AddressSet AddressSet::everything() { return all(Family::v4) | all(Family::v6); }

bool AddressSet::contains(const Address& address) const {
    const auto after = std::ranges::upper_bound(ranges_, address, {}, &Range::first);
    if (after == ranges_.begin()) return false;
    const Range& range = *std::prev(after);
    return range.last.family == address.family && address <= range.last;
}

bool AddressSet::contains(const AddressSet& other) const { return (other - *this).empty(); }

bool AddressSet::intersects(const AddressSet& other) const { return !(*this & other).empty(); }

AddressSet AddressSet::only(Family family) const {
    AddressSet set;
    std::ranges::copy_if(ranges_, std::back_inserter(set.ranges_),
                         [&](const Range& range) { return range.first.family == family; });
    return set;
}

std::vector<Cidr> AddressSet::cidrs() const {
    std::vector<Cidr> out;
    for (const Range& range : ranges_) {
        const Family family = range.first.family;
        Bits128 at = range.first.bits;
        for (;;) {
            int length = address_bits(family);
            // The largest network that starts here and stays inside.
            while (length > 0) {
                const Bits128 mask = host_mask(family, length - 1);
                if ((at & mask) != 0 || range.last.bits - at < mask) break;
                --length;
            }
            const Bits128 end = at | host_mask(family, length);
            out.push_back(Cidr::of({family, at}, length));
            if (end == range.last.bits) break;
            at = end + 1;
        }
    }
    return out;
}

std::string AddressSet::summary(std::size_t max) const {
    if (empty()) return "none";
    const std::vector<Cidr> networks = cidrs();
    std::string text;
    for (std::size_t i = 0; i < std::min(max, networks.size()); ++i) {
        if (i > 0) text += ", ";
        text += networks[i].text();
    }
    if (networks.size() > max) text += fmt::format(" and {} more", networks.size() - max);
    return text;
}

AddressSet operator|(const AddressSet& a, const AddressSet& b) {
    std::vector<AddressSet::Range> ranges;
    ranges.reserve(a.ranges_.size() + b.ranges_.size());
    std::ranges::merge(a.ranges_, b.ranges_, std::back_inserter(ranges), starts_before);
    AddressSet set;
    set.ranges_ = coalesced(ranges);
    return set;
}

AddressSet operator&(const AddressSet& a, const AddressSet& b) {
    AddressSet set;
    auto x = a.ranges_.begin();
    auto y = b.ranges_.begin();
    while (x != a.ranges_.end() && y != b.ranges_.end()) {
        const Address first = std::max(x->first, y->first);
        const Address last = std::min(x->last, y->last);
        if (first.family == last.family && first <= last) set.ranges_.push_back({first, last});
        // Addresses sort by family first, so the range that ends earlier is used up.
        if (x->last < y->last) {
            ++x;
        } else {
            ++y;
        }
    }
    return set;
}

AddressSet operator-(const AddressSet& a, const AddressSet& b) {
    AddressSet set;
    auto cut = b.ranges_.begin();
    for (AddressSet::Range rest : a.ranges_) {
        while (cut != b.ranges_.end() && cut->last < rest.first) ++cut;
        bool left = true;
        for (auto next = cut; next != b.ranges_.end() && next->first <= rest.last; ++next) {
            if (next->first > rest.first) {
                set.ranges_.push_back({rest.first, {rest.first.family, next->first.bits - 1}});
            }
            left = next->last < rest.last;
            if (!left) break;
            rest.first.bits = next->last.bits + 1;
            cut = next;
        }
        if (left) set.ranges_.push_back(rest);
    }
    return set;
}

}  // namespace sallyport
