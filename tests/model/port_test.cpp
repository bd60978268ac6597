#include "model/port.hpp"

#include <doctest/doctest.h>

#include <bitset>
#include <random>

#include "support/printers.hpp"

using namespace sallyport;

TEST_CASE("a port range has one text, and `*` is 0-65535") {
    CHECK(PortRange::parse("22")->text() == "22");
    CHECK(PortRange::parse("22-22")->text() == "22");
    CHECK(PortRange::parse("8000-8010")->text() == "8000-8010");
    CHECK(*PortRange::parse("0-65535") == *PortRange::parse("*"));
    CHECK(PortRange::all().text() == "*");
}

TEST_CASE("a refused port says what is wrong with it") {
    CHECK(PortRange::parse("70000").error().message ==
          "\"70000\" is above the highest port, 65535");
    CHECK(PortRange::parse("9-8").error().message == "\"9-8\" is a port range the wrong way round");
    for (const char* text : {"", "-", "22-", "-22", "80,443", "ssh", "1e3", "+22", "99999999999999",
                             "0x16", "22--23"}) {
        CAPTURE(text);
        CHECK_FALSE(PortRange::parse(text));
    }
}

TEST_CASE("merged ranges cover the same ports, sorted, with gaps between them") {
    for (unsigned seed = 0; seed < 200; ++seed) {
        CAPTURE(seed);
        std::mt19937 random(seed);
        std::vector<PortRange> ranges;
        std::bitset<65536> wanted;
        for (int i = std::uniform_int_distribution(0, 6)(random); i > 0; --i) {
            const int base = seed % 2 == 0 ? 0 : 65500;
            const int first = base + std::uniform_int_distribution(0, 30)(random);
            const int last = std::min(first + std::uniform_int_distribution(0, 8)(random), 65535);
            ranges.push_back(
                PortRange::of(static_cast<std::uint16_t>(first), static_cast<std::uint16_t>(last)));
            for (int p = first; p <= last; ++p) wanted.set(static_cast<std::size_t>(p));
        }

        const auto result = merged(ranges);

        std::bitset<65536> got;
        for (std::size_t i = 0; i < result.size(); ++i) {
            for (int p = result[i].first(); p <= result[i].last(); ++p)
                got.set(static_cast<std::size_t>(p));
            if (i > 0) CHECK(result[i].first() > result[i - 1].last() + 1);
        }
        CHECK(got == wanted);
    }
}

TEST_CASE("protocols are read without case, and `*` and Any are the same") {
    CHECK(*parse_protocol("TCP") == Protocol::tcp);
    CHECK(*parse_protocol("*") == *parse_protocol("any"));
    for (const Protocol p : {Protocol::tcp, Protocol::udp, Protocol::icmp, Protocol::esp,
                             Protocol::ah, Protocol::any}) {
        CHECK(*parse_protocol(to_text(p)) == p);
    }
    CHECK_FALSE(parse_protocol("sctp"));
    CHECK_FALSE(parse_protocol(""));
    CHECK(applies_to(Protocol::any, Protocol::udp));
    CHECK_FALSE(applies_to(Protocol::tcp, Protocol::udp));
}
