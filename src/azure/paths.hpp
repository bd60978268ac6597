#pragma once

#include <string>
#include <string_view>

#include "model/arm_id.hpp"
#include "ports/gateway.hpp"

/// Request targets with the api-versions we speak. Names are
/// percent-encoded: resource groups may have letters of any script.
namespace sallyport::azure {

inline constexpr std::string_view network_version = "2024-01-01";
inline constexpr std::string_view compute_version = "2024-03-01";
inline constexpr std::string_view lock_version = "2020-05-01";
inline constexpr std::string_view authorization_version = "2022-04-01";

inline constexpr std::string_view metadata_version = "2022-09-01";

std::string metadata_target();  ///< which cloud this is
std::string network_target(const ArmScope& scope, std::string_view collection);
std::string compute_target(const ArmScope& scope, std::string_view collection);
std::string service_tags_target(std::string_view subscription, std::string_view location);
std::string nsg_target(const NsgId& nsg);
std::string rule_target(const NsgId& nsg, std::string_view rule);
std::string permissions_target(const ArmScope& scope);
std::string locks_target(const ArmScope& scope);
std::string deny_assignments_target(const ArmScope& scope);

}  // namespace sallyport::azure
