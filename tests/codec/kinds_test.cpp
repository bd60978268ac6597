#include "codec/kinds.hpp"

#include <doctest/doctest.h>

#include <nlohmann/json.hpp>
#include <random>

#include "codec/yaml.hpp"
#include "support/golden.hpp"
#include "support/printers.hpp"

using namespace sallyport;
using namespace sallyport::codec;
using nlohmann::json;

namespace {

/// YAML of a spec as an object that the API server would send.
json object(std::string_view kind, std::string_view spec) {
    const auto parsed = parse_yaml(spec);
    REQUIRE(parsed);
    return {{"apiVersion", "sallyport.dev/v1alpha1"},
            {"kind", kind},
            {"metadata",
             {{"name", "it"},
              {"namespace", "payments"},
              {"uid", "6f1c8a3e-93a7-4c55-8f57-0a7f7a2f6f10"},
              {"resourceVersion", "7"},
              {"generation", 2},
              {"creationTimestamp", "2026-11-21T09:00:00Z"}}},
            {"spec", *parsed}};
}

constexpr const char* account_spec = R"(
azure:
  tenantId: 11111111-1111-1111-1111-111111111111
  subscriptionId: 22222222-2222-2222-2222-222222222222
  identity: {clientSecret: {clientId: c1, secretRef: {name: azure-prod}}}
)";
constexpr const char* policy_spec = R"(
accountRef: {name: prod}
network:
  targets: [{virtualMachine: {resourceGroup: rg-web, name: web01}}]
  sources: {within: [198.51.100.0/22]}
request: {allowed: {groups: [oncall]}}
)";
constexpr const char* grant_spec = R"(
policyRef: {name: web-ssh}
network: {sources: [198.51.100.7/32]}
revoked: false
)";

json with(json object, const char* pointer, const char* value) {
    object[json::json_pointer(pointer)] = json::parse(value);
    return object;
}

struct Limit {
    const char* kind;
    const char* pointer;
    const char* value;
    const char* message;
};
const Limit limits[] = {
    Limit{"CloudAccount", "/spec/mode", R"("Enforced")",
          "\"Enforced\" is not one of Enforce, Observe, Paused"},
    Limit{"CloudAccount", "/spec/sweepInterval", R"("61s")", "1m1s is not from 1s to 1m"},
    Limit{"CloudAccount", "/spec/alertAfter", R"("1m")", "1m is not from 1s to 30s"},
    Limit{"CloudAccount", "/spec/azure/cloud", R"("Custom")", "spec.azure.endpoints: is required"},
    Limit{"CloudAccount", "/spec/azure/endpoints", R"({"resourceManager": "https://x"})",
          "with cloud Custom only"},
    Limit{"CloudAccount", "/spec/azure/subscriptionId", R"("../x")", "is not a GUID"},
    Limit{"CloudAccount", "/spec/azure/identity", "{}", "exactly one of clientSecret"},
    Limit{"CloudAccount", "/spec/priorities", R"({"grants": {"from": 200, "to": 950}})",
          "without overlap"},
    Limit{"CloudAccount", "/spec/priorities", R"({"grants": {"from": 800, "to": 200}})",
          "from 800 is above to 200"},
    Limit{"CloudAccount", "/spec/priorities", R"({"grants": {"from": 99, "to": 200}})",
          "99 is not from 100 to 4096"},
    Limit{"CloudAccount", "/spec/closeOverdueOf", R"(["me"])", "is not an owner id"},
    Limit{"CloudAccount", "/spec/tenants",
          R"([{"namespaces": {"names": ["a"]}, "scopes": ["rg"]}])",
          "neither subscription nor resourceGroups/NAME"},
    Limit{"CloudAccount", "/kind", R"("JitPolicy")", "\"JitPolicy\" is not CloudAccount"},
    Limit{"JitPolicy", "/spec/network/targets", "[]", "at least one target"},
    Limit{"JitPolicy", "/spec/network/targets", R"([{}])",
          "exactly one of virtualMachine and selector"},
    Limit{"JitPolicy", "/spec/network/ports", "[]", "leave it out for the default ports"},
    Limit{"JitPolicy", "/spec/network/ports", R"([{"port": 22, "maxDuration": "4m"}])",
          "4m is not from 5m to 24h"},
    Limit{"JitPolicy", "/spec/network/ports", R"([{"port": "9-8"}])", "the wrong way round"},
    Limit{"JitPolicy", "/spec/network/ports", R"([{"port": 22, "protocol": "Icmp"}])",
          "is not one of Tcp, Udp, Any"},
    Limit{"JitPolicy", "/spec/network/sources/within", R"(["10.0.0.1/8"])",
          "the network is 10.0.0.0/8"},
    Limit{"JitPolicy", "/spec/network/sources/widest", R"({"ipv4": 33})", "33 is not from 1 to 32"},
    Limit{"JitPolicy", "/spec/network/lockdown", R"({"exceptions": [{"reason": "x"}]})",
          "exactly one of tag, cidr"},
    Limit{"JitPolicy", "/spec/network/lockdown", R"({"exceptions": [{"tag": "*"}]})",
          "is not a service tag"},
    Limit{"JitPolicy", "/spec/request/defaultDuration", R"("9s")", "9s is not from 10s to 24h"},
    Limit{"JitPolicy", "/spec/request/maxActivePerRequester", "0", "0 is not from 1 to 1000"},
    Limit{"AccessGrant", "/spec/network/ports", "[]", "at least one port"},
    Limit{"AccessGrant", "/spec/network/access", R"([])", "at least one entry"},
    Limit{"AccessGrant", "/spec/network/virtualMachines", "[]", "at least one machine"},
    Limit{"AccessGrant", "/metadata/uid", R"("")", "metadata.uid: must not be empty"},
    Limit{"AccessGrant", "/spec/policyRef", "{}", "spec.policyRef.name: is required"},
};

}  // namespace

