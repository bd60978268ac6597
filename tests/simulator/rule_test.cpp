#include "simulator/client.hpp"

using namespace sallyport;
using namespace sallyport::simulator;
using namespace std::chrono_literals;

TEST_CASE("a new rule is Updating until its operation ends, and its ETag changes twice") {
    Client client;
    client.has_nsg();

    const Answer made = client.put(client.rule_path("one"), client.rule(200));
    const Answer polled_early = client.follow(made);
    const Answer early = client.get(client.rule_path("one"));
    client.wait(499ms);
    const Answer nearly = client.follow(made);
    client.wait(1ms);
    const Answer ended = client.follow(made);
    const Answer later = client.get(client.rule_path("one"));

    CHECK(made.status == 201);
    CHECK(made.header("Retry-After") == "1");
    CHECK(made.header("Azure-AsyncNotification") == "Enabled");
    CHECK_FALSE(made.has("ETag"));
    CHECK_FALSE(made.has("Location"));
    CHECK(made.body()["properties"]["provisioningState"] == "Updating");
    CHECK(polled_early.body() == json{{"status", "InProgress"}});
    CHECK(early.body()["properties"]["provisioningState"] == "Updating");
    CHECK(nearly.body()["status"] == "InProgress");
    CHECK(ended.body() == json{{"status", "Succeeded"}});
    CHECK(later.body()["properties"]["provisioningState"] == "Succeeded");
    CHECK(later.header("ETag") == later.body()["etag"].get<std::string>());
    CHECK(made.body()["etag"] == early.body()["etag"]);
    CHECK(early.body()["etag"] != later.body()["etag"]);
}

TEST_CASE("a rule comes back with empty plurals and without the singulars that were not given") {
    Client client;
    client.has_nsg();
    json body = client.rule(200);
    body["properties"].erase("destinationPortRange");
    body["properties"]["destinationPortRanges"] = {"22", "8000-8010"};
    body["properties"]["protocol"] = "tcp";

    client.put(client.rule_path("one"), body);
    client.settle();
    const json read = client.get(client.rule_path("one")).body();

    CHECK(read["type"] == "Microsoft.Network/networkSecurityGroups/securityRules");
    const json& properties = read["properties"];
    CHECK(properties["protocol"] == "Tcp");
    CHECK_FALSE(properties.contains("destinationPortRange"));
    CHECK(properties["destinationPortRanges"] == json{"22", "8000-8010"});
    CHECK(properties["sourcePortRanges"] == json::array());
    CHECK(properties["sourceAddressPrefixes"] == json::array());
    CHECK(properties["destinationAddressPrefixes"] == json::array());
    CHECK_FALSE(properties.contains("description"));
    CHECK_FALSE(properties.contains("sourceApplicationSecurityGroups"));
}

TEST_CASE("deleting a rule takes an operation, deleting it again gives 204") {
    Client client;
    client.has_nsg();
    client.put(client.rule_path("one"), client.rule(200));
    client.settle();

    const Answer deleted = client.remove(client.rule_path("ONE"));
    const Answer meanwhile = client.get(client.rule_path("one"));
    const Answer result_early = client.follow(deleted, "Location");
    client.settle();
    const Answer result = client.follow(deleted, "Location");
    const Answer gone = client.get(client.rule_path("one"));
    const Answer again = client.remove(client.rule_path("one"));

    CHECK(deleted.status == 202);
    CHECK(deleted.text.empty());
    CHECK(deleted.has("Azure-AsyncOperation"));
    CHECK(deleted.header("Retry-After") == "1");
    CHECK(meanwhile.body()["properties"]["provisioningState"] == "Deleting");
    CHECK(result_early.status == 202);
    CHECK(result.status == 204);
    CHECK(gone.status == 404);
    CHECK(gone.code() == "NotFound");
    CHECK(again.status == 204);
}

TEST_CASE("a second deletion of a rule puts the end of the first off no further") {
    Client client;
    client.has_nsg();
    client.put(client.rule_path("one"), client.rule(200));
    client.settle();

    CHECK(client.remove(client.rule_path("one")).status == 202);
    client.wait(std::chrono::milliseconds(300));
    CHECK(client.remove(client.rule_path("one")).status == 202);
    client.wait(std::chrono::milliseconds(300));

    CHECK(client.get(client.rule_path("one")).status == 404);
}

