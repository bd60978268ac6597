#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <nlohmann/json.hpp>

#include "apiserver/schema.hpp"
#include "base/time.hpp"

namespace sallyport::apiserver {

namespace {

using Json = nlohmann::json;

const Schema* schema_of_member(const Schema& schema, const std::string& name) {
    const auto found = schema.properties.find(name);
    if (found != schema.properties.end()) return &found->second;
    return schema.additional.get();
}

std::size_t characters(const std::string& text) {
    return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) {
        return (static_cast<unsigned char>(c) & 0xC0) != 0x80;
    }));
}

/// A value inside "Invalid value: …", as Go's field errors print it.
std::string shown(const Json& value) {
    return value.dump(-1, ' ', false, Json::error_handler_t::replace);
}

const char* json_type(const Json& value) {
    switch (value.type()) {
        case Json::value_t::null: return "null";
        case Json::value_t::object: return "object";
        case Json::value_t::array: return "array";
        case Json::value_t::string: return "string";
        case Json::value_t::boolean: return "boolean";
        case Json::value_t::number_integer:
        case Json::value_t::number_unsigned: return "integer";
        case Json::value_t::number_float: return "number";
        case Json::value_t::binary:
        case Json::value_t::discarded: break;
    }
    return "unknown";
}

bool is_whole(const Json& value) {
    if (value.is_number_integer()) return true;
    if (!value.is_number_float()) return false;
    const double number = value.get<double>();
    constexpr double beyond = 9e18;  // no std::int64_t holds more
    if (!(number > -beyond && number < beyond)) return false;
    return number == static_cast<double>(static_cast<std::int64_t>(number));
}

bool has_type(const Json& value, SchemaType type) {
    switch (type) {
        case SchemaType::object: return value.is_object();
        case SchemaType::array: return value.is_array();
        case SchemaType::string: return value.is_string();
        case SchemaType::integer: return value.is_number() && is_whole(value);
        case SchemaType::number: return value.is_number();
        case SchemaType::boolean: return value.is_boolean();
        case SchemaType::int_or_string: return value.is_string() || value.is_number_integer();
        case SchemaType::anything: return true;
    }
    return false;
}

const char* type_name(SchemaType type) {
    switch (type) {
        case SchemaType::object: return "object";
        case SchemaType::array: return "array";
        case SchemaType::string: return "string";
        case SchemaType::integer: return "integer";
        case SchemaType::number: return "number";
        case SchemaType::boolean: return "boolean";
        case SchemaType::int_or_string: return "integer,string";
        case SchemaType::anything: return "anything";
    }
    return "anything";
}

/// One walk over a value: the schema's own demands first, then, if nothing blocks them, the rules.
class Judge {
public:
    void demands(const Schema& schema, const Json& value, const Json* old, const std::string& path);
    void rules(const Schema& schema, const Json& value, const Json* old, const std::string& path);
    bool blocks_rules() const { return blocks_rules_; }
    std::vector<Cause> take() { return std::move(causes_); }

    void add(const char* reason, const std::string& path, std::string message) {
        causes_.push_back({reason, std::move(message), path});
    }

private:
    void invalid_value(const std::string& path, const Json& value, std::string_view demand) {
        add("FieldValueInvalid", path,
            fmt::format("Invalid value: {}: {} in body {}", shown(value), path, demand));
    }
    void blocking(const char* reason, const std::string& path, std::string message) {
        blocks_rules_ = true;
        add(reason, path, std::move(message));
    }
    void text_demands(const Schema& schema, const Json& value, const std::string& path);
    void number_demands(const Schema& schema, const Json& value, const std::string& path);
    void list_demands(const Schema& schema, const Json& value, const Json* old,
                      const std::string& path);
    void object_demands(const Schema& schema, const Json& value, const Json* old,
                        const std::string& path);
    void unique_demands(const Schema& schema, const Json& value, const std::string& path);

    std::vector<Cause> causes_;
    bool blocks_rules_ = false;
};

Json map_key(const Schema& schema, const Json& item) {
    Json key = Json::object();
    for (const std::string& name : schema.list_map_keys) {
        if (item.is_object() && item.contains(name)) key[name] = item.at(name);
    }
    return key;
}

/// The old value of one item: lists of type map are matched by key, others not at all.
const Json* old_item(const Schema& schema, const Json* old, const Json& item) {
    if (!old || !old->is_array() || schema.list_type != ListType::map) return nullptr;
    const Json key = map_key(schema, item);
    const auto found = std::find_if(old->begin(), old->end(), [&](const Json& candidate) {
        return map_key(schema, candidate) == key;
    });
    return found == old->end() ? nullptr : &*found;
}

