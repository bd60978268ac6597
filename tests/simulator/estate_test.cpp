#include <fstream>
#include <sstream>

#include "simulator/client.hpp"

using namespace sallyport;
using namespace sallyport::simulator;
using namespace std::chrono_literals;

namespace {

std::string example() {
    std::ifstream file(SOURCE_ROOT "/examples/estate.yaml");
    std::ostringstream text;
    text << file.rdbuf();
    return text.str();
}

std::string refusal(const std::string& yaml) {
    auto made = Simulator::create({.estate = yaml, .estate_name = "e"});
    return made ? std::string() : made.error().message;
}

std::string reach(Client& client, const std::string& question) {
    const json answer = client.sim("reach?" + question).body();
    std::string text = answer["reachable"] == true ? "yes" : "no";
    for (const json& place : answer["decidedBy"]) {
        for (const json& rule : place["rules"]) text += " " + rule.value("rule", "-");
    }
    return text;
}

}  // namespace

TEST_CASE("without an estate there is one empty subscription in which a group can be made") {
    Client client;

    const json list = client.send("GET", "/subscriptions?api-version=2022-12-01").body()["value"];
    REQUIRE(list.size() == 1);
    CHECK(list[0]["subscriptionId"] == "00000000-0000-0000-0000-000000000000");
    CHECK(client.get("resourceGroups").body()["value"].empty());
    CHECK(client.put("resourceGroups/rg", {{"location", "westeurope"}}).status == 201);
    CHECK(client.put("resourceGroups/RG", {{"location", "westeurope"}}).status == 200);
    CHECK(client.put("resourceGroups/rg", {{"location", "elsewhere"}}).status == 409);
    CHECK(client.get("resourceGroups").body()["value"].size() == 1);
}

TEST_CASE("the example estate is what its comments say") {
    Client client(example());

    CHECK(reach(client, "source=198.51.100.7&vm=web01&port=22") ==
          "yes allow-office-ssh allow-office-ssh");
    CHECK(reach(client, "source=198.51.101.7&vm=web01&port=22") == "no DenyAllInBound");
    CHECK(reach(client, "source=198.51.100.7&vm=web02&port=22") ==
          "no allow-office-ssh DenyAllInBound");
    CHECK(reach(client, "source=198.51.100.7&vm=db01&port=22") == "yes - deny-ssh-internet");
    CHECK(reach(client, "source=10.1.1.4&vm=db01&port=5432") == "yes - allow-postgres");
    CHECK(reach(client, "source=203.0.113.5&vm=web01&port=443") == "yes allow-web allow-web");
    CHECK(reach(client, "source=203.0.113.5&vm=web01&port=8080") == "no deny-legacy-partner");
    CHECK(reach(client, "source=2001:db8::1&vm=web02&port=443") == "yes allow-web allow-web");
    CHECK(reach(client, "source=2001:db8::1&vm=web01&port=443") == "no");
    CHECK(reach(client, "source=10.9.0.4&vm=web02&port=9100") ==
          "yes allow-metrics AllowVnetInBound");
    CHECK(reach(client, "source=198.51.100.7&vm=web01&port=22&destination=20.61.10.11") ==
          "yes allow-office-ssh allow-office-ssh");
    CHECK(reach(client, "source=198.51.100.7&vm=web01&port=22&destination=20.61.10.12") == "no");
}

