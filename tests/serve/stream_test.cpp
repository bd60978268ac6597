#include <doctest/doctest.h>

#include <atomic>
#include <semaphore>
#include <thread>

#include "serve/handlers.hpp"
#include "serve/raw_client.hpp"

using namespace sallyport;
using namespace std::chrono_literals;

namespace {

constexpr std::string_view get_watch = "GET /watch HTTP/1.1\r\nHost: x\r\n\r\n";

FunctionHandler streaming(const std::shared_ptr<Feed>& feed) {
    return FunctionHandler([feed](const http::Request&) {
        http::Reply reply;
        reply.stream = feed->stream();
        return reply;
    });
}

}  // namespace

TEST_CASE(
    "a stream arrives chunk by chunk while it grows, and the connection is kept after its end") {
    const auto feed = std::make_shared<Feed>();
    FunctionHandler handler = streaming(feed);
    const auto server = serve_on_loopback(handler);
    RawClient client(server->port());

    client.send(get_watch);
    const std::string head = client.read_until("\r\n\r\n");
    CHECK(head.find("Transfer-Encoding: chunked\r\n") != std::string::npos);
    CHECK(head.find("Content-Length") == std::string::npos);
    for (int i = 0; i < 100; ++i) {
        const std::string event = "{\"event\": " + std::to_string(i) + "}\n";
        feed->push(event);
        CHECK(client.chunk() == event);  // before the next one exists
    }
    feed->end("last");
    CHECK(client.chunk() == "last");
    CHECK(client.chunk().empty());
    CHECK(feed->wait_for_streams(0));

    client.send(get_watch);
    client.read_until("\r\n\r\n");
    feed->end();
    CHECK(client.chunk().empty());
}

TEST_CASE("a stream is destroyed when its client goes") {
    const auto feed = std::make_shared<Feed>();
    FunctionHandler handler = streaming(feed);
    const auto server = serve_on_loopback(handler);
    {
        RawClient client(server->port());
        client.send(get_watch);
        client.read_until("\r\n\r\n");
        CHECK(feed->streams() == 1);
    }
    CHECK(feed->wait_for_streams(0));
    feed->push("to nobody");  // and a wake after that is harmless
}

TEST_CASE("a stream that nobody wakes is asked at least once a second") {
    const auto feed = std::make_shared<Feed>();
    class Counting final : public http::Stream {
    public:
        Chunk take(Timestamp now) override {
            CHECK(now == test_now);
            return ++takes_ < 3 ? Chunk{} : Chunk{.bytes = "timed out", .ended = true};
        }
        void on_more(std::function<void()>) override {}

    private:
        int takes_ = 0;
    };
    FunctionHandler handler([](const http::Request&) {
        http::Reply reply;
        reply.stream = std::make_unique<Counting>();
        return reply;
    });
    const auto server = serve_on_loopback(handler);
    RawClient client(server->port());

    client.send(get_watch);
    client.read_until("\r\n\r\n");

    CHECK(client.chunk() == "timed out");
    CHECK(client.chunk().empty());
}

TEST_CASE(
    "a client that does not read holds one chunk back, the rest stays in the stream, and then it "
    "is cut") {
    const auto feed = std::make_shared<Feed>();
    FunctionHandler handler = streaming(feed);
    const auto server = serve_on_loopback(handler, {.limits = {.write_gap_max = 200ms}});
    RawClient client(server->port());
    client.send(get_watch);

    const std::string megabyte(1 << 20, 'x');
    for (int i = 0; i < 64; ++i) feed->push(megabyte);

    CHECK(feed->wait_for_streams(0));
    CHECK(feed->waiting() > 32);
}

