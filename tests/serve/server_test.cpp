#include "serve/server.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <thread>

#include "serve/handlers.hpp"
#include "serve/raw_client.hpp"

using namespace sallyport;
using namespace std::chrono_literals;

namespace {

http::Reply echo(const http::Request& request) {
    return reply_text(request.method + " " + request.target + " [" + request.body + "]");
}

bool has(const std::string& text, std::string_view part) {
    return text.find(part) != std::string::npos;
}

constexpr std::string_view get = "GET /a?b=1 HTTP/1.1\r\nHost: x\r\n\r\n";

}  // namespace

TEST_CASE("a request reaches the handler as it was sent, and its answer has a date and a length") {
    http::Request seen;
    FunctionHandler handler([&](const http::Request& request) {
        seen = request;
        return reply_text("hello", 201);
    });
    const auto server = serve_on_loopback(handler);
    RawClient client(server->port());

    const auto [head, body] = client.exchange(
        "POST /apis/x%20y?watch=1 HTTP/1.1\r\nHost: x\r\nX-One: 1\r\nx-one: 2\r\nContent-Length: "
        "4\r\n\r\nbody");

    CHECK(seen.method == "POST");
    CHECK(seen.target == "/apis/x%20y?watch=1");
    CHECK(seen.origin.empty());
    CHECK(seen.headers.value_or("X-ONE", "") == "1");
    CHECK(seen.headers.size() == 4);
    CHECK(seen.body == "body");
    CHECK(has(head, "HTTP/1.1 201 Created\r\n"));
    CHECK(has(head, "\r\nDate: Wed, 18 Nov 2026 11:06:40 GMT\r\n"));
    CHECK(has(head, "\r\nContent-Length: 5\r\n"));
    CHECK(body == "hello");
}

TEST_CASE(
    "a connection is kept for the next request, and pipelined requests are answered in order") {
    FunctionHandler handler(echo);
    const auto server = serve_on_loopback(handler);
    RawClient client(server->port());

    for (int i = 0; i < 3; ++i) CHECK(client.exchange(get).second == "GET /a?b=1 []");
    CHECK(server->connections() == 1);
    client.send(
        "GET /1 HTTP/1.1\r\nHost: x\r\n\r\nPOST /2 HTTP/1.1\r\nHost: x\r\nContent-Length: "
        "1\r\n\r\n2"
        "GET /3 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");

    CHECK(client.answer().second == "GET /1 []");
    CHECK(client.answer().second == "POST /2 [2]");
    const auto [head, body] = client.answer();
    CHECK(body == "GET /3 []");
    CHECK(has(head, "\r\nConnection: close\r\n"));
    CHECK(client.ended());
}

TEST_CASE("a chunked request body is put together, also when it comes byte by byte") {
    FunctionHandler handler(echo);
    const auto server = serve_on_loopback(handler);
    RawClient client(server->port());

    const std::string request =
        "PUT /c HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: "
        "chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n";
    for (const char c : request) client.send({&c, 1});

    CHECK(client.answer().second == "PUT /c [abcde]");
    CHECK(client.exchange(get).second == "GET /a?b=1 []");
}

TEST_CASE("HEAD gets the length and no body") {
    FunctionHandler handler(echo);
    const auto server = serve_on_loopback(handler);
    RawClient client(server->port());

    client.send("HEAD /h HTTP/1.1\r\nHost: x\r\n\r\n");
    const std::string head = client.read_until("\r\n\r\n");

    CHECK(has(head, "Content-Length: 10\r\n"));
    CHECK(client.exchange(get).second == "GET /a?b=1 []");  // and nothing in between
}

TEST_CASE("a client that expects 100-continue is told to go on before it sends the body") {
    FunctionHandler handler(echo);
    const auto server = serve_on_loopback(handler);
    RawClient client(server->port());

    client.send("POST /e HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n");
    CHECK(client.read_until("\r\n\r\n") == "HTTP/1.1 100 Continue\r\n\r\n");
    client.send("abc");

    CHECK(client.answer().second == "POST /e [abc]");
}

