#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "base/loop.hpp"
#include "http/server.hpp"
#include "http/transport.hpp"
#include "ports/clock.hpp"

namespace sallyport::support {

/// What becomes of one request. The default: it arrives, and so does its answer.
struct Fate {
    enum class Way {
        delivered,   ///< the server handles it
        refused,     ///< fails at once; the server never sees it
        swallowed,   ///< the server never sees it; the client hears nothing until its timeout
        lost_reply,  ///< the server handles it; the connection breaks instead of an answer
        hung_reply,  ///< the server handles it; the client hears nothing until its timeout
    };
    Way way = Way::delivered;
    /// Later than usual at the server. Beyond the client's timeout it still lands, unheard.
    std::chrono::milliseconds delay{0};
    /// Answered in the server's place, which never sees the request.
    std::optional<http::Response> instead = {};
    /// What becomes of the answer on its way back.
    std::function<void(http::Response&)> change = {};
};

/// A network inside the process: origins lead to `http::Handler`s, time is the loop's, nothing is
/// random and there are no threads, so that a run repeats exactly.
///
/// A request that was handed over reaches its server also when the client's task is destroyed, as
/// on a real wire; to simulate a crash *before* a call, let `before_send` give `swallowed`. Timers:
/// half the latency each way, `Fate::delay`, `Reply::delay`; for each open stream one tick per
/// `stream_tick`. Must outlive its transports and streams; owns the deliveries under way.
class InProcessNetwork final : public http::Network {
public:
    InProcessNetwork(Loop& loop, Clock& clock)
        : loop_(loop),
          clock_(clock),
          deliveries_(loop, [this](std::exception_ptr) { ++handler_failures; }) {}

    /// `origin`: `https://host[:port]` exactly as requests carry it. The handler must outlive this.
    void serve(std::string origin, http::Handler& handler) {
        handlers_.insert_or_assign(std::move(origin), &handler);
    }
    void unplug(const std::string& origin) { handlers_.erase(origin); }

    std::unique_ptr<http::Transport> transport(http::Trust trust) override;
    /// Breaks every stream that is open now: its client gets `unavailable`.
    void break_streams() { ++stream_epoch_; }

    /// Asked once for each request, when it is handed over.
    std::function<Fate(const http::Request&)> before_send = {};
    /// Told when the server has handled a request, before the answer travels back.
    std::function<void(const http::Request&, const http::Response&)> after_reply = {};
    /// Sees the bytes of a stream on their way and may change them; false: the connection breaks
    /// after them.
    std::function<bool(const http::Request&, std::string&)> on_stream_bytes = {};
    /// True: nothing arrives on this stream for now, and nothing tells so; looked at once in
    /// `stream_tick`.
    std::function<bool(const http::Request&)> is_silent = {};

    /// Told when connections are wanted ahead; there are none here.
    std::function<void(const http::Request&, int)> on_prepare = {};

    std::chrono::milliseconds latency{2};  ///< there and back
    std::chrono::milliseconds stream_tick{1000};
    /// Bytes of a stream take so much longer, one piece after the other: a watch that lags.
    std::chrono::milliseconds stream_lag{0};
    std::size_t sent = 0;      ///< requests handed over so far
    int handler_failures = 0;  ///< exceptions that left a handler
    std::size_t streams_open = 0;

private:
    friend class InProcessTransport;
    friend class InProcessStream;

    /// nullopt: the server dropped the connection, or is not there.
    using Delivered = std::shared_ptr<std::optional<http::Reply>>;

    Task<void> deliver(http::Handler& handler, http::Request request, SteadyTime at,
                       OneShot<Delivered>::Replier replier) {
        co_await loop_.sleep_until(at);
        auto box = std::make_shared<std::optional<http::Reply>>();
        try {
            http::Reply reply = handler.handle(request, clock_.now());
            if (after_reply) after_reply(request, reply.response);
            if (!reply.drop_connection) box->emplace(std::move(reply));
        } catch (...) {
            ++handler_failures;
        }
        replier.reply(std::move(box));
    }

    Task<Result<http::Reply>> exchange(http::Request request, std::chrono::milliseconds timeout) {
        ++sent;
        const SteadyTime deadline = loop_.steady_now() + timeout;
        Fate fate = before_send ? before_send(request) : Fate{};
        const std::chrono::microseconds half = std::chrono::microseconds(latency) / 2;
        const auto found = handlers_.find(request.origin);
        if (fate.way == Fate::Way::refused || (found == handlers_.end() && !fate.instead)) {
            co_await loop_.sleep_until(loop_.steady_now() + half);
            co_return unavailable("connection refused");
        }
        if (fate.way == Fate::Way::swallowed) {
            co_await loop_.sleep_until(deadline);
            co_return unavailable("timed out");
        }
        if (fate.instead) {
            co_await loop_.sleep_until(loop_.steady_now() + 2 * half + fate.delay);
            co_return http::Reply{.response = std::move(*fate.instead)};
        }
        // As on a wire, where it is part of every request; simulators make URLs from it.
        if (!request.headers.find("Host")) request.headers.add("Host", host_of(request.origin));
        const SteadyTime arrival = loop_.steady_now() + half + fate.delay;
        OneShot<Delivered> shot(loop_);
        deliveries_.start(deliver(*found->second, std::move(request), arrival, shot.replier()));
        if (arrival >= deadline || fate.way == Fate::Way::hung_reply) {
            co_await loop_.sleep_until(deadline);
            co_return unavailable("timed out");
        }
        const Delivered box = co_await shot.answer();
        const SteadyTime back =
            loop_.steady_now() + half + (*box ? (*box)->delay : std::chrono::milliseconds(0));
        co_await loop_.sleep_until(std::min(back, deadline));
        if (back > deadline) co_return unavailable("timed out");
        if (!*box || fate.way == Fate::Way::lost_reply) co_return unavailable("connection reset");
        if (fate.change) fate.change((*box)->response);
        co_return std::move(**box);
    }

