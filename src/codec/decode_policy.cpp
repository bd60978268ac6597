#include <nlohmann/json.hpp>

#include "codec/kinds.hpp"
#include "codec/kinds_read.hpp"

namespace sallyport::codec {
namespace {

constexpr seconds port_duration_min{5 * 60};
constexpr seconds port_duration_max{24 * 3600};
constexpr seconds grant_duration_min{10};
constexpr seconds approval_wait_max{30 * 24 * 3600};
constexpr seconds retention_max{99999LL * 3600};
constexpr std::size_t targets_max = 64;
constexpr std::size_t policy_ports_max = 32;
constexpr std::size_t tags_max = 15;
constexpr std::size_t exceptions_max = 32;
constexpr std::size_t stages_max = 8;

void refuse_for_now(JitPolicy& policy, bool given, const char* reason, std::string message) {
    if (given) policy.unsupported.emplace_back(reason, std::move(message));
}

/// Present, and not an empty list.
bool is_given(const Field& field) {
    return field && !(field.raw()->is_array() && field.raw()->empty());
}

void read_target(const Field& item, NetworkPolicy& network) {
    const Field machine = item["virtualMachine"];
    const Field selector = item["selector"];
    if (machine.present() == selector.present()) {
        item.refuse("exactly one of virtualMachine and selector is required");
        return;
    }
    if (machine) {
        network.targets.emplace_back(MachineTarget{
            .resource_group = machine["resourceGroup"].name(90), .name = machine["name"].name(80)});
        return;
    }
    SelectorTarget target;
    target.resource_groups = selector["resourceGroups"].texts(names_max, 90);
    const auto tags = selector["tags"].members();
    if (tags.size() > tags_max)
        selector["tags"].refuse(fmt::format("has more than {} tags", tags_max));
    for (const auto& [key, value] : tags) {
        if (auto text = value.required().text(256)) target.tags.emplace(key, *std::move(text));
    }
    network.targets.emplace_back(std::move(target));
}

PolicyPort read_policy_port(const Field& item) {
    PolicyPort port;
    port.ports = read_port(item["port"].required()).value_or(port.ports);
    port.protocol = read_protocol(item["protocol"]).value_or(Protocol::tcp);
    port.max_duration = read_duration(item["maxDuration"], port_duration_min, port_duration_max)
                            .value_or(port.max_duration);
    if (const Field sources = item["sources"]) {
        port.sources = read_cidrs(sources);
        if (port.sources->empty()) sources.refuse("at least one network is required");
    }
    return port;
}

void read_ports(const Field& field, NetworkPolicy& network) {
    if (!field) {
        // SSH, RDP and WinRM, over Tcp and 3 h each.
        for (const char* const port : {"22", "3389", "5985", "5986"}) {
            network.ports.push_back({.ports = *PortRange::parse(port)});
        }
        return;
    }
    const std::vector<Field> items = field.items(policy_ports_max);
    if (field.raw()->is_array() && field.raw()->empty()) {
        field.refuse("is empty; leave it out for the default ports 22, 3389, 5985 and 5986");
    }
    for (const Field& item : items) network.ports.push_back(read_policy_port(item));
}

SourceLimit read_sources(const Field& field) {
    SourceLimit limit;
    limit.within = read_cidrs(field["within"].required());
    if (field["within"] && limit.within.empty())
        field["within"].refuse("at least one network is required");
    const Field widest = field["widest"];
    limit.widest_v4 = static_cast<int>(widest["ipv4"].integer(1, 32).value_or(limit.widest_v4));
    limit.widest_v6 = static_cast<int>(widest["ipv6"].integer(1, 128).value_or(limit.widest_v6));
    return limit;
}

std::optional<ServiceTag> read_tag(const Field& field) {
    const auto text = field.text(128);
    if (!text) return std::nullopt;
    const Prefix prefix = parse_prefix(*text);
    if (const ServiceTag* const tag = std::get_if<ServiceTag>(&prefix)) return *tag;
    field.refuse(fmt::format("\"{}\" is not a service tag", text->substr(0, 64)));
    return std::nullopt;
}

void read_exceptions(const Field& field, JitPolicy& policy) {
    for (const Field& item : field.items(exceptions_max)) {
        const int given = int{item["tag"].present()} + int{item["cidr"].present()} +
                          int{item["bastion"].present()};
        if (given != 1) item.refuse("exactly one of tag, cidr and bastion is required");
        if (item["bastion"]) {
            refuse_for_now(policy, true, "BastionUnsupported",
                           fmt::format("{} is not supported yet; name the Bastion subnet as a cidr",
                                       item.path()));
            continue;
        }
        LockdownException exception;
        exception.tag = read_tag(item["tag"]);
        exception.cidr =
            item["cidr"].parsed([](std::string_view text) { return Cidr::parse(text); });
        exception.reason = item["reason"].text(256).value_or("");
        policy.network.lockdown.exceptions.push_back(std::move(exception));
    }
}

void read_lockdown(const Field& field, JitPolicy& policy) {
    Lockdown& lockdown = policy.network.lockdown;
    lockdown.mode = field["mode"].choice<LockdownMode>(
        {{"Deny", LockdownMode::deny}, {"None", LockdownMode::none}}, LockdownMode::deny);
    lockdown.against = field["against"].choice<LockdownAgainst>(
        {{"Any", LockdownAgainst::any}, {"Internet", LockdownAgainst::internet}},
        LockdownAgainst::any);
    lockdown.precedence =
        field["precedence"].choice<Precedence>({{"BelowExisting", Precedence::below_existing},
                                                {"AboveExisting", Precedence::above_existing}},
                                               Precedence::below_existing);
    lockdown.confirmed = field["confirmed"].boolean().value_or(false);
    lockdown.remove_on_delete =
        field["onDelete"].choice<bool>({{"Keep", false}, {"Remove", true}}, false);
    read_exceptions(field["exceptions"], policy);
}

void read_network(const Field& field, JitPolicy& policy) {
    NetworkPolicy& network = policy.network;
    const Field targets = field["targets"].required();
    for (const Field& item : targets.items(targets_max)) read_target(item, network);
    if (targets && network.targets.empty()) targets.refuse("at least one target is required");
    read_ports(field["ports"], network);
    network.sources = read_sources(field["sources"].required());
    network.override_foreign_deny =
        field["foreignDeny"].choice<bool>({{"Respect", false}, {"Override", true}}, false);
    read_lockdown(field["lockdown"], policy);
    refuse_for_now(
        policy, is_given(field["via"]), "ViaUnsupported",
        "spec.network.via is not supported yet: machines behind a firewall cannot be opened");
    const bool disconnects = field["onEnd"]["bastionSessions"].choice<bool>(
        {{"Keep", false}, {"Disconnect", true}}, false);
    refuse_for_now(policy, disconnects, "BastionUnsupported",
                   "spec.network.onEnd.bastionSessions: Disconnect is not supported yet; use Keep");
}

void read_request(const Field& field, JitPolicy& policy) {
    const Field allowed = field["allowed"];
    policy.allowed_groups = allowed["groups"].texts(names_max, name_size_max);
    policy.allowed_users = allowed["users"].texts(names_max, name_size_max);
    policy.justification_required =
        field["justification"].choice<bool>({{"Required", true}, {"Optional", false}}, true);
    if (const Field ticket = field["ticket"]) policy.ticket_pattern = ticket["pattern"].name(256);
    if (const auto most = field["maxActivePerRequester"].integer(1, 1000)) {
        policy.max_active_per_requester = static_cast<int>(*most);
    }
    policy.default_duration =
        read_duration(field["defaultDuration"], grant_duration_min, port_duration_max)
            .value_or(policy.default_duration);
    refuse_for_now(policy, is_given(field["assertedBy"]), "AssertedByUnsupported",
                   "spec.request.assertedBy is not supported yet: everybody asks for themselves");
    refuse_for_now(policy, is_given(field["mfa"]), "MfaUnsupported",
                   "spec.request.mfa is not supported yet; remove it, or demand it at sign-in");
    refuse_for_now(policy, field["moves"].integer(0, 100).value_or(0) > 0, "MovesUnsupported",
                   "spec.request.moves is not supported yet; use 0");
    refuse_for_now(policy, is_given(field["constraints"]), "ConstraintsUnsupported",
                   "spec.request.constraints is not supported yet; leave the list empty");
}

void read_approval(const Field& field, JitPolicy& policy) {
    policy.approval = field["mode"].choice<ApprovalMode>(
        {{"Manual", ApprovalMode::manual}, {"Automatic", ApprovalMode::automatic}},
        ApprovalMode::manual);
    for (const Field& stage : field["stages"].items(stages_max)) {
        static_cast<void>(stage["name"].name(63));
        const Field approvers = stage["approvers"].required();
        for (std::string& group : approvers["groups"].texts(names_max, name_size_max)) {
            policy.approver_groups.push_back(std::move(group));
        }
        static_cast<void>(approvers["users"].texts(names_max, name_size_max));
        policy.approvals_required += static_cast<int>(stage["required"].integer(1, 16).value_or(1));
    }
    policy.approval_expires_after =
        read_duration(field["expiresAfter"], seconds(1), approval_wait_max)
            .value_or(policy.approval_expires_after);
}

}  // namespace

Result<JitPolicy> decode_policy(const nlohmann::json& object) {
    Problems problems;
    const Field root(object, problems);
    check_type(root, Kind::policy);
    JitPolicy policy;
    policy.meta = read_meta(root["metadata"].required());
    const Field spec = root["spec"].required();
    policy.account = spec["accountRef"].required()["name"].name(253);
    refuse_for_now(policy, spec["role"].present(), "RoleUnsupported",
                   "spec.role is not supported yet; only network is");
    refuse_for_now(policy, spec["managedApplication"].present(), "ManagedApplicationUnsupported",
                   "spec.managedApplication is not supported yet; only network is");
    if (policy.unsupported.empty()) spec["network"].required();
    if (const Field network = spec["network"]) read_network(network, policy);
    read_request(spec["request"].required(), policy);
    read_approval(spec["approval"], policy);
    policy.clock_starts = spec["clockStarts"].choice<ClockStarts>(
        {{"WhenOpen", ClockStarts::when_open}, {"WhenApproved", ClockStarts::when_approved}},
        ClockStarts::when_open);
    const Field drift = spec["drift"];
    policy.repair_closed =
        drift["closed"].choice<bool>({{"Repair", true}, {"Report", false}}, true);
    policy.repair_open = drift["open"].choice<bool>({{"Repair", true}, {"End", false}}, true);
    policy.retain_ended = read_duration(spec["retainEndedGrants"], seconds(0), retention_max)
                              .value_or(policy.retain_ended);
    return decoded(std::move(policy), problems);
}

}  // namespace sallyport::codec
