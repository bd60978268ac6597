#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

#include "http/server.hpp"
#include "serve/server.hpp"

/// A handler made from a function.
class FunctionHandler final : public sallyport::http::Handler {
public:
    using Function = std::function<sallyport::http::Reply(const sallyport::http::Request&)>;
    explicit FunctionHandler(Function function) : function_(std::move(function)) {}
    sallyport::http::Reply handle(const sallyport::http::Request& request,
                                  sallyport::Timestamp) override {
        return function_(request);
    }

private:
    Function function_;
};

inline sallyport::http::Reply reply_text(std::string body, int status = 200) {
    sallyport::http::Reply reply;
    reply.response = {
        .status = status, .headers = {{"Content-Type", "text/plain"}}, .body = std::move(body)};
    return reply;
}

/// What a test pushes into a stream, and what it learns about it.
class Feed final : public std::enable_shared_from_this<Feed> {
public:
    void push(std::string bytes) { add({.bytes = std::move(bytes)}); }
    void end(std::string last = {}) { add({.bytes = std::move(last), .ended = true}); }
    std::size_t streams() {
        const std::lock_guard lock(mutex_);
        return streams_;
    }
    std::size_t takes() {
        const std::lock_guard lock(mutex_);
        return takes_;
    }
    std::size_t waiting() {
        const std::lock_guard lock(mutex_);
        return chunks_.size();
    }
    /// Until `done(streams)` holds; false after ten seconds.
    bool wait_for_streams(std::size_t count) {
        std::unique_lock lock(mutex_);
        return changed_.wait_for(lock, std::chrono::seconds(10), [&] { return streams_ == count; });
    }
    std::unique_ptr<sallyport::http::Stream> stream() {
        return std::make_unique<View>(shared_from_this());
    }
    void wake() {
        std::function<void()> wake;
        {
            const std::lock_guard lock(mutex_);
            wake = wake_;
        }
        if (wake) wake();
    }

private:
    class View final : public sallyport::http::Stream {
    public:
        explicit View(std::shared_ptr<Feed> feed) : feed_(std::move(feed)) { feed_->count(+1); }
        ~View() override { feed_->count(-1); }
        Chunk take(sallyport::Timestamp) override {
            const std::lock_guard lock(feed_->mutex_);
            ++feed_->takes_;
            if (feed_->chunks_.empty()) return {};
            Chunk chunk = std::move(feed_->chunks_.front());
            feed_->chunks_.pop_front();
            return chunk;
        }
        void on_more(std::function<void()> wake) override {
            const std::lock_guard lock(feed_->mutex_);
            feed_->wake_ = std::move(wake);
        }

    private:
        std::shared_ptr<Feed> feed_;
    };

    void add(sallyport::http::Stream::Chunk chunk) {
        {
            const std::lock_guard lock(mutex_);
            chunks_.push_back(std::move(chunk));
        }
        wake();
    }
    void count(int by) {
        const std::lock_guard lock(mutex_);
        streams_ = static_cast<std::size_t>(static_cast<int>(streams_) + by);
        changed_.notify_all();
    }

    std::mutex mutex_;
    std::condition_variable changed_;
    std::deque<sallyport::http::Stream::Chunk> chunks_;
    std::function<void()> wake_;
    std::size_t streams_ = 0;
    std::size_t takes_ = 0;
};

constexpr sallyport::Timestamp test_now{
    std::chrono::seconds(1'795'000'000)};  // Wed, 18 Nov 2026 11:06:40 GMT

/// A server on a port of the kernel's choice that must start.
inline std::unique_ptr<sallyport::serve::Server> serve_on_loopback(
    sallyport::http::Handler& handler, sallyport::serve::ServerOptions options = {}) {
    auto server =
        sallyport::serve::Server::start(std::move(options), handler, [] { return test_now; });
    return std::move(server).value();
}
