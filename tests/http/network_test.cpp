#include "http/cpprest_network.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <condition_variable>

#include "http/raw_server.hpp"
#include "serve/handlers.hpp"
#include "support/real_world.hpp"

using namespace sallyport;
using namespace std::chrono_literals;

namespace {

struct Client {
    support::RealWorld world;
    http::CpprestNetwork network{world.loop};
    std::unique_ptr<http::Transport> transport = network.transport({});

    Result<http::Response> send(http::Request request, http::SendOptions options = {}) {
        return world.finish(transport->send(std::move(request), options));
    }
    /// Long enough for the connection of the last request to be back among those to use again.
    void rest() { world.finish(world.clock.sleep_for(2ms)); }
};

http::Reply echo(const http::Request& request) {
    http::Reply reply =
        reply_text(request.method + " " + request.target + " [" + request.body + "]");
    reply.response.headers.add("X-Type", request.headers.value_or("content-type", "none"));
    reply.response.headers.add("X-Host", request.headers.value_or("host", "none"));
    return reply;
}

Task<void> send_and_count(http::Transport& transport, http::Request request, int& answered,
                          int& failed) {
    const Result<http::Response> response = co_await transport.send(std::move(request), {});
    ++(response ? answered : failed);
}

Task<void> until(Loop& loop, const std::function<bool()>& done) {
    const SteadyTime patience = loop.steady_now() + 10s;
    while (!done() && loop.steady_now() < patience)
        co_await loop.sleep_until(loop.steady_now() + 1ms);
}

/// Answers the first request of each connection and closes upon the second, having read it.
struct ForgetfulServer {
    std::atomic<int> requests = 0;
    RawServer server{[this](RawServer::Connection& connection) {
        if (connection.read_until("\r\n\r\n").empty()) return;
        ++requests;
        connection.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        if (!connection.read_until("\r\n\r\n").empty()) ++requests;
    }};
};

}  // namespace

TEST_CASE("a request arrives as it was given and the whole answer comes back") {
    FunctionHandler handler(echo);
    const auto server = serve_on_loopback(handler);
    Client client;

    const auto answer = client.send({.method = "POST",
                                     .origin = server->origin(),
                                     .target = "/a%2Fb/c:d//e?$filter=x%20eq%20%27y%27&z=1+2",
                                     .headers = {{"Content-Type", "application/json"}},
                                     .body = "{}"});

    REQUIRE(answer.has_value());
    CHECK(answer->status == 200);
    CHECK(answer->body == "POST /a%2Fb/c:d//e?$filter=x%20eq%20%27y%27&z=1+2 [{}]");
    CHECK(answer->headers.value_or("x-type", "") == "application/json");
    CHECK(answer->headers.value_or("content-type", "") == "text/plain");
}

TEST_CASE("bodies of any size and none go both ways, for every method") {
    FunctionHandler handler(echo);
    const auto server = serve_on_loopback(handler);
    Client client;
    const std::string megabyte(1'000'000, 'x');
    for (const char* method : {"GET", "POST", "PUT", "PATCH", "DELETE"}) {
        for (const bool may_resend : {true, false}) {
            for (const std::string& body : {std::string(), std::string("x"), megabyte}) {
                CAPTURE(method);
                CAPTURE(may_resend);
                CAPTURE(body.size());
                const auto answer =
                    client.send({.method = method, .origin = server->origin(), .body = body},
                                {.may_resend = may_resend});

                REQUIRE(answer.has_value());
                CHECK(answer->body == std::string(method) + " / [" + body + "]");
                CHECK(answer->headers.value_or("x-type", "") == "none");
            }
        }
    }
    const auto head = client.send({.method = "HEAD", .origin = server->origin()});
    REQUIRE(head.has_value());
    CHECK(head->body.empty());
    CHECK(head->status == 200);
}

TEST_CASE("every status is a value, and a redirect is not followed") {
    FunctionHandler handler([](const http::Request& request) {
        http::Reply reply = reply_text("said", std::stoi(request.target.substr(1)));
        if (reply.response.status == 302) reply.response.headers.add("Location", "/200");
        return reply;
    });
    const auto server = serve_on_loopback(handler);
    Client client;

    for (const int status : {200, 201, 202, 302, 400, 401, 404, 409, 412, 429, 500, 503}) {
        const auto answer =
            client.send({.origin = server->origin(), .target = "/" + std::to_string(status)});
        REQUIRE(answer.has_value());
        CHECK(answer->status == status);
        CHECK(answer->body == "said");
    }
}

