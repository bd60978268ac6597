#include "engine/preflight.hpp"

#include <algorithm>

#include "base/text.hpp"

namespace sallyport::engine {
namespace {

/// Glob with `*` only, linear: after each star the next literal part is taken at its first place.
bool matches(std::string_view pattern, std::string_view text) {
    const std::string folded_pattern = lower(pattern);
    const std::string folded_text = lower(text);
    const std::vector<std::string_view> parts = split(folded_pattern, '*');
    std::string_view rest = folded_text;
    if (!rest.starts_with(parts.front())) return false;
    rest.remove_prefix(parts.front().size());
    if (parts.size() == 1) return rest.empty();
    for (std::size_t i = 1; i + 1 < parts.size(); ++i) {
        const std::size_t at = rest.find(parts[i]);
        if (at == rest.npos) return false;
        rest.remove_prefix(at + parts[i].size());
    }
    return rest.ends_with(parts.back());
}

bool any_matches(const std::vector<std::string>& patterns, std::string_view action) {
    return std::ranges::any_of(patterns, [&](const std::string& p) { return matches(p, action); });
}

}  // namespace

std::vector<std::string> needed_actions() {
    return {"Microsoft.Compute/virtualMachines/read",
            "Microsoft.Network/networkInterfaces/read",
            "Microsoft.Network/virtualNetworks/read",
            "Microsoft.Network/networkSecurityGroups/read",
            "Microsoft.Network/networkSecurityGroups/securityRules/read",
            "Microsoft.Network/networkSecurityGroups/securityRules/write",
            "Microsoft.Network/networkSecurityGroups/securityRules/delete"};
}

bool allows(const std::vector<Permission>& permissions, std::string_view action) {
    return std::ranges::any_of(permissions, [&](const Permission& p) {
        return any_matches(p.actions, action) && !any_matches(p.not_actions, action);
    });
}

std::vector<std::string> missing_actions(const std::vector<Permission>& permissions,
                                         const std::vector<std::string>& needed) {
    std::vector<std::string> missing;
    for (const std::string& action : needed) {
        if (!allows(permissions, action)) missing.push_back(action);
    }
    return missing;
}

}  // namespace sallyport::engine
