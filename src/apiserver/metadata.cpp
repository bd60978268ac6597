#include "apiserver/metadata.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "apiserver/jsonpath.hpp"
#include "base/digest.hpp"

namespace sallyport::apiserver {

namespace {

using Json = nlohmann::json;

constexpr std::size_t annotations_size_max = 256 * 1024;

bool is_lower_alnum(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); }
bool is_alnum(char c) { return is_lower_alnum(c) || (c >= 'A' && c <= 'Z'); }

bool is_dns_label(std::string_view text) {
    return !text.empty() && text.size() <= 63 && is_lower_alnum(text.front()) &&
           is_lower_alnum(text.back()) && std::all_of(text.begin(), text.end(), [](char c) {
               return is_lower_alnum(c) || c == '-';
           });
}

bool is_dns_subdomain(std::string_view text) {
    if (text.empty() || text.size() > 253) return false;
    std::size_t start = 0;
    while (true) {
        const std::size_t dot = text.find('.', start);
        const std::string_view part = text.substr(start, dot - start);
        const bool ok = !part.empty() && is_lower_alnum(part.front()) &&
                        is_lower_alnum(part.back()) &&
                        std::all_of(part.begin(), part.end(),
                                    [](char c) { return is_lower_alnum(c) || c == '-'; });
        if (!ok) return false;
        if (dot == std::string_view::npos) return true;
        start = dot + 1;
    }
}

bool is_label_word(std::string_view text) {
    return !text.empty() && text.size() <= 63 && is_alnum(text.front()) && is_alnum(text.back()) &&
           std::all_of(text.begin(), text.end(),
                       [](char c) { return is_alnum(c) || c == '-' || c == '_' || c == '.'; });
}

bool is_qualified_name(std::string_view text) {
    const std::size_t slash = text.find('/');
    if (slash == std::string_view::npos) return is_label_word(text);
    std::string prefix(text.substr(0, slash));
    std::transform(prefix.begin(), prefix.end(), prefix.begin(),
                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    return is_dns_subdomain(prefix) && is_label_word(text.substr(slash + 1));
}

constexpr const char* qualified_name_message =
    "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end "
    "with "
    "an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for "
    "validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
constexpr const char* label_value_message =
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', "
    "and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or "
    "'12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";
constexpr const char* subdomain_message =
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or "
    "'.', "
    "and must start and end with an alphanumeric character (e.g. 'example.com', regex used for "
    "validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
constexpr const char* dns_label_message =
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and "
    "must "
    "start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for "
    "validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";

Cause invalid_value(std::string field, std::string_view value, std::string_view why) {
    return {"FieldValueInvalid", fmt::format("Invalid value: {}: {}", in_quotes(value), why),
            std::move(field)};
}

void name_problems(const ResourceType& type, const Json& object, std::vector<Cause>& list) {
    const std::string name = text_of(object, ".metadata.name");
    if (name.empty()) {
        list.push_back({"FieldValueRequired", "Required value: name or generateName is required",
                        "metadata.name"});
    } else if (type.kind == "Namespace" && !is_dns_label(name)) {
        list.push_back(invalid_value("metadata.name", name, dns_label_message));
    } else if (!is_dns_subdomain(name)) {
        list.push_back(invalid_value("metadata.name", name, subdomain_message));
    }
    // A prefix may end with a dash, since more follows. Of Events a real server looks at none.
    std::string prefix = text_of(object, ".metadata.generateName");
    if (prefix.size() > 1 && prefix.ends_with('-')) prefix.replace(prefix.size() - 2, 2, "a");
    if (!prefix.empty() && type.kind != "Event" && !is_dns_subdomain(prefix))
        list.push_back(invalid_value("metadata.generateName", prefix, subdomain_message));
}

void owner_problems(const Json& metadata, std::vector<Cause>& list) {
    const auto owners = metadata.find("ownerReferences");
    if (owners == metadata.end() || !owners->is_array()) return;
    std::string controller;
    for (const Json& owner : *owners) {
        const auto must_be_there = [&](const char* member, const char* why) {
            const auto value = owner.find(member);
            if (value == owner.end() || !value->is_string() || *value == "")
                list.push_back(
                    invalid_value(fmt::format("metadata.ownerReferences.{}", member), "", why));
        };
        must_be_there("apiVersion", "version must not be empty");
        must_be_there("kind", "must not be empty");
        must_be_there("name", "must not be empty");
        must_be_there("uid", "must not be empty");
        if (owner.value("controller", Json()) != true) continue;
        const std::string name =
            fmt::format("{}/{}", owner.value("kind", ""), owner.value("name", ""));
        if (!controller.empty())
            list.push_back(
                invalid_value("metadata.ownerReferences", name,
                              fmt::format("Only one reference can have Controller set to true. "
                                          "Found \"true\" in references for {} and {}",
                                          controller, name)));
        controller = name;
    }
}

void label_problems(const Json& metadata, std::vector<Cause>& list) {
    const auto labels = metadata.find("labels");
    if (labels == metadata.end() || !labels->is_object()) return;
    for (const auto& [key, value] : labels->items()) {
        if (!is_qualified_name(key))
            list.push_back(invalid_value("metadata.labels", key, qualified_name_message));
        if (!value.is_string()) continue;
        const std::string& text = value.get_ref<const std::string&>();
        if (text.size() > 63) {
            list.push_back(invalid_value("metadata.labels", text, "must be no more than 63 bytes"));
        } else if (!text.empty() && !is_label_word(text)) {
            list.push_back(invalid_value("metadata.labels", text, label_value_message));
        }
    }
}

void annotation_problems(const Json& metadata, std::vector<Cause>& list) {
    const auto annotations = metadata.find("annotations");
    if (annotations == metadata.end() || !annotations->is_object()) return;
    std::size_t size = 0;
    for (const auto& [key, value] : annotations->items()) {
        if (!is_qualified_name(key))
            list.push_back(invalid_value("metadata.annotations", key, qualified_name_message));
        size += key.size();
        if (value.is_string()) size += value.get_ref<const std::string&>().size();
    }
    if (size > annotations_size_max)
        list.push_back(
            {"FieldValueTooLong",
             fmt::format("Too long: may not be more than {} bytes", annotations_size_max),
             "metadata.annotations"});
}

void finalizer_problems(const Json& object, std::vector<Cause>& list) {
    const std::vector<std::string> finalizers = finalizers_of(object);
    for (std::size_t i = 0; i < finalizers.size(); ++i) {
        if (!is_qualified_name(finalizers[i]))
            list.push_back(
                invalid_value("metadata.finalizers", finalizers[i], qualified_name_message));
    }
}

bool is_base64(std::string_view text) {
    if (text.size() % 4 != 0) return false;
    while (text.ends_with('=')) text.remove_suffix(1);
    return std::all_of(text.begin(), text.end(),
                       [](char c) { return is_alnum(c) || c == '+' || c == '/'; });
}

bool is_config_key(std::string_view key) {
    return !key.empty() && key.size() <= 253 && key != "." && !key.starts_with("..") &&
           std::all_of(key.begin(), key.end(),
                       [](char c) { return is_alnum(c) || c == '-' || c == '_' || c == '.'; });
}

void data_problems(const Json& object, const char* member, bool wants_base64,
                   std::vector<Cause>& list) {
    const auto data = object.find(member);
    if (data == object.end() || !data->is_object()) return;
    for (const auto& [key, value] : data->items()) {
        const std::string field = fmt::format("{}[{}]", member, key);
        if (!is_config_key(key))
            list.push_back(invalid_value(
                field, key,
                "a valid config key must consist of alphanumeric characters, '-', '_' or '.'"));
        if (wants_base64 && value.is_string() && !is_base64(value.get_ref<const std::string&>()))
            list.push_back({"FieldValueInvalid", "Invalid value: illegal base64 data", field});
    }
}

void immutable_problems(const Json& object, const Json& old, std::vector<Cause>& list) {
    if (!old.value("immutable", false)) return;
    if (!object.value("immutable", false))
        list.push_back({"FieldValueForbidden",
                        "Forbidden: field is immutable when `immutable` is set", "immutable"});
    for (const char* member : {"data", "binaryData"}) {
        if (object.value(member, Json::object()) != old.value(member, Json::object()))
            list.push_back({"FieldValueForbidden",
                            "Forbidden: field is immutable when `immutable` is set", member});
    }
}

}  // namespace

std::string text_of(const Json& object, const char* path) { return text_at_path(object, path); }

std::vector<std::string> finalizers_of(const Json& object) {
    std::vector<std::string> list;
    const Json* found = at_path(object, ".metadata.finalizers");
    if (!found || !found->is_array()) return list;
    for (const Json& item : *found) {
        if (item.is_string()) list.push_back(item.get<std::string>());
    }
    return list;
}

bool is_terminating(const Json& object) {
    return !text_of(object, ".metadata.deletionTimestamp").empty();
}

std::vector<Cause> metadata_problems(const ResourceType& type, const Json& object) {
    std::vector<Cause> list;
    const Json& metadata = object.at("metadata");
    name_problems(type, object, list);
    label_problems(metadata, list);
    annotation_problems(metadata, list);
    finalizer_problems(object, list);
    owner_problems(metadata, list);
    return list;
}

std::vector<Cause> builtin_problems(const ResourceType& type, const Json& object, const Json* old) {
    std::vector<Cause> list;
    if (type.custom) return list;
    if (type.kind == "Secret") {
        data_problems(object, "data", true, list);
        if (old && old->value("type", "") != object.value("type", ""))
            list.push_back(invalid_value("type", object.value("type", ""), "field is immutable"));
    }
    if (type.kind == "ConfigMap") {
        data_problems(object, "data", false, list);
        data_problems(object, "binaryData", true, list);
    }
    if (type.kind == "Secret" || type.kind == "ConfigMap") {
        if (old) immutable_problems(object, *old, list);
    }
    if (type.kind == "Event") {
        const std::string about = text_of(object, ".involvedObject.namespace");
        const std::string own = text_of(object, ".metadata.namespace");
        // Events about cluster-scoped objects live in `default`, as on a cluster.
        if (about.empty() ? own != "default" : about != own)
            list.push_back(
                invalid_value("involvedObject.namespace", about, "does not match event.namespace"));
    }
    return list;
}

void fold_string_data(Json& secret) {
    const auto found = secret.find("stringData");
    if (found == secret.end()) return;
    if (found->is_object()) {
        for (const auto& [key, value] : found->items()) {
            if (value.is_string())
                secret["data"][key] = base64(value.get_ref<const std::string&>());
        }
    }
    secret.erase("stringData");
}

}  // namespace sallyport::apiserver
