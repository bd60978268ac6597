// Locks, paging, throttling, resources: what stands around the rules.
#include <sstream>

#include "simulator/client.hpp"

using namespace sallyport;
using namespace sallyport::simulator;
using namespace std::chrono_literals;

namespace {

constexpr const char* locks = "/providers/Microsoft.Authorization/locks";

json lock(const char* level) {
    return {{"properties", {{"level", level}, {"notes", "for a test"}}}};
}

}  // namespace

TEST_CASE("a delete lock anywhere above stops deletes, a read-only lock every write") {
    struct Row {
        const char* level;
        std::string scope;
        int put;
        int remove;
    };
    for (const Row& row :
         {Row{"CanNotDelete", Client::nsg, 200, 409}, Row{"ReadOnly", Client::nsg, 409, 409},
          Row{"CanNotDelete", "resourceGroups/rg", 200, 409},
          Row{"ReadOnly", "resourceGroups/rg", 409, 409},
          Row{"CanNotDelete", Client::sub, 200, 409},
          Row{"ReadOnly", "resourceGroups/other", 200, 202}}) {
        CAPTURE(row.level);
        CAPTURE(row.scope);
        Client client;
        client.has_nsg();
        client.put("resourceGroups/other", {{"location", "westeurope"}});
        client.put(client.rule_path("one"), client.rule(200));
        client.settle();
        REQUIRE(client.put(row.scope + locks + std::string("/keep"), lock(row.level)).status ==
                201);

        const Answer put = client.put(client.rule_path("one"), client.rule(200, "Deny"));
        const Answer removed = client.remove(client.rule_path("one"));

        CHECK(put.status == row.put);
        CHECK(removed.status == row.remove);
        CHECK(client.get(client.rule_path("one")).status == 200);
        if (row.remove == 409) {
            CHECK(removed.code() == "ScopeLocked");
            CHECK(removed.message().find(
                      "cannot perform delete operation because following scope(s) are locked") !=
                  std::string::npos);
        }
    }
}

TEST_CASE("a lock can be listed from above and below, and taken off again") {
    Client client;
    client.has_nsg();
    client.put(client.nsg + std::string(locks) + "/keep", lock("CanNotDelete"));

    for (const std::string& scope : {std::string(Client::sub), std::string("resourceGroups/rg"),
                                     std::string(Client::nsg), client.rule_path("any")}) {
        CAPTURE(scope);
        const json list = client.get(scope + locks).body()["value"];
        REQUIRE(list.size() == 1);
        CHECK(list[0]["name"] == "keep");
        CHECK(list[0]["properties"] == json{{"level", "CanNotDelete"}, {"notes", "for a test"}});
    }
    CHECK(client.remove("resourceGroups/rg").code() == "ScopeLocked");
    CHECK(client.put(client.nsg + std::string(locks) + "/keep", lock("ReadOnly")).status == 200);
    CHECK(client.put(client.nsg + std::string(locks) + "/bad", lock("Maybe")).status == 400);
    CHECK(client.remove(client.nsg + std::string(locks) + "/keep").status == 200);
    CHECK(client.remove(client.nsg + std::string(locks) + "/keep").status == 204);
    CHECK(client.get(client.nsg + std::string(locks) + "/keep").status == 404);
    CHECK(client.remove("resourceGroups/rg").status == 202);
}

TEST_CASE("lists come in pages that a nextLink joins, and every item comes once") {
    Client client;
    client.has_nsg();
    for (int i = 0; i < 7; ++i)
        client.put(client.rule_path("r" + std::to_string(i)), client.rule(200 + i));
    client.settle();
    for (const bool empty_first : {false, true}) {
        client.post_sim("behaviour", {{"pageSize", 3}, {"firstPageEmpty", empty_first}});
        std::vector<std::string> names;
        std::vector<std::size_t> sizes;
        std::string target = client.arm(client.nsg + std::string("/securityRules"));
        while (!target.empty()) {
            const json page = client.send("GET", target).body();
            sizes.push_back(page["value"].size());
            for (const json& rule : page["value"]) names.push_back(rule["name"]);
            const std::string next = page.value("nextLink", "");
            target = next.empty() ? next : next.substr(std::string("https://arm.test").size());
        }
        CHECK(names == std::vector<std::string>{"r0", "r1", "r2", "r3", "r4", "r5", "r6"});
        if (empty_first) {
            CHECK(sizes == std::vector<std::size_t>{0, 3, 3, 1});
        } else {
            CHECK(sizes == std::vector<std::size_t>{3, 3, 1});
        }
    }
}

