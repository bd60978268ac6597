#include "sim/world.hpp"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include "apiserver/resources.hpp"
#include "base/text.hpp"

namespace sallyport::sim {
namespace {

constexpr const char* tokens = R"(admin-token,admin,admin,"sallyport:admins"
alice-token,alice,alice,"sallyport:requesters,payments-oncall"
bob-token,bob,bob,"sallyport:approvers,payments-leads"
controller-token,system:serviceaccount:sallyport-system:sallyport-controller,controller,"sallyport:controllers"
)";
constexpr const char* sub = "/subscriptions/22222222-2222-2222-2222-222222222222";
constexpr const char* group = "/apis/sallyport.dev/v1alpha1";

/// Adds the `Date` header that the real server adds.
class Dated final : public http::Handler {
public:
    Dated(http::Handler& inner, const seconds& ahead) : inner_(inner), ahead_(ahead) {}
    http::Reply handle(const http::Request& request, Timestamp now) override {
        http::Reply reply = inner_.handle(request, now);
        reply.response.headers.set("Date", format_http_date(now + ahead_));
        return reply;
    }

private:
    http::Handler& inner_;
    const seconds& ahead_;
};

std::string plural(const std::string& kind) {
    if (kind == "JitPolicy") return "jitpolicies";
    if (kind == "CloudAccount") return "cloudaccounts";
    if (kind == "AccessGrant") return "accessgrants";
    return lower(kind) + "s";
}

std::string collection(const json& object) {
    const std::string version = object.at("apiVersion");
    std::string path = version == "v1" ? "/api/v1" : "/apis/" + version;
    const json& meta = object.at("metadata");
    if (meta.contains("namespace"))
        path += "/namespaces/" + meta.at("namespace").get<std::string>();
    return path + "/" + plural(object.at("kind"));
}

/// Read once: thousands of worlds serve the same kinds.
std::shared_ptr<const apiserver::Resources> shipped_kinds() {
    static const auto kinds = [] {
        auto read = apiserver::Resources::read(apiserver::shipped_crds());
        REQUIRE_MESSAGE(read.has_value(), (read ? "" : read.error().message));
        return std::make_shared<const apiserver::Resources>(*std::move(read));
    }();
    return kinds;
}

/// As the saboteur.
std::string sign_in(simulator::Simulator& cloud, Timestamp now) {
    const http::Response token =
        cloud
            .handle({.method = "POST",
                     .target = "/11111111-1111-1111-1111-111111111111/oauth2/v2.0/token",
                     .headers = {{"Host", "azure.test:10443"},
                                 {"Content-Type", "application/x-www-form-urlencoded"}},
                     .body = "grant_type=client_credentials&client_id=55555555-5555-5555-5555-"
                             "555555555555&client_secret="
                             "saboteur-secret&scope=https%3A%2F%2Fmanagement.azure.com%2F.default"},
                    now)
            .response;
    REQUIRE_MESSAGE(token.status == 200, token.body);
    return json::parse(token.body).at("access_token");
}

}  // namespace

std::string describe_call(const http::Request& request) {
    const bool kube = request.origin == kube_origin;
    const std::string path = http::Target(request.target).path();
    return fmt::format("{} {} {}", kube ? "kube" : "azure", request.method, path);
}

Operator::Operator(support::SimulatedWorld& time, Clock& clock, http::Network& network,
                   support::MemoryFiles& files, support::KeptLog& log,
                   support::KeptMetrics& metrics, std::uint64_t seed, const Owner& owner,
                   const std::string& identity)
    : random(seed),
      kube_transport(network.transport({})),
      store(kube::World{time.loop, clock, random, log, metrics, time.background}, *kube_transport,
            {.connection = {.origin = kube_origin, .token = Secret("controller-token")},
             .instance = "sim"}),
      gateways(azure::World{time.loop, clock, random, log, metrics}, network, {"azure.test"}),
      journal(files, time.background, log, "journal"),
      lease_client(std::make_unique<kube::Client>(
          clock, metrics, *kube_transport,
          kube::Connection{.origin = kube_origin,
                           .token = Secret("controller-token"),
                           .timeout = kube::Lease::renew_deadline / 2,
                           .list_timeout = kube::Lease::renew_deadline / 2})),
      lease(identity.empty()
                ? nullptr
                : std::make_unique<kube::Lease>(
                      kube::World{time.loop, clock, random, log, metrics, time.background},
                      *lease_client, kube::Lease::Options{.identity = identity})),
      engine(engine::Services{time.loop, clock, random, log, metrics, store, journal, gateways,
                              lease ? static_cast<Leadership&>(*lease) : sole_leader},
             {.owner = owner, .writer = fmt::format("sim-{}", seed)}),
      scope(time.loop, [&time](std::exception_ptr) { ++time.bugs; }) {
    store.start(scope);
    engine.start();
    if (lease) lease->start(scope);
}

