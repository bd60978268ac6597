#include "http/cpprest_network.hpp"

#include <fmt/format.h>

#include <map>
#include <mutex>
#include <utility>

#include "http/exchange.hpp"

namespace sallyport::http {

namespace {

using std::chrono::milliseconds;

Error timed_out(std::string_view what, milliseconds limit) {
    return unavailable(fmt::format("{} after {} ms", what, limit.count()));
}

/// A whole answer on its way to one awaiting frame. Once it was abandoned nothing is posted any
/// more, so that a late answer never meets a loop that has gone.
class Gathering final : public Receiver {
public:
    using Replier = OneShot<Result<Response>>::Replier;
    Gathering(Replier replier, std::size_t body_max)
        : replier_(std::move(replier)), body_max_(body_max) {}

    void on_head(Response head) override {
        const std::lock_guard lock(mutex_);
        response_.status = head.status;
        response_.headers = std::move(head.headers);
    }
    Flow on_bytes(std::string_view bytes) override {
        const std::lock_guard lock(mutex_);
        if (settled_) return Flow::stop;
        if (response_.body.size() + bytes.size() > body_max_) {
            settle(unavailable("answer too large"));
            return Flow::stop;
        }
        response_.body.append(bytes);
        return Flow::go_on;
    }
    void on_end(std::optional<Error> error) override {
        const std::lock_guard lock(mutex_);
        ended_ = true;
        if (error) {
            settle(*std::move(error));
        } else {
            settle(std::move(response_));
        }
    }
    void give_up(Error error) {
        const std::lock_guard lock(mutex_);
        settle(std::move(error));
    }
    /// True if the exchange is still under way.
    bool abandon() {
        const std::lock_guard lock(mutex_);
        settled_ = true;
        return !ended_;
    }

private:
    void settle(Result<Response> result) {
        if (!std::exchange(settled_, true)) replier_.reply(std::move(result));
    }

    const Replier replier_;
    const std::size_t body_max_;
    std::mutex mutex_;  // guards what follows
    Response response_;
    bool settled_ = false;
    bool ended_ = false;
};

/// A body that is read piece by piece, between the pool (which adds) and the loop (which takes).
class Flowing final : public Receiver, public std::enable_shared_from_this<Flowing> {
public:
    Flowing(Loop& loop, std::size_t buffer_max)
        : loop_(loop), buffer_max_(buffer_max), changed_(loop) {}

    void on_head(Response head) override {
        const std::lock_guard lock(mutex_);
        head_ = std::move(head);
        notify();
    }
    Flow on_bytes(std::string_view bytes) override {
        const std::lock_guard lock(mutex_);
        if (closed_) return Flow::stop;
        bytes_.append(bytes);
        notify();
        return bytes_.size() < buffer_max_ ? Flow::go_on : Flow::pause;
    }
    void on_end(std::optional<Error> error) override {
        const std::lock_guard lock(mutex_);
        ended_ = true;
        error_ = std::move(error);
        notify();
    }
    /// Nothing is posted from now on. True if the exchange is still under way.
    bool close() {
        const std::lock_guard lock(mutex_);
        closed_ = true;
        bytes_ = {};
        return !ended_;
    }

    /// Nothing: neither the head nor a failure is there yet.
    std::optional<Result<Response>> head() {
        const std::lock_guard lock(mutex_);
        if (head_) return *head_;
        if (ended_) return error_.value_or(unavailable("no answer"));
        return std::nullopt;
    }
    /// Nothing: neither bytes nor the end are there yet. Empty bytes are the end.
    std::optional<Result<std::string>> take() {
        const std::lock_guard lock(mutex_);
        if (!bytes_.empty()) return std::exchange(bytes_, {});
        if (!ended_) return std::nullopt;
        if (error_) return *error_;
        return std::string();
    }
    /// Set on the loop when it is worth to look again. Loop thread.
    Event& changed() { return changed_; }

private:
    void notify() {
        if (closed_ || std::exchange(notified_, true)) return;
        loop_.post([self = shared_from_this()] {
            {
                const std::lock_guard lock(self->mutex_);
                self->notified_ = false;
            }
            self->changed_.set();
        });
    }

