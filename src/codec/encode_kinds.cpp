#include <algorithm>
#include <nlohmann/json.hpp>

#include "codec/kinds.hpp"
#include "codec/kinds_read.hpp"

namespace sallyport::codec {
namespace {

using nlohmann::json;

// The CRDs' limits, so that a long text shortens a status and never loses it.
constexpr std::size_t message_max = 4096;
constexpr std::size_t condition_message_max = 32768;
constexpr std::size_t reason_max = 1024;
constexpr std::size_t phase_max = 64;
constexpr std::size_t proof_max = 1024;
constexpr std::size_t finding_max = 1024;
constexpr std::size_t findings_max = 256;
constexpr std::size_t surfaces_max = 256;
constexpr std::size_t connections_max = 256;
constexpr std::size_t conditions_max = 16;
constexpr std::size_t approvers_max = 16;
constexpr std::size_t approver_max = 320;
constexpr std::size_t state_max = 32;
constexpr std::size_t outcome_max = 64;
constexpr std::size_t end_reason_max = 128;
constexpr std::size_t operation_url_max = 2048;
constexpr std::size_t correlation_id_max = 64;
constexpr std::size_t record_surfaces_max = 512;
constexpr std::size_t writes_max = 64;

/// At most `max` bytes, whole UTF-8 characters, "..." where something was cut.
std::string cut(std::string_view text, std::size_t max) {
    if (text.size() <= max) return std::string(text);
    constexpr std::string_view mark = "...";
    std::size_t size = max - mark.size();
    while (size > 0 && (static_cast<unsigned char>(text[size]) & 0xC0U) == 0x80U) --size;
    return std::string(text.substr(0, size)).append(mark);
}

void put(json& object, const char* name, std::string_view text, std::size_t max) {
    if (!text.empty()) object[name] = cut(text, max);
}
void put(json& object, const char* name, const std::optional<Timestamp>& time) {
    if (time) object[name] = format_rfc3339(*time);
}
void put_list(json& object, const char* name, json list) {
    if (!list.empty()) object[name] = std::move(list);
}

/// `encode` of each, at most `max` of them.
template <class T, class Encode>
json list_of(const std::vector<T>& values, std::size_t max, Encode encode) {
    json list = json::array();
    for (std::size_t i = 0; i < std::min(values.size(), max); ++i)
        list.push_back(encode(values[i]));
    return list;
}

json encode_port(const PortRange& range) {
    if (range.first() == range.last()) return range.first();
    return fmt::format("{}-{}", range.first(), range.last());
}

json encode_condition(const Condition& condition) {
    return {{"type", condition.type},
            {"status", to_text(condition.status)},
            {"reason", cut(condition.reason, reason_max)},
            {"message", cut(condition.message, condition_message_max)},
            {"observedGeneration", std::max<std::int64_t>(condition.observed_generation, 0)},
            {"lastTransitionTime", format_rfc3339(condition.changed)}};
}

json encode_surface(const SurfaceStatus& surface) {
    json out = {{"id", surface.id}};
    put(out, "rule", surface.rule, 80);
    if (surface.priority) out["priority"] = *surface.priority;
    put(out, "state", surface.state, state_max);
    put(out, "proof", surface.proof, proof_max);
    put(out, "correlationId", surface.correlation_id, correlation_id_max);
    return out;
}

json encode_connection(const Connection& connection) {
    json out = json::object();
    put(out, "virtualMachine", connection.machine, 80);
    if (!connection.port.empty()) {
        const auto range = PortRange::parse(connection.port);
        out["port"] = range ? encode_port(*range) : json(cut(connection.port, 11));
    }
    put(out, "protocol", connection.protocol, 8);
    put(out, "connectTo", connection.connect_to, 253);
    return out;
}

json encode_request(const ResolvedRequest& request) {
    const auto encode_resolved_port = [](const ResolvedPort& port) {
        return json{{"port", encode_port(port.ports)}, {"protocol", to_text(port.protocol)}};
    };
    const auto encode_access = [&](const ResolvedAccess& access) {
        json out = {{"id", access.target.id.text()},
                    {"ports", list_of(access.ports, access.ports.size(), encode_resolved_port)},
                    {"sources", list_of(access.sources, access.sources.size(),
                                        [](const Cidr& cidr) { return cidr.text(); })}};
        put(out, "vmId", access.target.vm_id, correlation_id_max);
        return out;
    };
    json out = {{"policyUid", request.policy_uid},
                {"access", list_of(request.access, request.access.size(), encode_access)}};
    if (request.duration) out["duration"] = format_duration(*request.duration);
    put(out, "notAfter", request.not_after);
    put(out, "notBefore", request.not_before);
    return out;
}

json encode_write(const WriteRecord& write) {
    json out = {{"clientRequestId", write.client_request_id},
                {"effect", to_text(write.effect)},
                {"started", format_rfc3339(write.started)}};
    // A URL that was cut would be another operation's.
    if (write.operation_url.size() <= operation_url_max) {
        put(out, "operationUrl", write.operation_url, operation_url_max);
    }
    put(out, "ended", write.ended);
    put(out, "outcome", write.outcome, outcome_max);
    return out;
}

/// The CRD has room for 64: the oldest of those that have ended go first, since only the others can
/// still land.
std::vector<WriteRecord> kept_writes(std::vector<WriteRecord> writes) {
    while (writes.size() > writes_max) {
        const auto ended =
            std::ranges::find_if(writes, [](const WriteRecord& w) { return w.ended.has_value(); });
        writes.erase(ended == writes.end() ? writes.begin() : ended);
    }
    return writes;
}

json encode_recorded_rule(const RecordedRule& rule) {
    json out = {{"key", rule.nsg.text()},
                {"n", rule.n},
                {"openings", rule.openings},
                {"repairs", rule.repairs}};
    put(out, "rule", rule.name, 80);
    put(out, "contentHash", rule.content, reason_max);
    if (rule.priority) out["priority"] = *rule.priority;
    put(out, "proof", rule.proof, proof_max);
    put_list(out, "writes", list_of(kept_writes(rule.writes), writes_max, encode_write));
    return out;
}

json object_of(Kind kind, const ObjectMeta& meta, json spec) {
    json metadata = {{"name", meta.key.name}};
    if (!meta.key.ns.empty()) metadata["namespace"] = meta.key.ns;
    if (!meta.resource_version.empty()) metadata["resourceVersion"] = meta.resource_version;
    if (!meta.labels.empty()) metadata["labels"] = meta.labels;
    if (!meta.finalizers.empty()) metadata["finalizers"] = meta.finalizers;
    return {{"apiVersion", group_version},
            {"kind", to_text(kind)},
            {"metadata", std::move(metadata)},
            {"spec", std::move(spec)}};
}

}  // namespace

json encode_status(const AccountStatus& status) {
    json out = {{"observedGeneration", status.observed_generation}};
    put(out, "owner", status.owner, 8);
    put(out, "message", status.message, message_max);
    if (status.coverage) {
        out["coverage"] = {{"configured", status.coverage->configured},
                           {"notConfigured", status.coverage->not_configured},
                           {"unsupported", status.coverage->unsupported}};
    }
    put(out, "lastSweep", status.last_sweep);
    out["surfaces"] = status.surfaces;
    put_list(out, "conditions", list_of(status.conditions, conditions_max, encode_condition));
    return out;
}

json encode_status(const PolicyStatus& status) {
    json out = {{"observedGeneration", status.observed_generation},
                {"targets", status.targets},
                {"openGrants", status.open_grants}};
    put(out, "phase", status.phase, phase_max);
    put(out, "message", status.message, message_max);
    put_list(out, "findings",
             list_of(status.findings, findings_max,
                     [](const std::string& finding) { return cut(finding, finding_max); }));
    put_list(out, "conditions", list_of(status.conditions, conditions_max, encode_condition));
    return out;
}

json encode_status(const GrantStatus& status) {
    json out = {{"observedGeneration", status.observed_generation}};
    put(out, "phase", status.phase, phase_max);
    put(out, "message", status.message, message_max);
    put(out, "requester", status.requester, name_size_max);
    put_list(out, "approvedBy",
             list_of(status.approved_by, approvers_max,
                     [](const std::string& who) { return cut(who, approver_max); }));
    if (!status.request_digest.empty()) out["request"] = {{"digest", status.request_digest}};
    put(out, "openedAt", status.opened_at);
    put(out, "expirationTime", status.expiration_time);
    put(out, "closedAt", status.closed_at);
    put_list(out, "surfaces", list_of(status.surfaces, surfaces_max, encode_surface));
    put_list(out, "connections", list_of(status.connections, connections_max, encode_connection));
    put_list(out, "conditions", list_of(status.conditions, conditions_max, encode_condition));
    return out;
}

json encode_record_spec(const AccessRecord& record) {
    json requester = {{"user", record.requester.user}};
    put(requester, "uid", record.requester.uid, 128);
    put_list(requester, "groups", record.requester.groups);
    put(requester, "provenance", record.identity_source, 256);
    json out = {{"schemaVersion", record.schema_version},
                {"owner", record.owner},
                {"grant",
                 {{"namespace", record.grant.ns},
                  {"name", record.grant.name},
                  {"uid", record.grant_uid},
                  {"generation", record.grant_generation}}},
                {"policy",
                 {{"namespace", record.policy.ns},
                  {"name", record.policy.name},
                  {"uid", record.policy_uid},
                  {"generation", record.policy_generation}}},
                {"account",
                 {{"name", record.account},
                  {"uid", record.account_uid},
                  {"generation", record.account_generation}}},
                {"digest", record.request_digest},
                {"request", encode_request(record.request)},
                {"requester", std::move(requester)},
                {"decidedAt", format_rfc3339(record.decided_at)},
                {"clockStarts", to_text(record.clock_starts)},
                {"latestEnd", format_rfc3339(record.latest_end)},
                {"journalSeq", record.journal_seq}};
    put(out, "requestId", record.request_id, 128);
    put_list(out, "approvals", record.approvals);
    return out;
}

json encode_record_status(const AccessRecord& record) {
    json out = json::object();
    put(out, "end", record.end);
    put(out, "endReason", record.end_reason, end_reason_max);
    put(out, "openingAt", record.opening_at);
    put(out, "openedAt", record.opened_at);
    put(out, "closedAt", record.closed_at);
    put_list(out, "surfaces", list_of(record.rules, record_surfaces_max, encode_recorded_rule));
    return out;
}

json encode_ledger_spec(const AccessLedger& ledger) {
    return {{"account", {{"name", ledger.meta.key.name}}},
            {"head", {{"seq", ledger.head.seq}, {"hash", ledger.head.hash}}}};
}

json encode_record(const AccessRecord& record) {
    return object_of(Kind::record, record.meta, encode_record_spec(record));
}

json encode_ledger(const AccessLedger& ledger) {
    return object_of(Kind::ledger, ledger.meta, encode_ledger_spec(ledger));
}

}  // namespace sallyport::codec
