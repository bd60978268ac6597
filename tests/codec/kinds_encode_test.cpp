#include <doctest/doctest.h>

#include <nlohmann/json.hpp>
#include <set>

#include "codec/kinds.hpp"
#include "codec/yaml.hpp"
#include "support/golden.hpp"
#include "support/printers.hpp"

using namespace sallyport;
using namespace sallyport::codec;
using nlohmann::json;

namespace {

Timestamp at(std::string_view text) { return *parse_rfc3339(text); }

const std::string web_nsg_id =
    "/subscriptions/s/resourceGroups/rg/providers/Microsoft.Network/networkSecurityGroups/nsg1";

Condition ready() {
    return {.type = "Ready",
            .status = Truth::yes,
            .reason = "Open",
            .message = "open until 11:00",
            .observed_generation = 2,
            .changed = at("2026-11-21T09:00:01Z")};
}

AccessRecord record() {
    AccessRecord r;
    r.meta.key = {"sallyport-system", "sqjww22y76hl3mjk"};
    r.meta.uid = "5bf3b8a1-0000-4000-8000-000000000001";
    r.owner = "k7f2m3qa";
    r.grant = {"payments", "alice-web01"};
    r.grant_uid = "6f1c8a3e-93a7-4c55-8f57-0a7f7a2f6f10";
    r.grant_generation = 1;
    r.request_id = "2";
    r.policy = {"payments", "web-ssh"};
    r.policy_uid = "p-uid";
    r.policy_generation = 3;
    r.account = "prod";
    r.account_uid = "a-uid";
    r.account_generation = 4;
    r.request.policy_uid = "p-uid";
    r.request.access = {
        {.target = {.id = *VmId::parse("/subscriptions/s/resourceGroups/rg/providers/"
                                       "Microsoft.Compute/virtualMachines/web01"),
                    .vm_id = "0b1f"},
         .ports = {{PortRange::single(22), Protocol::tcp},
                   {PortRange::of(8000, 8010), Protocol::any}},
         .sources = {*Cidr::parse("198.51.100.7/32"), *Cidr::parse("2001:db8::/64")}}};
    r.request.duration = seconds(7200);
    r.request.not_before = at("2026-11-21T09:00:00Z");
    r.request_digest = digest(r.request);
    r.requester = {.user = "alice@contoso.com", .uid = "u1", .groups = {"payments-oncall"}};
    r.identity_source = "stamp";
    r.approvals = {"policy: automatic"};
    r.decided_at = at("2026-11-21T09:00:00Z");
    r.clock_starts = ClockStarts::when_approved;
    r.latest_end = at("2026-11-21T11:05:00Z");
    r.journal_seq = 17;
    r.end = at("2026-11-21T11:00:00Z");
    r.opening_at = at("2026-11-21T09:00:00Z");
    r.opened_at = at("2026-11-21T09:00:01Z");
    r.closed_at = at("2026-11-21T11:00:02Z");
    r.end_reason = "Expired";
    RecordedRule rule{.nsg = *NsgId::parse(web_nsg_id)};
    rule.content = "0123456789abcdef";
    rule.n = 3;
    rule.name = RuleName::of(*Owner::parse("k7f2m3qa"), r.grant_uid, 3).text();
    rule.priority = 200;
    rule.openings = 2;
    rule.repairs = 1;
    rule.proof = "read at 2026-11-21T09:00:01Z";
    rule.writes = {{.client_request_id = "c1",
                    .effect = WriteEffect::opens,
                    .started = at("2026-11-21T09:00:00Z"),
                    .operation_url = "https://x/operations/1?t=1&c=2",
                    .ended = at("2026-11-21T09:00:01Z"),
                    .outcome = "Succeeded"},
                   {.client_request_id = "c2",
                    .effect = WriteEffect::closes,
                    .started = at("2026-11-21T11:00:00Z")}};
    r.rules = {rule};
    return r;
}

json record_object() {
    const AccessRecord r = record();
    json object = encode_record(r);
    object["metadata"]["uid"] = r.meta.uid;
    object["status"] = encode_record_status(r);
    return object;
}

AccessLedger ledger() {
    AccessLedger l;
    l.meta.key = {"sallyport-system", "prod"};
    l.meta.uid = "1e";
    l.meta.resource_version = "12";
    l.head = {17, std::string(64, 'a')};
    return l;
}
json ledger_object() {
    json object = encode_ledger(ledger());
    object["metadata"]["uid"] = "1e";
    return object;
}

GrantStatus grant_status() {
    GrantStatus s;
    s.observed_generation = 2;
    s.phase = "Open";
    s.message = "open until 2026-11-21T11:00:00Z";
    s.requester = "alice@contoso.com";
    s.approved_by = {"policy: automatic"};
    s.request_digest = record().request_digest;
    s.opened_at = at("2026-11-21T09:00:01Z");
    s.expiration_time = at("2026-11-21T11:00:00Z");
    s.closed_at = at("2026-11-21T11:00:02Z");
    s.surfaces = {{.id = web_nsg_id,
                   .rule = "sp-k7f2m3qa-0-0",
                   .priority = 200,
                   .state = "Open",
                   .proof = "read",
                   .correlation_id = "c0ffee"}};
    s.connections = {
        {.machine = "web01", .port = "22", .protocol = "Tcp", .connect_to = "10.0.0.4"},
        {.machine = "web01", .port = "8000-8010", .protocol = "Any", .connect_to = "10.0.0.4"}};
    s.conditions = {ready()};
    return s;
}
PolicyStatus policy_status() {
    PolicyStatus s;
    s.observed_generation = 3;
    s.conditions = {ready()};
    s.phase = "Ready";
    s.message = "1 machine, all ports closed";
    s.targets = 1;
    s.open_grants = 1;
    s.findings = {"web01:22 Closed"};
    return s;
}
AccountStatus account_status() {
    AccountStatus s;
    s.observed_generation = 1;
    s.conditions = {ready()};
    s.owner = "k7f2m3qa";
    s.last_sweep = at("2026-11-21T09:00:00Z");
    s.surfaces = 5;
    return s;
}

std::string pretty(const json& value) { return value.dump(2) + "\n"; }

json schema_of(const std::string& plural) {
    const auto crd = parse_yaml(test::read_file(SOURCE_ROOT "/crds/" + plural + ".yaml"));
    REQUIRE(crd);
    return crd->at("/spec/versions/0/schema/openAPIV3Schema"_json_pointer);
}

/// What of `value` the structural schema has no place for, as the API server would find it.
void collect_violations(const json& schema, const json& value, const std::string& path,
                        std::vector<std::string>& out) {
    const std::string type = schema.value("type", "");
    if (value.is_object()) {
        if (type != "object") out.push_back(path + ": no object here");
        if (path == ".metadata") return;
        for (const auto& name : schema.value("required", json::array())) {
            if (!value.contains(name))
                out.push_back(path + "." + name.get<std::string>() + ": required");
        }
        for (const auto& [key, member] : value.items()) {
            if (!schema.value("properties", json::object()).contains(key)) {
                out.push_back(path + "." + key + ": unknown");
            } else {
                collect_violations(schema["properties"][key], member, path + "." + key, out);
            }
        }
    } else if (value.is_array()) {
        if (type != "array") out.push_back(path + ": no list here");
        if (value.size() > schema.value("maxItems", 0U)) out.push_back(path + ": too many items");
        for (const json& item : value) collect_violations(schema["items"], item, path + "[]", out);
    } else if (schema.value("x-kubernetes-int-or-string", false)) {
        if (!value.is_string() && !value.is_number_integer())
            out.push_back(path + ": int or string");
    } else {
        const char* const actual = value.is_string()    ? "string"
                                   : value.is_boolean() ? "boolean"
                                                        : "integer";
        if (type != actual) out.push_back(path + ": not a " + type);
    }
    if (value.is_string()) {
        const auto size = value.get_ref<const std::string&>().size();
        if (size > schema.value("maxLength", size)) out.push_back(path + ": too long");
        if (size < schema.value("minLength", 0U)) out.push_back(path + ": too short");
        if (schema.contains("enum") &&
            std::ranges::find(schema["enum"], value) == schema["enum"].end()) {
            out.push_back(path + ": not in enum");
        }
    }
    if (value.is_number_integer() &&
        value < schema.value("minimum", std::numeric_limits<std::int64_t>::min())) {
        out.push_back(path + ": too small");
    }
}

std::string violations(const std::string& plural, const json& object) {
    std::vector<std::string> out;
    collect_violations(schema_of(plural), object, "", out);
    std::string text;
    for (const std::string& line : out) text += line + "\n";
    return text;
}

}  // namespace

