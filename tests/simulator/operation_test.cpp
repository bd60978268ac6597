#include "simulator/client.hpp"

using namespace sallyport;
using namespace sallyport::simulator;
using namespace std::chrono_literals;

namespace {

std::string state_of(Client& client, const std::string& rule) {
    return client.get(client.rule_path(rule)).body()["properties"]["provisioningState"];
}

bool reaches(Client& client, const std::string& source) {
    return client.sim("reach?vm=vm&port=22&source=" + source).body()["reachable"];
}

/// One VM whose NIC has the NSG `web` at 10.0.0.4.
Client with_vm() {
    return Client(R"(
subscriptions:
- id: 00000000-0000-0000-0000-000000000000
  resourceGroups:
  - name: rg
    networkSecurityGroups: [{name: web}]
    virtualNetworks:
    - {name: v, addressSpace: 10.0.0.0/16, subnets: [{name: s, addressPrefixes: 10.0.0.0/24}]}
    virtualMachines:
    - {name: vm, networkInterfaces: [{name: nic, networkSecurityGroup: web, ipConfigurations: [{subnet: v/s, address: 10.0.0.4}]}]}
)");
}

}  // namespace

TEST_CASE("a write has its effect on the network when its operation ends, not before") {
    Client client = with_vm();

    client.put(client.rule_path("one"), client.rule(200));
    const bool at_once = reaches(client, "198.51.100.7");
    client.settle();
    const bool after_put = reaches(client, "198.51.100.7");
    client.remove(client.rule_path("one"));
    const bool while_deleting = reaches(client, "198.51.100.7");
    client.settle();
    const bool after_delete = reaches(client, "198.51.100.7");

    CHECK_FALSE(at_once);
    CHECK(after_put);
    CHECK(while_deleting);
    CHECK_FALSE(after_delete);
}

TEST_CASE("an operation ends as a fault says, and the network stays as it was") {
    struct Row {
        const char* end;
        const char* status;
        const char* state;
    };
    for (const Row& row : {Row{"Failed", "Failed", "Failed"}, Row{"Canceled", "Canceled", "Failed"},
                           Row{"Never", "InProgress", "Updating"}}) {
        CAPTURE(row.end);
        Client client = with_vm();
        client.post_sim(
            "faults",
            {{"times", 1},
             {"match", {{"operation", "rule.put"}}},
             {"effect", {{"operation", {{"end", row.end}, {"code", "Oops"}, {"message", "no"}}}}}});

        const Answer put = client.put(client.rule_path("one"), client.rule(200));
        client.wait(10min);
        const json polled = client.follow(put).body();

        CHECK(put.status == 201);
        CHECK(polled["status"] == row.status);
        if (std::string(row.end) != "Never") {
            CHECK(polled["error"]["code"] == "Oops");
        }
        CHECK(state_of(client, "one") == row.state);
        CHECK_FALSE(reaches(client, "198.51.100.7"));
    }
}

TEST_CASE("a delete that fails leaves the rule in force") {
    Client client = with_vm();
    client.put(client.rule_path("one"), client.rule(200));
    client.settle();
    client.post_sim("faults", {{"match", {{"operation", "rule.delete"}}},
                               {"effect", {{"operation", {{"end", "Failed"}}}}}});

    const Answer deleted = client.remove(client.rule_path("one"));
    client.settle();

    CHECK(client.follow(deleted).body()["status"] == "Failed");
    CHECK(state_of(client, "one") == "Failed");
    CHECK(reaches(client, "198.51.100.7"));
}

TEST_CASE("an operation takes as long as the fault or the behaviour says") {
    Client client;
    client.has_nsg();
    client.post_sim("behaviour", {{"operationTime", "20ms"}});
    const Answer quick = client.put(client.rule_path("one"), client.rule(200));
    client.wait(20ms);
    const json quick_end = client.follow(quick).body();
    client.post_sim("faults", {{"times", 1},
                               {"match", {{"method", "PUT"}}},
                               {"effect", {{"operation", {{"takesSeconds", 900}}}}}});
    const Answer slow = client.put(client.rule_path("two"), client.rule(201));
    client.wait(899s);
    const json slow_early = client.follow(slow).body();
    client.wait(1s);
    const json slow_end = client.follow(slow).body();

    CHECK(quick_end["status"] == "Succeeded");
    CHECK(slow_early["status"] == "InProgress");
    CHECK(slow_end["status"] == "Succeeded");
}

