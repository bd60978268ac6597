#include <nlohmann/json.hpp>

#include "codec/kinds.hpp"
#include "codec/kinds_read.hpp"

namespace sallyport::codec {
namespace {

constexpr std::size_t machines_max = 64;
constexpr std::size_t ports_max = 32;
constexpr std::size_t sources_max = 64;
constexpr std::size_t groups_max = 1024;
constexpr std::size_t told_list_max = 256;
constexpr std::size_t told_text_max = 32768;
constexpr seconds duration_max{99999LL * 3600};  // the policy's maximum is the limit that counts

std::optional<std::vector<RequestedPort>> read_ports(const Field& field) {
    if (!field) return std::nullopt;
    std::vector<RequestedPort> ports;
    for (const Field& item : field.items(ports_max)) {
        RequestedPort port;
        port.ports = read_port(item["port"].required()).value_or(port.ports);
        port.protocol = read_protocol(item["protocol"]);
        ports.push_back(port);
    }
    // An empty list must not read as "all ports".
    if (ports.empty())
        field.refuse("at least one port is required; leave it out for all of the policy's");
    return ports;
}

void read_access(const Field& network, AccessGrant& grant) {
    const Field access = network["access"];
    const Field machines = network["virtualMachines"];
    const Field ports = network["ports"];
    if (access && (machines || ports)) {
        access.refuse("give either access, or virtualMachines and ports");
        return;
    }
    for (const Field& item : access.items(machines_max)) {
        grant.access.push_back(
            {.machine = item["virtualMachine"].name(80), .ports = read_ports(item["ports"])});
    }
    if (access && grant.access.empty()) access.refuse("at least one entry is required");
    if (access) return;
    const auto wanted = read_ports(ports);
    for (const Field& item : machines.items(machines_max)) {
        grant.access.push_back({.machine = item.name(80), .ports = wanted});
    }
    if (machines && grant.access.empty()) {
        machines.refuse("at least one machine is required; leave it out for all of the policy's");
    }
    if (!machines && wanted) grant.access.push_back({.ports = wanted});
}

void read_unsupported(const Field& spec, AccessGrant& grant) {
    const auto refuse_for_now = [&](bool given, const char* reason, const char* message) {
        if (given) grant.unsupported.emplace_back(reason, message);
    };
    refuse_for_now(spec["requester"].present(), "RequesterUnsupported",
                   "spec.requester is not supported yet: everybody asks for themselves");
    refuse_for_now(spec["continues"].present(), "ContinuesUnsupported",
                   "spec.continues is not supported yet; create a new grant");
    refuse_for_now(spec["network"]["via"].present(), "ViaUnsupported",
                   "spec.network.via is not supported yet");
    refuse_for_now(spec["role"].present(), "RoleUnsupported",
                   "spec.role is not supported yet; only network is");
    refuse_for_now(spec["managedApplication"].present(), "ManagedApplicationUnsupported",
                   "spec.managedApplication is not supported yet; only network is");
}

Truth read_truth(const Field& field) {
    return field.required().choice<Truth>(
        {{"True", Truth::yes}, {"False", Truth::no}, {"Unknown", Truth::unknown}}, Truth::unknown);
}

Condition read_condition(const Field& item) {
    return {.type = item["type"].name(),
            .status = read_truth(item["status"]),
            .reason = item["reason"].text().value_or(""),
            .message = item["message"].text(told_text_max).value_or(""),
            .observed_generation = item["observedGeneration"].integer(0, number_max).value_or(0),
            .changed = read_time(item["lastTransitionTime"].required()).value_or(Timestamp())};
}

SurfaceStatus read_surface(const Field& item) {
    SurfaceStatus surface{.id = item["id"].name(4096),
                          .rule = item["rule"].text().value_or(""),
                          .state = item["state"].text().value_or(""),
                          .proof = item["proof"].text().value_or(""),
                          .correlation_id = item["correlationId"].text().value_or("")};
    if (const auto priority = item["priority"].integer(0, 65535))
        surface.priority = static_cast<int>(*priority);
    return surface;
}

Connection read_connection(const Field& item) {
    const auto port = read_port(item["port"]);
    return {.machine = item["virtualMachine"].text().value_or(""),
            .port = port ? port->text() : "",
            .protocol = item["protocol"].text().value_or(""),
            .connect_to = item["connectTo"].text().value_or("")};
}

}  // namespace

std::optional<GrantStatus> decode_grant_status(const nlohmann::json& object) {
    Problems problems;
    const Field field(object, problems);
    GrantStatus status{
        .observed_generation =
            field["observedGeneration"].required().integer(0, number_max).value_or(0),
        .phase = field["phase"].text().value_or(""),
        .message = field["message"].text(told_text_max).value_or(""),
        .requester = field["requester"].text().value_or(""),
        .approved_by = field["approvedBy"].texts(told_list_max),
        .request_digest = field["request"]["digest"].text().value_or(""),
        .opened_at = read_time(field["openedAt"]),
        .expiration_time = read_time(field["expirationTime"]),
        .closed_at = read_time(field["closedAt"])};
    for (const Field& item : field["surfaces"].items(told_list_max))
        status.surfaces.push_back(read_surface(item));
    for (const Field& item : field["connections"].items(told_list_max))
        status.connections.push_back(read_connection(item));
    for (const Field& item : field["conditions"].items(told_list_max))
        status.conditions.push_back(read_condition(item));
    if (!problems.empty()) return std::nullopt;
    return status;
}

std::optional<Identity> decode_stamp(std::string_view annotation) {
    const auto parsed = parse_json(annotation);
    if (!parsed || !parsed->is_object()) return std::nullopt;
    Problems problems;
    const Field stamp(*parsed, problems);
    Identity identity;
    identity.user = stamp["user"].name(name_size_max);
    identity.uid = stamp["uid"].text(128).value_or("");
    identity.groups = stamp["groups"].texts(groups_max, name_size_max);
    if (!problems.empty()) return std::nullopt;
    return identity;
}

std::string encode_stamp(const Identity& identity) {
    nlohmann::json stamp = {{"user", identity.user}, {"groups", identity.groups}};
    if (!identity.uid.empty()) stamp["uid"] = identity.uid;
    return json_text(stamp);
}

Result<AccessGrant> decode_grant(const nlohmann::json& object) {
    Problems problems;
    const Field root(object, problems);
    check_type(root, Kind::grant);
    AccessGrant grant;
    grant.meta = read_meta(root["metadata"].required());
    const Field spec = root["spec"].required();
    grant.policy = spec["policyRef"].required()["name"].name(253);
    read_unsupported(spec, grant);
    const Field network = spec["network"];
    if (network || grant.unsupported.empty()) {
        read_access(network.required(), grant);
        grant.sources = network["sources"].required().texts(sources_max, 256);
        if (network["sources"] && grant.sources.empty()) {
            network["sources"].refuse("at least one source is required");
        }
    }
    grant.duration = read_duration(spec["duration"], seconds(0), duration_max);
    grant.not_after = read_time(spec["notAfter"]);
    grant.not_before = read_time(spec["notBefore"]);
    if (spec["duration"] && spec["notAfter"]) {
        spec["duration"].refuse("give either duration or notAfter");
    }
    if (grant.not_after && grant.not_before && *grant.not_before >= *grant.not_after) {
        spec["notBefore"].refuse(fmt::format("{} is not before notAfter, {}",
                                             format_rfc3339(*grant.not_before),
                                             format_rfc3339(*grant.not_after)));
    }
    grant.justification = spec["justification"].text(4096).value_or("");
    grant.ticket = spec["ticket"].text(512).value_or("");
    grant.request_id = spec["requestId"].text(128).value_or("");
    grant.revoked = spec["revoked"].boolean().value_or(false);
    const auto stamp = grant.meta.annotations.find(std::string(stamp_annotation));
    if (stamp != grant.meta.annotations.end()) grant.stamp = decode_stamp(stamp->second);
    return decoded(std::move(grant), problems);
}

}  // namespace sallyport::codec
