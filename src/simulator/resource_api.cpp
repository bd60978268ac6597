#include <algorithm>

#include "base/text.hpp"
#include "simulator/resource.hpp"

namespace sallyport::simulator {

namespace {

/// What is peculiar to a kind of resource; everything else is the same for all.
struct Kind {
    std::string_view key;          ///< type in lower case
    const char* retry_after = "";  ///< of a PUT that takes time (recorded); empty: done at once
    bool compute = false;
};

constexpr Kind kinds[] = {
    {vnet_type, "3"}, {nic_type, ""}, {public_ip_type, "1"}, {asg_type, "1"}, {vm_type, "", true}};

const Kind& kind_of(std::string_view key) {
    const auto it = std::ranges::find_if(kinds, [&](const Kind& kind) { return kind.key == key; });
    check(it != std::end(kinds), "a kind of resource without an entry");
    return *it;
}

std::optional<http::Response> if_match_fails(const Call& call, const Resource& resource,
                                             bool compute) {
    const std::string given = call.expected_etag();
    const std::string etag =
        compute ? "\"" + std::to_string(resource.revision) + "\"" : resource.etag;
    if (given.empty() || given == "*" || given == etag) return std::nullopt;
    if (!compute) return precondition_failed(call, etag, resource.id);
    const std::string shown = given.starts_with('"') ? given : "\"" + given + "\"";
    return arm_error(412, "PreconditionFailed",
                     "Etag provided in if-match header " + shown + " does not match etag " + etag +
                         " of resource.");
}

std::vector<PageItem> items_of(Core& core, const Call& call) {
    std::vector<PageItem> items;
    for (auto& [group_key, group] : core.world.subscription(call.path.subscription)->groups) {
        if (call.path.group && !equals_ignoring_case(*call.path.group, group_key)) continue;
        const auto it = group.resources.find(call.path.type_key());
        if (it == group.resources.end()) continue;
        for (const auto& [key, resource] : it->second) {
            items.push_back({group_key + "/" + key, &resource});
        }
    }
    return items;
}

http::Response list(Core& core, const Call& call) {
    // A scale set's VMs are asked for with $filter; there are no scale sets here (recorded: []).
    const bool filtered = call.target.query("$filter").has_value();
    return page(core, call, filtered ? std::vector<PageItem>() : items_of(core, call),
                [&](const void* what) {
                    return resource_json(core, *static_cast<const Resource*>(what),
                                         call.api_version);
                });
}

void add_etag(http::Response& response, const Resource& resource, const Kind& kind) {
    response.headers.add(
        "ETag", kind.compute ? "\"" + std::to_string(resource.revision) + "\"" : resource.etag);
}

/// The write's end. `revised`: a new VM counts its ETag up once more (recorded).
Finish finish_put(const Resource& resource, bool fresh) {
    return [id = resource.id, write = resource.write, fresh](Core& core, bool succeeded) {
        Resource* live = core.world.resource_by_id(id);
        if (!live || live->write != write) return;
        live->state = succeeded ? "Succeeded" : "Failed";
        live->etag = core.new_etag();
        if (fresh) ++live->revision;
        stamp(*live);
        if (succeeded && live->type == "Microsoft.Compute/virtualMachines") vm_is_made(core, *live);
    };
}

http::Response put_answer(Core& core, Call& call, Resource& resource, const Kind& kind, bool fresh,
                          bool changed) {
    const bool at_once = kind.key == nic_type;
    if (!at_once && (changed || kind.compute)) {
        resource.state = kind.compute && fresh ? "Creating" : "Updating";
    }
    stamp(resource);
    http::Response response =
        json_response(fresh ? 201 : 200, resource_json(core, resource, call.api_version));
    if (kind.compute) add_etag(response, resource, kind);
    if (at_once) return response;
    const std::string id =
        start_operation(core, call,
                        {.provider = kind.compute ? "Microsoft.Compute" : "Microsoft.Network",
                         .location = resource.location,
                         // Recorded: a changed VM shows Succeeded to the very next read.
                         .takes_ms = kind.compute && !fresh ? 0 : core.behaviour.operation_ms},
                        finish_put(resource, fresh && (changed || kind.compute)));
    // Recorded: an update of a VM has no operation to poll; a network resource always has one.
    if (kind.compute && !fresh) return response;
    add_operation_headers(core, call, id, response, false);
    if (changed && kind.retry_after[0] != '\0') {
        add_retry_after(call, response, kind.retry_after[0] - '0');
    }
    return response;
}

http::Response put(Core& core, Call& call, Group& group) {
    const std::string& name = call.path.name();
    const std::string type_key = call.path.type_key();
    const Kind& kind = kind_of(type_key);
    if (!is_valid_name(name)) return name_required(call);
    if (text_at(call.body, "location").empty()) {
        return gateway_error(400, "LocationRequired",
                             "The location property is required for this definition.");
    }
    ByName<Resource>& all = group.resources[type_key];
    const auto old = all.find(lower(name));
    const bool fresh = old == all.end();
    if (!fresh) {
        if (auto no = if_match_fails(call, old->second, kind.compute)) return std::move(*no);
    }
    Resource next = fresh ? Resource{} : old->second;
    if (fresh) {
        next.name = name;
        next.type = known_type(type_key);
        next.id = group.id + "/providers/" + next.type + "/" + name;
        next.revision = 0;
    }
    next.location = text_at(call.body, "location");
    next.tags = call.body.value("tags", Json());
    const Json before = next.properties;
    if (auto no = complete(core, call, next)) return std::move(*no);
    const bool changed = fresh || before != next.properties;
    next.etag = core.new_etag();
    next.write = ++core.writes;
    ++next.revision;
    Resource& stored = all[lower(name)] = std::move(next);
    core.world.associations_changed();
    return put_answer(core, call, stored, kind, fresh, changed);
}

void erase(Core& core, const std::string& id) {
    core.world.each_group([&](Subscription&, Group& group) {
        for (auto& [type, all] : group.resources) {
            std::erase_if(all, [&](const auto& entry) { return entry.second.id == id; });
        }
    });
    core.world.associations_changed();
}

http::Response remove(Core& core, Call& call, Group& group) {
    http::Response response;
    const std::string type_key = call.path.type_key();
    ByName<Resource>& all = group.resources[type_key];
    const auto it = all.find(lower(call.path.name()));
    if (it == all.end()) {
        response.status = 204;
        return response;
    }
    Resource& resource = it->second;
    if (auto no = in_use(core, resource)) return std::move(*no);
    // Recorded: a NIC that never belonged to a VM is deleted with 200, another with 202; both with
    // the headers of an operation.
    response.status = type_key == nic_type && !resource.was_used ? 200 : 202;
    resource.state = "Deleting";
    resource.write = ++core.writes;
    const Kind& kind = kind_of(type_key);
    const std::string id =
        start_operation(core, call,
                        {.provider = kind.compute ? "Microsoft.Compute" : "Microsoft.Network",
                         .location = resource.location,
                         .takes_ms = core.behaviour.operation_ms},
                        [gone = resource.id, write = resource.write](Core& at_end, bool succeeded) {
                            Resource* live = at_end.world.resource_by_id(gone);
                            if (!live || live->write != write) return;
                            if (!succeeded) {
                                live->state = "Failed";
                                return;
                            }
                            if (live->type == "Microsoft.Compute/virtualMachines")
                                vm_is_gone(at_end, *live);
                            erase(at_end, gone);
                        });
    add_operation_headers(core, call, id, response, true);
    add_retry_after(call, response, 1);
    return response;
}

http::Response patch(Core& core, Call& call, Resource& resource) {
    resource.tags = call.body.is_object() ? call.body.value("tags", Json()) : Json();
    resource.etag = core.new_etag();
    ++resource.revision;
    stamp(resource);
    return json_response(200, resource_json(core, resource, call.api_version));
}

}  // namespace

http::Response answer_resource(Core& core, Call& call) {
    if (call.path.is_collection()) {
        return call.is("GET") ? list(core, call) : method_not_allowed(call);
    }
    Group& group = *core.world.group(call.path.subscription, *call.path.group);
    if (call.is("PUT")) return put(core, call, group);
    if (call.is("DELETE")) return remove(core, call, group);
    const std::string key = call.path.type_key();
    Resource* resource =
        core.world.resource(call.path.subscription, *call.path.group, key, call.path.name());
    if (!resource) return resource_not_found(known_type(key), call.path.name(), *call.path.group);
    if (call.is("PATCH")) return patch(core, call, *resource);
    if (!call.is("GET")) return method_not_allowed(call);
    http::Response response = json_response(200, resource_json(core, *resource, call.api_version));
    add_etag(response, *resource, kind_of(key));
    return response;
}

}  // namespace sallyport::simulator