TEST_CASE(
    "what cannot be a request, or is too large, is refused with its status and the connection "
    "ends") {
    FunctionHandler handler(
        [](const http::Request&) -> http::Reply { return reply_text("must not be reached"); });
    const auto server = serve_on_loopback(handler, {.limits = {.body_max = 1000}});
    struct Row {
        const char* why;
        std::string request;
        const char* status;
    };
    const std::string large(2'000'000, 'x');
    const std::string post = "POST / HTTP/1.1\r\nHost: x\r\n";
    const std::string chunked = post + "Transfer-Encoding: chunked\r\n";
    const std::vector<Row> rows = {
        {"header over 16 KiB", "GET / HTTP/1.1\r\nHost: x\r\nX: " + large + "\r\n\r\n", "431"},
        {"announced body too large", post + "Content-Length: 2000000\r\n\r\n" + large, "413"},
        {"chunked body too large", chunked + "\r\n1e8480\r\n" + large + "\r\n0\r\n\r\n", "413"},
        {"too large after a promise to wait",
         post + "Expect: 100-continue\r\nContent-Length: 2000\r\n\r\n", "413"},
        {"no HTTP", "hello\r\n\r\n", "400"},
        {"both lengths", chunked + "Content-Length: 3\r\n\r\n0\r\n\r\n", "400"},
        {"two lengths", post + "Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd", "400"},
        {"junk length", post + "Content-Length: 3x\r\n\r\nabc", "400"},
        {"negative length", post + "Content-Length: -3\r\n\r\nabc", "400"},
        {"negative chunk size", chunked + "\r\n-5\r\nabc\r\n0\r\n\r\n", "400"},
        {"junk chunk size", chunked + "\r\nzz\r\nabc\r\n0\r\n\r\n", "400"},
        {"blank before the colon", "GET / HTTP/1.1\r\nHost : x\r\n\r\n", "400"},
        {"no host", "GET / HTTP/1.1\r\n\r\n", "400"},
        {"two hosts", "GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", "400"},
    };
    for (const Row& row : rows) {
        CAPTURE(row.why);
        RawClient client(server->port());

        client.send(row.request);
        const std::string head = client.read_until("\r\n\r\n");

        CHECK(has(head, std::string("HTTP/1.1 ") + row.status));
        CHECK(has(head, "Connection: close\r\n"));
        CHECK(client.ended());
    }
}

TEST_CASE("a client that is slow with its request, its handshake or its next request is cut") {
    FunctionHandler handler(echo);
    const auto server =
        serve_on_loopback(handler, {.limits = {.request_max = 100ms, .idle_max = 100ms}});
    RawClient slow_header(server->port());
    RawClient slow_body(server->port());
    RawClient idle(server->port());

    slow_header.send("GET / HTTP/1.1\r\nHo");
    slow_body.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n12345");
    CHECK(idle.exchange(get).second == "GET /a?b=1 []");

    CHECK(slow_header.ended());
    CHECK(slow_body.ended());
    CHECK(idle.ended());
}

TEST_CASE("a handler that throws gives a 500, and what it said stays on our side") {
    std::atomic<int> told = 0;
    FunctionHandler handler(
        [](const http::Request&) -> http::Reply { throw Bug("the secret reason"); });
    const auto server =
        serve_on_loopback(handler, {.on_failure = [&](std::string_view) { ++told; }});
    RawClient client(server->port());

    const auto [head, body] = client.exchange(get);

    CHECK(has(head, "HTTP/1.1 500 Internal Server Error\r\n"));
    CHECK_FALSE(has(head + body, "secret"));
    CHECK(told == 1);
    CHECK(has(client.exchange(get).first, "500"));
}

TEST_CASE("a header that could split the answer is never sent") {
    std::string value;
    std::string name;
    FunctionHandler handler([&](const http::Request&) {
        http::Reply reply = reply_text("x");
        reply.response.headers.add(name, value);
        return reply;
    });
    const auto server = serve_on_loopback(handler);
    const std::vector<std::pair<std::string, std::string>> bad = {
        {"X-A", "a\r\nX-B: b"}, {"X-A", "a\nb"}, {"X-A", std::string("a\0b", 3)},
        {"X A", "a"},           {"", "a"},       {"X:", "a"}};
    for (const auto& field : bad) {
        name = field.first;
        value = field.second;
        RawClient client(server->port());

        const auto [head, body] = client.exchange(get);

        CHECK(has(head, "HTTP/1.1 500"));
        CHECK_FALSE(has(head, "X-B"));
    }
    name = "X-Utf8";
    value = "gr\xc3\xbc\xc3\x9f";
    RawClient client(server->port());
    CHECK(has(client.exchange(get).first, "X-Utf8: gr\xc3\xbc\xc3\x9f\r\n"));
}