const Json* old_member(const Json* old, const std::string& name) {
    if (!old || !old->is_object()) return nullptr;
    const auto found = old->find(name);
    return found == old->end() ? nullptr : &*found;
}

std::string joined(const std::string& path, const std::string& name) {
    return path.empty() ? name : path + "." + name;
}

void Judge::demands(const Schema& schema, const Json& value, const Json* old,
                    const std::string& path) {
    if (old && *old == value) return;
    if (!has_type(value, schema.type)) {
        blocking("FieldValueTypeInvalid", path,
                 fmt::format("Invalid value: \"{0}\": {1} in body must be of type {2}: \"{0}\"",
                             json_type(value), path, type_name(schema.type)));
        return;
    }
    if (value.is_string()) text_demands(schema, value, path);
    if (value.is_number()) number_demands(schema, value, path);
    if (value.is_array()) list_demands(schema, value, old, path);
    if (value.is_object()) object_demands(schema, value, old, path);
    if (schema.enumeration.empty() || !value.is_string()) return;
    const auto& allowed = schema.enumeration;
    if (std::find(allowed.begin(), allowed.end(), value.get_ref<const std::string&>()) !=
        allowed.end())
        return;
    std::string list;
    for (const std::string& word : allowed) list += (list.empty() ? "" : ", ") + in_quotes(word);
    add("FieldValueNotSupported", path,
        fmt::format("Unsupported value: {}: supported values: {}", shown(value), list));
}

void Judge::text_demands(const Schema& schema, const Json& value, const std::string& path) {
    const std::string& text = value.get_ref<const std::string&>();
    if (schema.length_max && characters(text) > *schema.length_max) {
        // No pattern is tried on a text that is too long: matching costs stack with its length.
        blocking("FieldValueTooLong", path,
                 fmt::format("Too long: may not be more than {} bytes", *schema.length_max));
        return;
    }
    if (schema.length_min && characters(text) < *schema.length_min)
        invalid_value(path, value,
                      fmt::format("should be at least {} chars long", *schema.length_min));
    if (schema.compiled_pattern && !std::regex_search(text, *schema.compiled_pattern))
        invalid_value(path, value, fmt::format("should match '{}'", schema.pattern));
    if (schema.format == "date-time" && !parse_rfc3339(text))
        add("FieldValueInvalid", path,
            fmt::format("Invalid value: {0}: {1} in body must be of type date-time: {0}",
                        shown(value), path));
}

void Judge::number_demands(const Schema& schema, const Json& value, const std::string& path) {
    if (schema.minimum && value.get<double>() < static_cast<double>(*schema.minimum))
        invalid_value(path, value,
                      fmt::format("should be greater than or equal to {}", *schema.minimum));
    if (schema.maximum && value.get<double>() > static_cast<double>(*schema.maximum))
        invalid_value(path, value,
                      fmt::format("should be less than or equal to {}", *schema.maximum));
    if (schema.format != "int32" || value.is_number_float()) return;
    const auto number = value.get<std::int64_t>();
    if (number < INT32_MIN || number > INT32_MAX)
        invalid_value(path, value, "must be of type int32");
}

void Judge::list_demands(const Schema& schema, const Json& value, const Json* old,
                         const std::string& path) {
    if (schema.items_max && value.size() > *schema.items_max) {
        blocking("FieldValueTooMany", path,
                 fmt::format("Too many: {}: must have at most {} items", value.size(),
                             *schema.items_max));
        return;
    }
    if (schema.items_min && value.size() < *schema.items_min)
        add("FieldValueInvalid", path,
            fmt::format("Invalid value: {}: {} in body should have at least {} items", value.size(),
                        path, *schema.items_min));
    for (std::size_t i = 0; schema.items && i < value.size(); ++i)
        demands(*schema.items, value[i], old_item(schema, old, value[i]),
                fmt::format("{}[{}]", path, i));
    unique_demands(schema, value, path);
}

void Judge::unique_demands(const Schema& schema, const Json& value, const std::string& path) {
    if (schema.list_type == ListType::atomic) return;
    std::vector<Json> seen;
    for (std::size_t i = 0; i < value.size(); ++i) {
        Json key = schema.list_type == ListType::map ? map_key(schema, value[i]) : value[i];
        if (std::find(seen.begin(), seen.end(), key) != seen.end())
            add("FieldValueDuplicate", fmt::format("{}[{}]", path, i),
                fmt::format("Duplicate value: {}", shown(key)));
        seen.push_back(std::move(key));
    }
}