    Loop& loop_;
    const std::size_t buffer_max_;
    Event changed_;
    std::mutex mutex_;  // guards what follows
    std::optional<Response> head_;
    std::string bytes_;
    std::optional<Error> error_;
    bool ended_ = false;
    bool closed_ = false;
    bool notified_ = false;
};

/// Ends what the awaiting frame started, however the frame ends.
template <class F>
class AtEnd final {
public:
    explicit AtEnd(F f) : f_(std::move(f)) {}
    AtEnd(const AtEnd&) = delete;
    AtEnd& operator=(const AtEnd&) = delete;
    ~AtEnd() { f_(); }

private:
    F f_;
};

Task<void> give_up_at(Loop& loop, SteadyTime due, Gathering& gathering, milliseconds limit) {
    co_await loop.sleep_until(due);
    gathering.give_up(timed_out("timed out", limit));
}

Task<void> set_at(Loop& loop, SteadyTime due, Event& event) {
    co_await loop.sleep_until(due);
    event.set();
}

void ignore_failure(std::exception_ptr) {}  // of a timer, which has nothing that could fail

Task<void> changed_or(Loop& loop, SteadyTime due, Event& event) {
    Scope timer(loop, ignore_failure);
    timer.start(set_at(loop, due, event));
    co_await event.next();
}

class CpprestStream final : public ByteStream {
public:
    CpprestStream(Loop& loop, std::shared_ptr<Exchange> exchange, std::shared_ptr<Flowing> flowing)
        : loop_(loop), exchange_(std::move(exchange)), flowing_(std::move(flowing)) {}
    CpprestStream(const CpprestStream&) = delete;
    CpprestStream& operator=(const CpprestStream&) = delete;
    ~CpprestStream() override {
        if (flowing_->close()) exchange_->cancel();
    }

    const Response& head() const override { return head_; }

    Task<Result<std::string>> next() override {
        const SteadyTime due = loop_.steady_now() + idle_limit_;
        for (;;) {
            if (auto bytes = flowing_->take()) {
                exchange_->resume();
                co_return *std::move(bytes);
            }
            if (loop_.steady_now() >= due) co_return timed_out("nothing arrived", idle_limit_);
            co_await changed_or(loop_, due, flowing_->changed());
        }
    }

    Task<Result<void>> wait_for_head(milliseconds limit, milliseconds idle_limit) {
        idle_limit_ = idle_limit;
        const SteadyTime due = loop_.steady_now() + limit;
        for (;;) {
            if (auto head = flowing_->head()) {
                if (!*head) co_return std::move(*head).error();
                head_ = **std::move(head);
                co_return Result<void>();
            }
            if (loop_.steady_now() >= due) co_return timed_out("timed out", limit);
            co_await changed_or(loop_, due, flowing_->changed());
        }
    }

private:
    Loop& loop_;
    const std::shared_ptr<Exchange> exchange_;
    const std::shared_ptr<Flowing> flowing_;
    milliseconds idle_limit_{};
    Response head_;
};

/// Handshakes under way at a time to prepare one transport: the rest of the process has work to do.
constexpr int preparing_max = 4;
constexpr std::chrono::seconds prepare_timeout{5};
constexpr std::size_t prepared_body_max = 1UL << 20U;

class CpprestTransport final : public Transport {
public:
    CpprestTransport(Loop& loop, const NetworkLimits& limits, const Trust& trust)
        : loop_(loop),
          limits_(limits),
          trust_(load_trust(trust)),
          turns_(loop, limits.requests_max),
          scope_(loop, ignore_failure) {}

