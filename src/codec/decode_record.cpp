#include <nlohmann/json.hpp>

#include "codec/kinds.hpp"
#include "codec/kinds_read.hpp"

namespace sallyport::codec {
namespace {

constexpr std::size_t access_max = 256;
constexpr std::size_t surfaces_read_max = 512;
constexpr std::size_t writes_read_max = 64;
constexpr std::size_t record_groups_max = 1024;
constexpr std::size_t arm_id_max = 2048;
constexpr seconds any_duration{99999LL * 3600};

int read_count(const Field& field, int max) {
    return static_cast<int>(field.integer(0, max).value_or(0));
}

/// The value, or a fallback after a problem: then nobody sees it.
template <class Id>
std::optional<Id> read_id(const Field& field) {
    return field.required().parsed([](std::string_view text) { return Id::parse(text); });
}

Timestamp read_required_time(const Field& field) {
    return read_time(field.required()).value_or(Timestamp());
}

std::vector<ResolvedPort> read_resolved_ports(const Field& field) {
    std::vector<ResolvedPort> ports;
    for (const Field& item : field.required().items(names_max)) {
        ResolvedPort port;
        port.ports = read_port(item["port"].required()).value_or(port.ports);
        port.protocol = read_protocol(item["protocol"].required()).value_or(port.protocol);
        ports.push_back(port);
    }
    return ports;
}

ResolvedRequest read_request(const Field& field) {
    ResolvedRequest request;
    request.policy_uid = field["policyUid"].name();
    for (const Field& item : field["access"].required().items(access_max)) {
        const auto id = read_id<VmId>(item["id"]);
        if (!id) continue;
        request.access.push_back({.target = {.id = *id, .vm_id = item["vmId"].text().value_or("")},
                                  .ports = read_resolved_ports(item["ports"]),
                                  .sources = read_cidrs(item["sources"].required())});
    }
    request.duration = read_duration(field["duration"], seconds(0), any_duration);
    request.not_after = read_time(field["notAfter"]);
    request.not_before = read_time(field["notBefore"]);
    return request;
}

void read_references(const Field& spec, AccessRecord& record) {
    const Field grant = spec["grant"].required();
    record.grant = {grant["namespace"].name(63), grant["name"].name(253)};
    record.grant_uid = grant["uid"].name();
    record.grant_generation = grant["generation"].integer(0, number_max).value_or(0);
    const Field policy = spec["policy"].required();
    record.policy = {policy["namespace"].text(63).value_or(record.grant.ns),
                     policy["name"].name(253)};
    record.policy_uid = policy["uid"].name();
    record.policy_generation = policy["generation"].integer(0, number_max).value_or(0);
    const Field account = spec["account"].required();
    record.account = account["name"].name(253);
    record.account_uid = account["uid"].name();
    record.account_generation = account["generation"].integer(0, number_max).value_or(0);
}

void read_spec(const Field& spec, AccessRecord& record) {
    record.schema_version =
        static_cast<int>(spec["schemaVersion"].required().integer(1, 1000).value_or(0));
    record.owner = spec["owner"].name(8);
    read_references(spec, record);
    record.request_id = spec["requestId"].text().value_or("");
    record.request_digest = spec["digest"].name();
    record.request = read_request(spec["request"].required());
    const Field requester = spec["requester"].required();
    record.requester = {.user = requester["user"].name(name_size_max),
                        .uid = requester["uid"].text().value_or(""),
                        .groups = requester["groups"].texts(record_groups_max)};
    record.identity_source = requester["provenance"].text().value_or("");
    record.approvals = spec["approvals"].texts(names_max);
    record.decided_at = read_required_time(spec["decidedAt"]);
    record.clock_starts = spec["clockStarts"].required().choice<ClockStarts>(
        {{"WhenOpen", ClockStarts::when_open}, {"WhenApproved", ClockStarts::when_approved}},
        ClockStarts::when_open);
    record.latest_end = read_required_time(spec["latestEnd"]);
    record.journal_seq =
        static_cast<std::uint64_t>(spec["journalSeq"].integer(0, number_max).value_or(0));
}

WriteRecord read_write(const Field& item) {
    return {.client_request_id = item["clientRequestId"].name(),
            .effect = item["effect"].choice<WriteEffect>({{"opens", WriteEffect::opens},
                                                          {"closes", WriteEffect::closes},
                                                          {"neutral", WriteEffect::neutral}},
                                                         WriteEffect::opens),
            .started = read_required_time(item["started"]),
            .operation_url = item["operationUrl"].text().value_or(""),
            .ended = read_time(item["ended"]),
            .outcome = item["outcome"].text().value_or("")};
}

void read_status(const Field& status, AccessRecord& record) {
    record.end = read_time(status["end"]);
    record.opening_at = read_time(status["openingAt"]);
    record.opened_at = read_time(status["openedAt"]);
    record.closed_at = read_time(status["closedAt"]);
    record.end_reason = status["endReason"].text().value_or("");
    for (const Field& item : status["surfaces"].items(surfaces_read_max)) {
        const auto nsg = read_id<NsgId>(item["key"]);
        if (!nsg) continue;
        RecordedRule rule{.nsg = *nsg};
        rule.content = item["contentHash"].text(arm_id_max).value_or("");
        rule.n = read_count(item["n"], RuleName::n_max);
        rule.name = item["rule"].text().value_or("");
        if (const auto priority = item["priority"].integer(priority_min, priority_max)) {
            rule.priority = static_cast<int>(*priority);
        }
        rule.openings = read_count(item["openings"], std::numeric_limits<int>::max());
        rule.repairs = read_count(item["repairs"], std::numeric_limits<int>::max());
        for (const Field& write : item["writes"].items(writes_read_max))
            rule.writes.push_back(read_write(write));
        rule.proof = item["proof"].text().value_or("");
        record.rules.push_back(std::move(rule));
    }
}

}  // namespace

Result<AccessRecord> decode_record(const nlohmann::json& object) {
    Problems problems;
    const Field root(object, problems);
    check_type(root, Kind::record);
    AccessRecord record;
    record.meta = read_meta(root["metadata"].required());
    read_spec(root["spec"].required(), record);
    // A record of a later version may say things that change the meaning of what is read here.
    if (record.schema_version > 1) {
        root["spec"]["schemaVersion"].refuse(fmt::format(
            "{} was written by a later version; this one reads 1", record.schema_version));
    }
    read_status(root["status"], record);
    return decoded(std::move(record), problems);
}

Result<AccessLedger> decode_ledger(const nlohmann::json& object) {
    Problems problems;
    const Field root(object, problems);
    check_type(root, Kind::ledger);
    AccessLedger ledger;
    ledger.meta = read_meta(root["metadata"].required());
    const Field head = root["spec"].required()["head"].required();
    ledger.head.seq =
        static_cast<std::uint64_t>(head["seq"].required().integer(0, number_max).value_or(0));
    ledger.head.hash = head["hash"].required().text(71).value_or("");
    return decoded(std::move(ledger), problems);
}

}  // namespace sallyport::codec
