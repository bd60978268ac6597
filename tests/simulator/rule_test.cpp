#include "client.hpp"

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
    CHECK(later.header("ETag") == later.body()["etag"]);
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
