#include "plan/access/limits.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "base/check.hpp"
#include "base/text.hpp"

namespace sallyport::access {
namespace {

constexpr std::string_view group_prefix = "resourceGroups/";

template <class T>
std::string joined_texts(const std::vector<T>& values) {
    std::vector<std::string> texts;
    for (const T& value : values) texts.push_back(value.text());
    return list_text(texts);
}

/// The parts of `asked` that ports of the policy with one of these protocols cover.
struct Covered {
    std::vector<PortRange> parts = {};
    std::set<std::size_t> entries = {};
};
Covered covered(const PortRange& asked, Protocol protocol, const std::vector<PolicyPort>& ports) {
    Covered found;
    for (std::size_t i = 0; i < ports.size(); ++i) {
        if (!ports[i].ports.overlaps(asked) || !covers(ports[i].protocol, protocol)) continue;
        found.parts.push_back(PortRange::of(std::max(asked.first(), ports[i].ports.first()),
                                            std::min(asked.last(), ports[i].ports.last())));
        found.entries.insert(i);
    }
    found.parts = merged(std::move(found.parts));
    return found;
}

bool is_whole(const Covered& found, const PortRange& asked) {
    return found.parts.size() == 1 && found.parts.front() == asked;
}

bool has_tags(const std::map<std::string, std::string>& actual,
              const std::map<std::string, std::string>& wanted) {
    return std::ranges::all_of(wanted, [&](const auto& tag) {
        // Tag names have no case in Azure, their values do.
        return std::ranges::any_of(actual, [&](const auto& other) {
            return equals_ignoring_case(other.first, tag.first) && other.second == tag.second;
        });
    });
}

}  // namespace

std::string subject(const JitPolicy& policy) { return fmt::format("policy {}", policy.meta.key); }
std::string subject(const CloudAccount& account) {
    return fmt::format("account {}", account.meta.key.name);
}

std::string list_text(const std::vector<std::string>& words) {
    if (words.empty()) return "none";
    constexpr std::size_t shown_max = 8;
    if (words.size() <= shown_max) return join(words, ", ");
    std::vector<std::string> first(words.begin(), words.begin() + shown_max);
    return fmt::format("{} and {} more", join(first, ", "), words.size() - shown_max);
}
std::string list_text(const std::vector<PortRange>& ports) { return joined_texts(ports); }
std::string list_text(const std::vector<Cidr>& cidrs) { return joined_texts(cidrs); }

int widest_of(const SourceLimit& limit, Family family) {
    return family == Family::v4 ? limit.widest_v4 : limit.widest_v6;
}

bool covers(Protocol entry, Protocol asked) {
    if (entry == asked) return true;
    return entry == Protocol::any && (asked == Protocol::tcp || asked == Protocol::udp);
}

PortsFound find_ports(const RequestedPort& asked, const std::vector<PolicyPort>& policy_ports) {
    PortsFound found;
    if (asked.protocol) {
        Covered whole = covered(asked.ports, *asked.protocol, policy_ports);
        if (*asked.protocol == Protocol::any && !is_whole(whole, asked.ports)) {
            const Covered tcp = covered(asked.ports, Protocol::tcp, policy_ports);
            const Covered udp = covered(asked.ports, Protocol::udp, policy_ports);
            if (!is_whole(tcp, asked.ports) || !is_whole(udp, asked.ports)) return {};
            whole = tcp;
            whole.entries.insert(udp.entries.begin(), udp.entries.end());
        } else if (!is_whole(whole, asked.ports)) {
            return {};
        }
        found.ports.push_back({asked.ports, *asked.protocol});
        found.entries = std::move(whole.entries);
        return found;
    }
    // Without a protocol each part of the range opens as the policy's own port says.
    std::vector<PortRange> parts;
    for (std::size_t i = 0; i < policy_ports.size(); ++i) {
        const PolicyPort& entry = policy_ports[i];
        if (!entry.ports.overlaps(asked.ports)) continue;
        const PortRange part = PortRange::of(std::max(asked.ports.first(), entry.ports.first()),
                                             std::min(asked.ports.last(), entry.ports.last()));
        parts.push_back(part);
        found.ports.push_back({part, entry.protocol});
        found.entries.insert(i);
    }
    parts = merged(std::move(parts));
    if (parts.size() != 1 || parts.front() != asked.ports) return {};
    return found;
}

bool in_scope(std::string_view resource_group, const std::vector<std::string>& scopes) {
    return std::ranges::any_of(scopes, [&](const std::string& scope) {
        if (equals_ignoring_case(scope, "subscription")) return true;
        return starts_with_ignoring_case(scope, group_prefix) &&
               equals_ignoring_case(std::string_view(scope).substr(group_prefix.size()),
                                    resource_group);
    });
}

bool names(const PolicyTarget& target, const VmId& machine,
           const std::map<std::string, std::string>* tags, const std::vector<std::string>& scopes) {
    const std::string_view group = machine.id().resource_group();
    if (!in_scope(group, scopes)) return false;
    return std::visit(
        overloaded{
            [&](const MachineTarget& one) {
                return equals_ignoring_case(one.resource_group, group) &&
                       equals_ignoring_case(one.name, machine.name());
            },
            [&](const SelectorTarget& selector) {
                const bool in_groups =
                    selector.resource_groups.empty() ||
                    std::ranges::any_of(selector.resource_groups, [&](const std::string& name) {
                        return equals_ignoring_case(name, group);
                    });
                return in_groups && (tags == nullptr || has_tags(*tags, selector.tags));
            },
        },
        target);
}

std::vector<const Tenant*> tenants_of(const CloudAccount& account, const std::string& ns) {
    std::vector<const Tenant*> tenants;
    for (const Tenant& tenant : account.tenants) {
        if (std::ranges::find(tenant.namespaces, ns) != tenant.namespaces.end()) {
            tenants.push_back(&tenant);
        }
    }
    return tenants;
}

const Tenant* tenant_for(const JitPolicy& policy, const CloudAccount& account) {
    const Tenant* best = nullptr;
    std::size_t fewest = 0;
    for (const Tenant* tenant : tenants_of(account, policy.meta.key.ns)) {
        const std::size_t problems = ceiling_problems(policy, account, *tenant).size();
        if (best && problems >= fewest) continue;
        best = tenant;
        fewest = problems;
    }
    return best;
}

}  // namespace sallyport::access
