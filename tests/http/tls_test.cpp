#include <doctest/doctest.h>
#include <fmt/format.h>

#include "http/cpprest_network.hpp"
#include "serve/certificates.hpp"
#include "serve/handlers.hpp"
#include "support/real_world.hpp"
#include "support/temporary_directory.hpp"

using namespace sallyport;
using namespace std::chrono_literals;

namespace {

serve::Certificates make_in(const TemporaryDirectory& at, Timestamp now) {
    auto made = serve::load_or_make_certificates({.directory = at.path()}, now);
    return std::move(made).value();
}

struct Authority {
    TemporaryDirectory at;
    serve::Certificates made = make_in(at, system::wall_now());
};

FunctionHandler hello() {
    return FunctionHandler([](const http::Request&) { return reply_text("hello"); });
}

struct TlsClient {
    support::RealWorld world;
    http::CpprestNetwork network{world.loop};

    Result<http::Response> get(const std::string& origin, http::Trust trust) {
        const auto transport = network.transport(std::move(trust));
        return world.finish(transport->send({.origin = origin}, {}));
    }
};

}  // namespace

TEST_CASE("a server under the trusted authority is believed by address and by name") {
    const Authority authority;
    FunctionHandler handler = hello();
    TlsClient client;
    for (const char* listen : {"127.0.0.1:0", "localhost:0", "[::1]:0"}) {
        CAPTURE(listen);
        const auto server =
            serve_on_loopback(handler, {.listen = listen, .identity = authority.made.identity});

        const auto answer = client.get(server->origin(), {.ca_pem = authority.made.ca_pem});

        CAPTURE((answer ? std::string() : answer.error().message));
        REQUIRE(answer.has_value());
        CHECK(answer->body == "hello");
    }
}

