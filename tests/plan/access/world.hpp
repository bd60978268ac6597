#pragma once

#include <string>
#include <vector>

#include "base/check.hpp"
#include "plan/access/decide.hpp"

/// A small estate and one grant that opens: two machines behind a subnet's NSG, a policy for two
/// ports, Alice who may. Tests change what matters to them.
namespace sallyport::example {

inline Timestamp time(std::string_view text) {
    const auto parsed = parse_rfc3339(text);
    check(parsed.has_value(), "a time in a test");
    return *parsed;
}
/// On 21 November 2026: `at("09:00:00")`.
inline Timestamp at(std::string_view clock) {
    return time("2026-11-21T" + std::string(clock) + "Z");
}
inline Cidr cidr(std::string_view text) {
    const auto parsed = Cidr::parse(text);
    check(parsed.has_value(), "an address range in a test");
    return *parsed;
}
inline PortRange ports(std::string_view text) {
    const auto parsed = PortRange::parse(text);
    check(parsed.has_value(), "a port range in a test");
    return *parsed;
}
template <class Id>
Id id(std::string_view type, std::string_view name, std::string_view group = "rg-web") {
    const auto parsed = Id::parse(
        fmt::format("/subscriptions/22222222-2222-2222-2222-222222222222/resourceGroups/{}/"
                    "providers/{}/{}",
                    group, type, name));
    check(parsed.has_value(), "an ARM id in a test");
    return *parsed;
}
inline VmId vm(std::string_view name, std::string_view group = "rg-web") {
    return id<VmId>("Microsoft.Compute/virtualMachines", name, group);
}
inline NsgId nsg_id(std::string_view name) {
    return id<NsgId>("Microsoft.Network/networkSecurityGroups", name);
}
inline NicId nic(std::string_view name) {
    return id<NicId>("Microsoft.Network/networkInterfaces", name);
}
inline VnetId vnet() { return id<VnetId>("Microsoft.Network/virtualNetworks", "vnet"); }
inline SubnetId subnet() {
    return id<SubnetId>("Microsoft.Network/virtualNetworks/vnet/subnets", "default");
}
inline Owner owner() {
    const auto parsed = Owner::parse("k7f2m3qa");
    check(parsed.has_value(), "an owner in a test");
    return *parsed;
}

struct World {
    CloudAccount account = {};
    JitPolicy policy = {};
    AccessGrant grant = {};
    Topology topology = {};
    Timestamp now = at("09:00:10");

    World();
    void add_machine(std::string_view name, std::string_view address,
                     std::string_view group = "rg-web");
    /// Replaces one machine by a changed one.
    template <class Change>
    void change_machine(std::string_view name, Change change) {
        auto machines = *topology.machines;
        for (VirtualMachine& machine : machines) {
            if (machine.id.name() == name) change(machine);
        }
        topology.machines = machines;
    }
    access::PolicyStanding standing() const {
        return access::judge_policy(policy, account, Known<const Topology*>(&topology));
    }
    /// All of it known, no record, nobody else active.
    access::GrantView view() const;
    access::Decision decide() const { return access::decide(view(), now); }
};

}  // namespace sallyport::example