TEST_CASE("an item that goes between two pages hides no other") {
    Client client;
    client.has_nsg();
    client.post_sim("behaviour", {{"pageSize", 2}});
    for (int i = 0; i < 4; ++i)
        client.put(client.rule_path("r" + std::to_string(i)), client.rule(200 + i));
    client.settle();

    const json first = client.get(client.nsg + std::string("/securityRules")).body();
    client.remove(client.rule_path("r0"));
    client.settle();
    const json second = client.send("GET", first["nextLink"].get<std::string>().substr(16)).body();

    CHECK(second["value"][0]["name"] == "r2");
    CHECK(second["value"][1]["name"] == "r3");
    CHECK_FALSE(second.contains("nextLink"));
}

TEST_CASE("who calls too often gets 429 with the time to wait, and other kinds of calls go on") {
    Client client;
    client.has_nsg();
    client.post_sim("behaviour", {{"limits", {{"writes", {{"capacity", 3}, {"perSecond", 0.5}}}}}});

    for (int i = 0; i < 3; ++i)
        CHECK(client.put(client.rule_path("r" + std::to_string(i)), client.rule(200 + i)).status ==
              201);
    const Answer refused = client.put(client.rule_path("x"), client.rule(300));
    const Answer removed = client.remove(client.rule_path("r0"));
    client.wait(2s);
    const Answer again = client.put(client.rule_path("x"), client.rule(300));

    CHECK(refused.status == 429);
    CHECK(refused.code() == "SubscriptionRequestsThrottled");
    CHECK(refused.header("Retry-After") == "2");
    CHECK(refused.message().starts_with("Number of 'write' requests for subscription '00000000-"));
    CHECK(removed.status == 202);
    CHECK(again.status == 201);
}

TEST_CASE("the default buckets are Azure's, each subscription and each kind its own") {
    Client client;
    client.has_nsg();
    int deleted = 0;
    while (deleted < 1000 && client.remove(client.rule_path("none")).status == 204) ++deleted;
    int read = 0;
    while (read < 1000 && client.get(client.nsg).status == 200) ++read;

    CHECK(deleted == 200);
    CHECK(read == 250);
    client.wait(1s);
    CHECK(client.remove(client.rule_path("none")).status == 204);
    CHECK(client.remove(client.rule_path("none"))
              .header("x-ms-ratelimit-remaining-subscription-deletes") == "8");
}

TEST_CASE("the network provider has a bucket of its own") {
    Client client;
    client.has_nsg();
    client.post_sim("behaviour",
                    {{"limits", {{"networkWrites", {{"capacity", 2}, {"perSecond", 1}}}}}});

    CHECK(client.remove(client.rule_path("a")).status == 204);
    CHECK(client.remove(client.rule_path("a")).status == 204);
    const Answer refused = client.remove(client.rule_path("a"));
    CHECK(refused.status == 429);
    CHECK(refused.header("Retry-After") == "1");
    CHECK(client.put("resourceGroups/more", {{"location", "x"}}).status == 201);
}