// tidy: long because the table is the test
TEST_CASE("what Azure refuses in a rule is refused, and nothing is written") {
    struct Row {
        const char* why;
        json change;  // merged into the properties of a good rule
        const char* code;
    };
    const std::string long_text(141, 'x');
    for (const Row& row : std::vector<Row>{
             {"priority too low", {{"priority", 99}}, "SecurityRuleInvalidPriority"},
             {"priority too high", {{"priority", 4097}}, "SecurityRuleInvalidPriority"},
             {"priority not whole", {{"priority", 200.5}}, "SecurityRuleInvalidPriority"},
             {"no priority", {{"priority", nullptr}}, "InvalidRequestFormat"},
             {"unknown protocol", {{"protocol", "Sctp"}}, "SecurityRuleInvalidProtocol"},
             {"unknown access", {{"access", "Maybe"}}, "SecurityRuleInvalidAccessType"},
             {"unknown direction", {{"direction", "Sideways"}}, "SecurityRuleInvalidDirection"},
             {"comma in a singular port",
              {{"destinationPortRange", "80,443"}},
              "SecurityRuleInvalidPortRange"},
             {"port out of range",
              {{"destinationPortRange", "70000"}},
              "SecurityRuleInvalidPortRange"},
             {"range reversed",
              {{"destinationPortRange", "90-80"}},
              "SecurityRuleInvalidPortRange"},
             {"no port", {{"destinationPortRange", nullptr}}, "SecurityRuleInvalidPortRange"},
             {"both forms of ports",
              {{"destinationPortRanges", {"80"}}},
              "SecurityRuleParameterContainsUnsupportedValue"},
             {"both forms of sources",
              {{"sourceAddressPrefixes", {"10.0.0.0/8"}}},
              "SecurityRuleParameterContainsUnsupportedValue"},
             {"source missing",
              {{"sourceAddressPrefix", nullptr}},
              "SecurityRuleParameterContainsUnsupportedValue"},
             {"address and group",
              {{"sourceApplicationSecurityGroups", json::array({{{"id", "/x"}}})}},
              "SecurityRuleParameterContainsUnsupportedValue"},
             {"not an address",
              {{"sourceAddressPrefix", "300.1.1.1"}},
              "SecurityRuleInvalidAddressPrefix"},
             {"prefix too long",
              {{"sourceAddressPrefix", "10.0.0.0/33"}},
              "SecurityRuleInvalidAddressPrefix"},
             {"no such service tag",
              {{"sourceAddressPrefix", "Intranet"}},
              "SecurityRuleInvalidAddressPrefix"},
             {"a star among others",
              {{"sourceAddressPrefix", nullptr}, {"sourceAddressPrefixes", {"*", "10.0.0.1"}}},
              "SecurityRuleInvalidAddressPrefix"},
             {"families mixed across sides",
              {{"sourceAddressPrefix", "2001:db8::1"}},
              "SecurityRuleInvalidAddressPrefix"},
             {"families mixed on one side",
              {{"sourceAddressPrefix", nullptr},
               {"sourceAddressPrefixes", {"10.0.0.1", "2001:db8::1"}},
               {"destinationAddressPrefix", "*"}},
              "SecurityRuleInvalidAddressPrefix"},
             {"description too long",
              {{"description", long_text}},
              "SecurityRuleInvalidDescription"},
             {"description no text", {{"description", 7}}, "InvalidRequestFormat"},
         }) {
        CAPTURE(row.why);
        Client client;
        client.has_nsg();
        json body = client.rule(200);
        body["properties"].merge_patch(row.change);

        const Answer refused = client.put(client.rule_path("one"), body);

        CHECK(refused.status == 400);
        CHECK(refused.code() == row.code);
        CHECK(client.get(client.rule_path("one")).status == 404);
    }
}

TEST_CASE("rule names are those of Azure's own pattern") {
    Client client;
    client.has_nsg();
    const std::string longest(80, 'a');

    CHECK(client.put(client.rule_path("a"), client.rule(200)).status == 201);
    CHECK(client.put(client.rule_path("a-b.c_"), client.rule(201)).status == 201);
    CHECK(client.put(client.rule_path(longest), client.rule(202)).status == 201);
    for (const std::string bad : {"-a", "a-", "a.", "_a", "a%20b", "a%2Fb"}) {
        CAPTURE(bad);
        CHECK(client.put(client.rule_path(bad), client.rule(203)).status == 400);
    }
    CHECK(client.put(client.rule_path(longest + "a"), client.rule(203)).status == 400);
}