TEST_CASE("every problem of an estate is told at once, with its line") {
    const std::string text = refusal(R"(tenant: t
colour: red
principals:
- {name: p, appId: a}
subscriptions:
- id: s
  resourceGroups:
  - name: g
    networkSecurityGroups:
    - name: n
      securityRules:
      - {name: one, priority: 200, access: Allow}
      - {name: two, priority: 200, access: Deny}
      - {name: three, priority: high, access: Deny}
      - {name: four, priority: 300, access: Allow, source: [10.0.0.1, 'fd00::1']}
      - {name: five, priority: 301, acess: Allow}
    virtualNetworks:
    - {name: v, addressSpace: 10.0.0.0/16, subnets: [{name: s, addressPrefixes: 10.1.0.0/24}]}
    virtualMachines:
    - name: vm
      name: again
      networkInterfaces: [{name: nic, ipConfigurations: [{subnet: v/none}]}]
)");
    for (const char* expected : {
             "e:2: estate: colour is not known",
             "e:4: principal p: secret is missing",
             "e:13: SecurityRuleConflict",
             "e:14: rule three: priority is not a whole number",
             "e:15: SecurityRuleInvalidAddressPrefix",
             "e:16: rule five: access is missing",
             "e:16: rule five: acess is not known (known: access,",
             "e:18: NetcfgSubnetRangeOutsideVnet",
             "e:21: virtual machine: name is given twice",
             "e:22: InvalidResourceReference",
         }) {
        CAPTURE(expected);
        CHECK_MESSAGE(text.find(expected) != std::string::npos, text);
    }
}

TEST_CASE("what is no estate is refused with a sentence") {
    CHECK(refusal("a: [").find("e:1: ") == 0);
    CHECK(refusal("- a").find("is not a mapping") != std::string::npos);
    CHECK(refusal("tenant: t").find("subscriptions is missing or empty") != std::string::npos);
    CHECK(refusal("behaviour: {pageSize: none}\nsubscriptions: [{id: s}]")
              .find("e:1: behaviour: pageSize") == 0);
    CHECK(refusal("subscriptions: [{id: s, resourceGroups: [{name: a}, {name: A}]}]")
              .find("is given twice") != std::string::npos);
    CHECK(refusal("subscriptions: [{id: s}]").empty());
}

TEST_CASE("a group deleted takes all with it, and not every front end knows at once") {
    Client client(example());
    const std::string group =
        "/subscriptions/22222222-2222-2222-2222-222222222222/resourceGroups/rg-web";
    const std::string rule =
        group +
        "/providers/Microsoft.Network/networkSecurityGroups/nsg-web01/securityRules/allow-web";

    const Answer deleted = client.remove(group);
    client.settle();
    const Answer first = client.get(rule);
    const Answer second = client.get(rule);
    client.wait(2min);
    const Answer later = client.get(rule);

    CHECK(deleted.status == 202);
    CHECK(deleted.header("Retry-After") == "15");
    CHECK(client.follow(deleted, "Location").status == 200);
    CHECK(first.code() == "ResourceGroupNotFound");
    CHECK(second.code() == "ResourceNotFound");
    CHECK(later.code() == "ResourceGroupNotFound");
    CHECK(client.get(group).code() == "ResourceGroupNotFound");
    CHECK(client.sim("reach?vm=web01&port=22&source=1.2.3.4").status == 404);
}

TEST_CASE("the judge asks for what it needs") {
    Client client(example());
    CHECK(client.sim("reach?vm=web01&port=22").status == 400);
    CHECK(client.sim("reach?vm=web01&port=70000&source=1.2.3.4").status == 400);
    CHECK(client.sim("reach?vm=none&port=22&source=1.2.3.4").status == 404);
    CHECK(client.sim("reach?vm=web01&port=22&source=1.2.3.4&resourceGroup=rg-hub").status == 404);
    CHECK(client.sim("reach?vm=WEB01&port=22&source=1.2.3.4&resourceGroup=RG-WEB").status == 200);
    CHECK(client.sim("nothing").status == 404);
    CHECK(client.post_sim("state", {}).status == 405);
}

