#include "apiserver/roles.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "base/text.hpp"

namespace sallyport::apiserver {

namespace {

using Words = std::vector<std::string_view>;

/// One rule of a role. `*` in verbs means all; resources are qualified, `/status` is part of them.
struct Allowance {
    std::string_view group;
    Words resources;
    Words verbs;
};

const Words read = {"get", "list", "watch"};

/// What describe and apply look at beside the kinds of a role.
const Words surroundings = {"namespaces", "events"};

const std::vector<Allowance>& allowances() {
    static const std::vector<Allowance> list = {
        {requesters_group,
         {"accessgrants.sallyport.dev"},
         {"get", "list", "watch", "create", "delete"}},
        {requesters_group, {"jitpolicies.sallyport.dev"}, read},
        {requesters_group, surroundings, read},
        {approvers_group, {"accessgrants.sallyport.dev", "jitpolicies.sallyport.dev"}, read},
        {approvers_group, surroundings, read},
        {policy_authors_group, {"jitpolicies.sallyport.dev"}, {"*"}},
        {policy_authors_group, surroundings, read},
        {auditors_group,
         {"accessrecords.sallyport.dev", "accessledgers.sallyport.dev",
          "accessgrants.sallyport.dev", "jitpolicies.sallyport.dev", "cloudaccounts.sallyport.dev"},
         read},
        {auditors_group, surroundings, read},
        {controllers_group,
         {"cloudaccounts.sallyport.dev", "jitpolicies.sallyport.dev", "accessgrants.sallyport.dev"},
         {"get", "list", "watch", "patch", "update", "delete"}},
        {controllers_group,
         {"cloudaccounts.sallyport.dev/status", "jitpolicies.sallyport.dev/status",
          "accessgrants.sallyport.dev/status"},
         {"get", "patch", "update"}},
        {controllers_group,
         {"accessrecords.sallyport.dev", "accessrecords.sallyport.dev/status",
          "accessledgers.sallyport.dev", "accessledgers.sallyport.dev/status"},
         {"*"}},
        {controllers_group, {"namespaces"}, read},
        {controllers_group, {"events"}, {"get", "list", "watch", "create", "patch", "update"}},
        {controllers_group, {"secrets"}, {"get"}},
        {controllers_group, {"configmaps"}, {"get", "list", "watch", "create", "update", "patch"}},
        {controllers_group, {"leases.coordination.k8s.io"}, {"get", "create", "update", "patch"}},
    };
    return list;
}

bool has(const Words& words, std::string_view word) {
    return std::find(words.begin(), words.end(), word) != words.end();
}

bool in_group(const Identity& identity, std::string_view group) {
    return std::find(identity.groups.begin(), identity.groups.end(), group) !=
           identity.groups.end();
}

/// Secrets, ConfigMaps, Leases and everything of the operator's are its own namespace's only.
bool in_reach(const Allowance& allowance, const Access& access) {
    if (allowance.group != controllers_group || !access.type->namespaced) return true;
    const bool everywhere =
        has({"jitpolicies", "accessgrants", "events"}, access.type->name.plural);
    return everywhere || access.ns == operator_namespace;
}

}  // namespace

bool is_controller(const Identity& identity) {
    return identity.user == controller_user || in_group(identity, controllers_group);
}

bool may(const Identity& identity, const Access& access) {
    if (in_group(identity, admins_group) || in_group(identity, "system:masters")) return true;
    const std::string resource = access.type->name.qualified() +
                                 (access.subresource.empty() ? "" : "/" + access.subresource);
    return std::any_of(allowances().begin(), allowances().end(), [&](const Allowance& allowance) {
        const bool bound = allowance.group == controllers_group
                               ? is_controller(identity)
                               : in_group(identity, allowance.group);
        return bound && has(allowance.resources, resource) && in_reach(allowance, access) &&
               (has(allowance.verbs, access.verb) || has(allowance.verbs, "*"));
    });
}

Failure no_permission(const Identity& identity, const Access& access) {
    const std::string& plural = access.type->name.plural;
    const std::string resource =
        access.subresource.empty() ? plural : plural + "/" + access.subresource;
    const std::string where = access.ns.empty() || !access.type->namespaced
                                  ? "at the cluster scope"
                                  : fmt::format("in the namespace \"{}\"", access.ns);
    return forbidden(access.type->name, access.name,
                     fmt::format("User {} cannot {} resource \"{}\" in API group \"{}\" {}",
                                 in_quotes(identity.user), access.verb, resource,
                                 access.type->name.group, where));
}

}  // namespace sallyport::apiserver
