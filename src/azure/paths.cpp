#include "azure/paths.hpp"

#include "base/text.hpp"

namespace sallyport::azure {

namespace {

std::string scope_path(const ArmScope& scope) {
    std::string path = "/subscriptions/" + percent_encoded(scope.subscription);
    if (!scope.resource_group.empty())
        path += "/resourceGroups/" + percent_encoded(scope.resource_group);
    return path;
}

std::string versioned(std::string path, std::string_view version) {
    return path.append("?api-version=").append(version);
}

std::string provider_target(const ArmScope& scope, std::string_view provider,
                            std::string_view collection, std::string_view version) {
    return versioned(
        scope_path(scope).append("/providers/").append(provider).append("/").append(collection),
        version);
}

std::string nsg_path(const NsgId& nsg) {
    std::string path;
    for (const std::string_view segment : split(nsg.text(), '/')) {
        if (!segment.empty()) path.append("/").append(percent_encoded(segment));
    }
    return path;
}

}  // namespace

std::string network_target(const ArmScope& scope, std::string_view collection) {
    return provider_target(scope, "Microsoft.Network", collection, network_version);
}
std::string compute_target(const ArmScope& scope, std::string_view collection) {
    return provider_target(scope, "Microsoft.Compute", collection, compute_version);
}
std::string service_tags_target(std::string_view subscription, std::string_view location) {
    const ArmScope scope{.subscription = std::string(subscription)};
    const std::string collection = "locations/" + percent_encoded(location) + "/serviceTags";
    return provider_target(scope, "Microsoft.Network", collection, network_version);
}
std::string nsg_target(const NsgId& nsg) { return versioned(nsg_path(nsg), network_version); }
std::string rule_target(const NsgId& nsg, std::string_view rule) {
    return versioned(nsg_path(nsg).append("/securityRules/").append(percent_encoded(rule)),
                     network_version);
}
std::string metadata_target() {
    return fmt::format("/metadata/endpoints?api-version={}", metadata_version);
}
std::string permissions_target(const ArmScope& scope) {
    return provider_target(scope, "Microsoft.Authorization", "permissions", authorization_version);
}
std::string locks_target(const ArmScope& scope) {
    return provider_target(scope, "Microsoft.Authorization", "locks", lock_version);
}
std::string deny_assignments_target(const ArmScope& scope) {
    return provider_target(scope, "Microsoft.Authorization", "denyAssignments",
                           authorization_version);
}

}  // namespace sallyport::azure
