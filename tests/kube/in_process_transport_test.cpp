#include "support/in_process_transport.hpp"

#include <doctest/doctest.h>

#include <deque>

#include "support/simulated_time.hpp"

using namespace sallyport;
using namespace sallyport::support;
using namespace std::chrono_literals;

namespace {

constexpr const char* origin = "https://server.test";

/// Counts what it handled and answers with the count.
class Counting final : public http::Handler {
public:
    http::Reply handle(const http::Request&, Timestamp) override {
        http::Reply reply;
        reply.response.body = std::to_string(++handled);
        reply.delay = delay;
        return reply;
    }
    int handled = 0;
    std::chrono::milliseconds delay{0};
};

struct Feed {
    std::deque<std::string> chunks;
    bool ended = false;
    std::function<void()> wake;
};

/// One stream whose bytes the test pushes.
class Streaming final : public http::Handler {
public:
    explicit Streaming(std::shared_ptr<Feed> feed) : feed_(std::move(feed)) {}
    http::Reply handle(const http::Request&, Timestamp) override {
        http::Reply reply;
        reply.stream = std::make_unique<FeedStream>(feed_);
        return reply;
    }

private:
    class FeedStream final : public http::Stream {
    public:
        explicit FeedStream(std::shared_ptr<Feed> feed) : feed_(std::move(feed)) {}
        Chunk take(Timestamp) override {
            if (feed_->chunks.empty()) return {.bytes = {}, .ended = feed_->ended};
            Chunk chunk{.bytes = feed_->chunks.front(), .ended = false};
            feed_->chunks.pop_front();
            return chunk;
        }
        void on_more(std::function<void()> wake) override { feed_->wake = std::move(wake); }

    private:
        std::shared_ptr<Feed> feed_;
    };
    std::shared_ptr<Feed> feed_;
};

http::Request a_request() { return {.origin = origin}; }

struct World : SimulatedWorld {
    World() : SimulatedWorld(Timestamp{} + 1000h) { network.latency = 10ms; }
    InProcessNetwork network{loop, clock};
    std::unique_ptr<http::Transport> transport = network.transport({});

    Result<http::Response> send(std::chrono::milliseconds timeout = 30s) {
        return finish(transport->send(a_request(), {.timeout = timeout}));
    }
};

}  // namespace

TEST_CASE("a request and its answer take half the latency each") {
    World world;
    Counting server;
    world.network.serve(origin, server);
    const SteadyTime before = world.loop.steady_now();

    const auto answer = world.send();

    REQUIRE(answer);
    CHECK(answer->body == "1");
    CHECK(world.loop.steady_now() - before == 10ms);
}

TEST_CASE("each fate reaches the server, and the client, as it says") {
    using Way = Fate::Way;
    struct Row {
        const char* why;
        Fate fate;
        int handled;
        std::string answer;
    };
    for (const Row& row :
         {Row{"delivered", {}, 1, "1"}, Row{"late but in time", {.delay = 4s}, 1, "1"},
          Row{"refused", {.way = Way::refused}, 0, "connection refused"},
          Row{"swallowed", {.way = Way::swallowed}, 0, "timed out"},
          Row{"lost reply", {.way = Way::lost_reply}, 1, "connection reset"},
          Row{"hung reply", {.way = Way::hung_reply}, 1, "timed out"}}) {
        CAPTURE(row.why);
        World world;
        Counting server;
        world.network.serve(origin, server);
        world.network.before_send = [&](const http::Request&) { return row.fate; };

        const auto answer = world.send(5s);

        CHECK(server.handled == row.handled);
        CHECK((answer ? answer->body : answer.error().message) == row.answer);
        if (!answer) CHECK(answer.error().kind == ErrorKind::unavailable);
    }
}

TEST_CASE("a request delayed beyond its timeout still lands") {
    World world;
    Counting server;
    world.network.serve(origin, server);
    world.network.before_send = [](const http::Request&) { return Fate{.delay = 60s}; };

    const auto answer = world.send(5s);

    CHECK_FALSE(answer);
    CHECK(server.handled == 0);
    world.run_for(60s);
    CHECK(server.handled == 1);
}

TEST_CASE("an answer that takes longer than the timeout is not heard") {
    World world;
    Counting server;
    server.delay = 10s;
    world.network.serve(origin, server);

    const auto answer = world.send(5s);

    CHECK_FALSE(answer);
    CHECK(server.handled == 1);
}

TEST_CASE("a request lands although the task that sent it was destroyed") {
    World world;
    Counting server;
    world.network.serve(origin, server);
    struct Run {
        static Task<void> it(http::Transport& transport, int& answers) {
            http::Request request = a_request();
            const auto answer = co_await transport.send(std::move(request), {});
            if (answer) ++answers;
        }
    };
    int answers = 0;
    {
        Scope doomed(world.loop, [](std::exception_ptr) {});
        doomed.start(Run::it(*world.transport, answers));
        world.loop.run_ready();
    }

    world.run_for(1s);

    CHECK(server.handled == 1);
    CHECK(answers == 0);
}

TEST_CASE("a stream hands over what is pushed, in order, and ends cleanly") {
    World world;
    auto feed = std::make_shared<Feed>();
    Streaming server(feed);
    world.network.serve(origin, server);
    auto opened = world.finish(world.transport->open(a_request(), {}, 60s));
    REQUIRE(opened);
    http::ByteStream& stream = **opened;

    feed->chunks = {"one", "two"};
    feed->wake();

    CHECK(world.finish(stream.next()).value() == "one");
    CHECK(world.finish(stream.next()).value() == "two");
    feed->ended = true;
    CHECK(world.finish(stream.next()).value().empty());
    CHECK(world.network.streams_open == 1);
    opened->reset();
    CHECK(world.network.streams_open == 0);
}

TEST_CASE("a silent stream fails at its idle limit, a broken one at once") {
    World world;
    Streaming server(std::make_shared<Feed>());
    world.network.serve(origin, server);
    auto silent = world.finish(world.transport->open(a_request(), {}, 60s));
    auto broken = world.finish(world.transport->open(a_request(), {}, 60s));
    REQUIRE(silent);
    REQUIRE(broken);
    const SteadyTime before = world.loop.steady_now();

    CHECK(world.finish((*silent)->next()).error().kind == ErrorKind::unavailable);
    CHECK(world.loop.steady_now() - before >= 59s);

    world.network.break_streams();
    CHECK(world.finish((*broken)->next()).error().message == "connection reset");
}
