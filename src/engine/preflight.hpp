#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "ports/gateway.hpp"

namespace sallyport::engine {

/// What the operator needs on NSGs and for resolving targets.
std::vector<std::string> needed_actions();

/// Whether an action is covered: some permission's actions match it and its notActions do not.
/// ARM's patterns: `*` stands for any text, case does not count.
bool allows(const std::vector<Permission>& permissions, std::string_view action);
std::vector<std::string> missing_actions(const std::vector<Permission>& permissions,
                                         const std::vector<std::string>& needed);

}  // namespace sallyport::engine