    static std::string_view host_of(std::string_view address) {
        const std::size_t at = address.find("://");
        return at == address.npos ? address : address.substr(at + 3);
    }

    Loop& loop_;
    Clock& clock_;
    std::map<std::string, http::Handler*> handlers_;
    std::uint64_t stream_epoch_ = 0;
    Scope deliveries_;
};

/// The client's end of a body that grows.
class InProcessStream final : public http::ByteStream {
public:
    InProcessStream(InProcessNetwork& network, http::Request request, http::Reply reply,
                    std::chrono::milliseconds idle_limit)
        : network_(network),
          request_(std::move(request)),
          reply_(std::move(reply)),
          idle_limit_(idle_limit),
          epoch_(network.stream_epoch_),
          more_(std::make_shared<Event>(network.loop_)),
          last_bytes_(network.loop_.steady_now()),
          ticker_(network.loop_, [](std::exception_ptr) {}) {
        ++network_.streams_open;
        if (reply_.stream) {
            Loop& loop = network_.loop_;
            reply_.stream->on_more([weak = std::weak_ptr<Event>(more_), &loop] {
                loop.post([weak] {
                    if (const auto event = weak.lock()) event->set();
                });
            });
            ticker_.start(tick());
        }
        head_ = reply_.response;
        head_.body.clear();
    }
    ~InProcessStream() override { --network_.streams_open; }

    const http::Response& head() const override { return head_; }
    Task<Result<std::string>> next() override {
        if (broken_) co_return unavailable("connection reset");
        if (!reply_.stream) co_return hand_over(std::exchange(reply_.response.body, {}));
        for (;;) {
            if (epoch_ != network_.stream_epoch_) co_return unavailable("connection reset");
            if (ended_) co_return std::string();
            const bool silent = network_.is_silent && network_.is_silent(request_);
            http::Stream::Chunk chunk;
            if (!silent) chunk = reply_.stream->take(network_.clock_.now());
            ended_ = chunk.ended;
            if (!chunk.bytes.empty()) {
                last_bytes_ = network_.loop_.steady_now();
                co_await network_.loop_.sleep_until(last_bytes_ + network_.latency / 2 +
                                                    network_.stream_lag);
                co_return hand_over(std::move(chunk.bytes));
            }
            if (ended_) co_return std::string();
            if (network_.loop_.steady_now() - last_bytes_ >= idle_limit_)
                co_return unavailable("idle too long");
            co_await more_->next();
        }
    }

private:
    Result<std::string> hand_over(std::string bytes) {
        if (!bytes.empty() && network_.on_stream_bytes &&
            !network_.on_stream_bytes(request_, bytes)) {
            broken_ = true;
            if (bytes.empty()) return unavailable("connection reset");
        }
        return bytes;
    }
    Task<void> tick() {
        for (;;) {
            co_await network_.loop_.sleep_until(network_.loop_.steady_now() + network_.stream_tick);
            more_->set();
        }
    }

    InProcessNetwork& network_;
    http::Request request_;
    http::Reply reply_;
    http::Response head_;
    std::chrono::milliseconds idle_limit_;
    std::uint64_t epoch_;
    std::shared_ptr<Event> more_;
    SteadyTime last_bytes_;
    bool ended_ = false;
    bool broken_ = false;
    Scope ticker_;
};

class InProcessTransport final : public http::Transport {
public:
    explicit InProcessTransport(InProcessNetwork& network) : network_(network) {}

    Task<Result<http::Response>> send(http::Request request, http::SendOptions options) override {
        Result<http::Reply> reply = co_await network_.exchange(std::move(request), options.timeout);
        if (!reply) co_return std::move(reply).error();
        if (reply->stream) co_return co_await whole(*std::move(reply), options);
        if (reply->response.body.size() > options.body_max)
            co_return unavailable("answer too large");
        co_return std::move(reply->response);
    }
    Task<Result<std::unique_ptr<http::ByteStream>>> open(
        http::Request request, http::SendOptions options,
        std::chrono::milliseconds idle_limit) override {
        http::Request copy = request;
        Result<http::Reply> reply = co_await network_.exchange(std::move(request), options.timeout);
        if (!reply) co_return std::move(reply).error();
        std::unique_ptr<http::ByteStream> stream = std::make_unique<InProcessStream>(
            network_, std::move(copy), *std::move(reply), idle_limit);
        co_return stream;
    }
    void prepare(const http::Request& probe, int connections) override {
        if (network_.on_prepare) network_.on_prepare(probe, connections);
    }

private:
    /// A streamed answer to a plain request: gathered to its end.
    Task<Result<http::Response>> whole(http::Reply reply, http::SendOptions options) {
        InProcessStream stream(network_, {}, std::move(reply), options.timeout);
        http::Response response = stream.head();
        for (;;) {
            Result<std::string> bytes = co_await stream.next();
            if (!bytes) co_return std::move(bytes).error();
            if (bytes->empty()) co_return response;
            response.body += *bytes;
            if (response.body.size() > options.body_max) co_return unavailable("answer too large");
        }
    }

    InProcessNetwork& network_;
};

inline std::unique_ptr<http::Transport> InProcessNetwork::transport(http::Trust) {
    return std::make_unique<InProcessTransport>(*this);
}

}  // namespace sallyport::support