TEST_CASE("a client that reads slowly but steadily gets everything") {
    const auto feed = std::make_shared<Feed>();
    FunctionHandler handler = streaming(feed);
    const auto server = serve_on_loopback(handler);
    RawClient client(server->port());
    client.send(get_watch);
    client.read_until("\r\n\r\n");

    std::thread source([&] {
        for (int i = 0; i < 200; ++i)
            feed->push(std::string(50'000, static_cast<char>('a' + i % 26)));
        feed->end();
    });
    std::size_t size = 0;
    bool in_order = true;
    for (int i = 0;; ++i) {
        const std::string chunk = client.chunk();
        if (chunk.empty()) break;
        size += chunk.size();
        in_order = in_order && chunk == std::string(50'000, static_cast<char>('a' + i % 26));
    }
    source.join();

    CHECK(size == 10'000'000);
    CHECK(in_order);
}

TEST_CASE("HEAD of a stream, and a stream for HTTP/1.0, are framed as they have to be") {
    const auto feed = std::make_shared<Feed>();
    FunctionHandler handler = streaming(feed);
    const auto server = serve_on_loopback(handler);
    RawClient head(server->port());
    RawClient old(server->port());

    head.send("HEAD /watch HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    CHECK(head.read_to_end().ends_with("\r\n\r\n"));
    CHECK(feed->wait_for_streams(0));

    old.send("GET /watch HTTP/1.0\r\n\r\n");
    const std::string top = old.read_until("\r\n\r\n");
    CHECK(top.find("chunked") == std::string::npos);
    feed->push("one ");
    feed->end("two");
    CHECK(old.read_to_end() == "one two");
}

TEST_CASE("a stream that throws cuts the answer short, so that the client knows") {
    class Throwing final : public http::Stream {
    public:
        Chunk take(Timestamp) override {
            if (first_) {
                first_ = false;
                return {.bytes = "begun"};
            }
            throw Bug("planted");
        }
        void on_more(std::function<void()>) override {}

    private:
        bool first_ = true;
    };
    std::atomic<int> told = 0;
    FunctionHandler handler([](const http::Request&) {
        http::Reply reply;
        reply.stream = std::make_unique<Throwing>();
        return reply;
    });
    const auto server =
        serve_on_loopback(handler, {.on_failure = [&](std::string_view) { ++told; }});
    RawClient client(server->port());

    client.send(get_watch);
    client.read_until("\r\n\r\n");

    CHECK(client.read_to_end() == "5\r\nbegun\r\n");
    CHECK(told == 1);
}

TEST_CASE(
    "stopping ends streams in order, lets an answer under way finish, closes the rest, and is "
    "quick") {
    const auto feed = std::make_shared<Feed>();
    std::counting_semaphore<> handled(0);
    FunctionHandler handler([&](const http::Request& request) {
        http::Reply reply = reply_text("finished");
        if (request.target == "/watch") reply.stream = feed->stream();
        if (request.target == "/slow") reply.delay = 200ms;
        if (request.target == "/too-slow") reply.delay = 60s;
        if (reply.delay > 0ms) handled.release();
        return reply;
    });
    const auto server = serve_on_loopback(handler);
    const std::uint16_t port = server->port();
    RawClient watch(port);
    RawClient slow(port);
    RawClient too_slow(port);
    RawClient idle(port);
    CHECK(idle.exchange("GET / HTTP/1.1\r\nHost: x\r\n\r\n").second == "finished");
    watch.send(get_watch);
    watch.read_until("\r\n\r\n");
    feed->push("one");
    CHECK(watch.chunk() == "one");
    too_slow.send("GET /too-slow HTTP/1.1\r\nHost: x\r\n\r\n");
    slow.send("GET /slow HTTP/1.1\r\nHost: x\r\n\r\n");
    for (int i = 0; i < 2; ++i) CHECK(handled.try_acquire_for(10s));

    const auto begun = std::chrono::steady_clock::now();
    std::thread stopper([&] { server->stop(); });
    CHECK(watch.chunk().empty());
    CHECK(watch.ended());
    CHECK(idle.ended());
    const auto [head, body] = slow.answer();
    CHECK(body == "finished");
    CHECK(head.find("Connection: close\r\n") != std::string::npos);
    stopper.join();

    CHECK(std::chrono::steady_clock::now() - begun < 1700ms);
    CHECK(too_slow.ended());
    CHECK(feed->streams() == 0);
    CHECK_FALSE(RawClient(port).connected());
    feed->wake();  // after the server has gone
}

TEST_CASE("wakes from many threads while clients come and go do no harm") {
    const auto feed = std::make_shared<Feed>();
    FunctionHandler handler = streaming(feed);
    std::atomic<bool> done = false;
    std::vector<std::thread> wakers;
    {
        const auto server = serve_on_loopback(handler);
        for (int i = 0; i < 3; ++i) {
            wakers.emplace_back([&] {
                while (!done) feed->wake();
            });
        }
        for (int i = 0; i < 30; ++i) {
            CHECK(
                feed->wait_for_streams(0));  // the one before could take what is meant for this one
            RawClient client(server->port());
            client.send(get_watch);
            client.read_until("\r\n\r\n");
            feed->push("x");
            CHECK(client.chunk() == "x");
        }
    }
    CHECK(feed->streams() == 0);
    done = true;
    for (std::thread& waker : wakers) waker.join();
}
