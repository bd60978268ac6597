#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "apiserver/schema.hpp"

namespace sallyport::apiserver {

namespace {

using Json = nlohmann::json;

Result<SchemaType> type_of(const Json& source) {
    if (source.value("x-kubernetes-int-or-string", false)) return SchemaType::int_or_string;
    const std::string name = source.value("type", std::string());
    if (name == "object") return SchemaType::object;
    if (name == "array") return SchemaType::array;
    if (name == "string") return SchemaType::string;
    if (name == "integer") return SchemaType::integer;
    if (name == "number") return SchemaType::number;
    if (name == "boolean") return SchemaType::boolean;
    return invalid(fmt::format("schema type \"{}\" is not known", name));
}

Result<void> check_keywords(const Json& source) {
    static constexpr std::array<std::string_view, 26> known = {
        "type",
        "description",
        "properties",
        "items",
        "additionalProperties",
        "required",
        "enum",
        "pattern",
        "format",
        "minLength",
        "maxLength",
        "minItems",
        "maxItems",
        "minProperties",
        "maxProperties",
        "minimum",
        "maximum",
        "default",
        "anyOf",
        "x-kubernetes-list-type",
        "x-kubernetes-list-map-keys",
        "x-kubernetes-validations",
        "x-kubernetes-int-or-string",
        "x-kubernetes-preserve-unknown-fields",
        "title",
        "example"};
    for (const auto& [keyword, ignored] : source.items()) {
        if (std::find(known.begin(), known.end(), keyword) == known.end())
            return invalid(fmt::format("schema keyword \"{}\" is not known", keyword));
    }
    // The one form of anyOf that is understood, and that int-or-string demands.
    if (source.contains("anyOf") && !source.value("x-kubernetes-int-or-string", false))
        return invalid("anyOf without x-kubernetes-int-or-string");
    return {};
}

template <class T>
std::optional<T> number(const Json& source, const char* name) {
    const auto found = source.find(name);
    if (found == source.end() || !found->is_number_integer()) return std::nullopt;
    return static_cast<T>(found->get<std::int64_t>());
}

std::vector<std::string> texts(const Json& source, const char* name) {
    std::vector<std::string> list;
    const auto found = source.find(name);
    if (found == source.end()) return list;
    for (const Json& item : *found) {
        if (item.is_string()) list.push_back(item.get<std::string>());
    }
    return list;
}

void read_limits(const Json& source, Schema& schema) {
    schema.required = texts(source, "required");
    schema.enumeration = texts(source, "enum");
    schema.format = source.value("format", std::string());
    schema.length_min = number<std::size_t>(source, "minLength");
    schema.length_max = number<std::size_t>(source, "maxLength");
    schema.items_min = number<std::size_t>(source, "minItems");
    schema.items_max = number<std::size_t>(source, "maxItems");
    schema.properties_min = number<std::size_t>(source, "minProperties");
    schema.properties_max = number<std::size_t>(source, "maxProperties");
    schema.minimum = number<std::int64_t>(source, "minimum");
    schema.maximum = number<std::int64_t>(source, "maximum");
    schema.preserve_unknown = source.value("x-kubernetes-preserve-unknown-fields", false);
    const std::string list_type = source.value("x-kubernetes-list-type", std::string("atomic"));
    if (list_type == "set") schema.list_type = ListType::set;
    if (list_type == "map") schema.list_type = ListType::map;
    schema.list_map_keys = texts(source, "x-kubernetes-list-map-keys");
    if (source.contains("default"))
        schema.default_value = std::make_shared<const Json>(source.at("default"));
}

Result<void> read_pattern(const Json& source, Schema& schema) {
    schema.pattern = source.value("pattern", std::string());
    if (schema.pattern.empty()) return {};
    try {
        schema.compiled_pattern = std::make_shared<const std::regex>(
            schema.pattern, std::regex::ECMAScript | std::regex::optimize);
    } catch (const std::regex_error& problem) {
        return invalid(fmt::format("pattern {}: {}", schema.pattern, problem.what()));
    }
    return {};
}

Result<void> read_rules(const Json& source, const TwinLookup& twins, Schema& schema) {
    const auto found = source.find("x-kubernetes-validations");
    if (found == source.end()) return {};
    for (const Json& entry : *found) {
        Rule rule;
        rule.text = entry.value("rule", std::string());
        rule.message = entry.value("message", "failed rule: " + rule.text);
        rule.field_path = entry.value("fieldPath", std::string());
        rule.optional_old_self = entry.value("optionalOldSelf", false);
        rule.is_transition =
            !rule.optional_old_self && rule.text.find("oldSelf") != std::string::npos;
        rule.holds = twins(rule.text);
        if (!rule.holds)
            return invalid(fmt::format("the rule \"{}\" has no twin in rules.cpp", rule.text));
        schema.rules.push_back(std::move(rule));
    }
    return {};
}

Result<void> read_children(const Json& source, const TwinLookup& twins, Schema& schema) {
    if (const auto found = source.find("properties"); found != source.end()) {
        for (const auto& [name, child] : found->items()) {
            Result<Schema> read = read_schema(child, twins);
            if (!read) return std::move(read).error().context(name);
            schema.properties.emplace(name, std::move(*read));
        }
    }
    for (const char* keyword : {"items", "additionalProperties"}) {
        const auto found = source.find(keyword);
        if (found == source.end()) continue;
        Result<Schema> read = read_schema(*found, twins);
        if (!read) return std::move(read).error().context(keyword);
        auto& place = std::string_view(keyword) == "items" ? schema.items : schema.additional;
        place = std::make_shared<const Schema>(std::move(*read));
    }
    return {};
}

}  // namespace

Result<Schema> read_schema(const Json& source, const TwinLookup& twins) {
    if (!source.is_object()) return invalid("a schema is an object");
    if (Result<void> known = check_keywords(source); !known) return std::move(known).error();
    Result<SchemaType> type = type_of(source);
    if (!type) return std::move(type).error();

    Schema schema;
    schema.type = *type;
    read_limits(source, schema);
    if (Result<void> read = read_pattern(source, schema); !read) return std::move(read).error();
    if (Result<void> read = read_rules(source, twins, schema); !read)
        return std::move(read).error();
    if (Result<void> read = read_children(source, twins, schema); !read)
        return std::move(read).error();
    return schema;
}

}  // namespace sallyport::apiserver
