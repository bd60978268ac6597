#include "azure/token.hpp"

#include <doctest/doctest.h>

#include "azure/world.hpp"

using namespace sallyport;
using namespace sallyport::azure;
using namespace std::chrono_literals;

namespace {

bool is_sign_in(const http::Request& request) {
    return request.target.find("/oauth2/v2.0/token") != request.target.npos;
}

/// Counts sign-ins; `fate` may change what becomes of them.
struct SignIns {
    explicit SignIns(ArmWorld& world) {
        world.network.before_send = [this](const http::Request& request) {
            if (!is_sign_in(request)) return Fate{};
            ++count;
            return fate;
        };
    }
    int count = 0;
    Fate fate = {};
};

Task<void> list_into(Gateway& gateway, int& done, int& failed) {
    const auto listed = co_await gateway.list_machines(whole);
    ++(listed ? done : failed);
}

http::Response refusal(const char* code) {
    const Json body = {
        {"error", "invalid_client"},
        {"error_description", std::string("AADSTS") + code + ": Said by Entra. Trace ID: 1"},
        {"correlation_id", "c-1"}};
    return {.status = 401, .body = body.dump()};
}

}  // namespace

TEST_CASE("many callers at once sign in once") {
    ArmWorld world;
    SignIns sign_ins(world);
    int done = 0;
    int failed = 0;

    for (int i = 0; i < 20; ++i) world.scope.start(list_into(*world.gateway, done, failed));
    world.run_for(5s);

    CHECK(done == 20);
    CHECK(sign_ins.count == 1);
}

TEST_CASE("many callers share a failure; the next one tries again") {
    ArmWorld world;
    SignIns sign_ins(world);
    sign_ins.fate.instead = refusal("7000215");
    int done = 0;
    int failed = 0;

    for (int i = 0; i < 20; ++i) world.scope.start(list_into(*world.gateway, done, failed));
    world.run_for(5s);
    CHECK(failed == 20);
    CHECK(sign_ins.count == 1);

    sign_ins.fate = {};
    CHECK(world.finish(world.gateway->list_machines(whole)));
}

TEST_CASE("a token is used until five minutes before its end") {
    ArmWorld world;
    SignIns sign_ins(world);
    REQUIRE(world.finish(world.gateway->list_machines(whole)));

    world.run_for(54min);
    REQUIRE(world.finish(world.gateway->list_machines(whole)));
    CHECK(sign_ins.count == 1);
    world.run_for(61s);
    REQUIRE(world.finish(world.gateway->list_machines(whole)));
    CHECK(sign_ins.count == 2);
}

TEST_CASE("while sign-in is down the old token serves until its end") {
    ArmWorld world;
    SignIns sign_ins(world);
    REQUIRE(world.finish(world.gateway->list_machines(whole)));
    sign_ins.fate.instead = http::Response{.status = 503};

    world.run_for(57min);
    CHECK(world.finish(world.gateway->list_machines(whole)));
    world.run_for(4min);
    const auto ended = world.finish(world.gateway->list_machines(whole));

    REQUIRE_FALSE(ended);
    CHECK(ended.error().kind == ErrorKind::unavailable);
}

TEST_CASE("a refused token is replaced once, for reads and for writes") {
    ArmWorld world;
    int refuse = 1;
    int sign_ins = 0;
    world.network.before_send = [&](const http::Request& request) {
        if (is_sign_in(request)) {
            ++sign_ins;
            return Fate{};
        }
        return refuse-- > 0 ? Fate{.instead = http::Response{.status = 401}} : Fate{};
    };

    CHECK(world.finish(world.gateway->list_machines(whole)));
    CHECK(sign_ins == 2);
    refuse = 1;
    CHECK(world.finish(world.gateway->put_rule(nsg("nsg-web01"), a_rule("sp-1", 200), {})));
    CHECK(sign_ins == 3);
    refuse = 2;
    const auto refused = world.finish(world.gateway->list_machines(whole));
    REQUIRE_FALSE(refused);
    CHECK(refused.error().kind == ErrorKind::denied);
    CHECK(refused.error().status == 401);
}