TEST_CASE("a poll URL is opaque: altered in one place it is refused") {
    Client client;
    client.has_nsg();
    const std::string url =
        client.put(client.rule_path("one"), client.rule(200)).header("Azure-AsyncOperation");
    const std::string target = url.substr(std::string("https://arm.test").size());
    REQUIRE(client.send("GET", target).status == 200);

    for (const std::string part : {"&s=", "&h=", "&t=", "api-version=", "/operations/"}) {
        CAPTURE(part);
        std::string altered = target;
        char& c = altered[altered.find(part) + part.size()];
        c = c == '0' ? '1' : '0';
        CHECK(client.send("GET", altered).status == 403);
    }
    CHECK(client.send("GET", target.substr(0, target.find("&t="))).status == 403);
    CHECK(client.send("POST", target).status == 405);
}

TEST_CASE("absolute URLs name the host that the client called") {
    Client client;
    client.has_nsg();
    http::Request request{"PUT",
                          {},
                          client.arm(client.rule_path("one")),
                          {{"Host", "127.0.0.1:10443"}, {"Authorization", "Bearer x"}},
                          client.rule(200).dump()};

    const Answer answer = client.send(request);

    CHECK(answer.header("Azure-AsyncOperation")
              .starts_with("https://127.0.0.1:10443/subscriptions/"));
}

TEST_CASE("a second write on a busy group meets what the behaviour says") {
    struct Row {
        const char* mode;
        int status;
        const char* code;
        const char* first_ends;
    };
    for (const Row& row : {Row{"Allow", 201, "", "Succeeded"},
                           Row{"Conflict", 409, "AnotherOperationInProgress", "Succeeded"},
                           Row{"Retryable", 429, "RetryableError", "Succeeded"},
                           Row{"Supersede", 201, "", "Canceled"}}) {
        CAPTURE(row.mode);
        Client client;
        client.has_nsg();
        client.post_sim("behaviour", {{"parallelWrites", row.mode}});

        const Answer first = client.put(client.rule_path("one"), client.rule(200));
        const Answer second = client.put(client.rule_path("two"), client.rule(201));
        client.settle();
        const json first_end = client.follow(first).body();
        const Answer later = client.put(client.rule_path("three"), client.rule(202));

        CHECK(second.status == row.status);
        CHECK(second.code() == row.code);
        if (row.status == 429) CHECK_FALSE(second.has("Retry-After"));
        if (row.status == 409) CHECK(second.message().find("/operations/") != std::string::npos);
        CHECK(first_end["status"] == row.first_ends);
        if (std::string(row.mode) == "Supersede") {
            CHECK(first_end["error"]["details"][0]["code"] ==
                  "CanceledAndSupersededDueToAnotherOperation");
        }
        CHECK(later.status == 201);
    }
}

TEST_CASE("of two writes to one rule the later one counts, whichever operation ends first") {
    Client client = with_vm();
    client.post_sim("faults", {{"times", 1},
                               {"match", {{"operation", "rule.put"}}},
                               {"effect", {{"operation", {{"takesSeconds", 5}}}}}});
    client.put(client.rule_path("one"), client.rule(200));
    client.put(client.rule_path("one"), client.rule(200, "Deny"));
    client.wait(10s);

    CHECK(client.get(client.rule_path("one")).body()["properties"]["access"] == "Deny");
    CHECK(state_of(client, "one") == "Succeeded");
    CHECK_FALSE(reaches(client, "198.51.100.7"));
}

TEST_CASE("the same requests at the same times with the same seed give the same bytes") {
    const auto play = [](std::uint64_t seed) {
        Client client({}, seed);
        client.has_nsg();
        client.post_sim("behaviour", {{"idCasing", true}});
        client.put(client.rule_path("one"), client.rule(200));
        client.wait(250ms);
        client.put(client.rule_path("two"), client.rule(201));
        client.settle();
        client.get(client.nsg);
        return client.traffic();
    };

    CHECK(play(7) == play(7));
    CHECK(play(7) != play(8));
}
