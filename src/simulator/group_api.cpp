#include "base/text.hpp"
#include "simulator/resource.hpp"

namespace sallyport::simulator {

namespace {

http::Response put_group(Core& core, Call& call, Subscription& sub) {
    const std::string location = text_at(call.body, "location");
    if (location.empty()) {
        return gateway_error(400, "LocationRequired",
                             "The location property is required for this definition.");
    }
    const std::string key = lower(*call.path.group);
    const auto [it, fresh] = sub.groups.try_emplace(key);
    Group& group = it->second;
    if (!fresh && !equals_ignoring_case(group.location, location)) {
        return gateway_error(409, "InvalidResourceGroupLocation",
                             "Invalid resource group location '" + location +
                                 "'. The Resource group already exists in location '" +
                                 group.location + "'.");
    }
    if (fresh) {
        group.name = *call.path.group;
        group.id = "/subscriptions/" + sub.id + "/resourceGroups/" + group.name;
        group.location = location;
        sub.gone.erase(key);
    }
    group.tags = call.body.value("tags", Json());
    ++core.writes;
    return json_response(fresh ? 201 : 200, group_json(group));
}

http::Response delete_group(Core& core, Call& call, Subscription& sub) {
    const auto it = sub.groups.find(lower(*call.path.group));
    if (it == sub.groups.end()) return group_not_found(*call.path.group);
    it->second.state = "Deleting";
    http::Response response;
    response.status = 202;
    const std::string id = start_operation(
        core, call,
        {.provider = "", .location = it->second.location, .takes_ms = core.behaviour.operation_ms},
        [sub_id = sub.id, key = it->first](Core& at_end, bool succeeded) {
            Subscription* live = at_end.world.subscription(sub_id);
            const auto group = live->groups.find(key);
            if (group == live->groups.end()) return;
            if (!succeeded) {
                group->second.state = "Succeeded";
                return;
            }
            live->groups.erase(group);
            live->gone[key] = {at_end.now_ms, 0};
            at_end.world.associations_changed();
        });
    add_operation_headers(core, call, id, response, true);
    add_retry_after(call, response, 15);
    return response;
}

}  // namespace

http::Response answer_resource_group(Core& core, Call& call) {
    Subscription& sub = *core.world.subscription(call.path.subscription);
    if (call.path.lists_groups) {
        if (!call.is("GET")) return method_not_allowed(call);
        std::vector<PageItem> items;
        for (const auto& [key, group] : sub.groups) items.push_back({key, &group});
        return page(core, call, items, [](const void* group) {
            return group_json(*static_cast<const Group*>(group));
        });
    }
    if (call.is("PUT")) return put_group(core, call, sub);
    if (call.is("DELETE")) return delete_group(core, call, sub);
    const auto it = sub.groups.find(lower(*call.path.group));
    if (call.is("HEAD")) {
        http::Response response;
        response.status = it == sub.groups.end() ? 404 : 204;
        return response;
    }
    if (!call.is("GET")) return method_not_allowed(call);
    if (it == sub.groups.end()) return group_not_found(*call.path.group);
    return json_response(200, group_json(it->second));
}

}  // namespace sallyport::simulator