TEST_CASE("an IPv6 address and a name reach their server, with a host field that says so") {
    FunctionHandler handler(echo);
    Client client;
    for (const char* listen : {"[::1]:0", "localhost:0", "127.0.0.1:0"}) {
        CAPTURE(listen);
        const auto server = serve_on_loopback(handler, {.listen = listen});

        const auto answer = client.send({.origin = server->origin()});

        REQUIRE(answer.has_value());
        CHECK("http://" + std::string(answer->headers.value_or("x-host", "")) == server->origin());
    }
}

TEST_CASE("what gets no answer is unavailable, and says why") {
    std::string refusing;
    {
        RawServer server([](RawServer::Connection&) {});
        refusing = server.origin();
    }
    RawServer closing([](RawServer::Connection& c) { c.read_until("\r\n\r\n"); });
    RawServer junk([](RawServer::Connection& c) {
        c.read_until("\r\n\r\n");
        c.send("hello\r\n\r\n");
    });
    RawServer torn([](RawServer::Connection& c) {
        c.read_until("\r\n\r\n");
        c.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this");
    });
    struct Row {
        const char* why;
        std::string origin;
        const char* target;
        const char* message;
    };
    Client client;
    for (const Row& row : {Row{"nobody listens", refusing, "/", "refused"},
                           {"closed before the answer", closing.origin(), "/", "closed before"},
                           {"no HTTP", junk.origin(), "/", "status line"},
                           {"torn", torn.origin(), "/", "closed inside"},
                           {"no such name", "http://no-such-name.invalid", "/", "address"},
                           {"no origin", "", "/", "is not http"},
                           {"no host", "http://:1", "/", "is not http"},
                           {"no port", "http://x:", "/", "is not http"},
                           {"a path", "http://x/y", "/", "is not http"},
                           {"user", "http://a@x", "/", "is not http"},
                           {"blank in target", closing.origin(), "/a b", ""}}) {
        CAPTURE(row.why);

        const auto answer =
            client.send({.origin = row.origin, .target = row.target}, {.timeout = 20s});

        REQUIRE_FALSE(answer.has_value());
        CHECK(answer.error().kind == ErrorKind::unavailable);
        CHECK(answer.error().status == 0);
        CAPTURE(answer.error().message);
        CHECK(answer.error().message.find(row.message) != std::string::npos);
    }
    const auto split =
        client.send({.origin = closing.origin(), .headers = {{"X-A", "b\r\nX-C: d"}}});
    REQUIRE_FALSE(split.has_value());
    CHECK(split.error().message.find("control character") != std::string::npos);
}

TEST_CASE(
    "a timeout bounds the whole exchange, also when bytes keep coming, and frees the connection") {
    FunctionHandler handler([](const http::Request&) {
        http::Reply reply = reply_text("late");
        reply.delay = 60s;
        return reply;
    });
    const auto server = serve_on_loopback(handler);
    std::atomic<bool> stop = false;
    RawServer dripping([&](RawServer::Connection& c) {
        c.read_until("\r\n\r\n");
        c.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        for (int i = 0; i < 10'000 && !stop; ++i) {
            c.send("1\r\nx\r\n");
            std::this_thread::yield();
        }
        c.wait_for_close();
    });
    Client client;
    const auto begun = std::chrono::steady_clock::now();

    const auto late = client.send({.origin = server->origin()}, {.timeout = 50ms});
    const auto dripped = client.send({.origin = dripping.origin()}, {.timeout = 100ms});
    stop = true;

    REQUIRE_FALSE(late.has_value());
    CHECK(late.error().kind == ErrorKind::unavailable);
    CHECK(late.error().message == "timed out after 50 ms");
    REQUIRE_FALSE(dripped.has_value());
    CHECK(std::chrono::steady_clock::now() - begun < 5s);
    client.world.finish(until(client.world.loop, [&] { return server->connections() == 0; }));
    CHECK(server->connections() == 0);
}

