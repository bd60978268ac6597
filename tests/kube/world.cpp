#include "kube/world.hpp"

#include "codec/kinds.hpp"
#include "codec/yaml.hpp"

namespace sallyport::kube {

namespace {

constexpr const char* tokens =
    "t-admin,admin,u-1,\"system:masters\"\n"
    "t-controller-very-secret,system:serviceaccount:sallyport-system:sallyport-controller,u-2\n";

Json parsed(const std::string& yaml) {
    Result<Json> json = codec::parse_yaml(yaml);
    if (!json) FAIL(json.error().message);
    return *std::move(json);
}

}  // namespace

KubeWorld::KubeWorld(std::size_t history_max)
    : SimulatedWorld(*parse_rfc3339("2026-11-21T09:00:00Z")), history_max_(history_max) {
    declare_metrics(metrics);
    start_server();
    network.serve(origin, front);
    KubeStore::Options options{.connection = {.origin = origin, .token = Secret(token)},
                               .instance = "test-0"};
    store = std::make_unique<KubeStore>(World{loop, clock, random, log, metrics, background},
                                        *transport, std::move(options));
    store->on_change([this](const ObjectRef& ref) { changes.push_back(ref); });
}

void KubeWorld::start_server() {
    apiserver::Config config;
    config.tokens = tokens;
    config.history_max = history_max_;
    config.random_bytes = [this](std::size_t count) { return server_random_.bytes(count); };
    apiserver::Store& backing =
        other_objects_ ? static_cast<apiserver::Store&>(*other_objects_) : objects;
    auto made = apiserver::ApiServer::create(std::move(config), backing, clock.now());
    if (!made) FAIL(made.error().message);
    front.server = *std::move(made);
    as_admin("POST", "/api/v1/namespaces",
             {{"apiVersion", "v1"}, {"kind", "Namespace"}, {"metadata", {{"name", "payments"}}}},
             201);
}

void KubeWorld::replace_server() {
    network.break_streams();
    other_objects_ = std::make_unique<apiserver::MemoryStore>();
    start_server();
}

void KubeWorld::start() {
    store->start(reflectors);
    REQUIRE(run_until([this] { return all_synced(); }, std::chrono::seconds(60)));
    run_for(std::chrono::milliseconds(100));  // until the watches are open
}

bool KubeWorld::all_synced() const {
    for (const Kind kind : {Kind::account, Kind::policy, Kind::grant, Kind::record, Kind::ledger}) {
        if (!store->synced(kind)) return false;
    }
    return true;
}

Json KubeWorld::as_admin(const std::string& method, const std::string& target, const Json& body,
                         int status) {
    http::Request request{.method = method, .target = target};
    // Only the operator may write a status; here it is another of its processes.
    const bool operator_only = target.ends_with("/status");
    request.headers.set("Authorization",
                        "Bearer " + std::string(operator_only ? token : "t-admin"));
    request.headers.set("Accept", "application/json");
    if (!body.is_null()) {
        request.headers.set("Content-Type", method == "PATCH" ? "application/merge-patch+json"
                                                              : "application/json");
        request.body = body.dump();
    }
    const http::Reply reply = front.server->handle(request, clock.now());
    CAPTURE(reply.response.body);
    CHECK((status == 0 ? reply.response.status < 300 : reply.response.status == status));
    return Json::parse(reply.response.body, nullptr, false);
}

Json KubeWorld::create_grant(const std::string& name) {
    Json grant = parsed(R"(
apiVersion: sallyport.dev/v1alpha1
kind: AccessGrant
metadata: {name: x, namespace: payments}
spec:
  policyRef: {name: web-ssh}
  network: {virtualMachines: [web01], ports: [{port: 22}], sources: [198.51.100.7/32]}
  duration: 2h
  justification: restart of the payment worker
)");
    grant["metadata"]["name"] = name;
    return as_admin("POST", grants, grant, 201);
}

Json KubeWorld::create_policy(const std::string& name) {
    Json policy = parsed(R"(
apiVersion: sallyport.dev/v1alpha1
kind: JitPolicy
metadata: {name: x, namespace: payments}
spec:
  accountRef: {name: prod}
  network:
    targets: [{selector: {resourceGroups: [rg-web]}}]
    sources: {within: [198.51.100.0/22]}
  request: {allowed: {groups: [payments-oncall]}}
)");
    policy["metadata"]["name"] = name;
    return as_admin("POST", policies, policy, 201);
}

Json KubeWorld::create_account(const std::string& name) {
    Json account = parsed(R"(
apiVersion: sallyport.dev/v1alpha1
kind: CloudAccount
metadata: {name: x}
spec:
  azure:
    tenantId: 11111111-1111-1111-1111-111111111111
    subscriptionId: 22222222-2222-2222-2222-222222222222
    identity: {clientSecret: {clientId: 33333333-3333-3333-3333-333333333333, secretRef: {name: azure-prod}}}
)");
    account["metadata"]["name"] = name;
    return as_admin("POST", accounts, account, 201);
}

AccessRecord a_record(const std::string& name) {
    AccessRecord record;
    record.meta.key.name = name;
    record.owner = "k7f2m3qa";
    record.grant = in_payments("alice-web01");
    record.grant_uid = "9b0cfa0e-6a52-4b9e-9a2c-0d4f6c3f5f10";
    record.grant_generation = 1;
    record.policy = in_payments("web-ssh");
    record.policy_uid = "9b0cfa0e-6a52-4b9e-9a2c-0d4f6c3f5f11";
    record.policy_generation = 1;
    record.account = "prod";
    record.account_uid = "9b0cfa0e-6a52-4b9e-9a2c-0d4f6c3f5f12";
    record.account_generation = 1;
    record.request.policy_uid = record.policy_uid;
    record.request.duration = seconds(7200);
    record.request_digest = digest(record.request);
    record.requester = {.user = "alice", .uid = "u-9", .groups = {"payments-oncall"}};
    record.identity_source = "stamp";
    record.decided_at = *parse_rfc3339("2026-11-21T09:00:00Z");
    record.latest_end = *parse_rfc3339("2026-11-21T11:05:00Z");
    record.journal_seq = 1;
    return record;
}

}  // namespace sallyport::kube
