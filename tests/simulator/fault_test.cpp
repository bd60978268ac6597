#include "base/text.hpp"
#include "simulator/client.hpp"

using namespace sallyport;
using namespace sallyport::simulator;
using namespace std::chrono_literals;

TEST_CASE("a fault answers in Azure's place as often as it was told to") {
    Client client;
    client.has_nsg();
    const Answer set =
        client.post_sim("faults", {{"id", "busy"},
                                   {"skip", 1},
                                   {"times", 2},
                                   {"match", {{"method", "PUT"}, {"path", "/securityrules/"}}},
                                   {"effect",
                                    {{"status", 503},
                                     {"code", "ServiceUnavailable"},
                                     {"message", "later"},
                                     {"retryAfter", 7}}}});

    std::vector<int> statuses;
    for (int i = 0; i < 4; ++i) {
        const Answer put =
            client.put(client.rule_path("r" + std::to_string(i)), client.rule(200 + i));
        statuses.push_back(put.status);
        if (put.status != 503) continue;
        CHECK(put.code() == "ServiceUnavailable");
        CHECK(put.header("Retry-After") == "7");
    }

    CHECK(set.status == 201);
    CHECK(set.body()["ids"] == json{"busy"});
    CHECK(statuses == std::vector<int>{201, 503, 503, 201});
    CHECK(client.get(client.rule_path("r1")).status == 404);
    CHECK(client.sim("faults").body()["faults"].empty());
}

TEST_CASE("faults are told apart by operation, listed, and cleared by id or all at once") {
    Client client;
    client.has_nsg();
    const auto refuse = [](const char* operation, const char* id) {
        return json{
            {"id", id}, {"match", {{"operation", operation}}}, {"effect", {{"status", 500}}}};
    };
    client.post_sim("faults", {{"faults",
                                {refuse("nsg\\.list", "a"), refuse("token", "b"),
                                 refuse("poll", "c"), refuse("vm\\..*", "d")}}});

    CHECK(client.get("providers/Microsoft.Network/networkSecurityGroups").status == 500);
    CHECK(client.get(client.nsg).status == 200);
    CHECK(client.get("providers/Microsoft.Compute/virtualMachines").status == 500);
    CHECK(client.follow(client.put(client.rule_path("one"), client.rule(200))).status == 500);
    CHECK(client.send({"POST", {}, "/t/oauth2/v2.0/token", {}, ""}).status == 500);
    CHECK(client.sim("faults").body()["faults"].size() == 4);
    CHECK(client.sim("faults").body()["faults"][0]["hits"] == 1);
    CHECK(client.send("DELETE", "/_sim/faults/a").status == 200);
    CHECK(client.send("DELETE", "/_sim/faults/a").status == 404);
    CHECK(client.get("providers/Microsoft.Network/networkSecurityGroups").status == 200);
    CHECK(client.send("DELETE", "/_sim/faults").status == 200);
    CHECK(client.sim("faults").body()["faults"].empty());
}

TEST_CASE("a fault with a mistake is refused, and none of its company is set") {
    struct Row {
        json fault;
        const char* names;
    };
    for (const Row& row : std::vector<Row>{
             {{{"match", {{"metod", "PUT"}}}, {"effect", {{"status", 500}}}},
              "match.metod is not known"},
             {{{"match", json::object()}}, "fault.effect is missing"},
             {{{"effect", {{"status", "500"}}}}, "effect.status"},
             {{{"effect", {{"status", 99}}}}, "effect.status"},
             {{{"effect", {{"dropReply", 1}}}}, "effect.dropReply"},
             {{{"effect", {{"operation", {{"end", "Maybe"}}}}}}, "effect.operation.end"},
             {{{"match", {{"path", "("}}}, {"effect", {{"status", 500}}}}, "match.path"},
             {{{"effect", {{"headers", {{"a", 1}}}}}}, "effect.headers.a"},
             {{{"times", -1}, {"effect", {{"status", 500}}}}, "fault.times"},
         }) {
        CAPTURE(row.fault);
        Client client;
        const Answer answer =
            client.post_sim("faults", {{"faults", {{{"effect", {{"status", 500}}}}, row.fault}}});
        CHECK(answer.status == 400);
        CHECK(answer.message().find(row.names) != std::string::npos);
        CHECK(client.sim("faults").body()["faults"].empty());
    }
}