TEST_CASE("a reply may come later, or never") {
    FunctionHandler handler([](const http::Request& request) {
        http::Reply reply = reply_text("x");
        if (request.target == "/later") reply.delay = 80ms;
        if (request.target == "/never") reply.drop_connection = true;
        return reply;
    });
    const auto server = serve_on_loopback(handler);
    RawClient later(server->port());
    RawClient never(server->port());

    const auto begun = std::chrono::steady_clock::now();
    CHECK(later.exchange("GET /later HTTP/1.1\r\nHost: x\r\n\r\n").second == "x");
    CHECK(std::chrono::steady_clock::now() - begun >= 80ms);

    never.send("GET /never HTTP/1.1\r\nHost: x\r\n\r\n");
    CHECK(never.read_to_end().empty());
    CHECK(never.ended());
}

TEST_CASE("localhost is both loopback addresses on one port, and each address alone works too") {
    FunctionHandler handler(echo);
    struct Row {
        const char* listen;
        bool v4, v6;
    };
    for (const Row& row :
         {Row{"localhost:0", true, true}, {"127.0.0.1:0", true, false}, {"[::1]:0", false, true}}) {
        CAPTURE(row.listen);
        const auto server = serve_on_loopback(handler, {.listen = row.listen});

        CHECK(RawClient(server->port(), AF_INET).connected() == row.v4);
        CHECK(RawClient(server->port(), AF_INET6).connected() == row.v6);
        CHECK(server->origin() ==
              "http://" + std::string(row.listen).substr(0, std::string(row.listen).size() - 1) +
                  std::to_string(server->port()));
    }
}

TEST_CASE("an address that cannot be read, or is taken, is refused with a sentence") {
    FunctionHandler handler(echo);
    const auto start = [&](std::string listen) {
        return serve::Server::start({.listen = std::move(listen)}, handler,
                                    [] { return test_now; });
    };
    for (const char* text : {"", "8080", "127.0.0.1", "127.0.0.1:", "127.0.0.1:x",
                             "127.0.0.1:70000", "::1:80", "example.com:80", "[::1:80"}) {
        CAPTURE(text);
        const auto refused = start(text);
        REQUIRE_FALSE(refused.has_value());
        CHECK(refused.error().kind == ErrorKind::invalid);
    }
    const auto first = start("127.0.0.1:0");
    REQUIRE(first.has_value());
    const auto second = start("127.0.0.1:" + std::to_string((*first)->port()));
    REQUIRE_FALSE(second.has_value());
    CHECK(second.error().kind == ErrorKind::unavailable);
    CHECK(has(second.error().message, "address already in use"));
}

TEST_CASE("one connection too many is closed at once, and there is room again when one ends") {
    FunctionHandler handler(echo);
    const auto server = serve_on_loopback(handler, {.limits = {.connections_max = 2}});
    RawClient first(server->port());
    RawClient second(server->port());
    CHECK(first.exchange(get).second == "GET /a?b=1 []");
    CHECK(second.exchange(get).second == "GET /a?b=1 []");

    RawClient third(server->port());
    third.send(get);
    CHECK(third.ended());

    CHECK(has(second.exchange("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").first,
              "200"));
    CHECK(second.ended());
    second.close();
    bool room = false;
    for (int i = 0; i < 1000 && !room; ++i) {
        RawClient fourth(server->port());
        room = has(fourth.exchange(get).first, "200");
    }
    CHECK(room);
}

TEST_CASE("many clients at once are all answered") {
    std::atomic<int> handled = 0;
    FunctionHandler handler([&](const http::Request& request) {
        ++handled;
        return echo(request);
    });
    const auto server = serve_on_loopback(handler, {.threads = 3});
    std::atomic<int> right = 0;

    std::vector<std::thread> clients;
    for (int c = 0; c < 8; ++c) {
        clients.emplace_back([&] {
            for (int i = 0; i < 10; ++i) {
                RawClient client(server->port());
                for (int r = 0; r < 20; ++r)
                    right += client.exchange(get).second == "GET /a?b=1 []" ? 1 : 0;
            }
        });
    }
    for (std::thread& client : clients) client.join();

    CHECK(right == 1600);
    CHECK(handled == 1600);
}

TEST_CASE(
    "HTTP/1.0 closes after the answer unless it asks to be kept, and absolute targets lose their "
    "origin") {
    FunctionHandler handler(echo);
    const auto server = serve_on_loopback(handler);
    RawClient old(server->port());
    RawClient proxy(server->port());

    CHECK(old.exchange("GET /old HTTP/1.0\r\n\r\n").second == "GET /old []");
    CHECK(old.ended());
    CHECK(proxy.exchange("GET http://x:1/p?q HTTP/1.1\r\nHost: x:1\r\n\r\n").second ==
          "GET /p?q []");
}