TEST_CASE("an account says who may use it, and what is left out has the schema's default") {
    json given = object("CloudAccount", account_spec);
    given["metadata"].erase("namespace");

    const auto account = decode_account(given);

    if (!account) FAIL(account.error().message);
    CHECK(account->meta.generation == 2);
    CHECK(account->mode == Mode::enforce);
    CHECK(account->azure.resource_manager == "https://management.azure.com");
    CHECK(account->azure.authority == "https://login.microsoftonline.com");
    CHECK(account->azure.client_secret_name == "azure-prod");
    CHECK(account->tenants.empty());
    CHECK(account->bands == Bands{});
    CHECK(account->sweep_interval == seconds(60));
    CHECK(account->alert_after == seconds(30));
    CHECK(account->unsupported.empty());
}

TEST_CASE("what a ceiling does not set does not limit, and what it sets does") {
    json given = object("CloudAccount", account_spec);
    given["spec"]["tenants"] = json::parse(
        R"([{"namespaces": {"names": ["payments"]}, "scopes": ["resourceGroups/rg-web"]},
            {"namespaces": {"names": ["x"]}, "scopes": ["subscription"],
             "ceiling": {"ports": [22, "8000-8010"], "maxDuration": "8h", "kinds": ["network"],
                         "sources": {"widest": {"ipv4": 28}},
                         "approval": {"automatic": false, "minimumRequired": 1,
                                      "approverGroups": ["leads"]}}}])");

    const auto account = decode_account(given);

    if (!account) FAIL(account.error().message);
    CHECK(account->tenants[0].ceiling == Ceiling{});
    const Ceiling& ceiling = account->tenants[1].ceiling;
    CHECK(ceiling.ports == std::vector{PortRange::single(22), PortRange::of(8000, 8010)});
    CHECK(ceiling.max_duration == seconds(8 * 3600));
    CHECK(AddressSet::of(ceiling.sources->within) == AddressSet::everything());
    CHECK(ceiling.sources->widest_v4 == 28);
    CHECK(ceiling.sources->widest_v6 == 0);
    CHECK_FALSE(ceiling.automatic_approval);
    CHECK(ceiling.approvals_required_min == 1);
}

