#include "simulator/world.hpp"

#include "base/text.hpp"

namespace sallyport::simulator {

namespace {

template <class Map>
auto* find_in(Map& map, std::string_view name) {
    const auto it = map.find(lower(name));
    return it == map.end() ? nullptr : &it->second;
}

struct IdParts {
    std::string subscription, group, type, name, child;
};

/// `/subscriptions/S/resourceGroups/G/providers/P/T/N[/subnets/C]`; empty parts when it is not one.
IdParts parts_of(std::string_view id) {
    const std::vector<std::string_view> s = split(id, '/');
    if (s.size() < 9 || !s[0].empty()) return {};
    IdParts parts{std::string(s[2]),
                  std::string(s[4]),
                  lower(s[6]) + "/" + lower(s[7]),
                  std::string(s[8]),
                  {}};
    if (s.size() > 10) parts.child = s[10];
    return parts;
}

bool lies_below(std::string_view id, std::string_view scope) {
    return id.size() >= scope.size() && id.substr(0, scope.size()) == scope &&
           (id.size() == scope.size() || id[scope.size()] == '/');
}

}  // namespace

Subscription* World::subscription(std::string_view id) { return find_in(subscriptions, id); }

Group* World::group(std::string_view subscription_id, std::string_view name) {
    Subscription* sub = subscription(subscription_id);
    return sub ? find_in(sub->groups, name) : nullptr;
}

Nsg* World::nsg(std::string_view subscription_id, std::string_view group_name,
                std::string_view name) {
    Group* in = group(subscription_id, group_name);
    return in ? find_in(in->nsgs, name) : nullptr;
}

Resource* World::resource(std::string_view subscription_id, std::string_view group_name,
                          std::string_view type, std::string_view name) {
    Group* in = group(subscription_id, group_name);
    if (!in) return nullptr;
    const auto of_type = in->resources.find(type);
    return of_type == in->resources.end() ? nullptr : find_in(of_type->second, name);
}

Nsg* World::nsg_by_id(std::string_view id) {
    const IdParts parts = parts_of(id);
    if (parts.type != "microsoft.network/networksecuritygroups") return nullptr;
    return nsg(parts.subscription, parts.group, parts.name);
}

Resource* World::resource_by_id(std::string_view id) {
    const IdParts parts = parts_of(id);
    return resource(parts.subscription, parts.group, parts.type, parts.name);
}

Resource* World::subnet_by_id(std::string_view id) {
    const IdParts parts = parts_of(id);
    if (parts.type != vnet_type) return nullptr;
    Resource* vnet = resource(parts.subscription, parts.group, parts.type, parts.name);
    return vnet ? find_in(vnet->children, parts.child) : nullptr;
}

const World::Uses& World::uses_of(std::string_view nsg_id) {
    if (!uses_known_) {
        uses_.clear();
        const auto nsg_of = [](const Resource& resource) {
            const Json* ref = member(resource.properties, "networkSecurityGroup");
            return ref ? lower(text_at(*ref, "id")) : std::string();
        };
        each(nic_type, [&](Resource& nic) {
            if (const std::string id = nsg_of(nic); !id.empty()) uses_[id].nics.push_back(nic.id);
        });
        each(vnet_type, [&](Resource& vnet) {
            for (auto& [key, subnet] : vnet.children) {
                const std::string id = nsg_of(subnet);
                if (!id.empty()) uses_[id].subnets.push_back(subnet.id);
            }
        });
        uses_known_ = true;
    }
    static const Uses none;
    const auto it = uses_.find(lower(nsg_id));
    return it == uses_.end() ? none : it->second;
}

const Lock* World::lock_against(std::string_view id, bool removal) const {
    const std::string key = lower(id);
    for (const auto& [scope, by_name] : locks) {
        if (!lies_below(key, scope)) continue;
        for (const auto& [name, lock] : by_name) {
            if (removal || lock.level == "ReadOnly") return &lock;
        }
    }
    return nullptr;
}

const Lock* World::lock_within(std::string_view id) const {
    if (const Lock* above = lock_against(id, true)) return above;
    const std::string key = lower(id);
    for (const auto& [scope, by_name] : locks) {
        if (lies_below(scope, key) && !by_name.empty()) return &by_name.begin()->second;
    }
    return nullptr;
}

}  // namespace sallyport::simulator