    Task<Result<Response>> send(Request request, SendOptions options) override {
        co_await turns_.take();
        const Permit turn(turns_);
        const auto client = client_of(request.origin);
        if (!client) co_return client.error();
        Pending pending(loop_, options.body_max);
        auto exchange = (*client)->start(std::move(request), options, pending.gathering);
        if (!exchange) co_return std::move(exchange).error();
        co_return co_await outcome(pending, *std::move(exchange), options.timeout);
    }

    Task<Result<std::unique_ptr<ByteStream>>> open(Request request, SendOptions options,
                                                   milliseconds idle_limit) override {
        const auto client = client_of(request.origin);
        if (!client) co_return client.error();
        const auto flowing = std::make_shared<Flowing>(loop_, limits_.stream_buffer_max);
        auto exchange = (*client)->start(std::move(request), options, flowing);
        if (!exchange) co_return std::move(exchange).error();
        auto stream = std::make_unique<CpprestStream>(loop_, *std::move(exchange), flowing);
        Result<void> answered = co_await stream->wait_for_head(options.timeout, idle_limit);
        if (!answered) co_return std::move(answered).error();
        std::unique_ptr<ByteStream> out = std::move(stream);
        co_return out;
    }

    void prepare(const Request& probe, int connections) override {
        const auto client = client_of(probe.origin);
        if (!client) return;
        connections = std::min(connections, static_cast<int>(limits_.requests_max));
        // What another call prepares counts, since both want the same.
        while (preparing_ < preparing_max && is_missing(**client, connections - 1)) {
            ++preparing_;
            scope_.start(prepare_some(*client, probe, connections));
        }
    }

private:
    struct Pending {
        Pending(Loop& loop, std::size_t body_max)
            : shot(loop), gathering(std::make_shared<Gathering>(shot.replier(), body_max)) {}
        OneShot<Result<Response>> shot;
        const std::shared_ptr<Gathering> gathering;
    };

    Task<Result<Response>> outcome(Pending& pending, std::shared_ptr<Exchange> exchange,
                                   milliseconds timeout) {
        const AtEnd leave([&] {
            if (pending.gathering->abandon()) exchange->cancel();
        });
        Scope timer(loop_, ignore_failure);
        const SteadyTime due = loop_.steady_now() + timeout;
        timer.start(give_up_at(loop_, due, *pending.gathering, timeout));
        co_return co_await pending.shot.answer();
    }

    /// One new connection after the other while some are missing, this one included.
    Task<void> prepare_some(std::shared_ptr<OriginClient> client, Request probe, int connections) {
        const AtEnd leave([this] { --preparing_; });
        for (bool works = true; works && is_missing(*client, connections);) {
            Pending pending(loop_, prepared_body_max);
            const auto exchange = client->start_fresh(probe, pending.gathering);
            if (!exchange) co_return;
            const auto answer = co_await outcome(pending, *exchange, prepare_timeout);
            works = answer.has_value();
        }
    }
    bool is_missing(OriginClient& client, int connections) const {
        return static_cast<int>(client.resting()) + preparing_ <= connections;
    }

    Result<std::shared_ptr<OriginClient>> client_of(const std::string& origin) {
        if (!trust_) return trust_.error();
        if (const auto known = clients_.find(origin); known != clients_.end()) return known->second;
        auto made = make_origin_client(origin, *trust_);
        if (made) clients_.emplace(origin, *made);
        return made;
    }

    Loop& loop_;
    const NetworkLimits limits_;
    const Result<std::shared_ptr<const TrustMaterial>> trust_;
    Semaphore turns_;
    std::map<std::string, std::shared_ptr<OriginClient>> clients_;
    int preparing_ = 0;
    Scope scope_;  ///< last: its tasks use everything above
};

}  // namespace

CpprestNetwork::CpprestNetwork(Loop& loop, NetworkLimits limits) : loop_(loop), limits_(limits) {
    prepare_client_pool();
}

std::unique_ptr<Transport> CpprestNetwork::transport(Trust trust) {
    return std::make_unique<CpprestTransport>(loop_, limits_, trust);
}

}  // namespace sallyport::http