World::World(std::uint64_t run_seed, std::string estate)
    : time(*parse_rfc3339(start_of_time)),
      operators_clock(time.loop, *parse_rfc3339(start_of_time)),
      network(time.loop, time.clock),
      server_random(run_seed),
      seed(run_seed) {
    engine::Engine::declare_metrics(metrics);
    kube::declare_metrics(metrics);
    azure::declare_metrics(metrics);
    auto server = apiserver::ApiServer::create(
        {.resources = shipped_kinds(),
         .tokens = tokens,
         .random_bytes = [this](std::size_t n) { return server_random.bytes(n); }},
        disk, now());
    REQUIRE_MESSAGE(server.has_value(), (server ? "" : server.error().message));
    api = *std::move(server);
    const SteadyTime zero = time.loop.steady_now();
    auto simulated = simulator::Simulator::create(
        {.estate = std::move(estate), .seed = run_seed, .elapsed = [this, zero] {
             return std::chrono::duration_cast<std::chrono::milliseconds>(time.loop.steady_now() -
                                                                          zero);
         }});
    REQUIRE_MESSAGE(simulated.has_value(), (simulated ? "" : simulated.error().message));
    cloud = *std::move(simulated);
    dated_api = std::make_unique<Dated>(*api, api_clock_ahead);
    network.serve(kube_origin, *dated_api);
    network.serve(azure_origin, *cloud);
    network.before_send = [this](const http::Request& request) {
        calls.push_back(describe_call(request));
        support::Fate decided = fate ? fate(request) : support::Fate{};
        if (witness) witness->sent(request, decided);
        return decided;
    };
    network.after_reply = [this](const http::Request& request, const http::Response& response) {
        if (request.origin == kube_origin && request.method != "GET") phases_read.clear();
        if (witness) witness->handled(request, response);
        if (after_reply) after_reply(request, response);
    };
    azure_token = sign_in(*cloud, now());
}

World::~World() { process.reset(); }

void World::start_operator() { process = make_operator(network); }

std::unique_ptr<Operator> World::make_operator(http::Network& way, const std::string& identity) {
    const json system = get("/api/v1/namespaces/kube-system");
    const Owner owner = Owner::of_cluster(system.at("metadata").at("uid").get<std::string>());
    return std::make_unique<Operator>(time, operators_clock, way, files, log, metrics,
                                      seed * 1000 + static_cast<std::uint64_t>(++processes), owner,
                                      identity);
}

http::Response World::request(const std::string& who, std::string method, std::string target,
                              std::string body, std::string content_type) {
    const http::Request asked{
        .method = std::move(method),
        .origin = kube_origin,
        .target = std::move(target),
        .headers = {{"Authorization", "Bearer " + who + "-token"}, {"Content-Type", content_type}},
        .body = std::move(body)};
    http::Response answer = api->handle(asked, now()).response;
    if (asked.method != "GET") phases_read.clear();
    if (witness && asked.method != "GET") witness->outside(who, asked, answer);
    return answer;
}

json World::create_as(const std::string& who, const json& object) {
    const http::Response answer = request(who, "POST", collection(object), object.dump());
    return json::parse(answer.body, nullptr, false);
}

json World::apply(const json& object) {
    const http::Response created = request("admin", "POST", collection(object), object.dump());
    if (created.status != 409) {
        REQUIRE_MESSAGE(created.status == 201, created.body);
        return json::parse(created.body);
    }
    const std::string path =
        collection(object) + "/" + object.at("metadata").at("name").get<std::string>();
    const http::Response patched =
        request("admin", "PATCH", path, object.dump(), "application/merge-patch+json");
    REQUIRE_MESSAGE(patched.status == 200, patched.body);
    return json::parse(patched.body);
}

json World::get(const std::string& path) {
    const http::Response answer = request("admin", "GET", path);
    return answer.status == 200 ? json::parse(answer.body) : json();
}