TEST_CASE("a NIC gets the next free address, belongs to its VM, and shows it") {
    Client client;
    client.has_nsg();
    const std::string base = std::string(client.sub) + "/resourceGroups/rg/providers/";
    client.put(
        "resourceGroups/rg/providers/Microsoft.Network/virtualNetworks/v",
        {{"location", "w"},
         {"properties",
          {{"addressSpace", {{"addressPrefixes", {"10.0.0.0/16"}}}},
           {"subnets", {{{"name", "s"}, {"properties", {{"addressPrefix", "10.0.0.0/24"}}}}}}}}});
    client.settle();
    const auto nic = [&](const char* name, json more = json::object()) {
        json config = {
            {"subnet", {{"id", base + "Microsoft.Network/virtualNetworks/v/subnets/s"}}}};
        config.merge_patch(more);
        return client.put(
            std::string("resourceGroups/rg/providers/Microsoft.Network/networkInterfaces/") + name,
            {{"location", "w"},
             {"properties", {{"ipConfigurations", {{{"name", "c"}, {"properties", config}}}}}}});
    };

    const Answer first = nic("one");
    const Answer second = nic("two");
    const Answer outside = nic("three", {{"privateIPAddress", "10.1.0.4"}});
    const Answer taken = nic("three", {{"privateIPAddress", "10.0.0.4"}});
    const Answer nowhere = nic(
        "three", {{"subnet", {{"id", base + "Microsoft.Network/virtualNetworks/v/subnets/none"}}}});
    const std::string vm = "resourceGroups/rg/providers/Microsoft.Compute/virtualMachines/vm";
    const std::string one = base + "Microsoft.Network/networkInterfaces/one";
    const Answer made =
        client.put(vm, {{"location", "w"},
                        {"properties",
                         {{"networkProfile", {{"networkInterfaces", {{{"id", one}}}}}},
                          {"osProfile", {{"adminPassword", "hush"}}}}}});
    client.settle();
    const json shown = client.get(one).body()["properties"];
    const Answer delete_used = client.remove(one);
    const json read_vm = client.get(vm).body();

    CHECK(first.status == 201);
    CHECK_FALSE(first.has("Azure-AsyncOperation"));
    CHECK(first.body()["properties"]["ipConfigurations"][0]["properties"]["privateIPAddress"] ==
          "10.0.0.4");
    CHECK(second.body()["properties"]["ipConfigurations"][0]["properties"]["privateIPAddress"] ==
          "10.0.0.5");
    CHECK(outside.status == 400);
    CHECK(taken.status == 400);
    CHECK(nowhere.code() == "InvalidResourceReference");
    CHECK(made.status == 201);
    CHECK(made.header("ETag") == "\"1\"");
    CHECK(read_vm["etag"] == "\"2\"");
    CHECK(read_vm["properties"]["vmId"] == made.body()["properties"]["vmId"]);
    CHECK(shown["virtualMachine"]["id"] == std::string(client.sub) + "/" + vm);
    CHECK(delete_used.status == 400);
    CHECK(client.traffic().find("hush") == std::string::npos);
}

TEST_CASE("a VM made again under the same name has another vmId") {
    Client client;
    client.has_nsg();
    const std::string vm = "resourceGroups/rg/providers/Microsoft.Compute/virtualMachines/vm";
    client.put(vm, {{"location", "w"}, {"properties", json::object()}});
    client.settle();
    const json first = client.get(vm).body();
    client.put(vm, {{"location", "w"}, {"properties", json::object()}});
    client.settle();
    const json updated = client.get(vm).body();
    client.remove(vm);
    client.settle();
    client.put(vm, {{"location", "w"}, {"properties", json::object()}});
    const json second = client.get(vm).body();

    CHECK(first["properties"]["vmId"] == updated["properties"]["vmId"]);
    CHECK(first["properties"]["vmId"] != second["properties"]["vmId"]);
}

TEST_CASE("traffic is one line of JSON for each answer, without tokens and secrets") {
    Client client;
    client.has_nsg();
    client.send("GET", client.arm(client.nsg), {}, {{"Authorization", "Bearer very-secret-token"}});
    client.sim("state");
    client.send({"POST",
                 {},
                 "/00000000-0000-0000-0000-000000000000/oauth2/v2.0/token",
                 {{"Host", "arm.test"}},
                 "grant_type=client_credentials&client_id=00000000-0000-0000-0000-000000000001&"
                 "client_secret=azure-sim&scope=x%2F.default"});

    std::vector<json> lines;
    std::istringstream text(client.traffic());
    for (std::string line; std::getline(text, line);) lines.push_back(json::parse(line));

    REQUIRE(lines.size() == 4);
    CHECK(lines[2]["method"] == "GET");
    CHECK(lines[2]["url"] == client.arm(client.nsg));
    CHECK(lines[2]["host"] == "arm.test");
    CHECK(lines[2]["status"] == 200);
    CHECK(lines[2]["reqHeaders"]["Authorization"] == "[redacted]");
    CHECK(json::parse(lines[2]["respBody"].get<std::string>())["name"] == "web");
    CHECK(lines[3]["reqBody"].get<std::string>().find("client_secret=[redacted]&scope") !=
          std::string::npos);
    CHECK(json::parse(lines[3]["respBody"].get<std::string>())["access_token"] == "[redacted]");
    CHECK(client.traffic().find("very-secret-token") == std::string::npos);
}
