#include "sim/schema_verdict.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <regex>
#include <set>
#include <stdexcept>

namespace sallyport::sim {
namespace {

/// Those that are judged or mean nothing for what is allowed. With any other keyword this reading
/// would be too kind.
const std::set<std::string> known_keywords = {"type",
                                              "properties",
                                              "items",
                                              "additionalProperties",
                                              "required",
                                              "enum",
                                              "minLength",
                                              "maxLength",
                                              "pattern",
                                              "format",
                                              "minimum",
                                              "maximum",
                                              "minItems",
                                              "maxItems",
                                              "minProperties",
                                              "maxProperties",
                                              "default",
                                              "description",
                                              "anyOf",
                                              "x-kubernetes-validations",
                                              "x-kubernetes-list-type",
                                              "x-kubernetes-list-map-keys",
                                              "x-kubernetes-int-or-string",
                                              "x-kubernetes-preserve-unknown-fields"};

std::string joined(const std::string& path, const std::string& name) {
    return path.empty() ? name : path + "." + name;
}

bool is_whole(const json& value) {
    return value.is_number_integer() ||
           (value.is_number_float() && std::trunc(value.get<double>()) == value.get<double>());
}

bool has_type(const json& schema, const json& value) {
    if (schema.value("x-kubernetes-int-or-string", false))
        return value.is_number_integer() || value.is_string();
    const std::string type = schema.value("type", "");
    if (type == "object") return value.is_object();
    if (type == "array") return value.is_array();
    if (type == "string") return value.is_string();
    if (type == "boolean") return value.is_boolean();
    if (type == "integer") return value.is_number() && is_whole(value);
    throw std::runtime_error("a schema of type \"" + type + "\" is not known here");
}

std::size_t characters(const std::string& text) {
    return static_cast<std::size_t>(
        std::ranges::count_if(text, [](char c) { return (c & 0xC0) != 0x80; }));
}

/// As the OpenAPI library of Kubernetes reads `date-time`: a full date that exists, T, a time.
bool is_date_time(const std::string& text) {
    static const std::regex form(
        "^([0-9]{4})-([0-9]{2})-([0-9]{2})[Tt]([0-9]{2}):([0-9]{2}):([0-9]{2})(\\.[0-9]+)?"
        "([Zz]|[+-][0-9]{2}:[0-9]{2})$");
    std::smatch part;
    if (!std::regex_match(text, part, form)) return false;
    const auto number = [&](std::size_t i) { return std::stoi(part[i].str()); };
    const std::chrono::year_month_day day{std::chrono::year(number(1)),
                                          std::chrono::month(static_cast<unsigned>(number(2))),
                                          std::chrono::day(static_cast<unsigned>(number(3)))};
    return day.ok() && number(4) <= 23 && number(5) <= 59 && number(6) <= 59;
}

bool text_is_allowed(const json& schema, const std::string& text) {
    if (characters(text) > schema.value("maxLength", SIZE_MAX)) return false;
    if (characters(text) < schema.value("minLength", std::size_t{0})) return false;
    if (schema.contains("pattern") &&
        !std::regex_search(text, std::regex(schema.at("pattern").get<std::string>())))
        return false;
    if (schema.value("format", "") == "date-time" && !is_date_time(text)) return false;
    return !schema.contains("enum") ||
           std::ranges::find(schema.at("enum"), json(text)) != schema.at("enum").end();
}

bool number_is_allowed(const json& schema, const json& value) {
    const double number = value.get<double>();
    if (schema.contains("minimum") && number < schema.at("minimum").get<double>()) return false;
    if (schema.contains("maximum") && number > schema.at("maximum").get<double>()) return false;
    return schema.value("format", "") != "int32" || (number >= INT32_MIN && number <= INT32_MAX);
}

class Reading {
public:
    void shape(const json& schema, const json& value, const json* old, const std::string& path);
    void rules(const json& schema, const json& value, const json* old, const std::string& path);
    SchemaVerdict verdict = {};

private:
    void list(const json& schema, const json& value, const std::string& path);
    void object(const json& schema, const json& value, const json* old, const std::string& path);
    template <class Visit>
    static void each_member(const json& schema, const json& value, const json* old,
                            const std::string& path, Visit&& visit) {
        for (const auto& [name, member] : value.items()) {
            const json* of = nullptr;
            if (schema.contains("properties") && schema.at("properties").contains(name))
                of = &schema.at("properties").at(name);
            else if (schema.contains("additionalProperties"))
                of = &schema.at("additionalProperties");
            const bool had = old != nullptr && old->is_object() && old->contains(name);
            if (of != nullptr)
                visit(*of, member, had ? &old->at(name) : nullptr, joined(path, name));
        }
    }
};

void Reading::shape(const json& schema, const json& value, const json* old,
                    const std::string& path) {
    for (const auto& [keyword, content] : schema.items()) {
        if (!known_keywords.contains(keyword))
            throw std::runtime_error("the keyword " + keyword + " is not known here");
    }
    if (old != nullptr && *old == value) return;
    bool right = has_type(schema, value);
    if (right && value.is_string()) right = text_is_allowed(schema, value.get<std::string>());
    if (right && value.is_number()) right = number_is_allowed(schema, value);
    if (!right) {
        verdict.shape.push_back(path);
    } else if (value.is_array()) {
        list(schema, value, path);
    } else if (value.is_object()) {
        object(schema, value, old, path);
    }
}

void Reading::list(const json& schema, const json& value, const std::string& path) {
    if (value.size() > schema.value("maxItems", SIZE_MAX) ||
        value.size() < schema.value("minItems", std::size_t{0})) {
        verdict.shape.push_back(path);
        return;
    }
    const std::string type = schema.value("x-kubernetes-list-type", "atomic");
    std::set<json> seen;
    for (std::size_t i = 0; i < value.size(); ++i) {
        const std::string place = fmt::format("{}[{}]", path, i);
        shape(schema.at("items"), value[i], nullptr, place);
        if (type == "atomic") continue;
        json key = value[i];
        if (type == "map") {
            key = json::array();
            for (const json& name : schema.at("x-kubernetes-list-map-keys"))
                key.push_back(value[i].is_object() ? value[i].value(name.get<std::string>(), json())
                                                   : json());
        }
        if (!seen.insert(key).second) verdict.shape.push_back(place);
    }
}

void Reading::object(const json& schema, const json& value, const json* old,
                     const std::string& path) {
    for (const json& name : schema.value("required", json::array())) {
        if (!value.contains(name.get<std::string>()))
            verdict.shape.push_back(joined(path, name.get<std::string>()));
    }
    if (value.size() > schema.value("maxProperties", SIZE_MAX) ||
        value.size() < schema.value("minProperties", std::size_t{0}))
        verdict.shape.push_back(path);
    each_member(schema, value, old, path,
                [&](const json& of, const json& member, const json* before, const std::string& at) {
                    shape(of, member, before, at);
                });
}

void Reading::rules(const json& schema, const json& value, const json* old,
                    const std::string& path) {
    for (const json& rule : schema.value("x-kubernetes-validations", json::array())) {
        const bool names_old =
            rule.at("rule").get<std::string>().find("oldSelf") != std::string::npos;
        const bool transition = names_old && !rule.value("optionalOldSelf", false);
        if (transition && old == nullptr) continue;
        if (!transition && old != nullptr && *old == value) continue;
        if (rule_holds(rule, value, old).value_or(false)) continue;
        const std::string place = path + rule.value("fieldPath", "");
        verdict.rules.push_back(place.empty() ? "<nil>" : place);
    }
    if (value.is_array() && schema.contains("items")) {
        for (std::size_t i = 0; i < value.size(); ++i)
            rules(schema.at("items"), value[i], nullptr, fmt::format("{}[{}]", path, i));
    }
    if (!value.is_object()) return;
    each_member(schema, value, old, path,
                [&](const json& of, const json& member, const json* before, const std::string& at) {
                    rules(of, member, before, at);
                });
}

}  // namespace

SchemaVerdict verdict_of(const json& schema, const json& object, const json* old) {
    Reading reading;
    reading.shape(schema, object, old, "");
    if (reading.verdict.shape.empty()) reading.rules(schema, object, old, "");
    return reading.verdict;
}

json as_stored(const json& schema, json value) {
    if (value.is_array() && schema.contains("items")) {
        for (json& item : value) item = as_stored(schema.at("items"), item);
    }
    if (!value.is_object()) return value;
    const json properties = schema.value("properties", json::object());
    const bool open = schema.value("x-kubernetes-preserve-unknown-fields", false) ||
                      schema.value("type", "") != "object";
    json stored = json::object();
    for (const auto& [name, member] : value.items()) {
        if (properties.contains(name)) {
            if (!member.is_null()) stored[name] = as_stored(properties.at(name), member);
        } else if (schema.contains("additionalProperties")) {
            if (!member.is_null())
                stored[name] = as_stored(schema.at("additionalProperties"), member);
        } else if (open) {
            stored[name] = member;
        }
    }
    for (const auto& [name, of] : properties.items()) {
        if (!stored.contains(name) && of.contains("default"))
            stored[name] = as_stored(of, of.at("default"));
    }
    return stored;
}

}  // namespace sallyport::sim
