#include "simulator/client.hpp"

using namespace sallyport;
using namespace sallyport::simulator;

namespace {

json inline_rule(const char* name, int priority) {
    json rule = Client::rule(priority);
    rule["name"] = name;
    return rule;
}

}  // namespace

TEST_CASE("a new network security group has the six default rules and no others") {
    Client client;
    client.has_nsg();

    const Answer read = client.get(client.nsg);
    const json properties = read.body()["properties"];

    CHECK(read.header("ETag") == read.body()["etag"].get<std::string>());
    CHECK(properties["provisioningState"] == "Succeeded");
    CHECK(properties["securityRules"] == json::array());
    std::vector<std::string> names;
    for (const json& rule : properties["defaultSecurityRules"]) names.push_back(rule["name"]);
    CHECK(names == std::vector<std::string>{"AllowVnetInBound", "AllowAzureLoadBalancerInBound",
                                            "DenyAllInBound", "AllowVnetOutBound",
                                            "AllowInternetOutBound", "DenyAllOutBound"});
    CHECK_FALSE(properties.contains("networkInterfaces"));
    CHECK_FALSE(properties.contains("subnets"));
}

TEST_CASE("a PUT of a whole group replaces its rules: what it leaves out is gone") {
    Client client;
    client.has_nsg();
    client.put(client.rule_path("old"), client.rule(200));
    client.put(client.rule_path("kept"), client.rule(201));
    client.settle();

    const Answer put = client.put(
        client.nsg,
        {{"location", "westeurope"},
         {"properties", {{"securityRules", {inline_rule("kept", 201), inline_rule("new", 200)}}}}});
    client.settle();
    const json rules = client.get(client.nsg).body()["properties"]["securityRules"];

    CHECK(put.status == 200);
    CHECK(put.header("Retry-After") == "1");
    REQUIRE(rules.size() == 2);
    CHECK(rules[0]["name"] == "kept");
    CHECK(rules[1]["name"] == "new");
    CHECK(rules[1]["properties"]["provisioningState"] == "Succeeded");
    CHECK(client.put(client.rule_path("x"), client.rule(200)).code() == "SecurityRuleConflict");
}

TEST_CASE("a PUT of a whole group without rules empties it, with a conflict changes nothing") {
    Client client;
    client.has_nsg();
    client.put(client.rule_path("one"), client.rule(200));
    client.settle();

    const Answer conflict = client.put(
        client.nsg,
        {{"location", "westeurope"},
         {"properties", {{"securityRules", {inline_rule("a", 300), inline_rule("b", 300)}}}}});
    const std::size_t before = client.get(client.nsg).body()["properties"]["securityRules"].size();
    client.put(client.nsg, {{"location", "westeurope"}, {"properties", json::object()}});
    client.settle();
    const std::size_t after = client.get(client.nsg).body()["properties"]["securityRules"].size();

    CHECK(conflict.status == 400);
    CHECK(conflict.code() == "SecurityRuleConflict");
    CHECK(before == 1);
    CHECK(after == 0);
}

TEST_CASE("If-Match is compared with the ETag as it is now") {
    Client client;
    client.has_nsg();
    const std::string path = client.arm(client.nsg);
    const json body = {{"location", "westeurope"}};
    const std::string etag = client.get(client.nsg).body()["etag"];

    const Answer wrong = client.send("PUT", path, body, {{"If-Match", "invalid"}});
    const Answer right = client.send("PUT", path, body, {{"If-Match", etag}});
    const Answer stale = client.send("PUT", path, body, {{"If-Match", etag}});
    const Answer any = client.send("PUT", path, body, {{"If-Match", "*"}});
    const Answer in_body = client.send("PUT", path, {{"location", "westeurope"}, {"etag", "old"}});

    CHECK(wrong.status == 412);
    CHECK(wrong.body()["error"]["details"][0]["code"] == "PreconditionFailedEtagMismatch");
    CHECK(wrong.body()["error"]["details"][0]["message"].get<std::string>().find("W/\"invalid\"") !=
          std::string::npos);
    CHECK(right.status == 200);
    CHECK(stale.status == 412);
    CHECK(any.status == 200);
    CHECK(in_body.status == 412);
}

TEST_CASE("tags can be patched; the set is replaced and the rules stay") {
    Client client;
    client.has_nsg();
    client.put(client.rule_path("one"), client.rule(200));
    client.settle();

    const Answer first = client.send("PATCH", client.arm(client.nsg), {{"tags", {{"a", "1"}}}});
    const Answer second = client.send("PATCH", client.arm(client.nsg), {{"tags", {{"b", "2"}}}});

    CHECK(first.status == 200);
    CHECK(second.body()["tags"] == json{{"b", "2"}});
    CHECK(second.body()["properties"]["securityRules"].size() == 1);
}