void Judge::object_demands(const Schema& schema, const Json& value, const Json* old,
                           const std::string& path) {
    for (const std::string& name : schema.required) {
        if (!value.contains(name))
            blocking("FieldValueRequired", joined(path, name), "Required value");
    }
    if (schema.properties_max && value.size() > *schema.properties_max)
        blocking("FieldValueTooMany", path,
                 fmt::format("Too many: {}: must have at most {} items", value.size(),
                             *schema.properties_max));
    if (schema.properties_min && value.size() < *schema.properties_min)
        add("FieldValueInvalid", path,
            fmt::format("Invalid value: {}: {} in body should have at least {} properties",
                        value.size(), path, *schema.properties_min));
    for (const auto& [name, member] : value.items()) {
        if (const Schema* child = schema_of_member(schema, name))
            demands(*child, member, old_member(old, name), joined(path, name));
    }
}

void Judge::rules(const Schema& schema, const Json& value, const Json* old,
                  const std::string& path) {
    for (const Rule& rule : schema.rules) {
        if (rule.is_transition && !old) continue;
        if (!rule.is_transition && old && *old == value) continue;
        if (rule.holds(value, old)) continue;
        const std::string place =
            (path.empty() && rule.field_path.empty()) ? "<nil>" : path + rule.field_path;
        const bool shows_value = value.is_primitive() && rule.field_path.empty();
        add("FieldValueInvalid", place,
            shows_value ? fmt::format("Invalid value: {}: {}", shown(value), rule.message)
                        : fmt::format("Invalid value: {}", rule.message));
    }
    if (value.is_object()) {
        for (const auto& [name, member] : value.items()) {
            if (const Schema* child = schema_of_member(schema, name))
                rules(*child, member, old_member(old, name), joined(path, name));
        }
    }
    if (value.is_array() && schema.items) {
        for (std::size_t i = 0; i < value.size(); ++i)
            rules(*schema.items, value[i], old_item(schema, old, value[i]),
                  fmt::format("{}[{}]", path, i));
    }
}

}  // namespace

void apply_defaults(const Schema& schema, Json& value) {
    if (value.is_object()) {
        for (const auto& [name, child] : schema.properties) {
            auto found = value.find(name);
            const bool missing = found == value.end() || found->is_null();
            if (missing && child.default_value) {
                value[name] = *child.default_value;
                found = value.find(name);
            }
            if (found != value.end()) apply_defaults(child, *found);
        }
        if (schema.additional) {
            for (auto& [name, member] : value.items()) {
                if (!schema.properties.contains(name)) apply_defaults(*schema.additional, member);
            }
        }
    }
    if (value.is_array() && schema.items) {
        for (Json& item : value) apply_defaults(*schema.items, item);
    }
}

void prune(const Schema& schema, Json& value, const std::string& path,
           std::vector<std::string>& unknown) {
    if (value.is_array() && schema.items) {
        for (std::size_t i = 0; i < value.size(); ++i)
            prune(*schema.items, value[i], fmt::format("{}[{}]", path, i), unknown);
    }
    if (!value.is_object() || schema.type != SchemaType::object) return;
    for (auto member = value.begin(); member != value.end();) {
        const std::string place = joined(path, member.key());
        if (const Schema* child = schema_of_member(schema, member.key())) {
            // In maps of metadata a null is a value to real servers.
            const bool of_metadata =
                !schema.properties.contains(member.key()) && path.starts_with("metadata");
            if (member.value().is_null() && !child->default_value && !of_metadata) {
                member = value.erase(member);
                continue;
            }
            prune(*child, member.value(), place, unknown);
            ++member;
        } else if (schema.preserve_unknown) {
            ++member;
        } else {
            unknown.push_back(place);
            member = value.erase(member);
        }
    }
}

std::vector<Cause> problems(const Schema& schema, const Json& value, const Json* old) {
    Judge judge;
    judge.demands(schema, value, old, "");
    if (judge.blocks_rules()) {
        judge.add("FieldValueInvalid", "<nil>",
                  "Invalid value: null: some validation rules were not checked because the object "
                  "was invalid; correct the existing errors to complete validation");
    } else {
        judge.rules(schema, value, old, "");
    }
    return judge.take();
}

}  // namespace sallyport::apiserver
