#include <algorithm>

#include "base/text.hpp"
#include "simulator/resource.hpp"

namespace sallyport::simulator {

namespace {

Resource* parent_of(Core& core, const Call& call) {
    const auto& [type, name] = call.path.types[0];
    return core.world.resource(call.path.subscription, *call.path.group,
                               lower(call.path.provider + "/" + type), name);
}

http::Response parent_missing(const Call& call) {
    const auto& [type, name] = call.path.types[0];
    return resource_not_found(known_type(lower(call.path.provider + "/" + type)), name,
                              *call.path.group);
}

Finish finish_subnet(const std::string& id, std::uint64_t write) {
    return [id, write](Core& core, bool succeeded) {
        Resource* live = core.world.subnet_by_id(id);
        if (!live || live->write != write) return;
        live->state = succeeded ? "Succeeded" : "Failed";
        live->etag = core.new_etag();
    };
}

http::Response put_subnet(Core& core, Call& call, Resource& vnet) {
    const std::string& name = call.path.name();
    const auto old = vnet.children.find(lower(name));
    const bool fresh = old == vnet.children.end();
    Resource next = fresh ? Resource{} : old->second;
    next.name = name;
    next.type = "Microsoft.Network/virtualNetworks/subnets";
    next.id = vnet.id + "/subnets/" + name;
    const Json before = next.properties;
    const Json none = Json::object();
    const Json* given = member(call.body, "properties");
    if (auto no = complete_subnet(core, given ? *given : none, next, vnet)) return std::move(*no);
    const bool changed = fresh || before != next.properties;
    if (changed) next.state = "Updating";
    next.etag = core.new_etag();
    next.write = ++core.writes;
    Resource& stored = vnet.children[lower(name)] = std::move(next);
    core.world.associations_changed();
    const std::string id = start_operation(
        core, call, {.location = vnet.location, .takes_ms = core.behaviour.operation_ms},
        finish_subnet(stored.id, stored.write));
    http::Response response = json_response(fresh ? 201 : 200, subnet_json(stored));
    add_operation_headers(core, call, id, response, false);
    if (changed) add_retry_after(call, response, 3);
    return response;
}

http::Response delete_subnet(Core& core, Call& call, Resource& vnet) {
    http::Response response;
    const auto it = vnet.children.find(lower(call.path.name()));
    if (it == vnet.children.end()) {
        response.status = 204;
        return response;
    }
    if (auto no = in_use(core, it->second)) return std::move(*no);
    it->second.state = "Deleting";
    it->second.write = ++core.writes;
    const std::string id = start_operation(
        core, call, {.location = vnet.location, .takes_ms = core.behaviour.operation_ms},
        [vnet_id = vnet.id, key = it->first, write = it->second.write](Core& at_end,
                                                                       bool succeeded) {
            Resource* live = at_end.world.resource_by_id(vnet_id);
            if (!live) return;
            const auto now = live->children.find(key);
            if (now == live->children.end() || now->second.write != write) return;
            if (succeeded) {
                live->children.erase(now);
            } else {
                now->second.state = "Failed";
            }
            at_end.world.associations_changed();
        });
    response.status = 202;
    add_operation_headers(core, call, id, response, true);
    add_retry_after(call, response, 1);
    return response;
}

http::Response instance_view(const Resource& vm) {
    const Json body = {
        {"statuses",
         {{{"code", "ProvisioningState/" + lower(vm.state)},
           {"level", "Info"},
           {"displayStatus", "Provisioning " + lower(vm.state)}},
          {{"code", "PowerState/running"}, {"level", "Info"}, {"displayStatus", "VM running"}}}}};
    return json_response(200, dumped(body));
}

}  // namespace

http::Response answer_subnet(Core& core, Call& call) {
    Resource* vnet = parent_of(core, call);
    if (!vnet) return parent_missing(call);
    if (call.path.is_collection()) {
        if (!call.is("GET")) return method_not_allowed(call);
        std::vector<PageItem> items;
        for (const auto& [key, subnet] : vnet->children) items.push_back({key, &subnet});
        return page(core, call, items, [](const void* subnet) {
            return subnet_json(*static_cast<const Resource*>(subnet));
        });
    }
    if (call.is("PUT")) return put_subnet(core, call, *vnet);
    if (call.is("DELETE")) return delete_subnet(core, call, *vnet);
    if (!call.is("GET")) return method_not_allowed(call);
    const auto it = vnet->children.find(lower(call.path.name()));
    if (it == vnet->children.end())
        return child_not_found(vnet->id + "/subnets/" + call.path.name());
    http::Response response = json_response(200, subnet_json(it->second));
    response.headers.add("ETag", it->second.etag);
    return response;
}

http::Response answer_sub_list(Core& core, Call& call) {
    Resource* parent = parent_of(core, call);
    if (!parent) return parent_missing(call);
    if (!call.is("GET")) return method_not_allowed(call);
    const std::string word = lower(call.path.types[1].first);
    if (word == "instanceview") return instance_view(*parent);
    const char* key = word == "ipconfigurations" ? "ipConfigurations" : "virtualNetworkPeerings";
    const Json& list = parent->properties.at(key);
    std::vector<PageItem> items;
    for (const Json& item : list) {
        const std::string name = text_at(item, "name");
        if (equals_ignoring_case(name, call.path.name())) {
            http::Response response = json_response(200, dumped(item));
            response.headers.add("ETag", parent->etag);
            return response;
        }
        items.push_back({lower(name), &item});
    }
    if (!call.path.is_collection()) {
        return child_not_found(parent->id + "/" + key + "/" + call.path.name());
    }
    std::ranges::sort(items, {}, &PageItem::key);
    return page(core, call, items,
                [](const void* item) { return dumped(*static_cast<const Json*>(item)); });
}

http::Response answer_service_tags(Core& core, Call& call) {
    if (!call.is("GET")) return method_not_allowed(call);
    Json values = Json::array();
    for (const auto& [name, prefixes] : core.world.service_tags) {
        const std::size_t dot = name.find('.');
        values.push_back({{"name", name},
                          {"id", name},
                          {"properties",
                           {{"changeNumber", "1"},
                            {"region", dot == std::string::npos ? "" : lower(name.substr(dot + 1))},
                            {"systemService", "Azure" + name.substr(0, dot)},
                            {"addressPrefixes", prefixes}}}});
    }
    const Json body = {{"name", "Public"},
                       {"id", "/subscriptions/" + call.path.subscription +
                                  "/providers/Microsoft.Network/serviceTags/Public"},
                       {"type", "Microsoft.Network/serviceTags"},
                       {"changeNumber", "1"},
                       {"cloud", "Public"},
                       {"values", std::move(values)}};
    return json_response(200, dumped(body));
}

}  // namespace sallyport::simulator
