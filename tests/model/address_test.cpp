#include "model/address.hpp"

#include <doctest/doctest.h>

#include <bitset>
#include <random>

#include "support/printers.hpp"

using namespace sallyport;

namespace {

Address at(std::string_view text) { return *Address::parse(text); }
Cidr net(std::string_view text) { return *Cidr::parse(text); }

/// Two windows of 64 addresses, at the start of IPv4 and at the very end of IPv6: the naive model.
constexpr std::size_t window = 64;
using Bitmap = std::bitset<2 * window>;
Address address_of(std::size_t i) {
    if (i < window) return {Family::v4, i};
    return {Family::v6, ~Bits128{0} - (2 * window - 1 - i)};
}
AddressSet set_of(const Bitmap& bits) {
    AddressSet set;
    for (std::size_t i = 0; i < bits.size(); ++i) {
        if (bits[i]) set = set | AddressSet::of(Cidr::of(address_of(i)));
    }
    return set;
}
Bitmap bitmap_of(const AddressSet& set) {
    Bitmap bits;
    for (std::size_t i = 0; i < bits.size(); ++i) bits[i] = set.contains(address_of(i));
    return bits;
}
Bitmap random_bitmap(std::mt19937& random) {
    Bitmap bits;
    const int runs = std::uniform_int_distribution(0, 4)(random);
    for (int i = 0; i < runs; ++i) {
        const auto first = std::uniform_int_distribution<std::size_t>(0, bits.size() - 1)(random);
        const auto size = std::uniform_int_distribution<std::size_t>(1, 40)(random);
        for (std::size_t at = first; at < std::min(first + size, bits.size()); ++at) bits.set(at);
    }
    return bits;
}

}  // namespace

TEST_CASE("an address has one text, that of RFC 5952") {
    struct Row {
        const char* text;
        const char* canonical;
    };
    for (const Row& row :
         {Row{"198.51.100.7", "198.51.100.7"}, Row{"0.0.0.0", "0.0.0.0"}, Row{"::", "::"},
          Row{"::1", "::1"}, Row{"2001:DB8:0:0:0:0:0:1", "2001:db8::1"},
          Row{"2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"},
          Row{"2001:0:0:1:0:0:0:1", "2001:0:0:1::1"},
          Row{"2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"}, Row{"1::", "1::"},
          Row{"64:ff9b::198.51.100.7", "64:ff9b::c633:6407"}}) {
        CAPTURE(row.text);
        const auto address = Address::parse(row.text);
        REQUIRE(address);
        CHECK(address->text() == row.canonical);
        CHECK(*Address::parse(address->text()) == *address);
    }
}

TEST_CASE("what is not exactly one address is refused") {
    for (const char* text :
         {"", "1.2.3", "1.2.3.4.5", "01.2.3.4", "1.2.3.256", " 1.2.3.4", "1.2.3.4 ", "::g",
          "1::2::3", "fe80::1%eth0", "::ffff:1.2.3.4", "::ffff:102:304", "*", "Internet"}) {
        CAPTURE(text);
        CHECK_FALSE(Address::parse(text));
    }
}

TEST_CASE("a network is canonical: host bits are refused or masked as the caller says") {
    CHECK(net("198.51.100.7").text() == "198.51.100.7/32");
    CHECK(net("2001:db8::/32").last().text() == "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff");
    CHECK(net("0.0.0.0/0").contains(at("255.255.255.255")));
    CHECK_FALSE(net("0.0.0.0/0").contains(at("::1")));
    CHECK(net("10.0.0.0/8").contains(net("10.1.0.0/16")));
    CHECK_FALSE(net("10.1.0.0/16").contains(net("10.0.0.0/8")));

    const auto refused = Cidr::parse("10.0.0.1/8");
    REQUIRE_FALSE(refused);
    CHECK(refused.error().message ==
          "\"10.0.0.1/8\" has bits behind its prefix; the network is 10.0.0.0/8");
    CHECK(*Cidr::parse("10.0.0.1/8", Cidr::HostBits::mask) == net("10.0.0.0/8"));
    for (const char* text : {"10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/", "10.0.0.0/08", "::/129",
                             "/8", "10.0.0.0/8/8", "10.0.0.0/8 ", "10.0.0.0/+8"}) {
        CAPTURE(text);
        CHECK_FALSE(Cidr::parse(text));
    }
}

TEST_CASE("address sets agree with a bitmap in every operation") {
    for (unsigned seed = 0; seed < 300; ++seed) {
        CAPTURE(seed);
        std::mt19937 random(seed);
        const Bitmap a = random_bitmap(random);
        const Bitmap b = random_bitmap(random);
        const AddressSet x = set_of(a);
        const AddressSet y = set_of(b);

        CHECK(bitmap_of(x) == a);
        CHECK(bitmap_of(x | y) == (a | b));
        CHECK(bitmap_of(x & y) == (a & b));
        CHECK(bitmap_of(x - y) == (a & ~b));
        CHECK((x == y) == (a == b));
        CHECK(x.contains(y) == ((b & ~a).none()));
        CHECK(x.intersects(y) == ((a & b).any()));
        CHECK(x.empty() == a.none());
        // Equal sets are equal values, however they came about.
        CHECK(((x - y) | (x & y)) == x);
        CHECK((x.only(Family::v4) | x.only(Family::v6)) == x);
        CHECK(((AddressSet::everything() - x) & x).empty());
        CHECK((AddressSet::everything() - (AddressSet::everything() - x)) == x);
    }
}

TEST_CASE("a set's networks make it up again, and none of them could be joined") {
    for (unsigned seed = 0; seed < 200; ++seed) {
        CAPTURE(seed);
        std::mt19937 random(seed);
        const AddressSet set = set_of(random_bitmap(random));

        const std::vector<Cidr> networks = set.cidrs();

        CHECK(AddressSet::of(networks) == set);
        CHECK(std::is_sorted(networks.begin(), networks.end()));
        for (std::size_t i = 1; i < networks.size(); ++i) {
            const Cidr& left = networks[i - 1];
            if (left.prefix_length() != networks[i].prefix_length() || left.prefix_length() == 0)
                continue;
            const Cidr both = Cidr::of(left.network(), left.prefix_length() - 1);
            CHECK_FALSE((both.contains(left) && both.contains(networks[i])));
        }
    }
}

TEST_CASE("a set can be all of a family, and its summary is short") {
    CHECK(AddressSet::all(Family::v6).cidrs() == std::vector{net("::/0")});
    CHECK(AddressSet::everything().cidrs().size() == 2);
    CHECK(AddressSet::everything().contains(at("2001:db8::1")));
    CHECK(AddressSet().summary() == "none");
    const AddressSet odd = AddressSet::of(
        {net("10.0.0.1/32"), net("10.0.0.3/32"), net("10.0.0.5/32"), net("10.0.0.7/32")});
    CHECK(odd.summary(2) == "10.0.0.1/32, 10.0.0.3/32 and 2 more");
    CHECK((AddressSet::all(Family::v6) - AddressSet::of(net("::/1"))).summary() == "8000::/1");
}
