#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "simulator/json.hpp"
#include "simulator/rule.hpp"

namespace sallyport::simulator {

/// Keys are names in lower case, since ARM compares names without case.
template <class T>
using ByName = std::map<std::string, T, std::less<>>;

struct Rule {
    std::shared_ptr<const RuleSpec> wanted;    ///< what reads show
    std::shared_ptr<const RuleSpec> in_force;  ///< what the network does; null before the first end
    std::string state = "Succeeded";
    std::uint64_t write =
        0;  ///< number of the last write, so that an older one's end changes nothing
};

struct Nsg {
    std::string id, name, location;
    Json tags;
    std::optional<bool> flush_connection;
    std::string guid, etag;
    std::string state = "Succeeded";
    std::uint64_t write = 0;
    ByName<Rule> rules;
    /// (inbound, priority) to the rule that holds it.
    std::map<std::pair<bool, int>, std::string> priorities;
    std::vector<std::string> in_flight;  ///< operations that have not ended

    /// What a rule was before each change, newest last: for reads that lag behind.
    struct Change {
        std::int64_t at_ms = 0;
        std::string rule;
        std::optional<Rule> before;
        std::string etag_before;
    };
    std::deque<Change> history;
};

/// Any other resource: what was PUT, completed as the provider does.
struct Resource {
    std::string id, name, type, location;
    Json tags;
    Json properties = Json::object();
    Json top = Json::object();  ///< further members beside `properties`: sku, zones, identity, kind
    std::string etag;
    std::string state = "Succeeded";
    std::uint64_t write = 0;
    int revision = 1;           ///< Compute counts its ETags
    bool was_used = false;      ///< a NIC that once belonged to a VM
    ByName<Resource> children;  ///< subnets
};

struct Group {
    std::string id, name, location;
    Json tags;
    std::string state = "Succeeded";
    ByName<Nsg> nsgs;
    ByName<ByName<Resource>> resources;  ///< by type in lower case, then by name
};

struct Lock {
    std::string id, name, scope;
    std::string level;  ///< `CanNotDelete` or `ReadOnly`
    Json properties;
};

/// A group that was deleted a moment ago: ARM's front ends do not all know yet.
struct GoneGroup {
    std::int64_t at_ms = 0;
    unsigned asked = 0;
};

struct Subscription {
    std::string id, name;
    ByName<Group> groups;
    std::map<std::string, GoneGroup> gone;
};

/// Everything that exists. Plain data: who may do what and how answers look is elsewhere.
struct World {
    ByName<Subscription> subscriptions;
    /// By scope in lower case, then by name.
    std::map<std::string, ByName<Lock>> locks;
    /// Name as Azure writes it, to prefixes.
    std::map<std::string, std::vector<std::string>> service_tags;

    Subscription* subscription(std::string_view id);
    Group* group(std::string_view subscription, std::string_view group);
    Nsg* nsg(std::string_view subscription, std::string_view group, std::string_view name);
    Resource* resource(std::string_view subscription, std::string_view group, std::string_view type,
                       std::string_view name);
    /// By full id, any case.
    Nsg* nsg_by_id(std::string_view id);
    Resource* resource_by_id(std::string_view id);
    Resource* subnet_by_id(std::string_view id);

    template <class F>
    void each_group(F&& f) {
        for (auto& [sub_key, sub] : subscriptions) {
            for (auto& [key, group] : sub.groups) f(sub, group);
        }
    }
    /// Every resource of that type (lower case).
    template <class F>
    void each(std::string_view type, F&& f) {
        each_group([&](Subscription&, Group& group) {
            const auto it = group.resources.find(type);
            if (it == group.resources.end()) return;
            for (auto& [key, resource] : it->second) f(resource);
        });
    }

    /// Which NICs and subnets name an NSG; ids by the NSG's id in lower case. Computed anew after
    /// `associations_changed`.
    struct Uses {
        std::vector<std::string> nics, subnets;
    };
    const Uses& uses_of(std::string_view nsg_id);
    void associations_changed() { uses_known_ = false; }

    /// The lock that forbids this, if any: `removal` is stopped by every lock at or above `id`,
    /// other writes by ReadOnly ones only.
    const Lock* lock_against(std::string_view id, bool removal) const;
    /// As above, and locks below `id` count too: deleting a group deletes what is in it.
    const Lock* lock_within(std::string_view id) const;

private:
    std::map<std::string, Uses> uses_;
    bool uses_known_ = false;
};

inline constexpr std::string_view vnet_type = "microsoft.network/virtualnetworks";
inline constexpr std::string_view nic_type = "microsoft.network/networkinterfaces";
inline constexpr std::string_view public_ip_type = "microsoft.network/publicipaddresses";
inline constexpr std::string_view asg_type = "microsoft.network/applicationsecuritygroups";
inline constexpr std::string_view vm_type = "microsoft.compute/virtualmachines";

}  // namespace sallyport::simulator
