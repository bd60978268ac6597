#include <doctest/doctest.h>

#include "azure/world.hpp"

using namespace sallyport;
using namespace sallyport::azure;
using namespace std::chrono_literals;

namespace {

/// Every request of the method is answered so.
auto answering(std::string method, http::Response with) {
    return [method, with](const http::Request& request) {
        return request.method == method ? Fate{.instead = with} : Fate{};
    };
}

}  // namespace

TEST_CASE("an NSG is read with all its rules, as of when the read was sent") {
    ArmWorld world;
    world.network.latency = 100ms;
    REQUIRE(world.finish(world.gateway->list_machines(whole)));  // signs in
    const SteadyTime before = world.loop.steady_now();

    const auto state = world.finish(world.gateway->read(nsg("nsg-web01")));

    REQUIRE(state);
    CHECK(state->id == nsg("nsg-web01"));
    CHECK(state->find("allow-office-ssh") != nullptr);
    CHECK(state->read_sent == before);
}

TEST_CASE("an NSG that is not there is not_found, never an empty one") {
    ArmWorld world;
    const auto gone = world.finish(world.gateway->read(nsg("nsg-none")));
    REQUIRE_FALSE(gone);
    CHECK(gone.error().kind == ErrorKind::not_found);
    CHECK(gone.error().status == 404);
}

TEST_CASE("a rule is put, followed to its end, read back equal, and deleted") {
    ArmWorld world;
    const SecurityRule wanted = a_rule("sp-k7f2m3qa-1", 200);

    const auto put = world.finish(world.gateway->put_rule(nsg("nsg-web01"), wanted, {}));
    REQUIRE(put);
    CHECK_FALSE(put->operation_url.empty());
    CHECK_FALSE(put->correlation_id.empty());
    CHECK(put->retry_after == 1s);
    const auto put_end = world.follow(*put);
    REQUIRE(put_end);
    CHECK(put_end->status == OperationStatus::succeeded);
    const auto state = world.finish(world.gateway->read(nsg("nsg-web01")));
    REQUIRE(state);
    REQUIRE(state->find(wanted.name) != nullptr);
    CHECK(difference(wanted, *state->find(wanted.name)).empty());

    const auto removed =
        world.finish(world.gateway->delete_rule(nsg("nsg-web01"), wanted.name, {}));
    REQUIRE(removed);
    REQUIRE_FALSE(removed->operation_url.empty());
    const auto removed_end = world.follow(*removed);
    REQUIRE(removed_end);
    CHECK(removed_end->status == OperationStatus::succeeded);
    const auto after = world.finish(world.gateway->read(nsg("nsg-web01")));
    REQUIRE(after);
    CHECK(after->find(wanted.name) == nullptr);
}

TEST_CASE("deleting a rule that is not there is success at once; on an NSG that is not there not") {
    ArmWorld world;

    const auto absent = world.finish(world.gateway->delete_rule(nsg("nsg-web01"), "sp-none", {}));
    const auto no_nsg = world.finish(world.gateway->delete_rule(nsg("nsg-none"), "sp-none", {}));

    REQUIRE(absent);
    CHECK(absent->operation_url.empty());
    REQUIRE_FALSE(no_nsg);
    CHECK(no_nsg.error().kind == ErrorKind::not_found);
}

TEST_CASE("a 404 that names the rule is a rule that is gone") {
    ArmWorld world;
    world.fault("DELETE", rule_path,
                {{"status", 404},
                 {"code", "NotFound"},
                 {"message", "Resource /s/networkSecurityGroups/n/securityRules/sp-1 not found."}});
    const auto removed = world.finish(world.gateway->delete_rule(nsg("nsg-web01"), "sp-1", {}));
    REQUIRE(removed);
    CHECK(removed->operation_url.empty());
}

TEST_CASE("a taken priority is a conflict with Azure's code, from the answer or the operation") {
    ArmWorld world;
    const auto refused =
        world.finish(world.gateway->put_rule(nsg("nsg-web01"), a_rule("sp-1", 1000), {}));
    REQUIRE_FALSE(refused);
    CHECK(refused.error().kind == ErrorKind::conflict);
    CHECK(refused.error().code == "SecurityRuleConflict");

    const Json failing = {
        {"end", "Failed"}, {"code", "SecurityRuleConflict"}, {"message", "planted"}};
    world.fault("PUT", rule_path, {{"operation", failing}});
    const auto put =
        world.finish(world.gateway->put_rule(nsg("nsg-web01"), a_rule("sp-1", 200), {}));
    REQUIRE(put);
    const auto ended = world.follow(*put);
    REQUIRE(ended);
    CHECK(ended->status == OperationStatus::failed);
    REQUIRE(ended->error);
    CHECK(ended->error->kind == ErrorKind::conflict);
    CHECK(ended->error->code == "SecurityRuleConflict");
}

