#pragma once

#include <string>
#include <string_view>

#include "apiserver/resources.hpp"
#include "model/object.hpp"

namespace sallyport::apiserver {

/// The controller's own identity, as on a cluster.
inline constexpr std::string_view controller_user =
    "system:serviceaccount:sallyport-system:sallyport-controller";

/// Roles are bound by group, in every namespace; they stand in for the RBAC of a cluster.
inline constexpr std::string_view admins_group = "sallyport:admins";  ///< also `system:masters`
inline constexpr std::string_view requesters_group = "sallyport:requesters";
inline constexpr std::string_view approvers_group = "sallyport:approvers";
inline constexpr std::string_view policy_authors_group = "sallyport:policy-authors";
inline constexpr std::string_view auditors_group = "sallyport:auditors";
inline constexpr std::string_view controllers_group = "sallyport:controllers";

/// True for the controller, by name or by group: who may write records, ledgers and status.
bool is_controller(const Identity& identity);

/// What a request wants: `verb` as RBAC names it (get, list, watch, create, update, patch, delete).
struct Access {
    std::string verb;
    const ResourceType* type = nullptr;
    std::string subresource = {};
    std::string ns = {};
    std::string name = {};
};
bool may(const Identity& identity, const Access& access);

/// The 403 of a real server.
Failure no_permission(const Identity& identity, const Access& access);

}  // namespace sallyport::apiserver
