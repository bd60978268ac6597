#include "codec/item_splitter.hpp"

#include <doctest/doctest.h>

#include <nlohmann/json.hpp>
#include <random>
#include <vector>

#include "support/printers.hpp"

using namespace sallyport;
using codec::ItemSplitter;
using nlohmann::json;

namespace {

struct Outcome {
    std::vector<std::string> items;
    std::string rest;
    bool complete = false;
    bool accepted = true;
};

/// Feeds `text` in chunks of random sizes.
Outcome split(const std::string& text, unsigned seed, std::size_t chunk_max,
              ItemSplitter::Limits limits = {}) {
    Outcome out;
    std::mt19937 random(seed);
    ItemSplitter splitter(
        "items", [&](std::string_view item) { out.items.emplace_back(item); }, limits);
    for (std::size_t at = 0; at < text.size();) {
        const std::size_t size = std::min<std::size_t>(1 + random() % chunk_max, text.size() - at);
        out.accepted =
            out.accepted && splitter.feed(std::string_view(text).substr(at, size)).has_value();
        at += size;
    }
    out.rest = splitter.rest();
    out.complete = splitter.complete();
    return out;
}

json random_value(std::mt19937& random, int depth) {
    switch (random() % (depth > 3 ? 3 : 5)) {
        case 0: return random() % 1000;
        case 1: return std::string("a\"}]{[,\\ items\n").substr(0, random() % 15);
        case 2: return nullptr;
        case 3: {
            json list = json::array();
            for (auto n = random() % 4; n > 0; --n) list.push_back(random_value(random, depth + 1));
            return list;
        }
        default: {
            json object = json::object();
            for (auto n = random() % 4; n > 0; --n) {
                object[n % 2 == 0 ? "items" : "k" + std::to_string(n)] =
                    random_value(random, depth + 1);
            }
            return object;
        }
    }
}

}  // namespace

TEST_CASE("a list falls into its items and the rest, however it is cut into chunks") {
    for (unsigned seed = 0; seed < 400; ++seed) {
        CAPTURE(seed);
        std::mt19937 random(seed);
        json list = {
            {"kind", "List"}, {"a", random_value(random, 0)}, {"z", random_value(random, 0)}};
        json items = json::array();
        for (auto n = random() % 6; n > 0; --n) {
            items.push_back(
                {{"metadata", random_value(random, 0)}, {"spec", random_value(random, 0)}});
        }
        list["items"] = items;
        const std::string text = list.dump(seed % 2 == 0 ? -1 : 2);

        const Outcome out = split(text, seed, seed % 3 == 0 ? 1 : 40);

        REQUIRE(out.accepted);
        CHECK(out.complete);
        REQUIRE(out.items.size() == items.size());
        for (std::size_t i = 0; i < items.size(); ++i) CHECK(json::parse(out.items[i]) == items[i]);
        list["items"] = json::array();
        CHECK(json::parse(out.rest) == list);
    }
}

TEST_CASE("a body without the list stays whole, and a list that was cut short is not complete") {
    const std::string status =
        R"({"kind":"Status","details":{"items":[{"a":1}]},"x":"items","code":410})";
    const Outcome plain = split(status, 1, 7);
    CHECK(plain.items.empty());
    CHECK(plain.rest == status);
    CHECK(plain.complete);

    const std::string list = R"({"items":[{"a":1},{"a":2}]})";
    for (std::size_t cut = 0; cut < list.size(); ++cut)
        CHECK_FALSE(split(list.substr(0, cut), 1, 5).complete);
    CHECK(split(list + " \n", 1, 5).complete);
    CHECK_FALSE(split(list + "x", 1, 5).accepted);
    CHECK_FALSE(split("{}}", 1, 5).accepted);
    CHECK_FALSE(split("{}{}", 1, 5).accepted);
}

TEST_CASE("an endless item or head is refused, not kept") {
    const ItemSplitter::Limits limits{.item = 1000, .rest = 1000};
    const std::string filler(1500, 'x');
    CHECK_FALSE(split(R"({"items":[{"a":")" + filler, 1, 100, limits).accepted);
    CHECK_FALSE(split(R"({"a":")" + filler, 1, 100, limits).accepted);
    std::string many = R"({"items":[)";
    for (int i = 0; i < 1000; ++i) many += R"({"a":"0123456789"},)";
    many.back() = ']';
    CHECK(split(many + "}", 1, 100, limits).items.size() == 1000);
}