TEST_CASE("a policy without ports has SSH, RDP and WinRM for three hours each") {
    const auto policy = decode_policy(object("JitPolicy", policy_spec));

    if (!policy) FAIL(policy.error().message);
    REQUIRE(policy->network.ports.size() == 4);
    std::string ports;
    for (const PolicyPort& port : policy->network.ports) {
        ports += port.ports.text() + " ";
        CHECK(port.protocol == Protocol::tcp);
        CHECK(port.max_duration == seconds(3 * 3600));
    }
    CHECK(ports == "22 3389 5985 5986 ");
    CHECK(policy->network.sources.widest_v4 == 32);
    CHECK(policy->approval == ApprovalMode::manual);
    CHECK(policy->clock_starts == ClockStarts::when_open);
    CHECK(policy->retain_ended == seconds(168 * 3600));
    CHECK(policy->network.lockdown == Lockdown{});
}

TEST_CASE("a grant's machines times its ports are lines of access") {
    struct Row {
        const char* network;
        std::vector<RequestedAccess> expected;
    };
    const std::vector<RequestedPort> ssh = {{.ports = PortRange::single(22)}};
    const std::vector<RequestedPort> range = {
        {.ports = PortRange::of(8000, 8010), .protocol = Protocol::udp}};
    for (const Row& row : {
             Row{"{}", {}},
             Row{R"({"virtualMachines": ["a", "b"]})", {{.machine = "a"}, {.machine = "b"}}},
             Row{R"({"ports": [{"port": 22}]})", {{.ports = ssh}}},
             Row{R"({"virtualMachines": ["a", "b"], "ports": [{"port": 22}]})",
                 {{.machine = "a", .ports = ssh}, {.machine = "b", .ports = ssh}}},
             Row{R"({"access": [{"virtualMachine": "a", "ports": [{"port": "22"}]},
                                {"virtualMachine": "b",
                                 "ports": [{"port": "8000-8010", "protocol": "Udp"}]},
                                {"virtualMachine": "c"}]})",
                 {{.machine = "a", .ports = ssh},
                  {.machine = "b", .ports = range},
                  {.machine = "c"}}},
         }) {
        CAPTURE(std::string(row.network));
        json given = object("AccessGrant", grant_spec);
        given["spec"]["network"].update(json::parse(row.network));

        const auto grant = decode_grant(given);

        if (!grant) FAIL(grant.error().message);
        CHECK(grant->access == row.expected);
        CHECK(grant->sources == std::vector<std::string>{"198.51.100.7/32"});
    }
}

TEST_CASE("a source that is no network is left for the decision, which knows the limits") {
    const auto grant = decode_grant(
        with(object("AccessGrant", grant_spec), "/spec/network/sources", R"(["*", "0.0.0.0/0"])"));
    REQUIRE(grant);
    CHECK(grant->sources == std::vector<std::string>{"*", "0.0.0.0/0"});
}

TEST_CASE(
    "all problems of an object are told at once, each with its field, the value and the limit") {
    json given = object("AccessGrant", grant_spec);
    given["spec"]["network"] = json::parse(
        R"({"virtualMachines": ["web01", 7],
            "ports": [{"port": 70000}, {"port": "*"}, {"port": 3.5}, {}],
            "sources": "everywhere"})");
    given["spec"]["duration"] = "2 hours";
    given["spec"]["notAfter"] = "tomorrow";
    given["spec"]["revoked"] = "no";

    const auto grant = decode_grant(given);

    REQUIRE_FALSE(grant);
    CHECK(grant.error().kind == ErrorKind::invalid);
    CHECK(grant.error().message ==
          "spec.network.ports[0].port: 70000 is not from 1 to 65535; "
          "spec.network.ports[1].port: a port is from 1 to 65535; there is no wildcard; "
          "spec.network.ports[2].port: must be a whole number and is 3.5; "
          "spec.network.ports[3].port: is required; "
          "spec.network.virtualMachines[1]: must be a string and is 7; "
          "spec.network.sources: must be a list and is \"everywhere\"; "
          "spec.network.sources: at least one source is required; "
          "spec.duration: \"2 hours\" is not a duration such as 90m, 3h or 1h30m; "
          "spec.notAfter: \"tomorrow\" is not an RFC 3339 time with a zone, such as "
          "2026-11-21T09:00:00Z; "
          "spec.duration: give either duration or notAfter; "
          "spec.revoked: must be true or false and is \"no\"");
}

