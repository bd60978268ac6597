#include <doctest/doctest.h>

#include "http/cpprest_network.hpp"
#include "http/raw_server.hpp"
#include "serve/handlers.hpp"
#include "support/real_world.hpp"

using namespace sallyport;
using namespace std::chrono_literals;

namespace {

struct StreamClient {
    support::RealWorld world;
    http::CpprestNetwork network{world.loop, {.stream_buffer_max = 100'000}};
    std::unique_ptr<http::Transport> transport = network.transport({});

    Result<std::unique_ptr<http::ByteStream>> open(std::string origin,
                                                   std::chrono::milliseconds idle_limit = 20s,
                                                   http::SendOptions options = {}) {
        http::Request request{.origin = std::move(origin), .target = "/watch"};
        return world.finish(transport->open(std::move(request), options, idle_limit));
    }
    Result<std::string> next(http::ByteStream& stream) { return world.finish(stream.next()); }
    /// Until `size` bytes are there, or the end.
    std::string gather(http::ByteStream& stream, std::size_t size) {
        std::string all;
        while (all.size() < size) {
            const Result<std::string> bytes = next(stream);
            REQUIRE(bytes.has_value());
            if (bytes->empty()) break;
            all += *bytes;
        }
        return all;
    }
};

struct Source {
    std::shared_ptr<Feed> feed = std::make_shared<Feed>();
    FunctionHandler handler{[this](const http::Request&) {
        http::Reply reply;
        reply.stream = feed->stream();
        return reply;
    }};
    std::unique_ptr<serve::Server> server = serve_on_loopback(handler);
};

Task<void> read_for_ever(http::ByteStream& stream, int& pieces) {
    for (;;) {
        const Result<std::string> bytes = co_await stream.next();
        if (!bytes || bytes->empty()) co_return;
        ++pieces;
    }
}

}  // namespace

TEST_CASE("a stream gives bytes as they come, and an empty piece at its clean end") {
    Source source;
    StreamClient client;
    auto stream = client.open(source.server->origin());
    REQUIRE(stream.has_value());
    CHECK((*stream)->head().status == 200);
    CHECK((*stream)->head().headers.find("date"));

    for (int i = 0; i < 100; ++i) {
        const std::string event = "event " + std::to_string(i) + "\n";
        source.feed->push(event);
        CHECK(client.gather(**stream, event.size()) == event);
    }
    source.feed->end("last");

    CHECK(client.gather(**stream, 4) == "last");
    CHECK(client.next(**stream).value().empty());
    CHECK(client.next(**stream).value().empty());
}

TEST_CASE("a stream that breaks, or falls silent, is unavailable after what had come") {
    RawServer breaking([](RawServer::Connection& c) {
        c.read_until("\r\n\r\n");
        c.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n5\r\ntw");
    });
    Source silent;
    StreamClient client;

    auto broken = client.open(breaking.origin());
    REQUIRE(broken.has_value());
    CHECK(client.gather(**broken, 3).starts_with("one"));
    Result<std::string> last = client.next(**broken);
    while (last && !last->empty()) last = client.next(**broken);
    REQUIRE_FALSE(last.has_value());
    CHECK(last.error().kind == ErrorKind::unavailable);

    auto quiet = client.open(silent.server->origin(), 50ms);
    REQUIRE(quiet.has_value());
    silent.feed->push("one");
    CHECK(client.gather(**quiet, 3) == "one");
    const auto idle = client.next(**quiet);
    REQUIRE_FALSE(idle.has_value());
    CHECK(idle.error().message == "nothing arrived after 50 ms");
}

TEST_CASE("the head of a stream has a time limit of its own, and a refusal is a head with a body") {
    RawServer mute([](RawServer::Connection& c) { c.wait_for_close(); });
    FunctionHandler gone([](const http::Request&) { return reply_text("expired", 410); });
    const auto server = serve_on_loopback(gone);
    StreamClient client;

    const auto late = client.open(mute.origin(), 20s, {.timeout = 50ms});
    REQUIRE_FALSE(late.has_value());
    CHECK(late.error().message == "timed out after 50 ms");

    auto refused = client.open(server->origin());
    REQUIRE(refused.has_value());
    CHECK((*refused)->head().status == 410);
    CHECK(client.gather(**refused, 7) == "expired");
    CHECK(client.next(**refused).value().empty());
}

TEST_CASE("a destroyed stream closes its connection, also while somebody waits for it") {
    Source source;
    StreamClient client;
    {
        auto stream = client.open(source.server->origin());
        REQUIRE(stream.has_value());
        CHECK(source.feed->streams() == 1);
    }
    CHECK(source.feed->wait_for_streams(0));

    int pieces = 0;
    {
        auto stream = client.open(source.server->origin());
        REQUIRE(stream.has_value());
        Scope doomed(client.world.loop, [](std::exception_ptr) {});
        doomed.start(read_for_ever(**stream, pieces));
        client.world.loop.run_ready();
    }
    CHECK(source.feed->wait_for_streams(0));
    CHECK(pieces == 0);
}

TEST_CASE("a stream that nobody reads stops reading its socket, and goes on where it stopped") {
    Source source;
    StreamClient client;
    auto stream = client.open(source.server->origin());
    REQUIRE(stream.has_value());
    for (int i = 0; i < 64; ++i)
        source.feed->push(std::string(1 << 20, static_cast<char>('a' + i % 26)));
    source.feed->end();

    CHECK(client.next(**stream).has_value());
    CHECK(source.feed->waiting() > 32);

    std::size_t size = 0;
    bool in_order = true;
    char last = 'a';
    for (;;) {
        const Result<std::string> bytes = client.next(**stream);
        REQUIRE(bytes.has_value());
        if (bytes->empty()) break;
        for (const char c : *bytes) {
            in_order = in_order && (c == last || c == last + 1 || (last == 'z' && c == 'a'));
            last = c;
        }
        size += bytes->size();
    }
    CHECK(in_order);
    CHECK(size >= std::size_t{63} << 20);
}

TEST_CASE("a hundred streams that are destroyed together leave nothing behind") {
    Source source;
    StreamClient client;
    std::vector<std::unique_ptr<http::ByteStream>> streams;

    for (int i = 0; i < 100; ++i) {
        auto stream = client.open(source.server->origin());
        REQUIRE(stream.has_value());
        streams.push_back(*std::move(stream));
    }
    CHECK(source.feed->streams() == 100);
    streams.clear();

    CHECK(source.feed->wait_for_streams(0));
}