void World::remove(const std::string& path) {
    const http::Response answer =
        request("admin", "DELETE", path, R"({"propagationPolicy":"Background"})");
    REQUIRE_MESSAGE(answer.status < 300, answer.body);
}

std::string World::phase(const std::string& name) {
    const auto read = phases_read.find(name);
    if (read != phases_read.end()) return read->second;
    const json object = grant(name);
    std::string phase =
        object.is_null() ? "gone" : object.value("/status/phase"_json_pointer, std::string());
    phases_read.emplace(name, phase);
    return phase;
}

std::vector<json> World::records() {
    const json list = get(std::string(group) + "/namespaces/sallyport-system/accessrecords");
    return list.is_null() ? std::vector<json>() : list.at("items").get<std::vector<json>>();
}

http::Response World::azure(std::string method, std::string target, const json& body) {
    http::Request asked{.method = std::move(method),
                        .origin = azure_origin,
                        .target = std::move(target),
                        .headers = {{"Host", "azure.test:10443"},
                                    {"Authorization", "Bearer " + azure_token},
                                    {"Content-Type", "application/json"}},
                        .body = body.is_null() ? std::string() : body.dump()};
    http::Response answer = cloud->handle(asked, now()).response;
    if (answer.status == 401) {  // an hour has passed
        azure_token = sign_in(*cloud, now());
        asked.headers.set("Authorization", "Bearer " + azure_token);
        answer = cloud->handle(asked, now()).response;
    }
    if (witness && asked.method != "GET") witness->outside("saboteur", asked, answer);
    return answer;
}

bool World::reaches(const std::string& source, const std::string& vm, int port) {
    const http::Response answer =
        azure("GET", fmt::format("/_sim/reach?source={}&vm={}&port={}&protocol=Tcp",
                                 percent_encoded(source), vm, port));
    REQUIRE_MESSAGE(answer.status == 200, answer.body);
    return json::parse(answer.body).at("reachable").get<bool>();
}

json World::azure_state() {
    const http::Response answer = azure(
        "GET",
        fmt::format("{}/providers/Microsoft.Network/networkSecurityGroups?api-version=2024-01-01",
                    sub));
    REQUIRE_MESSAGE(answer.status == 200, answer.body);
    return json::parse(answer.body);
}

std::vector<std::string> World::our_rules(bool grants_only) {
    std::vector<std::string> names;
    const json state = azure_state();  // outlives the loop over its members
    for (const json& nsg : state.at("value")) {
        for (const json& rule : nsg.at("properties").at("securityRules")) {
            const std::string name = rule.at("name");
            if (!name.starts_with("sp-")) continue;
            const std::string description = rule.at("properties").value("description", "");
            if (grants_only && description.find(" policy=") != description.npos) continue;
            names.push_back(nsg.at("name").get<std::string>() + "/" + name);
        }
    }
    return names;
}

std::string World::foreign_rules() {
    std::string text;
    const json state = azure_state();  // outlives the loop over its members
    for (const json& nsg : state.at("value")) {
        for (json rule : nsg.at("properties").at("securityRules")) {
            if (rule.at("name").get<std::string>().starts_with("sp-")) continue;
            rule.erase("etag");
            rule.at("properties").erase("provisioningState");
            text += rule.dump() + "\n";
        }
    }
    return text;
}

std::string World::small_estate() {
    return R"(tenant: 11111111-1111-1111-1111-111111111111
principals:
- {name: sallyport, appId: 33333333-3333-3333-3333-333333333333, secret: sallyport-secret}
- {name: saboteur, appId: 55555555-5555-5555-5555-555555555555, secret: saboteur-secret}
subscriptions:
- id: 22222222-2222-2222-2222-222222222222
  resourceGroups:
  - name: rg-web
    networkSecurityGroups:
    - name: nsg-subnet
      securityRules:
      - {name: allow-https, priority: 1100, access: Allow, protocol: Tcp, ports: ["443"], source: ["*"], destination: ["*"]}
    - name: nsg-web01
    virtualNetworks:
    - name: vnet
      addressSpace: [10.0.0.0/16]
      subnets:
      - {name: web, addressPrefixes: [10.0.1.0/24], networkSecurityGroup: nsg-subnet}
    networkInterfaces:
    - name: nic-web01
      networkSecurityGroup: nsg-web01
      ipConfigurations: [{subnet: vnet/web, address: 10.0.1.4}]
    - name: nic-web02
      ipConfigurations: [{subnet: vnet/web, address: 10.0.1.5}]
    virtualMachines:
    - {name: web01, networkInterfaces: [nic-web01]}
    - {name: web02, networkInterfaces: [nic-web02]}
)";
}