TEST_CASE("what is written has the form it always had") {
    test::check_golden("record.json", pretty(record_object()));
    test::check_golden("ledger.json", pretty(ledger_object()));
    test::check_golden("grant-status.json", pretty(encode_status(grant_status())));
    test::check_golden("policy-status.json", pretty(encode_status(policy_status())));
    test::check_golden("account-status.json", pretty(encode_status(account_status())));
}

TEST_CASE("a record that is written and read again is the same") {
    const auto read = decode_record(record_object());
    if (!read) FAIL(read.error().message);
    CHECK(*read == record());
    CHECK(digest(read->request) == record().request_digest);

    AccessRecord fresh = record();
    fresh.rules.clear();
    fresh.end = fresh.opening_at = fresh.opened_at = fresh.closed_at = std::nullopt;
    fresh.end_reason.clear();
    fresh.request_id.clear();
    json object = encode_record(fresh);
    object["metadata"]["uid"] = fresh.meta.uid;
    CHECK(*decode_record(object) == fresh);
    CHECK(encode_record_status(fresh) == json::object());
}

TEST_CASE("a ledger that is written and read again is the same") {
    CHECK(*decode_ledger(ledger_object()) == ledger());
    AccessLedger first = ledger();
    first.head = {};
    json object = encode_ledger(first);
    object["metadata"]["uid"] = "1e";
    CHECK(*decode_ledger(object) == first);
}