TEST_CASE("the last look at a write comes after the token, each time that it leaves") {
    ArmWorld world;
    bool wanted = true;
    int looks = 0;
    Departure departure{.last_look = [&]() -> Result<void> {
        ++looks;
        if (wanted) return {};
        return Error{ErrorKind::conflict, "not wanted any more"};
    }};
    int puts = 0;
    int refuse = 0;
    world.network.before_send = [&](const http::Request& request) {
        if (is_sign_in(request)) wanted = false;  // so long does it take
        if (request.method != "PUT") return Fate{};
        ++puts;
        return refuse-- > 0 ? Fate{.instead = http::Response{.status = 401}} : Fate{};
    };
    SUBCASE("it has to sign in first") {}
    SUBCASE("its token is refused, and it would leave again") {
        REQUIRE(world.finish(world.gateway->list_machines(whole)));
        wanted = true;
        refuse = 1;
    }
    const int before = refuse;

    const auto put =
        world.finish(world.gateway->put_rule(nsg("nsg-web01"), a_rule("sp-1", 200), departure));

    REQUIRE_FALSE(put);
    CHECK(put.error().kind == ErrorKind::conflict);
    CHECK(puts == before);
    CHECK(looks == before + 1);
}

TEST_CASE("a token that has ended by Azure's clock is replaced") {
    ArmWorld world;
    REQUIRE(world.finish(world.gateway->list_machines(whole)));
    world.simulator->advance(2h);

    CHECK(world.finish(world.gateway->list_machines(whole)));
}

TEST_CASE("a refused credential says what to do") {
    struct Row {
        const char* code;
        const char* what;
    };
    for (const Row& row :
         {Row{"7000215", "put the secret's value"}, Row{"7000222", "has expired"},
          Row{"700016", "spec.azure.identity"}, Row{"90002", "spec.azure.tenantId"}}) {
        CAPTURE(row.code);
        ArmWorld world;
        SignIns sign_ins(world);
        sign_ins.fate.instead = refusal(row.code);

        const auto listed = world.finish(world.gateway->list_machines(whole));

        REQUIRE_FALSE(listed);
        CHECK(listed.error().kind == ErrorKind::denied);
        CHECK(listed.error().code == std::string("AADSTS") + row.code);
        CHECK(listed.error().message.find(row.what) != std::string::npos);
        CHECK(listed.error().message.find("Trace ID") == std::string::npos);
    }
}

TEST_CASE("azure-sim refuses a wrong secret as Entra does, and the message names the Secret") {
    ArmWorld world;
    const auto gateway = world.open("wrong-secret");

    const auto listed = world.finish(gateway->list_machines(whole));

    REQUIRE_FALSE(listed);
    CHECK(listed.error().kind == ErrorKind::denied);
    CHECK(listed.error().code == "AADSTS7000215");
    CHECK(listed.error().reason == "SignInRefused");
    CHECK(listed.error().message.find("azure-prod") != std::string::npos);
    CHECK(listed.error().message.find("wrong-secret") == std::string::npos);
}

TEST_CASE("an authority that echoes the secret is not quoted") {
    ArmWorld world;
    SignIns sign_ins(world);
    const Json body = {{"error_description", std::string("AADSTS1: you sent ") + secret}};
    sign_ins.fate.instead = http::Response{.status = 400, .body = body.dump()};

    const auto listed = world.finish(world.gateway->list_machines(whole));

    REQUIRE_FALSE(listed);
    CHECK(listed.error().message.find(secret) == std::string::npos);
}

TEST_CASE("an answer without a token, or with one that ends at once, is unavailable") {
    for (const char* body :
         {"", "[]", "{}", R"({"access_token":"x"})", R"({"access_token":"x","expires_in":0})",
          R"({"access_token":"","expires_in":3599})"}) {
        CAPTURE(body);
        ArmWorld world;
        SignIns sign_ins(world);
        sign_ins.fate.instead = http::Response{.body = body};

        const auto listed = world.finish(world.gateway->list_machines(whole));

        REQUIRE_FALSE(listed);
        CHECK(listed.error().kind == ErrorKind::unavailable);
    }
}
