#include <algorithm>

#include "base/digest.hpp"
#include "base/text.hpp"
#include "simulator/core.hpp"

namespace sallyport::simulator {

namespace {

/// Locks at `scope`, above it and below it, as the list operations show them.
std::vector<PageItem> locks_seen_from(const World& world, std::string_view scope) {
    const std::string key = lower(scope);
    const auto covers = [](std::string_view above, std::string_view below) {
        return below.starts_with(above) &&
               (below.size() == above.size() || below[above.size()] == '/');
    };
    std::vector<PageItem> items;
    for (const auto& [at, by_name] : world.locks) {
        if (!covers(at, key) && !covers(key, at)) continue;
        for (const auto& [name, lock] : by_name) items.push_back({lower(lock.id), &lock});
    }
    std::ranges::sort(items, {}, &PageItem::key);
    return items;
}

http::Response put_lock(Core& core, Call& call) {
    const Json* given = member(call.body, "properties");
    const std::string level = given ? text_at(*given, "level") : std::string();
    if (level != "CanNotDelete" && level != "ReadOnly") {
        // unverified: code and wording.
        return gateway_error(400, "InvalidLockLevel",
                             "The lock level '" + level + "' is not valid.");
    }
    const std::string notes = text_at(*given, "notes");
    if (notes.size() > 512) {
        return gateway_error(400, "InvalidRequestContent",
                             "The lock notes are longer than 512 characters.");
    }
    auto& at_scope = core.world.locks[lower(call.path.scope)];
    const bool fresh = !at_scope.contains(lower(call.path.name()));
    Lock& lock = at_scope[lower(call.path.name())];
    lock.name = call.path.name();
    lock.scope = call.path.scope;
    lock.id = call.path.scope + "/providers/Microsoft.Authorization/locks/" + lock.name;
    lock.level = level;
    lock.properties = {{"level", level}};
    if (!notes.empty()) lock.properties["notes"] = notes;
    if (const Json* owners = member(*given, "owners")) lock.properties["owners"] = *owners;
    return json_response(fresh ? 201 : 200, lock_json(lock));
}

}  // namespace

std::string lock_json(const Lock& lock) {
    return dumped(Json{{"properties", lock.properties},
                       {"id", lock.id},
                       {"type", "Microsoft.Authorization/locks"},
                       {"name", lock.name}});
}

http::Response answer_locks(Core& core, Call& call) {
    if (call.path.is_collection()) {
        if (!call.is("GET")) return method_not_allowed(call);
        return page(core, call, locks_seen_from(core.world, call.path.scope),
                    [](const void* lock) { return lock_json(*static_cast<const Lock*>(lock)); });
    }
    if (call.is("PUT")) return put_lock(core, call);
    const auto at_scope = core.world.locks.find(lower(call.path.scope));
    const std::string key = lower(call.path.name());
    const bool there = at_scope != core.world.locks.end() && at_scope->second.contains(key);
    if (call.is("DELETE")) {
        http::Response response;
        response.status = there ? 200 : 204;
        if (there) at_scope->second.erase(key);
        return response;
    }
    if (!call.is("GET")) return method_not_allowed(call);
    if (!there) {
        // unverified: code and wording.
        return gateway_error(404, "LockNotFound",
                             "The lock '" + call.path.name() + "' could not be found.");
    }
    return json_response(200, lock_json(at_scope->second.at(key)));
}

http::Response answer_permissions(Core& core, Call& call) {
    if (!call.is("GET")) return method_not_allowed(call);
    std::vector<Json> held;
    std::vector<PageItem> items;
    for (const Permission* permission : permissions_at(*call.principal, call.path.scope)) {
        held.push_back(Json{{"actions", permission->actions},
                            {"notActions", permission->not_actions},
                            {"dataActions", Json::array()},
                            {"notDataActions", Json::array()}});
    }
    items.reserve(held.size());
    for (std::size_t i = 0; i < held.size(); ++i)
        items.push_back({std::to_string(1'000'000 + i), &held[i]});
    return page(core, call, items,
                [](const void* one) { return dumped(*static_cast<const Json*>(one)); });
}

http::Response answer_deny_assignments(Core& core, Call& call) {
    if (!call.is("GET")) return method_not_allowed(call);
    std::vector<Json> rendered;
    std::vector<PageItem> items;
    for (const DenyAssignment& one : core.deny_assignments) {
        const bool above = starts_with_ignoring_case(call.path.scope, one.scope);
        if (!above && !starts_with_ignoring_case(one.scope, call.path.scope)) continue;
        const std::string guid =
            uuid_v5("6ba7b810-9dad-11d1-80b4-00c04fd430c8", one.scope + one.name);
        Json excluded = Json::array();
        for (const Principal& principal : core.identity.principals()) {
            if (std::ranges::find(one.excluded, principal.name) == one.excluded.end()) continue;
            excluded.push_back({{"id", principal.object_id}, {"type", "ServicePrincipal"}});
        }
        rendered.push_back(
            {{"id", one.scope + "/providers/Microsoft.Authorization/denyAssignments/" + guid},
             {"name", guid},
             {"type", "Microsoft.Authorization/denyAssignments"},
             {"properties",
              {{"denyAssignmentName", one.name},
               {"permissions",
                {{{"actions", one.actions},
                  {"notActions", one.not_actions},
                  {"dataActions", Json::array()},
                  {"notDataActions", Json::array()}}}},
               {"scope", one.scope},
               {"doNotApplyToChildScopes", false},
               {"principals",
                {{{"id", "00000000-0000-0000-0000-000000000000"}, {"type", "SystemDefined"}}}},
               {"excludePrincipals", std::move(excluded)},
               {"isSystemProtected", true}}}});
    }
    items.reserve(rendered.size());
    for (std::size_t i = 0; i < rendered.size(); ++i) {
        items.push_back({std::to_string(1'000'000 + i), &rendered[i]});
    }
    return page(core, call, items,
                [](const void* one) { return dumped(*static_cast<const Json*>(one)); });
}

}  // namespace sallyport::simulator
