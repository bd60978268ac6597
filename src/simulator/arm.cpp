#include <algorithm>
#include <array>

#include "base/text.hpp"
#include "simulator/core.hpp"

namespace sallyport::simulator {

namespace {

using Answer = http::Response (*)(Core&, Call&);

struct Type {
    std::string_view name;  ///< as Azure writes it
    Answer answer;
    bool needs_group = true;  ///< false: also listed at the subscription
};

constexpr std::array types = {
    Type{"Microsoft.Network/networkSecurityGroups", answer_nsg, false},
    Type{"Microsoft.Network/networkSecurityGroups/securityRules", answer_rule},
    Type{"Microsoft.Network/networkSecurityGroups/defaultSecurityRules", answer_default_rule},
    Type{"Microsoft.Network/virtualNetworks", answer_resource, false},
    Type{"Microsoft.Network/virtualNetworks/subnets", answer_subnet},
    Type{"Microsoft.Network/virtualNetworks/virtualNetworkPeerings", answer_sub_list},
    Type{"Microsoft.Network/networkInterfaces", answer_resource, false},
    Type{"Microsoft.Network/networkInterfaces/ipConfigurations", answer_sub_list},
    Type{"Microsoft.Network/publicIPAddresses", answer_resource, false},
    Type{"Microsoft.Network/applicationSecurityGroups", answer_resource, false},
    Type{"Microsoft.Network/locations/serviceTags", answer_service_tags, false},
    Type{"Microsoft.Compute/virtualMachines", answer_resource, false},
    Type{"Microsoft.Compute/virtualMachines/instanceView", answer_sub_list},
    Type{"Microsoft.Authorization/locks", answer_locks, false},
    Type{"Microsoft.Authorization/permissions", answer_permissions, false},
    Type{"Microsoft.Authorization/denyAssignments", answer_deny_assignments, false},
};

const Type* find_type(std::string_view key) {
    const auto it = std::ranges::find_if(
        types, [&](const Type& type) { return equals_ignoring_case(type.name, key); });
    return it == types.end() ? nullptr : &*it;
}

/// `2024-01-01` or `2024-01-01-preview`.
bool is_api_version(std::string_view text) {
    if (text.size() < 10 || (text.size() > 10 && text.substr(10) != "-preview")) return false;
    for (std::size_t i = 0; i < 10; ++i) {
        const bool dash = i == 4 || i == 7;
        if (dash ? text[i] != '-' : (text[i] < '0' || text[i] > '9')) return false;
    }
    return text >= "2014-04-01";
}

/// The id that the request is about: what locks, roles and errors name.
std::string id_of(const ArmPath& path) {
    std::string id = path.scope;
    if (!path.provider.empty()) id += "/providers/" + path.provider;
    for (const auto& [type, name] : path.types) {
        id += "/" + type;
        if (!name.empty()) id += "/" + name;
    }
    return id;
}

/// `Microsoft.Network/networkSecurityGroups/securityRules/write` and the like.
std::string action_of(const Call& call) {
    std::string type = "Microsoft.Resources/subscriptions";
    if (call.path.group || call.path.lists_groups) type += "/resourceGroups";
    if (!call.path.provider.empty()) type = known_type(call.path.type_key());
    if (call.is("GET")) return type + "/read";
    if (call.is("DELETE")) return type + "/delete";
    if (call.is("POST")) return type + "/action";
    return type + "/write";
}

http::Response authorization_failed(const Call& call, const std::string& action,
                                    const std::string& scope) {
    return gateway_error(403, "AuthorizationFailed",
                         "The client '" + call.principal->app_id + "' with object id '" +
                             call.principal->object_id +
                             "' does not have authorization to perform action '" + action +
                             "' over scope '" + scope +
                             "' or the scope is invalid. If access was recently granted, please "
                             "refresh your credentials.");
}

std::optional<http::Response> refuse_caller(Core& core, const Call& call) {
    if (!call.principal) return std::nullopt;  // the estate is being loaded
    // unverified: that anybody may list what they themselves may do.
    if (call.path.type_key() == "microsoft.authorization/permissions" &&
        !call.effect.denies_action) {
        return std::nullopt;
    }
    const std::string action = action_of(call);
    const std::string scope = id_of(call.path);
    if (call.effect.denies_action) return authorization_failed(call, action, scope);
    if (const DenyAssignment* deny =
            denied_by(core.deny_assignments, *call.principal, action, scope)) {
        // unverified: wording; the code is documented.
        return gateway_error(403, "DenyAssignmentAuthorizationFailed",
                             "The client '" + call.principal->app_id + "' with object id '" +
                                 call.principal->object_id +
                                 "' has permission to perform action '" + action + "' on scope '" +
                                 scope +
                                 "'; however, the access is denied because of the deny "
                                 "assignment with name '" +
                                 deny->name + "' at scope '" + deny->scope + "'.");
    }
    if (is_allowed(*call.principal, action, scope)) return std::nullopt;
    return authorization_failed(call, action, scope);
}

std::optional<http::Response> refuse_by_policy(const Call& call) {
    const std::string& assignment = call.effect.denies_by_policy;
    if (assignment.empty() || call.is("GET") || call.is("DELETE")) return std::nullopt;
    const std::string sub = "/subscriptions/" + call.path.subscription;
    const std::string definition =
        sub + "/providers/Microsoft.Authorization/policyDefinitions/" + assignment;
    const std::string assigned =
        sub + "/providers/Microsoft.Authorization/policyAssignments/" + assignment;
    const Json identifiers =
        Json::array({{{"policyAssignment", {{"name", assignment}, {"id", assigned}}},
                      {"policyDefinition", {{"name", assignment}, {"id", definition}}}}});
    // unverified: some names inside `info`.
    const Json info = {{"policyDefinitionDisplayName", assignment},
                       {"policyDefinitionId", definition},
                       {"policyDefinitionName", assignment},
                       {"policyDefinitionEffect", "deny"},
                       {"policyAssignmentId", assigned},
                       {"policyAssignmentName", assignment},
                       {"policyAssignmentDisplayName", assignment},
                       {"policyAssignmentScope", sub},
                       {"policyAssignmentParameters", Json::object()}};
    const std::string target =
        call.path.types.empty() ? call.path.group.value_or("") : call.path.name();
    return gateway_error(
        403, "RequestDisallowedByPolicy",
        "Resource '" + target + "' was disallowed by policy. Policy identifiers: '" +
            dumped(identifiers) + "'.",
        ",\"target\":" + json_text(target) +
            R"(,"additionalInfo":[{"type":"PolicyViolation","info":)" + dumped(info) + "}]");
}

std::optional<http::Response> refuse_by_lock(Core& core, const Call& call) {
    if (call.is("GET") || equals_ignoring_case(call.path.provider, "Microsoft.Authorization")) {
        return std::nullopt;  // a lock does not guard itself against being taken off
    }
    const bool removal = call.is("DELETE");
    const std::string id = id_of(call.path);
    const bool whole_group = removal && call.path.provider.empty();
    const Lock* lock =
        whole_group ? core.world.lock_within(id) : core.world.lock_against(id, removal);
    if (!lock) return std::nullopt;
    // unverified: the wording for writes under a ReadOnly lock.
    return gateway_error(409, "ScopeLocked",
                         "The scope '" + id + "' cannot perform " + (removal ? "delete" : "write") +
                             " operation because following scope(s) are locked: '" + lock->scope +
                             "'. Please remove the lock and try again.");
}

/// Not every front end of ARM knows at once that a group is gone. Recorded: of two deletes of
/// children right after it, the first was told that the group, the second that the parent is
/// missing.
std::optional<http::Response> refuse_gone_group(Core& core, const Call& call, Subscription& sub) {
    constexpr std::int64_t settles_ms = 60'000;
    const auto gone = sub.gone.find(lower(*call.path.group));
    if (gone == sub.gone.end() || call.path.types.size() < 2) return std::nullopt;
    if (core.now_ms - gone->second.at_ms > settles_ms) {
        sub.gone.erase(gone);
        return std::nullopt;
    }
    if (++gone->second.asked % 2 == 1) return std::nullopt;
    const auto& [type, name] = call.path.types[0];
    return resource_not_found(known_type(lower(call.path.provider + "/" + type)), name,
                              *call.path.group);
}

std::optional<http::Response> refuse_scope(Core& core, const Call& call) {
    Subscription* sub = core.world.subscription(call.path.subscription);
    if (!sub) {
        return gateway_error(
            404, "SubscriptionNotFound",
            "The subscription '" + call.path.subscription + "' could not be found.");
    }
    if (!call.path.group || sub->groups.contains(lower(*call.path.group))) return std::nullopt;
    if (call.path.provider.empty()) return std::nullopt;  // the group's own answers
    if (auto other = refuse_gone_group(core, call, *sub)) return other;
    return group_not_found(*call.path.group);
}

http::Response answer_subscription(Core& core, const Call& call) {
    if (!call.is("GET")) return method_not_allowed(call);
    if (!call.path.subscription.empty()) {
        return json_response(
            200, subscription_json(core, *core.world.subscription(call.path.subscription)));
    }
    std::vector<PageItem> items;
    for (const auto& [key, sub] : core.world.subscriptions) {
        const bool any =
            !call.principal || !permissions_at(*call.principal, "/subscriptions/" + sub.id).empty();
        if (any) items.push_back({key, &sub});
    }
    http::Response response = page(core, call, items, [&](const void* sub) {
        return subscription_json(core, *static_cast<const Subscription*>(sub));
    });
    // The specification of this one list requires the member; unverified: what it holds at the end.
    if (response.body.ends_with("]}"))
        response.body.insert(response.body.size() - 1, ",\"nextLink\":\"\"");
    return response;
}

std::optional<http::Response> refuse_request(const Call& call) {
    if (call.api_version.empty()) {
        // unverified: code.
        return gateway_error(
            400, "MissingApiVersionParameter",
            "The api-version query parameter (?api-version=) is required for all requests.");
    }
    if (!is_api_version(call.api_version)) {
        return gateway_error(400, "InvalidApiVersionParameter",
                             "The api-version '" + call.api_version + "' is invalid.");
    }
    if (!call.path.provider.empty() && !find_type(call.path.type_key())) {
        return gateway_error(400, "InvalidResourceType",
                             "The resource type could not be found in the namespace '" +
                                 call.path.provider + "' for api version '" + call.api_version +
                                 "'.");
    }
    const bool writes = call.is("PUT") || call.is("PATCH");
    if (writes && !call.body.is_object()) {
        return gateway_error(400, "InvalidRequestContent",
                             "The request content was invalid and could not be deserialized.");
    }
    return std::nullopt;
}

}  // namespace

std::string Call::expected_etag() const {
    if (const auto header = request.headers.find("If-Match")) return std::string(*header);
    // unverified: that the member alone counts. The recorded requests carry it beside the header.
    return is("PUT") ? text_at(body, "etag") : std::string();
}

std::string known_type(std::string_view type_key) {
    const Type* type = find_type(type_key);
    return type ? std::string(type->name) : std::string();
}

http::Response method_not_allowed(const Call& call) {
    return gateway_error(
        405, "MethodNotAllowed",
        "The requested resource does not support http method '" + call.request.method + "'.");
}

http::Response precondition_failed(const Call& call, const std::string& etag,
                                   const std::string& id) {
    std::string given = call.expected_etag();
    if (!given.starts_with("W/")) given = "W/\"" + given + "\"";  // recorded: shown as a weak ETag
    return arm_error(
        412, "PreconditionFailed", "Precondition failed.",
        R"(,"details":[{"code":"PreconditionFailedEtagMismatch","message":)" +
            json_text("Etag provided in if-match header " + given + " does not match etag " + etag +
                      " of resource " + id + " in NRP data store.") +
            "}]");
}

http::Response name_required(const Call& call) {
    // unverified: wording.
    return arm_error(400, "InvalidResourceName",
                     "Resource name " + call.path.name() + " is invalid.", R"(,"details":[])");
}

http::Response answer_arm(Core& core, Call& call) {
    if (auto no = refuse_request(call)) return std::move(*no);
    if (call.path.subscription.empty()) return answer_subscription(core, call);
    if (!core.world.subscription(call.path.subscription)) return *refuse_scope(core, call);
    if (auto no = refuse_caller(core, call)) return std::move(*no);
    if (auto no = refuse_scope(core, call)) return std::move(*no);
    if (auto no = refuse_by_lock(core, call)) return std::move(*no);
    if (auto no = refuse_by_policy(call)) return std::move(*no);
    if (call.path.provider.empty()) {
        if (call.path.group || call.path.lists_groups) return answer_resource_group(core, call);
        return answer_subscription(core, call);
    }
    const Type& type = *find_type(call.path.type_key());
    if (type.needs_group && !call.path.group) {
        return gateway_error(404, "InvalidResourceType",
                             "The resource type needs a resource group.");
    }
    if (!call.path.group && !call.path.is_collection() && type.answer == answer_resource) {
        return gateway_error(404, "MissingSubscription",
                             "The request did not have a resource group.");
    }
    return type.answer(core, call);
}

}  // namespace sallyport::simulator