TEST_CASE("what Azure accepts in a rule is accepted") {
    for (const json& change : std::vector<json>{
             {{"sourceAddressPrefix", "Internet"}},
             {{"sourceAddressPrefix", "virtualnetwork"}},
             {{"sourceAddressPrefix", "*"}, {"destinationAddressPrefix", "fd00::1"}},
             {{"destinationPortRange", "*"}},
             {{"protocol", "*"}},
             {{"protocol", "Icmp"}},
             {{"description", std::string(140, 'x')}},
             {{"sourceAddressPrefix", nullptr},
              {"sourceAddressPrefixes", {"10.0.0.1", "10.0.0.0/8"}}},
             {{"provisioningState", "Succeeded"}, {"sourcePortRanges", json::array()}},
         }) {
        CAPTURE(change);
        Client client;
        client.has_nsg();
        json body = client.rule(200);
        body["properties"].merge_patch(change);
        CHECK(client.put(client.rule_path("one"), body).status == 201);
    }
}

TEST_CASE("two rules of one direction cannot have the same priority, until the first is gone") {
    Client client;
    client.has_nsg();
    client.put(client.rule_path("one"), client.rule(200));
    client.settle();
    json outbound = client.rule(200);
    outbound["properties"]["direction"] = "Outbound";

    const Answer conflict = client.put(client.rule_path("two"), client.rule(200));
    const Answer other_direction = client.put(client.rule_path("three"), outbound);
    const Answer moved = client.put(client.rule_path("one"), client.rule(201));
    const Answer free_now = client.put(client.rule_path("two"), client.rule(200));
    client.settle();
    client.remove(client.rule_path("two"));
    const Answer while_deleting = client.put(client.rule_path("four"), client.rule(200));
    client.settle();
    const Answer after = client.put(client.rule_path("four"), client.rule(200));

    CHECK(conflict.status == 400);
    CHECK(conflict.code() == "SecurityRuleConflict");
    CHECK(conflict.message() ==
          "Security rule two conflicts with rule one. Rules cannot have the same Priority "
          "and Direction. To learn more, see aka.ms/nsgrules.");
    CHECK(other_direction.status == 201);
    CHECK(moved.status == 200);
    CHECK(free_now.status == 201);
    CHECK(while_deleting.code() == "SecurityRuleConflict");
    CHECK(after.status == 201);
}

TEST_CASE("a PUT that changes nothing is Succeeded at once and still has an operation") {
    Client client;
    client.has_nsg();
    client.put(client.rule_path("one"), client.rule(200));
    client.settle();

    const Answer same = client.put(client.rule_path("ONE"), client.rule(200));

    CHECK(same.status == 200);
    CHECK(same.body()["properties"]["provisioningState"] == "Succeeded");
    CHECK(same.has("Azure-AsyncOperation"));
    CHECK_FALSE(same.has("Retry-After"));
}

TEST_CASE("a network security group holds a thousand rules and no more") {
    Client client;
    client.has_nsg();
    client.post_sim("behaviour", {{"limits", "Off"}});
    for (int i = 0; i < 1000; ++i) {
        REQUIRE(
            client.put(client.rule_path("r" + std::to_string(i)), client.rule(100 + i)).status ==
            201);
    }

    CHECK(client.put(client.rule_path("one-more"), client.rule(2000)).status == 400);
    CHECK(client.put(client.rule_path("r7"), client.rule(2000)).status == 200);
}

TEST_CASE("a network security group holds 4000 addresses a side and no more") {
    Client client;
    client.has_nsg();
    const auto with_sources = [&](int priority, int count) {
        json body = client.rule(priority);
        json list = json::array();
        for (int i = 0; i < count; ++i)
            list.push_back("10." + std::to_string(i / 250) + "." + std::to_string(i % 250) + ".1");
        body["properties"].erase("sourceAddressPrefix");
        body["properties"]["sourceAddressPrefixes"] = list;
        return body;
    };

    CHECK(client.put(client.rule_path("a"), with_sources(200, 2500)).status == 201);
    CHECK(client.put(client.rule_path("b"), with_sources(201, 1501)).status == 400);
    CHECK(client.put(client.rule_path("b"), with_sources(201, 1500)).status == 201);
    CHECK(client.put(client.rule_path("a"), with_sources(200, 2501)).status == 400);
}

TEST_CASE("the ETag of every rule is that of its group, and a change of one changes all") {
    Client client;
    client.has_nsg();
    client.put(client.rule_path("one"), client.rule(200));
    client.put(client.rule_path("two"), client.rule(201));
    client.settle();
    const json before = client.get(client.nsg).body();

    client.remove(client.rule_path("two"));
    client.settle();
    const json after = client.get(client.nsg).body();

    for (const json& state : {before, after}) {
        for (const char* list : {"securityRules", "defaultSecurityRules"}) {
            for (const json& rule : state["properties"][list]) CHECK(rule["etag"] == state["etag"]);
        }
    }
    CHECK(before["etag"] != after["etag"]);
}
