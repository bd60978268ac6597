#include "apiserver/discovery.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>

namespace sallyport::apiserver {

namespace {

using Json = nlohmann::json;

Json verbs_of(const ResourceType&) {
    return Json::array({"create", "delete", "get", "list", "patch", "update", "watch"});
}

const Json status_verbs = Json::array({"get", "patch", "update"});

/// Groups in the order in which they first appear, with their version; one version each.
std::vector<std::pair<std::string, std::string>> groups_of(const Resources& resources) {
    std::vector<std::pair<std::string, std::string>> list;
    for (const auto& type : resources.types()) {
        const std::pair group(type->name.group, type->version);
        if (std::find(list.begin(), list.end(), group) == list.end()) list.push_back(group);
    }
    return list;
}

Json with_names(Json resource, const ResourceType& type) {
    if (!type.short_names.empty()) resource["shortNames"] = type.short_names;
    if (!type.categories.empty()) resource["categories"] = type.categories;
    return resource;
}

Json aggregated_resource(const ResourceType& type) {
    const auto response_kind = [&type] {
        return Json{{"group", type.name.group}, {"version", type.version}, {"kind", type.kind}};
    };
    Json resource = {{"resource", type.name.plural},
                     {"responseKind", response_kind()},
                     {"scope", type.namespaced ? "Namespaced" : "Cluster"},
                     {"singularResource", type.singular},
                     {"verbs", verbs_of(type)}};
    if (type.has_status)
        resource["subresources"] = Json::array({{{"subresource", "status"},
                                                 {"responseKind", response_kind()},
                                                 {"verbs", status_verbs}}});
    return with_names(std::move(resource), type);
}

Json group_of(const std::string& group, const std::string& version) {
    const Json entry = {{"groupVersion", group + "/" + version}, {"version", version}};
    return {{"name", group}, {"versions", Json::array({entry})}, {"preferredVersion", entry}};
}

}  // namespace

std::string aggregated_discovery(const Resources& resources, bool of_core,
                                 std::string_view version) {
    Json items = Json::array();
    for (const auto& [group, group_version] : groups_of(resources)) {
        if (group.empty() != of_core) continue;
        Json list = Json::array();
        for (const auto& type : resources.types()) {
            if (type->name.group == group) list.push_back(aggregated_resource(*type));
        }
        Json item = {{"metadata", Json::object()},
                     {"versions", Json::array({{{"version", group_version},
                                                {"resources", std::move(list)},
                                                {"freshness", "Current"}}})}};
        if (!group.empty()) item["metadata"]["name"] = group;
        items.push_back(std::move(item));
    }
    return Json({{"kind", "APIGroupDiscoveryList"},
                 {"apiVersion", "apidiscovery.k8s.io/" + std::string(version)},
                 {"metadata", Json::object()},
                 {"items", std::move(items)}})
        .dump();
}

std::string api_versions() {
    return Json({{"kind", "APIVersions"},
                 {"versions", {"v1"}},
                 {"serverAddressByClientCIDRs", Json::array()}})
        .dump();
}

std::string api_group_list(const Resources& resources) {
    Json groups = Json::array();
    for (const auto& [group, version] : groups_of(resources)) {
        if (!group.empty()) groups.push_back(group_of(group, version));
    }
    return Json({{"kind", "APIGroupList"}, {"apiVersion", "v1"}, {"groups", std::move(groups)}})
        .dump();
}

std::string api_group(const Resources& resources, std::string_view group) {
    for (const auto& [name, version] : groups_of(resources)) {
        if (name != group || name.empty()) continue;
        Json answer = group_of(name, version);
        answer["kind"] = "APIGroup";
        answer["apiVersion"] = "v1";
        return answer.dump();
    }
    return {};
}

std::string api_resource_list(const Resources& resources, std::string_view group,
                              std::string_view version) {
    Json list = Json::array();
    std::string group_version;
    for (const auto& type : resources.types()) {
        if (type->name.group != group || type->version != version) continue;
        group_version = type->api_version();
        list.push_back(with_names({{"name", type->name.plural},
                                   {"singularName", type->singular},
                                   {"namespaced", type->namespaced},
                                   {"kind", type->kind},
                                   {"verbs", verbs_of(*type)}},
                                  *type));
        if (type->has_status)
            list.push_back({{"name", type->name.plural + "/status"},
                            {"singularName", ""},
                            {"namespaced", type->namespaced},
                            {"kind", type->kind},
                            {"verbs", status_verbs}});
    }
    if (list.empty()) return {};
    return Json({{"kind", "APIResourceList"},
                 {"apiVersion", "v1"},
                 {"groupVersion", group_version},
                 {"resources", std::move(list)}})
        .dump();
}

}  // namespace sallyport::apiserver