TEST_CASE("a record of a later schema is not read as if it were of this one") {
    json object = record_object();
    object["spec"]["schemaVersion"] = 2;
    CHECK(decode_record(object).error().message.find("a later version") != std::string::npos);
}

TEST_CASE("every field that is written stands in the CRD, within its bounds") {
    CHECK(violations("accessrecords", record_object()) == "");
    CHECK(violations("accessledgers", ledger_object()) == "");
    // A spec is not ours to write: only the status is held against the schema.
    const auto status_violations = [](const std::string& plural, const json& status) {
        std::string text;
        std::vector<std::string> out;
        collect_violations(schema_of(plural)["properties"]["status"], status, ".status", out);
        for (const std::string& line : out) text += line + "\n";
        return text;
    };
    CHECK(status_violations("accessgrants", encode_status(grant_status())) == "");
    CHECK(status_violations("jitpolicies", encode_status(policy_status())) == "");
    CHECK(status_violations("cloudaccounts", encode_status(account_status())) == "");
    CHECK(status_violations("accessgrants", {{"bogus", 1}}) == ".status.bogus: unknown\n");

    // The longest of everything is cut to fit.
    const std::string endless(100'000, 'x');
    GrantStatus grant = grant_status();
    grant.phase = grant.message = grant.requester = endless;
    grant.approved_by.assign(100, endless);
    grant.surfaces.assign(1000, {.id = web_nsg_id,
                                 .rule = endless,
                                 .state = endless,
                                 .proof = endless,
                                 .correlation_id = endless});
    grant.connections.assign(
        1000, {.machine = endless, .port = endless, .protocol = endless, .connect_to = endless});
    grant.conditions.assign(100, ready());
    grant.conditions[0].message = grant.conditions[0].reason = endless;
    CHECK(status_violations("accessgrants", encode_status(grant)) == "");
    PolicyStatus policy = policy_status();
    policy.findings.assign(1000, endless);
    policy.message = endless;
    CHECK(status_violations("jitpolicies", encode_status(policy)) == "");
    AccessRecord busy = record();
    busy.rules[0].proof = busy.rules[0].name = busy.rules[0].writes[0].outcome = busy.end_reason =
        endless;
    busy.rules[0].writes[0].operation_url = endless;
    busy.rules[0].writes.insert(busy.rules[0].writes.end(), 100, busy.rules[0].writes[0]);
    json object = encode_record(busy);
    object["status"] = encode_record_status(busy);
    CHECK(violations("accessrecords", object) == "");
    CHECK_FALSE(object["status"]["surfaces"][0]["writes"][0].contains("operationUrl"));
}

TEST_CASE("of too many writes those are kept that may still land") {
    AccessRecord busy = record();
    const WriteRecord running = busy.rules[0].writes[1];
    busy.rules[0].writes = {running};
    const WriteRecord ended = record().rules[0].writes[0];
    busy.rules[0].writes.insert(busy.rules[0].writes.end(), 100, ended);

    const json status = encode_record_status(busy);

    const json& writes = status["surfaces"][0]["writes"];
    CHECK(writes.size() == 64);
    CHECK(writes[0]["clientRequestId"] == running.client_request_id);
}

TEST_CASE("a text is cut between characters") {
    GrantStatus status;
    status.phase = std::string(60, 'x') + "\xE2\x82\xAC\xE2\x82\xAC";
    CHECK(encode_status(status)["phase"] == std::string(60, 'x') + "...");
    CHECK_NOTHROW(static_cast<void>(encode_status(status).dump()));
}

TEST_CASE("a grant's status is read back as it was told, by the next process too") {
    CHECK(decode_grant_status(encode_status(grant_status())) == grant_status());
    GrantStatus least;
    least.observed_generation = 1;
    CHECK(decode_grant_status(encode_status(least)) == least);
}

TEST_CASE("a grant's status that somebody else has written over is nothing that was told") {
    for (const char* text :
         {"null", "7", "{}", R"({"observedGeneration":"1"})",
          R"({"observedGeneration":1,"conditions":[{"type":"Ready","status":"Maybe"}]})",
          R"({"observedGeneration":1,"openedAt":"yesterday"})"}) {
        CAPTURE(text);
        CHECK_FALSE(decode_grant_status(json::parse(text)).has_value());
    }
}
