#include "simulator/identity.hpp"
#include "simulator/client.hpp"

using namespace sallyport;
using namespace sallyport::simulator;
using namespace std::chrono_literals;

namespace {

constexpr const char* tenant = "11111111-1111-1111-1111-111111111111";
constexpr const char* sub = "/subscriptions/22222222-2222-2222-2222-222222222222";

const char* estate = R"(
tenant: 11111111-1111-1111-1111-111111111111
principals:
- {name: owner, appId: owner-app, objectId: owner-object, secret: owner-secret}
- name: reader
  appId: reader-app
  objectId: reader-object
  secret: reader-secret
  permissions:
  - {actions: ['*/read'], notActions: [Microsoft.Compute/*]}
- name: one-group
  appId: group-app
  objectId: group-object
  secret: group-secret
  permissions:
  - scope: /subscriptions/22222222-2222-2222-2222-222222222222/resourceGroups/a
    actions: [Microsoft.Network/*]
denyAssignments:
- name: no rules in b
  scope: /subscriptions/22222222-2222-2222-2222-222222222222/resourceGroups/b
  actions: [Microsoft.Network/networkSecurityGroups/securityRules/write]
  excludedPrincipals: [one-group]
subscriptions:
- id: 22222222-2222-2222-2222-222222222222
  resourceGroups:
  - {name: a, networkSecurityGroups: [{name: n}]}
  - {name: b, networkSecurityGroups: [{name: n}]}
)";

/// Tokens count here, unlike with `Client`'s own simulator.
struct Directory : Client {
    Directory() : Client(estate) {
        auto made = Simulator::create({.estate = estate, .elapsed = [this] { return passed; }});
        REQUIRE(made.has_value());
        simulator = std::move(made).value();
    }
    Answer ask(const std::string& form, const std::string& in = tenant) {
        return Client::send(http::Request{"POST",
                                          {},
                                          "/" + in + "/oauth2/v2.0/token",
                                          {{"Content-Type", "application/x-www-form-urlencoded"}},
                                          form});
    }
    Answer sign_in(const std::string& id, const std::string& secret) {
        Answer answer =
            ask("grant_type=client_credentials&client_id=" + id + "&client_secret=" + secret +
                "&scope=https%3A%2F%2Fmanagement.azure.com%2F.default");
        if (answer.status == 200) token = answer.body()["access_token"];
        return answer;
    }
    std::chrono::milliseconds passed{0};
};

std::string nsgs(const std::string& group) {
    return sub + (group.empty() ? std::string() : "/resourceGroups/" + group) +
           "/providers/Microsoft.Network/networkSecurityGroups";
}

}  // namespace

TEST_CASE("a client secret gives a bearer token for an hour less a second") {
    Directory directory;

    const Answer answer = directory.sign_in("OWNER-APP", "owner-secret");
    const int good = directory.get(nsgs("")).status;
    directory.passed = 3598s;
    const int still = directory.get(nsgs("")).status;
    directory.passed = 3599s;
    const Answer expired = directory.get(nsgs(""));

    CHECK(answer.status == 200);
    CHECK(answer.body()["token_type"] == "Bearer");
    CHECK(answer.body()["expires_in"] == 3599);
    CHECK(good == 200);
    CHECK(still == 200);
    CHECK(expired.status == 401);
    CHECK(expired.code() == "ExpiredAuthenticationToken");
    CHECK(expired.header("WWW-Authenticate").find("invalid_token") != std::string::npos);
}

TEST_CASE("who cannot sign in is told why in Entra's words") {
    struct Row {
        const char* why;
        std::string form;
        std::string in;
        int status;
        const char* error;
        int code;
    };
    const std::string good =
        "grant_type=client_credentials&client_id=owner-app&client_secret=owner-secret";
    const std::string scope = "&scope=https%3A%2F%2Fmanagement.azure.com%2F.default";
    Directory directory;
    for (const Row& row : {
             Row{"wrong secret",
                 "grant_type=client_credentials&client_id=owner-app&client_secret=x" + scope,
                 tenant, 401, "invalid_client", 7000215},
             Row{"no secret", "grant_type=client_credentials&client_id=owner-app" + scope, tenant,
                 401, "invalid_client", 7000215},
             Row{"another's secret",
                 "grant_type=client_credentials&client_id=owner-app&client_secret=reader-secret" +
                     scope,
                 tenant, 401, "invalid_client", 7000215},
             Row{"unknown app",
                 "grant_type=client_credentials&client_id=x&client_secret=owner-secret" + scope,
                 tenant, 400, "unauthorized_client", 700016},
             Row{"another tenant", good + scope, "33333333-1111-1111-1111-111111111111", 400,
                 "invalid_request", 90002},
             Row{"another grant", "grant_type=password&client_id=owner-app" + scope, tenant, 400,
                 "unsupported_grant_type", 70003},
             Row{"no scope", good, tenant, 400, "invalid_scope", 1002012},
         }) {
        CAPTURE(row.why);
        const Answer answer = directory.ask(row.form, row.in);
        CHECK(answer.status == row.status);
        CHECK(answer.body()["error"] == row.error);
        CHECK(answer.body()["error_codes"] == json{row.code});
        CHECK(answer.body()["error_description"].get<std::string>().starts_with(
            "AADSTS" + std::to_string(row.code) + ": "));
    }
}

TEST_CASE("a token that was altered, or is none, opens nothing") {
    Directory directory;
    directory.sign_in("owner-app", "owner-secret");
    const std::string good = directory.token;

    for (std::size_t at : {std::size_t{3}, good.find('.') + 5, good.rfind('.') + 5, good.size() - 1,
                           good.size() - 12}) {
        std::string altered = good;
        altered[at] = altered[at] == 'A' ? 'B' : 'A';
        directory.token = altered;
        CHECK(directory.get(nsgs("")).code() == "InvalidAuthenticationToken");
    }
    directory.token = "x";
    CHECK(directory.get(nsgs("")).status == 401);
    // Which cloud it is may be asked by anybody.
    CHECK(directory.get("/metadata/endpoints?api-version=2022-09-01").status == 200);
    CHECK(
        Client()
            .simulator->handle({"GET", {}, Client::arm("resourceGroups"), {}, {}}, directory.start)
            .response.status == 401);
}

TEST_CASE("roles hold at their scope and below, and notActions take away") {
    Directory directory;
    const json rule = Client::rule(200);

    directory.sign_in("reader-app", "reader-secret");
    CHECK(directory.get(nsgs("")).status == 200);
    CHECK(directory.get(std::string(sub) + "/providers/Microsoft.Compute/virtualMachines").status ==
          403);
    const Answer refused = directory.put(nsgs("a") + "/n/securityRules/r", rule);
    CHECK(refused.status == 403);
    CHECK(refused.code() == "AuthorizationFailed");
    CHECK(refused.message() ==
          "The client 'reader-app' with object id 'reader-object' does not have authorization to "
          "perform action "
          "'Microsoft.Network/networkSecurityGroups/securityRules/write' over scope '" +
              nsgs("a") +
              "/n/securityRules/r' or the scope is invalid. If access was recently granted, please "
              "refresh your credentials.");

    directory.sign_in("group-app", "group-secret");
    CHECK(directory.get(nsgs("")).status == 403);
    CHECK(directory.get(nsgs("a")).status == 200);
    CHECK(directory.get(nsgs("b")).status == 403);
    CHECK(directory.put(nsgs("a") + "/n/securityRules/r", rule).status == 201);
}

TEST_CASE("a deny assignment beats every role of whoever it does not leave out") {
    Directory directory;
    directory.sign_in("owner-app", "owner-secret");

    CHECK(directory.put(nsgs("a") + "/n/securityRules/r", Client::rule(200)).status == 201);
    const Answer denied = directory.put(nsgs("b") + "/n/securityRules/r", Client::rule(200));
    CHECK(denied.status == 403);
    CHECK(denied.code() == "DenyAssignmentAuthorizationFailed");
    CHECK(directory.put(nsgs("b") + "/m", {{"location", "westeurope"}}).status == 201);
    const json listed =
        directory
            .get(std::string(sub) +
                 "/resourceGroups/b/providers/Microsoft.Authorization/denyAssignments")
            .body();
    REQUIRE(listed["value"].size() == 1);
    CHECK(listed["value"][0]["properties"]["denyAssignmentName"] == "no rules in b");
    CHECK(listed["value"][0]["properties"]["excludePrincipals"][0]["id"] == "group-object");
    CHECK(directory
              .get(std::string(sub) +
                   "/resourceGroups/a/providers/Microsoft.Authorization/denyAssignments")
              .body()["value"]
              .empty());
}

TEST_CASE("permissions list what holds for the caller at a scope") {
    Directory directory;
    const std::string of = "/providers/Microsoft.Authorization/permissions";

    directory.sign_in("owner-app", "owner-secret");
    CHECK(
        directory.get(std::string(sub) + "/resourceGroups/b" + of).body()["value"][0]["actions"] ==
        json{"*"});
    directory.sign_in("group-app", "group-secret");
    const Answer refused = directory.get(std::string(sub) + "/resourceGroups/b" + of);
    CHECK(refused.status == 200);
    CHECK(refused.body()["value"] == json::array());
    CHECK(
        directory.get(std::string(sub) + "/resourceGroups/a" + of).body()["value"][0]["actions"] ==
        json{"Microsoft.Network/*"});
    CHECK(directory.get(nsgs("a") + "/n" + of).body()["value"].size() == 1);
}

TEST_CASE("actions match without case, and a star stands for any text") {
    struct Row {
        const char* pattern;
        const char* action;
        bool matches;
    };
    for (const Row& row : {Row{"*", "a/b/read", true}, Row{"*/read", "a/b/read", true},
                           Row{"*/read", "a/b/write", false}, Row{"A/B/*", "a/b/c/read", true},
                           Row{"a/*/read", "a/b/c/read", true}, Row{"a/*/read", "a/read", false},
                           Row{"a/b/read", "A/B/Read", true}, Row{"", "a", false},
                           Row{"a*b*c", "aXbXXbc", true}, Row{"a*b*c", "aXbXXb", false}}) {
        CAPTURE(row.pattern);
        CAPTURE(row.action);
        CHECK(action_matches(row.pattern, row.action) == row.matches);
    }
}