TEST_CASE("each limit of an object is kept") {
    for (const Limit& row : limits) {
        CAPTURE(std::string(row.pointer));
        CAPTURE(std::string(row.value));
        const std::string_view kind = row.kind;
        const auto message_of = [&](const char* spec, auto decode) -> std::string {
            json base = object(kind, spec);
            REQUIRE(decode(base));
            const auto refused = decode(with(base, row.pointer, row.value));
            REQUIRE_FALSE(refused);
            return refused.error().message;
        };
        const std::string message = kind == "CloudAccount"
                                        ? message_of(account_spec, decode_account)
                                    : kind == "JitPolicy" ? message_of(policy_spec, decode_policy)
                                                          : message_of(grant_spec, decode_grant);
        CAPTURE(message);
        CHECK(message.find(row.message) != std::string::npos);
    }
}

TEST_CASE(
    "what this version does not support is said with a reason, and is not a mistake of form") {
    struct Row {
        const char* pointer;
        const char* value;
        const char* reason;
    };
    for (const Row& row : {
             Row{"/spec/request/constraints", R"(["true"])", "ConstraintsUnsupported"},
             Row{"/spec/request/mfa", R"({"extraKey": "x", "anyOf": ["mfa"]})", "MfaUnsupported"},
             Row{"/spec/request/assertedBy", R"(["flux"])", "AssertedByUnsupported"},
             Row{"/spec/request/moves", "3", "MovesUnsupported"},
             Row{"/spec/network/via", R"({"firewall": {}})", "ViaUnsupported"},
             Row{"/spec/network/lockdown",
                 R"({"exceptions": [{"bastion": {"resourceGroup": "g", "name": "b"}}]})",
                 "BastionUnsupported"},
             Row{"/spec/network/onEnd", R"({"bastionSessions": "Disconnect"})",
                 "BastionUnsupported"},
             Row{"/spec/role", R"({"roles": []})", "RoleUnsupported"},
             Row{"/spec/managedApplication", "{}", "ManagedApplicationUnsupported"},
         }) {
        CAPTURE(std::string(row.pointer));
        const auto policy =
            decode_policy(with(object("JitPolicy", policy_spec), row.pointer, row.value));
        if (!policy) FAIL(policy.error().message);
        REQUIRE(policy->unsupported.size() == 1);
        CHECK(policy->unsupported[0].first == row.reason);
        CHECK(policy->unsupported[0].second.starts_with("spec."));
    }
    for (const Row& row : {
             Row{"/spec/requester", R"({"user": "alice"})", "RequesterUnsupported"},
             Row{"/spec/continues", R"({"name": "a", "uid": "b"})", "ContinuesUnsupported"},
             Row{"/spec/role", R"({"name": "Contributor"})", "RoleUnsupported"},
         }) {
        CAPTURE(std::string(row.pointer));
        const auto grant =
            decode_grant(with(object("AccessGrant", grant_spec), row.pointer, row.value));
        if (!grant) FAIL(grant.error().message);
        REQUIRE(grant->unsupported.size() == 1);
        CHECK(grant->unsupported[0].first == row.reason);
    }
    for (const Row& row : {
             Row{"/spec/azure/identity", R"({"managedIdentity": {}})", "managedIdentity"},
             Row{"/spec/azure/identity", R"({"workloadIdentity": {"clientId": "x"}})",
                 "workloadIdentity"},
             Row{"/spec/wholeNsgWrites", R"("Closings")", "wholeNsgWrites"},
             Row{"/spec/aws", "{}", "aws"},
         }) {
        CAPTURE(std::string(row.pointer));
        json given = object("CloudAccount", account_spec);
        const auto account = decode_account(with(given, row.pointer, row.value));
        if (!account) FAIL(account.error().message);
        REQUIRE(account->unsupported.size() == 1);
        CHECK(account->unsupported[0].find(row.reason) != std::string::npos);
    }
    CHECK(decode_policy(with(object("JitPolicy", policy_spec), "/spec/request/constraints", "[]"))
              ->unsupported.empty());
}