json World::account() {
    return {{"apiVersion", "sallyport.dev/v1alpha1"},
            {"kind", "CloudAccount"},
            {"metadata", {{"name", "prod"}}},
            {"spec",
             {{"azure",
               {{"cloud", "Custom"},
                {"endpoints", {{"resourceManager", azure_origin}, {"authority", azure_origin}}},
                {"tenantId", "11111111-1111-1111-1111-111111111111"},
                {"subscriptionId", "22222222-2222-2222-2222-222222222222"},
                {"identity",
                 {{"clientSecret",
                   {{"clientId", "33333333-3333-3333-3333-333333333333"},
                    {"secretRef", {{"name", "azure-prod"}}}}}}}}},
              {"tenants", json::array({{{"namespaces", {{"names", {"payments"}}}},
                                        {"scopes", {"resourceGroups/rg-web"}}}})}}}};
}

json World::a_policy() {
    return {
        {"apiVersion", "sallyport.dev/v1alpha1"},
        {"kind", "JitPolicy"},
        {"metadata", {{"name", "web-ssh"}, {"namespace", "payments"}}},
        {"spec",
         {{"accountRef", {{"name", "prod"}}},
          {"network",
           {{"targets",
             json::array({{{"virtualMachine", {{"resourceGroup", "rg-web"}, {"name", "web01"}}}},
                          {{"virtualMachine", {{"resourceGroup", "rg-web"}, {"name", "web02"}}}}})},
            {"ports", json::array({{{"port", 22}, {"protocol", "Tcp"}, {"maxDuration", "3h"}}})},
            {"sources", {{"within", {"198.51.100.0/22"}}, {"widest", {{"ipv4", 28}}}}},
            {"lockdown",
             {{"mode", "Deny"}, {"confirmed", true}, {"precedence", "AboveExisting"}}}}},
          {"request",
           {{"allowed", {{"groups", {"payments-oncall"}}}}, {"justification", "Optional"}}},
          {"approval", {{"mode", "Automatic"}}}}}};
}

json World::a_grant(const std::string& name, const std::string& duration) {
    return {{"apiVersion", "sallyport.dev/v1alpha1"},
            {"kind", "AccessGrant"},
            {"metadata", {{"name", name}, {"namespace", "payments"}}},
            {"spec",
             {{"policyRef", {{"name", "web-ssh"}}},
              {"network",
               {{"virtualMachines", {"web01"}},
                {"ports", json::array({{{"port", 22}}})},
                {"sources", {"198.51.100.7/32"}}}},
              {"duration", duration}}}};
}

std::string World::story() {
    std::string text = fmt::format("at {}\n", format_rfc3339(now()));
    for (const char* kind : {"cloudaccounts", "jitpolicies", "accessgrants", "accessrecords"}) {
        const json list = get(std::string(group) + "/" + kind);
        if (list.is_null()) continue;
        for (const json& object : list.at("items")) {
            text += fmt::format("{} {}: {}\n", kind,
                                object.at("metadata").at("name").get<std::string>(),
                                object.value("status", json()).dump());
        }
    }
    const auto tail = [&](const std::vector<std::string>& lines, std::size_t count) {
        for (std::size_t i = lines.size() > count ? lines.size() - count : 0; i < lines.size(); ++i)
            text += "  " + lines[i] + "\n";
    };
    text += "log:\n";
    tail(log.lines, 40);
    text += "calls:\n";
    tail(calls, 40);
    for (const std::string& rule : our_rules(false)) text += "rule " + rule + "\n";
    return text;
}

void World::set_up(const json& policy_changes) {
    apply({{"apiVersion", "v1"}, {"kind", "Namespace"}, {"metadata", {{"name", "payments"}}}});
    apply({{"apiVersion", "v1"},
           {"kind", "Secret"},
           {"metadata", {{"name", "azure-prod"}, {"namespace", "sallyport-system"}}},
           {"stringData", {{"clientSecret", "sallyport-secret"}}}});
    apply(account());
    json policy = a_policy();
    policy.at("spec").merge_patch(policy_changes);
    apply(policy);
}

}  // namespace sallyport::sim
