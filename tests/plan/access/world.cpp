#include "plan/access/world.hpp"

namespace sallyport::example {

World::World() {
    account.meta = {.key = {"", "prod"}, .uid = "account-uid", .generation = 1};
    account.azure.subscription_id = "22222222-2222-2222-2222-222222222222";
    account.tenants = {{.namespaces = {"payments"}, .scopes = {"resourceGroups/rg-web"}}};

    policy.meta = {.key = {"payments", "web-ssh"}, .uid = "policy-uid", .generation = 1};
    policy.account = "prod";
    policy.network.targets = {SelectorTarget{{"rg-web"}, {}}};
    policy.network.ports = {{.ports = ports("22"), .max_duration = seconds{3 * 3600}},
                            {.ports = ports("3389"),
                             .max_duration = seconds{3600},
                             .sources = std::vector{cidr("198.51.101.0/24")}}};
    policy.network.sources = {.within = {cidr("198.51.100.0/22"), cidr("2001:db8::/32")},
                              .widest_v4 = 28,
                              .widest_v6 = 64};
    policy.allowed_groups = {"payments-oncall"};
    policy.approval = ApprovalMode::automatic;

    grant.meta = {.key = {"payments", "alice-web01"},
                  .uid = "grant-uid",
                  .generation = 1,
                  .created = at("09:00:00")};
    grant.policy = "web-ssh";
    grant.access = {
        {.machine = "web01", .ports = std::vector<RequestedPort>{{.ports = ports("22")}}}};
    grant.sources = {"198.51.100.7/32"};
    grant.duration = seconds{2 * 3600};
    grant.justification = "restart of the payment worker";
    grant.stamp = Identity{.user = "alice", .uid = "u1", .groups = {"payments-oncall", "staff"}};

    topology.machines = std::vector<VirtualMachine>();
    topology.nics = std::vector<Nic>();
    topology.networks = std::vector<VirtualNetwork>{
        {.id = vnet(),
         .address_space = {cidr("10.0.0.0/16")},
         .subnets = {
             {.id = subnet(), .prefixes = {cidr("10.0.0.0/24")}, .nsg = nsg_id("nsg-web")}}}};
    add_machine("web01", "10.0.0.4");
    add_machine("web02", "10.0.0.5");
}

void World::add_machine(std::string_view name, std::string_view address, std::string_view group) {
    const std::string nic_name = std::string(name) + "-nic";
    const auto parsed = Address::parse(address);
    check(parsed.has_value(), "an address in a test");
    Nic card{.id = nic(nic_name), .vm = vm(name, group)};
    card.configurations = {{.name = "ipconfig", .private_address = *parsed, .subnet = subnet()}};
    auto nics = *topology.nics;
    nics.push_back(card);
    topology.nics = nics;
    auto machines = *topology.machines;
    machines.push_back(
        {.id = vm(name, group), .vm_id = "vmid-" + std::string(name), .nics = {card.id}});
    topology.machines = machines;
}

access::GrantView World::view() const {
    return {.grant = &grant,
            .policy = Known<const JitPolicy*>(&policy),
            .account = Known<const CloudAccount*>(&account),
            .standing = standing(),
            .record = Known<const AccessRecord*>(nullptr),
            .topology = Known<const Topology*>(&topology),
            .active_of_requester = 0};
}

}  // namespace sallyport::example