TEST_CASE("a reply can be lost after the write, or the request before it") {
    Client client;
    client.has_nsg();
    client.post_sim(
        "faults",
        {{"faults",
          {{{"times", 1}, {"match", {{"path", "/one$"}}}, {"effect", {{"dropReply", true}}}},
           {{"times", 1}, {"match", {{"path", "/two$"}}}, {"effect", {{"dropRequest", true}}}}}}});

    const Answer lost_reply = client.put(client.rule_path("one"), client.rule(200));
    const Answer lost_request = client.put(client.rule_path("two"), client.rule(201));
    client.settle();

    CHECK(lost_reply.reply.drop_connection);
    CHECK(lost_request.reply.drop_connection);
    CHECK(client.get(client.rule_path("one")).status == 200);
    CHECK(client.get(client.rule_path("two")).status == 404);
}

TEST_CASE("a write that timed out can land later, even a delete of what was put back") {
    Client client;
    client.has_nsg();
    client.post_sim("faults", {{"times", 1},
                               {"match", {{"operation", "rule.put"}}},
                               {"effect", {{"landsLateSeconds", 90}}}});

    const Answer put = client.put(client.rule_path("late"), client.rule(200));
    client.wait(89s);
    const int before = client.get(client.rule_path("late")).status;
    client.wait(2s);
    const Answer after = client.get(client.rule_path("late"));

    CHECK(put.status == 504);
    CHECK(put.code() == "GatewayTimeout");
    CHECK(before == 404);
    CHECK(after.status == 200);
    CHECK(after.body()["properties"]["provisioningState"] == "Succeeded");
}

TEST_CASE("a stale read shows the rules of some time ago") {
    Client client;
    client.has_nsg();
    client.put(client.rule_path("one"), client.rule(200));
    client.wait(10s);
    const json old = client.get(client.nsg).body();
    client.put(client.rule_path("one"), client.rule(200, "Deny"));
    client.put(client.rule_path("two"), client.rule(201));
    client.wait(3s);
    client.post_sim("faults", {{"id", "lag"},
                               {"match", {{"operation", "(nsg|rule)\\..*"}}},
                               {"effect", {{"staleSeconds", 5}}}});

    const json stale = client.get(client.nsg).body();
    const Answer stale_rule = client.get(client.rule_path("two"));
    client.wait(6s);
    const json caught_up = client.get(client.nsg).body();

    CHECK(stale["properties"]["securityRules"] == old["properties"]["securityRules"]);
    CHECK(stale["etag"] == old["etag"]);
    CHECK(stale_rule.status == 404);
    CHECK(caught_up["properties"]["securityRules"].size() == 2);
    CHECK(caught_up["properties"]["securityRules"][0]["properties"]["access"] == "Deny");
}

TEST_CASE(
    "an action can be denied, a policy can forbid, a body can be nonsense, an answer can be slow") {
    Client client;
    client.has_nsg();
    const auto with = [&](json effect) {
        client.send("DELETE", "/_sim/faults");
        client.post_sim("faults",
                        {{"match", {{"operation", "rule.put"}}}, {"effect", std::move(effect)}});
        return client.put(client.rule_path("one"), client.rule(200));
    };

    const Answer denied = with({{"denyAction", true}});
    const Answer forbidden = with({{"denyByPolicy", "no-ssh"}});
    const Answer nonsense = with({{"status", 502}, {"body", "<html>Bad Gateway</html>"}});
    const Answer slow = with({{"delaySeconds", 0.25}, {"headers", {{"X-Extra", "1"}}}});

    CHECK(denied.code() == "AuthorizationFailed");
    CHECK(denied.message().find("Microsoft.Network/networkSecurityGroups/securityRules/write") !=
          std::string::npos);
    CHECK(forbidden.status == 403);
    CHECK(forbidden.code() == "RequestDisallowedByPolicy");
    CHECK(forbidden.body()["error"]["target"] == "one");
    CHECK(forbidden.body()["error"]["additionalInfo"][0]["info"]["policyAssignmentName"] ==
          "no-ssh");
    CHECK(nonsense.status == 502);
    CHECK(nonsense.text == "<html>Bad Gateway</html>");
    CHECK(slow.status == 201);
    CHECK(slow.reply.delay == 250ms);
    CHECK(slow.header("X-Extra") == "1");
}

TEST_CASE("ids may come back in another case, and any case finds the resource") {
    Client client;
    client.has_nsg();
    client.put(client.rule_path("one"), client.rule(200));
    client.settle();
    client.post_sim("behaviour", {{"idCasing", true}});
    const std::string id = std::string(client.sub) + "/" + client.nsg;

    bool changed = false;
    for (int i = 0; i < 20; ++i) {
        const json read = client.get(client.nsg).body();
        const std::string got = read["id"];
        changed = changed || got != id;
        CHECK(equals_ignoring_case(got, id));
        CHECK(read["name"] == "web");
        CHECK(client.get(got).status == 200);
    }
    CHECK(changed);
}