TEST_CASE("refusals say by kind and reason what to do, and quote the correlation id") {
    struct Row {
        int status;
        const char* code;
        ErrorKind kind;
        const char* reason;
    };
    using enum ErrorKind;
    for (const Row& row : {Row{409, "AnotherOperationInProgress", conflict, "SurfaceBusy"},
                           Row{429, "RetryableErrorDueToAnotherOperation", conflict, "SurfaceBusy"},
                           Row{429, "SubscriptionRequestsThrottled", throttled, "Throttled"},
                           Row{409, "ScopeLocked", denied, "Locked"},
                           Row{403, "AuthorizationFailed", denied, "MissingPermission"},
                           Row{400, "SecurityRuleInvalidPortRange", ErrorKind::invalid, ""},
                           Row{412, "PreconditionFailed", conflict, ""},
                           Row{500, "InternalServerError", ErrorKind::unavailable, ""},
                           Row{504, "GatewayTimeout", ErrorKind::unavailable, ""}}) {
        CAPTURE(row.code);
        ArmWorld world;
        Json effect = {{"status", row.status}, {"code", row.code}, {"message", "planted"}};
        if (row.status == 429) effect["retryAfter"] = 17;
        world.fault("PUT", rule_path, effect);

        const auto put =
            world.finish(world.gateway->put_rule(nsg("nsg-web01"), a_rule("sp-1", 200), {}));

        REQUIRE_FALSE(put);
        const Error& error = put.error();
        CHECK(error.kind == row.kind);
        CHECK(error.reason.starts_with(row.reason));
        CHECK(error.code == row.code);
        CHECK(error.status == row.status);
        CHECK_FALSE(error.correlation_id.empty());
        if (row.kind == throttled) CHECK(error.retry_after == 17s);
    }
}

TEST_CASE("a PUT whose answer is lost is unavailable, was sent once, and lands") {
    ArmWorld world;
    int puts = 0;
    world.network.before_send = [&](const http::Request& request) {
        if (request.method != "PUT") return Fate{};
        ++puts;
        return Fate{.way = Fate::Way::lost_reply};
    };

    const auto put =
        world.finish(world.gateway->put_rule(nsg("nsg-web01"), a_rule("sp-1", 200), {}));

    REQUIRE_FALSE(put);
    CHECK(put.error().kind == ErrorKind::unavailable);
    CHECK(put.error().status == 0);
    CHECK(puts == 1);
    world.run_for(10s);
    const auto state = world.finish(world.gateway->read(nsg("nsg-web01")));
    REQUIRE(state);
    CHECK(state->find("sp-1") != nullptr);
}

TEST_CASE("a write that Azure gives no operation for is followed on the rule itself") {
    ArmWorld world;
    Json rule = {{"name", "sp-1"},
                 {"properties",
                  {{"provisioningState", "Updating"},
                   {"protocol", "Tcp"},
                   {"access", "Allow"},
                   {"direction", "Inbound"},
                   {"priority", 200}}}};
    world.network.before_send = answering("PUT", {.status = 201, .body = rule.dump()});

    const auto put =
        world.finish(world.gateway->put_rule(nsg("nsg-web01"), a_rule("sp-1", 200), {}));

    REQUIRE(put);
    CHECK(put->operation_url.starts_with("https://azure.test/subscriptions/"));
    CHECK(put->operation_url.ends_with("/securityRules/sp-1?api-version=2024-01-01"));
    struct Row {
        const char* state;
        OperationStatus status;
    };
    for (const Row& row :
         {Row{"Updating", OperationStatus::running}, Row{"Succeeded", OperationStatus::succeeded},
          Row{"Failed", OperationStatus::failed}}) {
        CAPTURE(row.state);
        rule["properties"]["provisioningState"] = row.state;
        world.network.before_send = answering("GET", {.body = rule.dump()});
        const auto polled = world.finish(world.gateway->poll(put->operation_url));
        REQUIRE(polled);
        CHECK(polled->status == row.status);
        CHECK(polled->error.has_value() == (row.status == OperationStatus::failed));
    }
}

TEST_CASE("a Location is polled by status: 202 is running, 204 is done, 404 is not_found") {
    ArmWorld world;
    const std::string url = std::string(origin) + "/subscriptions/s/operationResults/1?t=1&c=2";

    world.network.before_send = answering("GET", {.status = 202});
    CHECK(world.finish(world.gateway->poll(url))->status == OperationStatus::running);
    world.network.before_send = answering("GET", {.status = 204});
    CHECK(world.finish(world.gateway->poll(url))->status == OperationStatus::succeeded);
    world.network.before_send = answering("GET", {.status = 404});
    CHECK(world.finish(world.gateway->poll(url)).error().kind == ErrorKind::not_found);
}

TEST_CASE("the newest answer's rate headers are the quota") {
    ArmWorld world;
    CHECK_FALSE(world.gateway->quota().reads);
    REQUIRE(world.finish(world.gateway->list_nsgs(whole)));
    const Quota after_reads = world.gateway->quota();
    REQUIRE(world.finish(world.gateway->put_rule(nsg("nsg-web01"), a_rule("sp-1", 200), {})));

    CHECK(after_reads.reads);
    CHECK_FALSE(after_reads.writes);
    CHECK(world.gateway->quota().writes);
}

TEST_CASE("every request names itself: our id, one correlation id, and the wish to hear it again") {
    ArmWorld world;
    http::Headers seen;
    world.network.before_send = [&](const http::Request& request) {
        if (request.method == "PUT") seen = request.headers;
        return Fate{};
    };
    const std::string id = "11111111-0000-4000-8000-000000000001";

    REQUIRE(world.finish(
        world.gateway->put_rule(nsg("nsg-web01"), a_rule("sp-1", 200), {.request_id = id})));

    CHECK(seen.value_or("x-ms-client-request-id", "") == id);
    CHECK(seen.value_or("x-ms-correlation-request-id", "").size() == 36);
    CHECK(seen.value_or("x-ms-return-client-request-id", "") == "true");
    CHECK(seen.value_or("Authorization", "").starts_with("Bearer "));
}
