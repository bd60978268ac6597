#include "sim/schema_values.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <regex>

#include "sim/schema_verdict.hpp"

namespace sallyport::sim {
namespace {

/// What a property means to the product, by its schema; `plain` where that says nothing.
enum class Meaning { plain, range, duration, port, time };
Meaning meaning_of(const json& schema) {
    if (schema.value("x-kubernetes-int-or-string", false)) return Meaning::port;
    if (schema.value("format", "") == "date-time") return Meaning::time;
    if (schema.value("pattern", "").starts_with("^([0-9]{1,5}h)?")) return Meaning::duration;
    for (const json& rule : schema.value("x-kubernetes-validations", json::array())) {
        if (rule.at("rule").get<std::string>().find("/[0-9]{1,3}$'") != std::string::npos)
            return Meaning::range;
    }
    return Meaning::plain;
}

bool fits(const json& schema, const json& value) {
    return verdict_of(schema, value, nullptr).allows();
}

/// A text of that length that the schema takes, where one of these ways leads to one.
std::string text_of_length(const json& schema, std::size_t length, std::size_t index) {
    const std::string tail = index == 0 ? "" : std::to_string(index);
    std::string usual(length, 'a');
    for (const char* head :
         {"", "https://", "resourceGroups/", "0h", "8000-800", "00000000-0000-0000-0000-"}) {
        for (const char fill : {'a', '1', '0', 'h', 's'}) {
            std::string text = head;
            if (text.size() + tail.size() > length) continue;
            text += std::string(length - text.size() - tail.size(), fill) + tail;
            if (head[0] == '\0' && fill == 'a') usual = text;
            if (fits(schema, text)) return text;
        }
    }
    return usual;
}

std::vector<NamedValue> times() {
    return {{"in-an-hour", "2026-11-21T10:00:00Z"},
            {"in-half-an-hour", "2026-11-21T09:30:00Z"},
            {"offset", "2026-11-21T11:30:00+02:00"},
            {"fraction", "2026-11-21T09:30:00.5Z"},
            {"small-letters", "2026-11-21t09:30:00z"},
            {"past", "2020-01-01T00:00:00Z"},
            {"far", "2999-12-31T23:59:59Z"},
            {"no-such-day", "2026-02-30T00:00:00Z"},
            {"second-60", "2026-11-21T09:59:60Z"},
            {"hour-24", "2026-11-21T24:00:00Z"},
            {"no-zone", "2026-11-21T10:00:00"},
            {"day-only", "2026-11-21"},
            {"words", "tomorrow"}};
}

/// What the product reads into texts, right and wrong; the schema may take either.
std::vector<NamedValue> meant(Meaning meaning) {
    switch (meaning) {
        case Meaning::range:
            return {{"one-address", "198.51.100.7/32"},
                    {"sixteen-addresses", "198.51.100.0/28"},
                    {"network", "198.51.100.0/24"},
                    {"elsewhere", "192.0.2.0/24"},
                    {"host-bits", "198.51.100.7/24"},
                    {"everybody", "0.0.0.0/0"},
                    {"everybody-v6", "::/0"},
                    {"half-of-all", "0.0.0.0/1"},
                    {"v6", "2001:db8::/64"},
                    {"v6-capitals", "2001:DB8::/64"},
                    {"v6-mapped", "::ffff:198.51.100.7/128"},
                    {"no-length", "198.51.100.7"},
                    {"length-33", "198.51.100.7/33"},
                    {"length-032", "198.51.100.7/032"},
                    {"no-address", "300.0.0.1/32"},
                    {"three-parts", "198.51.100/24"},
                    {"only-colons", ":::/64"},
                    {"star", "*"},
                    {"tag", "Internet"}};
        case Meaning::duration:
            return {{"zero", "0s"},
                    {"9s", "9s"},
                    {"10s", "10s"},
                    {"59s", "59s"},
                    {"61s", "61s"},
                    {"5m", "5m"},
                    {"4m59s", "4m59s"},
                    {"90m", "90m"},
                    {"24h", "24h"},
                    {"24h-and-a-second", "24h0m1s"},
                    {"99999h", "99999h"},
                    {"days", "1d"},
                    {"parts-out-of-order", "5m1h"},
                    {"without-unit", "3600"},
                    {"negative", "-1h"},
                    {"fraction", "1.5h"}};
        case Meaning::port:
            return {{"number", 3389},
                    {"text", "3389"},
                    {"text-zero", "0"},
                    {"text-00022", "00022"},
                    {"range", "8000-8010"},
                    {"range-of-one", "22-22"},
                    {"range-backwards", "8010-8000"},
                    {"range-from-zero", "0-22"},
                    {"all-ports", "1-65535"},
                    {"beyond", "65536"},
                    {"range-beyond", "65000-99999"},
                    {"list", "22,3389"},
                    {"star", "*"},
                    {"fraction", 22.5}};
        case Meaning::time: return times();
        case Meaning::plain: break;
    }
    return {};
}

json wrong_type(const json& schema) {
    const std::string type = schema.value("type", "");
    if (type == "string") return 7;
    if (type == "array") return json::object({{"0", "x"}});
    if (type == "object") return json::array();
    if (type == "boolean") return "true";
    if (type == "integer") return "7";
    return true;
}

void add_texts(const json& schema, std::vector<NamedValue>& values) {
    for (const json& word : schema.value("enum", json::array()))
        values.push_back({word.get<std::string>(), word});
    if (schema.contains("enum")) {
        values.push_back({"no-member", "Sallyport"});
        std::string small = schema.at("enum").front();
        std::ranges::transform(small, small.begin(), [](char c) { return std::tolower(c); });
        values.push_back({"small-letters", small});
    }
    const std::size_t least = schema.value("minLength", std::size_t{0});
    if (least > 0) {
        values.push_back({"shortest", text_of_length(schema, least, 0)});
        values.push_back({"too-short", std::string(least - 1, 'a')});
    } else {
        values.push_back({"empty", ""});
    }
    if (schema.contains("maxLength")) {
        const std::size_t most = schema.at("maxLength");
        values.push_back({"longest", text_of_length(schema, most, 0)});
        values.push_back({"too-long", text_of_length(schema, most + 1, 0)});
        std::string wide;
        for (std::size_t i = 0; i < most; ++i) wide += "\u00fc";
        values.push_back({"longest-of-two-bytes", wide});
    }
    if (schema.contains("pattern")) {
        values.push_back({"no-match", "not \"this\""});
        const json right = sample_of(schema, 0);
        values.push_back(
            {"newline-behind", (right.is_string() ? right.get<std::string>() : "22") + "\n"});
    } else if (!schema.contains("enum") && !schema.contains("format")) {
        values.push_back({"blanks", "   "});
        values.push_back({"strange-signs", "a/../b\"\\\u0001\u2028%s{}"});
    }
}

void add_numbers(const json& schema, std::vector<NamedValue>& values) {
    if (schema.contains("minimum")) {
        const std::int64_t least = schema.at("minimum");
        values.push_back({"minimum", least});
        values.push_back({"below-minimum", least - 1});
    }
    if (schema.contains("maximum")) {
        const std::int64_t most = schema.at("maximum");
        values.push_back({"maximum", most});
        values.push_back({"above-maximum", most + 1});
    }
    values.push_back({"in-the-middle", schema.value("minimum", 0) + 1});
    values.push_back({"beyond-int32", std::int64_t{1} << 40});
    values.push_back({"beyond-int64", 1e300});
}

void add_lists(const json& schema, const std::vector<json>& of_items,
               std::vector<NamedValue>& values) {
    const auto of_size = [&](std::size_t size) {
        json list = json::array();
        for (std::size_t i = 0; i < size; ++i)
            list.push_back(sample_of(schema.at("items"), i, of_items));
        return list;
    };
    values.push_back({"empty-list", json::array()});
    values.push_back({"one", of_size(1)});
    values.push_back({"two", of_size(2)});
    if (schema.contains("maxItems")) {
        values.push_back({"longest", of_size(schema.at("maxItems"))});
        values.push_back({"too-many", of_size(schema.at("maxItems").get<std::size_t>() + 1)});
    }
    json twice = of_size(1);
    twice.push_back(twice.front());
    values.push_back({"twice", twice});
    values.push_back({"null-within", json::array({json()})});
    values.push_back({"wrong-type-within", json::array({wrong_type(schema.at("items"))})});
}

void add_objects(const json& schema, std::vector<NamedValue>& values) {
    values.push_back({"empty-object", json::object()});
    json more = sample_of(schema, 0);
    more["noSuchField"] = "x";
    values.push_back({"unknown-member", more});
    if (const std::vector<std::string> choice = one_of(schema); choice.size() > 1) {
        json both = sample_of(schema, 0);
        for (const std::string& name : choice)
            both[name] = sample_of(schema.at("properties").at(name), 0);
        values.push_back({"all-of-which-one", both});
    }
    if (!schema.contains("maxProperties")) return;
    const json of = schema.value("additionalProperties", json::object({{"type", "string"}}));
    const auto of_size = [&](std::size_t size) {
        json map = json::object();
        for (std::size_t i = 0; i < size; ++i) map["key" + std::to_string(i)] = sample_of(of, i);
        return map;
    };
    values.push_back({"most", of_size(schema.at("maxProperties"))});
    values.push_back({"too-many", of_size(schema.at("maxProperties").get<std::size_t>() + 1)});
}

}  // namespace

std::vector<std::string> one_of(const json& schema) {
    std::vector<std::string> names;
    for (const json& rule : schema.value("x-kubernetes-validations", json::array())) {
        const std::string text = rule.at("rule");
        if (text.find("size() == 1") == text.npos && text.find(") != has(") == text.npos) continue;
        static const std::regex has("has\\(self\\.([A-Za-z]+)\\)");
        for (std::sregex_iterator it(text.begin(), text.end(), has), end; it != end; ++it)
            names.push_back((*it)[1].str());
    }
    return names;
}

json sample_of(const json& schema, std::size_t index, const std::vector<json>& examples) {
    if (index < examples.size()) return examples[index];
    if (index == 0 && schema.contains("default")) return schema.at("default");
    if (schema.contains("enum")) return schema.at("enum").at(index % schema.at("enum").size());
    switch (meaning_of(schema)) {
        case Meaning::range: return fmt::format("198.51.{}.{}/32", 100 + index / 250, index % 250);
        case Meaning::duration: return fmt::format("{}m", 60 + index);
        case Meaning::port: return 2000 + 2 * index;
        case Meaning::time: return "2026-11-21T10:00:00Z";
        case Meaning::plain: break;
    }
    const std::string type = schema.value("type", "");
    if (type == "boolean") return index % 2 == 0;
    if (type == "integer") return schema.value("minimum", 0) + static_cast<int>(index);
    if (type == "array") {
        json list = json::array();
        for (std::size_t i = 0; i < schema.value("minItems", std::size_t{1}); ++i)
            list.push_back(sample_of(schema.at("items"), index + i));
        return list;
    }
    if (type == "object") {
        json object = json::object();
        std::vector<std::string> names = schema.value("required", std::vector<std::string>());
        if (const auto choice = one_of(schema); !choice.empty()) names.push_back(choice.front());
        for (const std::string& name : names)
            object[name] = sample_of(schema.at("properties").at(name), index);
        if (schema.value("minProperties", 0) > 0)
            object["key" + std::to_string(index)] =
                sample_of(schema.at("additionalProperties"), index);
        return object;
    }
    const std::size_t least = schema.value("minLength", std::size_t{0});
    const std::size_t most = schema.value("maxLength", SIZE_MAX);
    const std::string usual = fmt::format("s{}", index);
    if (usual.size() >= least && usual.size() <= most && fits(schema, usual)) return usual;
    for (std::size_t length = std::max(least, usual.size());
         length <= std::min<std::size_t>(most, 40); ++length) {
        std::string text = text_of_length(schema, length, index);
        if (fits(schema, text)) return text;
    }
    return usual;
}

std::vector<NamedValue> values_of(const json& schema, const std::vector<json>& examples,
                                  const std::vector<json>& of_items) {
    std::vector<NamedValue> values;
    const std::string type = schema.value("type", "");
    const Meaning meaning = meaning_of(schema);
    for (std::size_t i = 0; i < examples.size(); ++i)
        values.push_back({fmt::format("example-{}", i + 1), examples[i]});
    if (schema.contains("default")) values.push_back({"default", schema.at("default")});
    for (NamedValue& value : meant(meaning)) values.push_back(std::move(value));
    if (type == "string" || meaning == Meaning::port) add_texts(schema, values);
    if (type == "integer" || meaning == Meaning::port) add_numbers(schema, values);
    if (type == "boolean") {
        values.push_back({"true", true});
        values.push_back({"false", false});
    }
    if (type == "array") add_lists(schema, of_items, values);
    if (type == "object") add_objects(schema, values);
    values.push_back({"wrong-type", wrong_type(schema)});
    return values;
}

}  // namespace sallyport::sim
