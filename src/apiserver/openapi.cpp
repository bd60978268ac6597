#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "apiserver/discovery.hpp"
#include "base/digest.hpp"
#include "base/text.hpp"

namespace sallyport::apiserver {

namespace {

using Json = nlohmann::json;

constexpr const char* object_meta_name = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";

/// `dev.sallyport.v1alpha1.AccessGrant`.
std::string schema_name(const ResourceType& type) {
    if (type.name.group.empty()) return "io.k8s.api.core." + type.version + "." + type.kind;
    if (!type.custom) {
        const std::string first(split(type.name.group, '.').front());
        return "io.k8s.api." + first + "." + type.version + "." + type.kind;
    }
    auto parts = split(type.name.group, '.');
    std::reverse(parts.begin(), parts.end());
    std::string name;
    for (const std::string_view part : parts) name += std::string(part) + ".";
    return name + type.version + "." + type.kind;
}

Json gvk_of(const ResourceType& type) {
    return {{"group", type.name.group}, {"version", type.version}, {"kind", type.kind}};
}

Json schema_of(const Resources& resources, const ResourceType& type) {
    Json schema = Json::parse(type.openapi);
    const Json own = schema["properties"].value("metadata", Json::object());
    const Json meta = Json::parse(resources.object_meta_openapi());
    schema["properties"]["metadata"] = {
        {"description", own.value("description", meta.value("description", ""))},
        {"allOf",
         Json::array({{{"$ref", std::string("#/components/schemas/") + object_meta_name}}})}};
    schema["properties"]["apiVersion"]["description"] =
        "APIVersion defines the versioned schema of this representation of an object.";
    schema["properties"]["kind"]["description"] =
        "Kind is the REST resource that this object represents, in CamelCase.";
    schema["x-kubernetes-group-version-kind"] = Json::array({gvk_of(type)});
    return schema;
}

Json operation(const ResourceType& type, const char* action,
               std::initializer_list<const char*> parameters) {
    Json list = Json::array();
    for (const char* name : parameters)
        list.push_back({{"name", name}, {"in", "query"}, {"schema", {{"type", "string"}}}});
    const Json content = {{"application/json",
                           {{"schema", {{"$ref", "#/components/schemas/" + schema_name(type)}}}}}};
    return {{"x-kubernetes-action", action},
            {"x-kubernetes-group-version-kind", gvk_of(type)},
            {"parameters", std::move(list)},
            {"responses", {{"200", {{"description", "OK"}, {"content", content}}}}}};
}

Json path_parameters(bool namespaced, bool named) {
    Json list = Json::array();
    const auto add = [&list](const char* name) {
        list.push_back(
            {{"name", name}, {"in", "path"}, {"required", true}, {"schema", {{"type", "string"}}}});
    };
    if (named) add("name");
    if (namespaced) add("namespace");
    return list;
}

void add_paths(const ResourceType& type, Json& paths) {
    const std::string root =
        type.name.group.empty() ? "/api/" + type.version : "/apis/" + type.api_version();
    const std::string collection =
        root + (type.namespaced ? "/namespaces/{namespace}/" : "/") + type.name.plural;
    const auto list = [&type] {
        return operation(
            type, "list",
            {"continue", "fieldSelector", "labelSelector", "limit", "resourceVersion", "watch"});
    };
    if (type.namespaced) paths[root + "/" + type.name.plural] = {{"get", list()}};
    paths[collection] = {
        {"parameters", path_parameters(type.namespaced, false)},
        {"get", list()},
        {"post", operation(type, "post", {"dryRun", "fieldManager", "fieldValidation"})}};

    const auto item = [&type](bool is_status) {
        Json operations = {
            {"parameters", path_parameters(type.namespaced, true)},
            {"get", operation(type, "get", {})},
            {"put", operation(type, "put", {"dryRun", "fieldManager", "fieldValidation"})},
            {"patch", operation(type, "patch", {"dryRun", "fieldManager", "fieldValidation"})}};
        if (!is_status) operations["delete"] = operation(type, "delete", {"dryRun"});
        return operations;
    };
    paths[collection + "/{name}"] = item(false);
    if (type.has_status) paths[collection + "/{name}/status"] = item(true);
}

}  // namespace

std::string openapi_document(const Resources& resources, std::string_view group,
                             std::string_view version) {
    Json paths = Json::object();
    Json schemas = Json::object();
    for (const auto& type : resources.types()) {
        if (type->name.group != group || type->version != version) continue;
        add_paths(*type, paths);
        schemas[schema_name(*type)] = schema_of(resources, *type);
    }
    if (schemas.empty()) return {};
    schemas[object_meta_name] = Json::parse(resources.object_meta_openapi());
    return Json({{"openapi", "3.0.0"},
                 {"info", {{"title", "Sallyport embedded control plane"}, {"version", "v1alpha1"}}},
                 {"paths", std::move(paths)},
                 {"components", {{"schemas", std::move(schemas)}}}})
        .dump();
}

std::string openapi_index(const Resources& resources) {
    Json paths = Json::object();
    for (const auto& type : resources.types()) {
        const std::string place =
            type->name.group.empty() ? "api/" + type->version : "apis/" + type->api_version();
        if (paths.contains(place)) continue;
        const std::string document = openapi_document(resources, type->name.group, type->version);
        paths[place] = {{"serverRelativeURL",
                         fmt::format("/openapi/v3/{}?hash={}", place, hex(sha256(document)))}};
    }
    return Json({{"paths", std::move(paths)}}).dump();
}

}  // namespace sallyport::apiserver