TEST_CASE("a group in use cannot be deleted, and says by whom it is used") {
    Client client;
    client.has_nsg();
    const std::string id = std::string(client.sub) + "/" + client.nsg;
    const std::string vnet = "resourceGroups/rg/providers/Microsoft.Network/virtualNetworks/v";
    client.put(
        vnet,
        {{"location", "westeurope"},
         {"properties",
          {{"addressSpace", {{"addressPrefixes", {"10.0.0.0/16"}}}},
           {"subnets",
            {{{"name", "s"},
              {"properties",
               {{"addressPrefix", "10.0.0.0/24"}, {"networkSecurityGroup", {{"id", id}}}}}}}}}}});
    client.settle();

    const Answer refused = client.remove(client.nsg);
    const json subnets = client.get(client.nsg).body()["properties"]["subnets"];
    client.put(vnet + "/subnets/s", {{"properties", {{"addressPrefix", "10.0.0.0/24"}}}});
    client.settle();
    const Answer deleted = client.remove(client.nsg);
    const Answer meanwhile = client.get(client.nsg);
    client.settle();

    CHECK(refused.status == 400);
    CHECK(refused.code() == "InUseNetworkSecurityGroupCannotBeDeleted");
    REQUIRE(subnets.size() == 1);
    CHECK(subnets[0]["id"].get<std::string>().ends_with("/virtualNetworks/v/subnets/s"));
    CHECK(deleted.status == 202);
    CHECK(meanwhile.body()["properties"]["provisioningState"] == "Deleting");
    CHECK(client.get(client.nsg).code() == "ResourceNotFound");
    CHECK(client.remove(client.nsg).status == 204);
}

TEST_CASE("missing things are missing in Azure's three ways") {
    Client client;
    client.has_nsg();
    const std::string other =
        "resourceGroups/rg/providers/Microsoft.Network/networkSecurityGroups/other";
    const std::string nowhere =
        "resourceGroups/none/providers/Microsoft.Network/networkSecurityGroups/web";

    const Answer group = client.get(nowhere);
    const Answer top = client.get(other);
    const Answer child = client.get(client.rule_path("none"));
    const Answer under_missing = client.get(other + "/securityRules/x");
    const Answer delete_under_missing = client.remove(other + "/securityRules/x");
    const Answer put_under_missing = client.put(other + "/securityRules/x", client.rule(200));
    const Answer subscription = client.send("GET", "/subscriptions/1234?api-version=2022-12-01");

    CHECK(group.code() == "ResourceGroupNotFound");
    CHECK(group.header("X-Ms-Failure-Cause") == "gateway");
    CHECK(top.code() == "ResourceNotFound");
    CHECK(top.header("X-Ms-Failure-Cause") == "gateway");
    CHECK(child.code() == "NotFound");
    CHECK_FALSE(child.has("X-Ms-Failure-Cause"));
    CHECK(child.body()["error"]["details"] == json::array());
    CHECK(under_missing.code() == "ResourceNotFound");
    CHECK(delete_under_missing.code() == "ResourceNotFound");
    CHECK(put_under_missing.code() == "ParentResourceNotFound");
    CHECK(subscription.code() == "SubscriptionNotFound");
    for (const Answer* one : {&group, &top, &child, &under_missing, &delete_under_missing,
                              &put_under_missing, &subscription}) {
        CHECK(one->status == 404);
    }
}

TEST_CASE("requests that ARM cannot read are refused before anything else") {
    Client client;
    client.has_nsg();
    const std::string path = std::string(client.sub) + "/" + client.nsg;
    struct Row {
        const char* why;
        const char* method;
        std::string target;
        std::string body;
        int status;
        const char* code;
    };
    for (const Row& row : {
             Row{"no api-version", "GET", path, "", 400, "MissingApiVersionParameter"},
             Row{"an odd one", "GET", path + "?api-version=latest", "", 400,
                 "InvalidApiVersionParameter"},
             Row{"an unknown type", "GET",
                 std::string(client.sub) +
                     "/providers/Microsoft.Network/azureFirewalls?api-version=2024-01-01",
                 "", 400, "InvalidResourceType"},
             Row{"no JSON", "PUT", path + "?api-version=2024-01-01", "{", 400,
                 "InvalidRequestContent"},
             Row{"no object", "PUT", path + "?api-version=2024-01-01", "[]", 400,
                 "InvalidRequestContent"},
             Row{"no location", "PUT", path + "?api-version=2024-01-01", "{}", 400,
                 "LocationRequired"},
             Row{"no such method", "POST", path + "?api-version=2024-01-01", "", 405,
                 "MethodNotAllowed"},
             Row{"not ARM's", "GET", "/tenants?api-version=2024-01-01", "", 404,
                 "InvalidResourceNamespace"},
         }) {
        CAPTURE(row.why);
        const Answer answer = client.send({row.method,
                                           {},
                                           row.target,
                                           {{"Authorization", "Bearer x"}, {"Host", "arm.test"}},
                                           row.body});
        CHECK(answer.status == row.status);
        CHECK(answer.code() == row.code);
    }
}

TEST_CASE("every answer carries ARM's headers, and repeats the client's ids when asked to") {
    Client client;
    const Answer answer = client.send("GET", client.arm("resourceGroups"), {},
                                      {{"x-ms-client-request-id", "c-1"},
                                       {"x-ms-correlation-request-id", "k-1"},
                                       {"x-ms-return-client-request-id", "true"}});

    CHECK(answer.has("x-ms-request-id"));
    CHECK(answer.header("x-ms-correlation-request-id") == "k-1");
    CHECK(answer.header("x-ms-client-request-id") == "c-1");
    CHECK(answer.header("Cache-Control") == "no-cache");
    CHECK(answer.header("x-ms-ratelimit-remaining-subscription-reads") == "249");
    CHECK(answer.header("x-ms-ratelimit-remaining-subscription-global-reads") == "3749");
}
