#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace sallyport::simulator {

/// One ARM request path, taken apart. Names are as the client wrote them.
///
///     /subscriptions/S/resourceGroups/G/providers/P/type/name/type/name
///     …scope…/providers/Microsoft.Authorization/locks/name      (an extension of any scope)
struct ArmPath {
    std::string subscription;
    std::optional<std::string> group;
    /// True for `/subscriptions/S/resourceGroups`, the list of groups.
    bool lists_groups = false;
    std::string provider;  ///< empty: the subscription or the group itself
    /// Type and name by turns; the last name is empty for a list or an action.
    std::vector<std::pair<std::string, std::string>> types;
    /// What the last `/providers/` stands behind: `/subscriptions/S`, a group, or a resource.
    std::string scope;
    /// The resource in front of an extension provider; empty without one.
    std::string scope_provider;
    std::vector<std::pair<std::string, std::string>> scope_types;

    /// `microsoft.network/networksecuritygroups/securityrules`, in lower case.
    std::string type_key() const;
    const std::string& name() const { return types.back().second; }
    bool is_collection() const { return !types.empty() && types.back().second.empty(); }
};

/// Nothing when the path is not one of ARM's.
std::optional<ArmPath> parse_arm_path(const std::vector<std::string>& segments);

}  // namespace sallyport::simulator