TEST_CASE(
    "another authority, another name, an expired certificate and plain HTTP are refused with the "
    "reason") {
    const Authority trusted;
    const Authority other;
    const TemporaryDirectory elsewhere;
    const auto expired = make_in(elsewhere, system::wall_now() - seconds(400 * 86'400));
    FunctionHandler handler = hello();
    const auto server =
        serve_on_loopback(handler, {.listen = "0.0.0.0:0", .identity = trusted.made.identity});
    const auto late = serve_on_loopback(handler, {.identity = expired.identity});
    const auto plain = serve_on_loopback(handler);
    const auto at = [](const char* host, const serve::Server& s) {
        return fmt::format("https://{}:{}", host, s.port());
    };
    struct Row {
        const char* why;
        std::string origin;
        std::string ca;
        const char* message;
    };
    TlsClient client;
    for (const Row& row :
         {Row{"another authority", at("127.0.0.1", *server), other.made.ca_pem,
              "certificate verify failed"},
          {"the system's authorities", at("127.0.0.1", *server), "", "certificate verify failed"},
          {"another name", at("127.0.0.2", *server), trusted.made.ca_pem,
           "certificate verify failed"},
          {"expired", at("127.0.0.1", *late), expired.ca_pem, "certificate verify failed"},
          {"no TLS", at("127.0.0.1", *plain), trusted.made.ca_pem, "tls: "},
          {"no PEM", at("127.0.0.1", *server), "junk", "holds no PEM certificate"}}) {
        CAPTURE(row.why);

        const auto answer = client.get(row.origin, {.ca_pem = row.ca});

        REQUIRE_FALSE(answer.has_value());
        CHECK(answer.error().kind == ErrorKind::unavailable);
        CAPTURE(answer.error().message);
        CHECK(answer.error().message.find(row.message) != std::string::npos);
    }
}

TEST_CASE("a client key that is not its certificate's is noticed before anything is sent") {
    const Authority one;
    const Authority two;
    FunctionHandler handler = hello();
    const auto server = serve_on_loopback(handler, {.identity = one.made.identity});
    TlsClient client;
    const auto trust = [&](const std::string& cert, const Secret& key) {
        return http::Trust{
            .ca_pem = one.made.ca_pem, .client_cert_pem = cert, .client_key_pem = key};
    };

    const auto good =
        client.get(server->origin(), trust(two.made.identity.chain_pem, two.made.identity.key_pem));
    const auto bad =
        client.get(server->origin(), trust(two.made.identity.chain_pem, one.made.identity.key_pem));
    const auto junk = client.get(server->origin(), trust("junk", one.made.identity.key_pem));

    CHECK(good.has_value());
    REQUIRE_FALSE(bad.has_value());
    CHECK(bad.error().message == "the client key is not the one of its certificate");
    REQUIRE_FALSE(junk.has_value());
    CHECK(junk.error().message == "the client certificate cannot be read");
}

TEST_CASE("a renewed certificate is shown to new connections while old ones go on") {
    const Authority one;
    const Authority two;
    FunctionHandler handler = hello();
    const auto server = serve_on_loopback(handler, {.identity = one.made.identity});
    TlsClient client;
    const auto old = client.network.transport({.ca_pem = one.made.ca_pem});
    CHECK(client.world.finish(old->send({.origin = server->origin()}, {})).has_value());

    // The connection has to be back among the resting ones.
    client.world.finish(client.world.clock.sleep_for(20ms));
    CHECK(server->renew(two.made.identity).has_value());

    CHECK(client.world.finish(old->send({.origin = server->origin()}, {})).has_value());
    CHECK(client.get(server->origin(), {.ca_pem = two.made.ca_pem}).has_value());
    CHECK_FALSE(client.get(server->origin(), {.ca_pem = one.made.ca_pem}).has_value());
}

TEST_CASE("a stream and large bodies pass through TLS, and stopping cuts neither short") {
    const Authority authority;
    const auto feed = std::make_shared<Feed>();
    const std::string large(5'000'000, 'x');
    FunctionHandler handler([&](const http::Request& request) {
        http::Reply reply = reply_text(large + request.body);
        if (request.target == "/watch") reply.stream = feed->stream();
        return reply;
    });
    const auto server = serve_on_loopback(handler, {.identity = authority.made.identity});
    TlsClient client;
    const auto transport = client.network.transport({.ca_pem = authority.made.ca_pem});

    const auto answer = client.world.finish(transport->send(
        {.method = "PUT", .origin = server->origin(), .body = std::string(2'000'000, 'y')}, {}));
    REQUIRE(answer.has_value());
    CHECK(answer->body == large + std::string(2'000'000, 'y'));

    auto stream = client.world.finish(
        transport->open({.origin = server->origin(), .target = "/watch"}, {}, 20s));
    REQUIRE(stream.has_value());
    feed->push("one");
    CHECK(client.world.finish((*stream)->next()).value() == "one");
    server->stop();
    CHECK(client.world.finish((*stream)->next()).value().empty());  // the clean end
}

namespace {

Task<void> send_many(http::Transport& transport, std::string origin, int count) {
    for (int i = 0; i < count; ++i) {
        http::Request request{.origin = origin};
        const Result<http::Response> answer = co_await transport.send(std::move(request), {});
        check(answer.has_value(), "every request is answered");
    }
}

}  // namespace

TEST_CASE("measured: small requests one after the other over TLS" * doctest::skip()) {
    const Authority authority;
    FunctionHandler handler = hello();
    const auto server = serve_on_loopback(handler, {.identity = authority.made.identity});
    TlsClient client;
    const auto transport = client.network.transport({.ca_pem = authority.made.ca_pem});
    client.world.finish(send_many(*transport, server->origin(), 100));

    const auto begun = std::chrono::steady_clock::now();
    client.world.finish(send_many(*transport, server->origin(), 10'000));
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begun;

    MESSAGE(fmt::format("{:.0f} requests/s, {:.0f} us each", 10'000 / took.count(),
                        took.count() * 100));
}