TEST_CASE("the state is everything that exists, groups as ARM lists them") {
    Client client(example());
    const std::string sub = "/subscriptions/22222222-2222-2222-2222-222222222222";

    const json state = client.sim("state").body();
    const json listed =
        client.get(sub + "/providers/Microsoft.Network/networkSecurityGroups").body()["value"];

    CHECK(state["now"] == "2026-11-21T09:00:00Z");
    CHECK(state["networkSecurityGroups"] == listed);
    CHECK(state["virtualMachines"].size() == 3);
    CHECK(state["networkInterfaces"].size() == 3);
    CHECK(state["virtualNetworks"].size() == 2);
    CHECK(state["publicIPAddresses"].size() == 2);
    CHECK(state["applicationSecurityGroups"].size() == 1);
    CHECK(state["resourceGroups"].size() == 2);
    CHECK(state["locks"].empty());
    CHECK(state["operations"].empty());
}

TEST_CASE("the clock moves by hand, and what is due happens") {
    Client client;
    client.has_nsg();
    const Answer put = client.put(client.rule_path("one"), client.rule(200));

    const Answer moved = client.post_sim("clock", {{"advance", "2h"}});
    const json polled = client.follow(put).body();

    CHECK(moved.status == 200);
    CHECK(moved.body()["now"] == "2026-11-21T11:00:01Z");
    CHECK(client.sim("clock").body()["now"] == "2026-11-21T11:00:01Z");
    CHECK(polled["status"] == "Succeeded");
    for (const char* bad : {"", "2 hours", "-1h", "1d", "ms", "-5ms"}) {
        CAPTURE(bad);
        CHECK(client.post_sim("clock", {{"advance", bad}}).status == 400);
    }
    client.simulator->advance(500ms);
    CHECK(client.sim("clock").body()["now"] == "2026-11-21T11:00:01Z");
    client.simulator->advance(500ms);
    CHECK(client.sim("clock").body()["now"] == "2026-11-21T11:00:02Z");
}

TEST_CASE("simulated time runs as fast as it is told to") {
    std::chrono::milliseconds passed{0};
    auto made = Simulator::create({.time_scale = 60, .elapsed = [&passed] { return passed; }});
    REQUIRE(made.has_value());
    const Timestamp start = *parse_rfc3339("2026-11-21T09:00:00Z");
    const http::Request ask{"GET", {}, "/_sim/clock", {}, {}};
    (*made)->handle(ask, start);

    passed = 1500ms;

    CHECK(json::parse((*made)->handle(ask, start).response.body)["now"] == "2026-11-21T09:01:30Z");
}

TEST_CASE("switches can be read and set, and a mistake changes none") {
    Client client;
    const json before = client.sim("behaviour").body();

    CHECK(client.post_sim("behaviour", {{"pageSize", 0}}).status == 400);
    CHECK(client.post_sim("behaviour", {{"operationTime", "soon"}}).status == 400);
    CHECK(client.post_sim("behaviour", {{"parallelWrites", "Often"}}).status == 400);
    CHECK(client.post_sim("behaviour", {{"idCasing", true}, {"sped", 1}}).status == 400);
    CHECK(client.post_sim("behaviour", {{"limits", {{"reads", {{"capacity", "many"}}}}}}).status ==
          400);
    CHECK(client.sim("behaviour").body() == before);
    CHECK(client.post_sim("behaviour", {{"parallelWrites", "Conflict"}}).body()["parallelWrites"] ==
          "Conflict");
}

TEST_CASE("the rules alone say the same until one changes, under way and in force apart") {
    Client client;
    client.has_nsg();
    const std::string empty = client.sim("rules").text;
    client.put(client.rule_path("one"), client.rule(200));

    const json under_way = client.sim("rules").body().at("networkSecurityGroups").at(0);
    client.settle();
    const Answer settled = client.sim("rules");

    CHECK(under_way.at("securityRules").at(0).at("properties").at("provisioningState") ==
          "Updating");
    const json rule = settled.body().at("networkSecurityGroups").at(0).at("securityRules").at(0);
    CHECK(rule == client.get(client.rule_path("one")).body());
    CHECK(settled.text != empty);
    CHECK(client.sim("rules").text == settled.text);
    CHECK(client.post_sim("rules", {}).status == 405);
}