TEST_CASE("destroying the tasks of hundreds of requests cancels them and drops their answers") {
    std::atomic<int> handled = 0;
    FunctionHandler handler([&](const http::Request& request) {
        ++handled;
        http::Reply reply = reply_text("x");
        if (request.target == "/slow")
            reply.delay = std::chrono::milliseconds(handled % 3 == 0 ? 0 : 60'000);
        return reply;
    });
    const auto server = serve_on_loopback(handler);
    support::RealWorld world;
    http::CpprestNetwork network(world.loop, {.requests_max = 200});
    int answered = 0;
    int failed = 0;
    {
        const auto transport = network.transport({});
        {
            Scope doomed(world.loop, [](std::exception_ptr) {});
            for (int i = 0; i < 500; ++i) {
                http::Request request{.origin = server->origin(), .target = "/slow"};
                doomed.start(send_and_count(*transport, std::move(request), answered, failed));
            }
            world.finish(until(world.loop, [&] { return handled >= 200; }));
            CHECK(doomed.running() > 0);
        }
        const int before = answered;
        http::Request request{.origin = server->origin(), .target = "/"};
        const auto after = world.finish(transport->send(std::move(request), {}));
        CHECK(after.has_value());
        CHECK(answered == before);
        CHECK(failed == 0);
    }
    // Sends under way when loop, network and transport go altogether.
    for (int round = 0; round < 20; ++round) {
        support::RealWorld brief;
        http::CpprestNetwork brief_network(brief.loop);
        const auto transport = brief_network.transport({});
        Scope doomed(brief.loop, [](std::exception_ptr) {});
        for (int i = 0; i < 20; ++i) {
            http::Request request{.origin = server->origin(),
                                  .target = round % 2 == 0 ? "/" : "/slow"};
            doomed.start(send_and_count(*transport, std::move(request), answered, failed));
        }
        brief.loop.run_ready();
    }
    world.finish(until(world.loop, [&] { return server->connections() < 40; }));
    CHECK(server->connections() < 40);
}

TEST_CASE(
    "a request that must arrive at most once goes over a connection of its own, and only once") {
    for (const std::string& body : {std::string("{}"), std::string()}) {
        CAPTURE(body);
        ForgetfulServer forgetful;
        std::atomic<int> swallowed = 0;
        RawServer swallowing([&](RawServer::Connection& connection) {
            if (!connection.read_until("\r\n\r\n").empty()) ++swallowed;
        });
        Client client;
        http::Request request{.method = "POST", .origin = forgetful.server.origin(), .body = body};

        for (int i = 0; i < 30; ++i) {
            // A connection for it to fall over, if it used one that rests.
            if (i % 3 == 0) CHECK(client.send({.origin = request.origin}).has_value());
            client.rest();
            const auto answer = client.send(request, {.may_resend = false});
            CAPTURE((answer ? std::string() : answer.error().message));
            CHECK(answer.has_value());
        }
        CHECK(forgetful.requests.load() >= 40);
        request.origin = swallowing.origin();
        CHECK_FALSE(client.send(request, {.may_resend = false}).has_value());
        CHECK(swallowed.load() == 1);
    }
}

TEST_CASE("a request that may use a connection at rest does so, and still arrives once") {
    std::atomic<int> connections = 0;
    std::atomic<int> requests = 0;
    RawServer server([&](RawServer::Connection& connection) {
        ++connections;
        while (!connection.read_until("\r\n\r\n").empty()) {
            ++requests;
            connection.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        }
    });
    Client client;
    const http::Request request{.method = "POST", .origin = server.origin()};

    for (int i = 0; i < 20; ++i) {
        CHECK(client.send(request, {.may_resend = false, .may_reuse = true}).has_value());
        client.rest();
    }

    CHECK(requests.load() == 20);
    CHECK(connections.load() < 10);
}

/// Counts connections; answers all requests.
struct CountingServer {
    std::atomic<int> connections = 0;
    std::atomic<int> probes = 0;
    std::atomic<int> others = 0;
    RawServer server{[this](RawServer::Connection& connection) {
        ++connections;
        for (;;) {
            const std::string head = connection.read_until("\r\n\r\n");
            if (head.empty()) return;
            ++(head.starts_with("GET /probe") ? probes : others);
            connection.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        }
    }};
};

TEST_CASE("connections that are made ahead are as many as asked for, and what follows uses them") {
    CountingServer counting;
    Client client;
    const http::Request probe{.origin = counting.server.origin(), .target = "/probe"};

    client.transport->prepare(probe, 9);
    client.transport->prepare(probe, 9);  // while the first is at it
    client.world.finish(until(client.world.loop, [&] { return counting.probes == 9; }));
    client.rest();
    client.transport->prepare(probe, 9);  // all are there
    client.rest();
    CHECK(counting.connections.load() == 9);
    CHECK(counting.probes.load() == 9);

    int answered = 0;
    int failed = 0;
    for (int i = 0; i < 9; ++i) {
        http::Request request{.method = i % 2 == 0 ? "DELETE" : "GET", .origin = probe.origin};
        client.world.scope.start(
            send_and_count(*client.transport, std::move(request), answered, failed));
    }
    client.world.finish(until(client.world.loop, [&] { return answered == 9; }));
    CHECK(answered == 9);
    CHECK(counting.others.load() == 9);
    CHECK(counting.connections.load() == 9);
}

TEST_CASE("connections that cannot be made ahead do no harm") {
    std::string nobody;
    {
        CountingServer gone;
        nobody = gone.server.origin();
    }
    CountingServer counting;
    Client client;

    client.transport->prepare({.origin = nobody, .target = "/probe"}, 20);
    client.transport->prepare({.origin = "no origin", .target = "/probe"}, 20);
    client.rest();

    CHECK(client.send({.origin = counting.server.origin()}).has_value());
    CHECK(counting.probes.load() == 0);
}

TEST_CASE("a connection that was closed while it rested is not used for what arrives once") {
    std::atomic<int> requests = 0;
    std::atomic<int> closed = 0;
    RawServer hasty([&](RawServer::Connection& connection) {
        if (connection.read_until("\r\n\r\n").empty()) return;
        ++requests;
        connection.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        connection.close();
        ++closed;
    });
    Client client;
    const http::Request request{.method = "POST", .origin = hasty.origin()};

    for (int i = 0; i < 20; ++i) {
        CHECK(client.send(request, {.may_resend = false, .may_reuse = true}).has_value());
        client.world.finish(until(client.world.loop, [&] { return closed == requests; }));
    }

    CHECK(requests.load() == 20);
}

TEST_CASE("what may use a connection at rest and is lost there is not sent again") {
    ForgetfulServer forgetful;
    Client client;
    const http::Request request{.method = "POST", .origin = forgetful.server.origin()};

    int answered = 0;
    for (int i = 0; i < 20; ++i) {
        if (client.send(request, {.may_resend = false, .may_reuse = true})) ++answered;
        client.rest();
    }

    CHECK(answered < 20);
    CHECK(forgetful.requests.load() == 20);
}

TEST_CASE("a request that may be repeated survives a connection that was closed while it rested") {
    for (const std::string& body : {std::string("{}"), std::string()}) {
        CAPTURE(body);
        ForgetfulServer forgetful;
        Client client;
        const http::Request request{
            .method = "PUT", .origin = forgetful.server.origin(), .body = body};

        for (int i = 0; i < 30; ++i) {
            CHECK(client.send(request, {.may_resend = true}).has_value());
            client.rest();
        }

        CHECK(forgetful.requests.load() > 30);
    }
}

TEST_CASE("a body longer than allowed is refused while it is read") {
    FunctionHandler handler(
        [](const http::Request&) { return reply_text(std::string(1'000'000, 'x')); });
    const auto server = serve_on_loopback(handler);
    const auto feed = std::make_shared<Feed>();
    FunctionHandler endless([&](const http::Request&) {
        http::Reply reply;
        reply.stream = feed->stream();
        return reply;
    });
    const auto streaming = serve_on_loopback(endless);
    for (int i = 0; i < 100; ++i) feed->push(std::string(1'000'000, 'y'));
    Client client;

    CHECK(client.send({.origin = server->origin()}, {.body_max = 1'000'000}).has_value());
    for (const auto& origin : {server->origin(), streaming->origin()}) {
        const auto refused = client.send({.origin = origin}, {.body_max = 999'999});
        REQUIRE_FALSE(refused.has_value());
        CHECK(refused.error().kind == ErrorKind::unavailable);
        CHECK(refused.error().message == "answer too large");
    }
    CHECK(feed->wait_for_streams(0));
    CHECK(feed->waiting() > 50);
}

TEST_CASE("no more requests are under way at once than the limit says, and all are answered") {
    std::atomic<int> inside = 0;
    std::atomic<int> most = 0;
    FunctionHandler handler([&](const http::Request&) {
        most = std::max(most.load(), ++inside);
        std::this_thread::yield();
        --inside;
        http::Reply reply = reply_text("x");
        reply.delay = 1ms;
        return reply;
    });
    const auto server = serve_on_loopback(handler, {.threads = 4});
    support::RealWorld world;
    http::CpprestNetwork network(world.loop, {.requests_max = 3});
    const auto transport = network.transport({});
    int answered = 0;
    int failed = 0;

    for (int i = 0; i < 100; ++i) {
        http::Request request{.origin = server->origin()};
        world.scope.start(send_and_count(*transport, std::move(request), answered, failed));
    }
    world.finish(until(world.loop, [&] { return answered == 100; }));

    CHECK(answered == 100);
    CHECK(most <= 3);
    // An answer is told once its connection is back, so that the next request finds it.
    CHECK(server->connections() <= 3);
}
