#include "base/digest.hpp"
#include "base/text.hpp"
#include "simulator/resource.hpp"

namespace sallyport::simulator {

namespace {

/// The api-version from which these members appear is not recorded; the OpenAPI file of 2024-01-01
/// has none of them, the recordings of 2025-03-01 and later have all.
bool is_newer(std::string_view api_version) { return api_version >= "2024-03-01"; }

Json head_of(const Resource& resource) {
    Json json = {{"name", resource.name}, {"id", resource.id}};
    if (!resource.type.starts_with("Microsoft.Compute/")) json["etag"] = resource.etag;
    json["type"] = resource.type;
    return json;
}

Json properties_of(const Resource& resource) {
    Json properties = {{"provisioningState", resource.state}};
    for (const auto& [key, value] : resource.properties.items()) properties[key] = value;
    return properties;
}

Json subnet_of(const Resource& subnet) {
    Json json = head_of(subnet);
    json["properties"] = properties_of(subnet);
    return json;
}

void add_newer_members(Json& properties, std::string_view type) {
    if (type == vnet_type) properties["privateEndpointVNetPolicies"] = "Disabled";
    if (type == nic_type) {
        properties["allowPort25Out"] = true;
        properties["defaultOutboundConnectivityEnabled"] = false;
        properties["auxiliaryMode"] = "None";
        properties["auxiliarySku"] = "None";
    }
}

}  // namespace

std::string subnet_json(const Resource& subnet) { return dumped(subnet_of(subnet)); }

std::string resource_json(Core& core, const Resource& resource, std::string_view api_version) {
    const std::string type = lower(resource.type);
    Json json = head_of(resource);
    json["location"] = resource.location;
    if (resource.tags.is_object()) json["tags"] = resource.tags;
    for (const auto& [key, value] : resource.top.items()) {
        if (key != "kind" || is_newer(api_version)) json[key] = value;
    }
    Json properties = properties_of(resource);
    if (type == vnet_type) {
        properties["subnets"] = Json::array();
        for (const auto& [key, subnet] : resource.children)
            properties["subnets"].push_back(subnet_of(subnet));
    }
    if (type == public_ip_type) {
        core.world.each(nic_type, [&](Resource& nic) {
            for (const Json& config : nic.properties["ipConfigurations"]) {
                const Json* ip = member(config["properties"], "publicIPAddress");
                if (ip && equals_ignoring_case(text_at(*ip, "id"), resource.id)) {
                    properties["ipConfiguration"] = Json{{"id", text_at(config, "id")}};
                }
            }
        });
    }
    if (is_newer(api_version)) add_newer_members(properties, type);
    json["properties"] = std::move(properties);
    if (type == vm_type) json["etag"] = "\"" + std::to_string(resource.revision) + "\"";
    return dumped(json);
}

std::string group_json(const Group& group) {
    Json json = {{"id", group.id},
                 {"name", group.name},
                 {"type", "Microsoft.Resources/resourceGroups"},
                 {"location", group.location}};
    if (group.tags.is_object()) json["tags"] = group.tags;
    json["properties"] = {{"provisioningState", group.state}};
    return dumped(json);
}

std::string subscription_json(const Core& core, const Subscription& subscription) {
    const Json json = {{"id", "/subscriptions/" + subscription.id},
                       {"subscriptionId", subscription.id},
                       {"tenantId", core.identity.tenant()},
                       {"displayName", subscription.name},
                       {"state", "Enabled"},
                       {"subscriptionPolicies",
                        {{"locationPlacementId", "Public_2014-09-01"},
                         {"quotaId", "PayAsYouGo_2014-09-01"},
                         {"spendingLimit", "Off"}}},
                       {"authorizationSource", "RoleBased"}};
    return dumped(json);
}

http::Response page(Core& core, const Call& call, const std::vector<PageItem>& items,
                    const std::function<std::string(const void*)>& render) {
    // The token says what the page before ended with, not how many there were: items that come or
    // go between two pages neither repeat nor hide others.
    const std::string token = call.target.query("$skipToken").value_or("");
    const std::string after = token.empty() ? token : percent_decoded(token);
    std::size_t size = std::max<std::uint64_t>(1, core.behaviour.page_size);
    if (token.empty() && (core.behaviour.first_page_empty || call.effect.empty_page)) size = 0;
    std::string body = "{\"value\":[";
    std::size_t count = 0;
    std::string last = "!";
    bool more = false;
    for (const PageItem& item : items) {
        if (!token.empty() && item.key <= after) continue;
        if (count == size) {
            more = true;
            break;
        }
        if (count++ > 0) body += ",";
        body += render(item.what);
        last = item.key;
    }
    body += "]";
    if (more || (size == 0 && items.empty())) {
        std::string url = call.base;
        for (const std::string& segment : call.target.segments())
            url += "/" + percent_encoded(segment);
        url += "?";
        for (const auto& [name, value] : call.target.queries()) {
            if (name != "$skipToken")
                url += percent_encoded(name) + "=" + percent_encoded(value) + "&";
        }
        body += ",\"nextLink\":" +
                json_text(url + "$skipToken=" + percent_encoded(percent_encoded(last)));
    }
    return json_response(200, body + "}");
}

}  // namespace sallyport::simulator