TEST_CASE("a stamp is read whole or not at all") {
    const Identity alice{
        .user = "alice@contoso.com", .uid = "u1", .groups = {"oncall", "system:authenticated"}};
    CHECK(decode_stamp(encode_stamp(alice)) == alice);
    CHECK(decode_stamp(R"({"user": "alice", "extra": {"amr": ["mfa"]}})") ==
          Identity{.user = "alice"});
    for (const char* text : {"", "alice", "null", "[]", "{}", R"({"user": ""})", R"({"user": 7})",
                             R"({"user": "a", "groups": "g"})", R"({"user": "a", "groups": [7]})",
                             R"({"user": "a"} x)"}) {
        CAPTURE(std::string(text));
        CHECK_FALSE(decode_stamp(text));
    }

    json given = object("AccessGrant", grant_spec);
    CHECK_FALSE(decode_grant(given)->stamp);
    given["metadata"]["annotations"] = {{"sallyport.dev/created-by", encode_stamp(alice)}};
    CHECK(decode_grant(given)->stamp == alice);
}

TEST_CASE("no JSON at all crashes a decoder") {
    const json documents[] = {object("CloudAccount", account_spec),
                              object("JitPolicy", policy_spec), object("AccessGrant", grant_spec),
                              json::parse(test::read_file(TEST_DATA_DIR "/golden/record.json")),
                              json::parse(test::read_file(TEST_DATA_DIR "/golden/ledger.json"))};
    const json strange[] = {nullptr,
                            true,
                            -1,
                            3.5,
                            1e300,
                            18446744073709551615U,
                            "",
                            "x\xff",
                            "*",
                            json::array(),
                            json::object(),
                            json::array({1, json::object()}),
                            std::string(10000, 'x')};
    int refused = 0;
    for (const json& document : documents) {
        const json flat = document.flatten();
        for (auto it = flat.begin(); it != flat.end(); ++it) {
            for (json::json_pointer at(it.key()); !at.empty(); at.pop_back()) {
                for (const json& value : strange) {
                    json mutant = document;
                    mutant[at] = value;
                    for (const auto& outcome :
                         {decode_account(mutant).has_value(), decode_policy(mutant).has_value(),
                          decode_grant(mutant).has_value(), decode_record(mutant).has_value(),
                          decode_ledger(mutant).has_value()}) {
                        refused += outcome ? 0 : 1;
                    }
                }
            }
        }
    }
    for (const json& value : strange) CHECK_FALSE(decode_grant(value));
    CHECK(refused > 1000);
}

TEST_CASE("every example is read") {
    int read = 0;
    for (const auto& entry : std::filesystem::directory_iterator(SOURCE_ROOT "/examples")) {
        CAPTURE(entry.path().string());
        const auto documents = parse_yaml_documents(test::read_file(entry.path()));
        if (!documents) FAIL(documents.error().message);
        for (json document : *documents) {
            document["metadata"]["uid"] = "u";
            const json kind = document["kind"];
            const auto expect = [&](auto decode) {
                const auto decoded = decode(document);
                if (!decoded) FAIL_CHECK(decoded.error().message);
                ++read;
            };
            if (kind == "CloudAccount") expect(decode_account);
            if (kind == "JitPolicy") expect(decode_policy);
            if (kind == "AccessGrant") expect(decode_grant);
        }
    }
    CHECK(read >= 3);
}
