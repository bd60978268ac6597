#pragma once

#include <fmt/format.h>

#include <compare>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"

namespace sallyport {

enum class Family { v4, v6 };
std::string_view to_text(Family family);  ///< `IPv4`, `IPv6`

__extension__ using Bits128 = unsigned __int128;

/// One IP address. An IPv4 address uses the low 32 bits; families never compare equal. An
/// IPv4-mapped IPv6 address (`::ffff:a.b.c.d`) is refused: Azure has no meaning for it.
struct Address {
    Family family = Family::v4;
    Bits128 bits = 0;

    static Result<Address> parse(std::string_view text);
    std::string text() const;  ///< dotted quad, or RFC 5952
    friend bool operator==(const Address&, const Address&) = default;
    friend std::strong_ordering operator<=>(const Address&, const Address&) = default;
};

/// A network in canonical form: host bits are zero.
class Cidr {
public:
    enum class HostBits { refuse, mask };

    /// `a.b.c.d/n` or `x::/n`; a bare address is its /32 or /128.
    static Result<Cidr> parse(std::string_view text, HostBits host_bits = HostBits::refuse);
    static Cidr of(Address address);  ///< /32 or /128
    /// Host bits are masked. `Bug` when the length is not one of the family.
    static Cidr of(Address address, int prefix_length);

    Family family() const { return network_.family; }
    const Address& network() const { return network_; }
    int prefix_length() const { return prefix_length_; }
    Address last() const;
    bool contains(const Address& address) const;
    bool contains(const Cidr& other) const;
    std::string text() const;  ///< always with the length: `198.51.100.7/32`

    friend bool operator==(const Cidr&, const Cidr&) = default;
    friend std::strong_ordering operator<=>(const Cidr&, const Cidr&) = default;

private:
    Cidr(Address network, int prefix_length) : network_(network), prefix_length_(prefix_length) {}
    Address network_;
    int prefix_length_;
};

/// The bits of a family: 32 or 128.
int address_bits(Family family);

/// A set of addresses of both families, as sorted disjoint ranges. All operations are linear in the
/// number of ranges.
class AddressSet {
public:
    struct Range {
        Address first;
        Address last;  ///< inclusive, same family
        friend bool operator==(const Range&, const Range&) = default;
    };

    AddressSet() = default;  ///< empty
    static AddressSet of(const Cidr& cidr);
    static AddressSet of(const std::vector<Cidr>& cidrs);
    static AddressSet of_range(Address first, Address last);
    static AddressSet all(Family family);
    static AddressSet everything();  ///< both families

    bool empty() const { return ranges_.empty(); }
    bool contains(const Address& address) const;
    bool contains(const AddressSet& other) const;
    bool intersects(const AddressSet& other) const;
    AddressSet only(Family family) const;
    const std::vector<Range>& ranges() const { return ranges_; }
    /// The fewest networks that make up the set, in order.
    std::vector<Cidr> cidrs() const;
    /// Some addresses of the set for messages: at most `max` networks, then "and n more".
    std::string summary(std::size_t max = 3) const;

    friend AddressSet operator|(const AddressSet& a, const AddressSet& b);
    friend AddressSet operator&(const AddressSet& a, const AddressSet& b);
    friend AddressSet operator-(const AddressSet& a, const AddressSet& b);
    friend bool operator==(const AddressSet&, const AddressSet&) = default;

private:
    std::vector<Range> ranges_;
};

}  // namespace sallyport

template <>
struct fmt::formatter<sallyport::Address> : fmt::formatter<std::string> {
    auto format(const sallyport::Address& a, format_context& ctx) const {
        return fmt::formatter<std::string>::format(a.text(), ctx);
    }
};
template <>
struct fmt::formatter<sallyport::Cidr> : fmt::formatter<std::string> {
    auto format(const sallyport::Cidr& c, format_context& ctx) const {
        return fmt::formatter<std::string>::format(c.text(), ctx);
    }
};
template <>
struct fmt::formatter<sallyport::AddressSet> : fmt::formatter<std::string> {
    auto format(const sallyport::AddressSet& s, format_context& ctx) const {
        return fmt::formatter<std::string>::format(s.summary(64), ctx);
    }
};
