// tidy: long because Beast and asio are costly to compile and stay in this one file
#include "serve/server.hpp"

#include <fcntl.h>
#include <fmt/format.h>

#include <array>
#include <atomic>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ip/v6_only.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/error.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>
#include <charconv>
#include <condition_variable>
#include <map>
#include <mutex>
#include <thread>
#include <vector>

#include "base/text.hpp"
#include "serve/response_text.hpp"

namespace sallyport::serve {

namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
using boost::system::error_code;
using std::chrono::milliseconds;
using std::chrono::steady_clock;
using tcp = asio::ip::tcp;
using Strand = asio::strand<asio::io_context::executor_type>;
using Socket = asio::basic_stream_socket<tcp, Strand>;
using Timer = asio::basic_waitable_timer<steady_clock, asio::wait_traits<steady_clock>, Strand>;
using TlsContext = asio::ssl::context;
using Done = std::function<void(error_code, std::size_t)>;

constexpr std::size_t read_size = 16UL * 1024;
constexpr std::size_t write_size = 64UL * 1024;
constexpr milliseconds stream_tick{1'000};
constexpr milliseconds linger_max{1'000};
constexpr milliseconds linger_when_draining{100};  // pooling clients do not answer a close
constexpr milliseconds accept_retry{100};

std::string_view view(beast::string_view text) { return {text.data(), text.size()}; }

int status_of(error_code refused) {
    if (refused == beast::http::error::header_limit) return 431;
    if (refused == beast::http::error::body_limit) return 413;
    return 400;
}

/// A socket, with or without TLS around it. Behind an interface so that the session, and with it
/// the parser, is compiled once; handlers run on the socket's strand.
class Wire {
public:
    virtual ~Wire() = default;
    virtual Socket& socket() = 0;
    virtual void handshake(std::function<void(error_code)> done) = 0;
    virtual void read_some(asio::mutable_buffer buffer, Done done) = 0;
    virtual void write_some(asio::const_buffer buffer, Done done) = 0;
    /// Tells the peer that nothing more comes, as far as TLS goes.
    virtual void shutdown(std::function<void(error_code)> done) = 0;
};

class PlainWire final : public Wire {
public:
    explicit PlainWire(Socket socket) : socket_(std::move(socket)) {}
    Socket& socket() override { return socket_; }
    void handshake(std::function<void(error_code)> done) override { done({}); }
    void read_some(asio::mutable_buffer buffer, Done done) override {
        socket_.async_read_some(buffer, std::move(done));
    }
    void write_some(asio::const_buffer buffer, Done done) override {
        socket_.async_write_some(buffer, std::move(done));
    }
    void shutdown(std::function<void(error_code)> done) override { done({}); }

private:
    Socket socket_;
};

class TlsWire final : public Wire {
public:
    TlsWire(Socket socket, std::shared_ptr<TlsContext> context)
        : context_(std::move(context)), stream_(std::move(socket), *context_) {}
    Socket& socket() override { return stream_.next_layer(); }
    void handshake(std::function<void(error_code)> done) override {
        stream_.async_handshake(asio::ssl::stream_base::server, std::move(done));
    }
    void read_some(asio::mutable_buffer buffer, Done done) override {
        stream_.async_read_some(buffer, std::move(done));
    }
    void write_some(asio::const_buffer buffer, Done done) override {
        stream_.async_write_some(buffer, std::move(done));
    }
    void shutdown(std::function<void(error_code)> done) override {
        stream_.async_shutdown(std::move(done));
    }

private:
    const std::shared_ptr<TlsContext> context_;  // renewal must not take it from under a connection
    asio::ssl::stream<Socket> stream_;
};

Result<std::shared_ptr<TlsContext>> make_tls_context(const ServerIdentity& identity) {
    auto context = std::make_shared<TlsContext>(TlsContext::tls_server);
    SSL_CTX_set_min_proto_version(context->native_handle(), TLS1_2_VERSION);
    error_code error;
    context->use_certificate_chain(asio::buffer(identity.chain_pem), error);
    if (error) return invalid("the server certificate cannot be read: " + error.message());
    context->use_private_key(asio::buffer(identity.key_pem.reveal()), TlsContext::pem, error);
    if (error || SSL_CTX_check_private_key(context->native_handle()) != 1) {
        return invalid("the server key is not the one of its certificate");
    }
    return context;
}

}  // namespace

// ------------------------------------------------------------------------------------------------

/// What sessions and the server share. Sessions live inside the io_context's handlers, so `io`
/// comes last and goes first.
class Server::Core {
public:
    Core(ServerOptions o, http::Handler& h, Now n)
        : options(std::move(o)), handler(h), now(std::move(n)) {}

    Result<void> listen();
    void run();
    void stop();
    void accept(tcp::acceptor& acceptor);
    void failed(std::string_view what) const noexcept;
    void forget(std::uint64_t id);

    /// A wake may come from any thread, long after the server has gone: it looks here first.
    struct Gate {
        std::mutex mutex;
        asio::io_context* io = nullptr;
    };

    const ServerOptions options;
    http::Handler& handler;
    const Now now;
    std::string host;
    std::uint16_t port = 0;
    std::atomic<bool> draining = false;
    const std::shared_ptr<Gate> gate = std::make_shared<Gate>();

    std::mutex mutex;  // guards the three below
    std::condition_variable gone;
    std::map<std::uint64_t, std::weak_ptr<Session>> sessions;
    std::shared_ptr<TlsContext> tls;

private:
    Result<void> bind(const asio::ip::address& address);
    std::unique_ptr<Wire> wrap(Socket socket) const;

    std::uint64_t next_id_ = 0;
    std::vector<std::thread> threads_;
    bool stopped_ = false;

public:
    asio::io_context io;

private:
    std::optional<asio::executor_work_guard<asio::io_context::executor_type>> work_;
    std::vector<std::unique_ptr<tcp::acceptor>> acceptors_;
};

// ------------------------------------------------------------------------------------------------

/// One connection. Everything runs on the strand of its socket; the pending operations own it.
class Server::Session final : public std::enable_shared_from_this<Session> {
public:
    Session(Core& core, std::uint64_t id, std::unique_ptr<Wire> wire)
        : core_(core),
          id_(id),
          wire_(std::move(wire)),
          deadline_(wire_->socket().get_executor()),
          pause_(wire_->socket().get_executor()) {}
    Session(const Session&) = delete;
    Session& operator=(const Session&) = delete;
    ~Session() { core_.forget(id_); }

    void start();
    /// Ends as soon as it can be done politely.
    void drain();
    void cut();
    Strand strand() { return wire_->socket().get_executor(); }
    void woken();

private:
    enum class State { starting, idle, reading, delaying, answering, streaming, closing };

    void arm(milliseconds time);
    void next_request();
    void read_more();
    void on_read(error_code error);
    void parse();
    void say_continue();
    void refuse(int status);
    void dispatch();
    void answer();
    void start_stream();
    void pump();
    void after_pump(bool ended);
    void wait_for_more();
    void write(std::function<void()> then);
    void close_politely();
    void discard();

    Core& core_;
    const std::uint64_t id_;
    const std::unique_ptr<Wire> wire_;
    Timer deadline_;
    Timer pause_;  // a reply's delay, a stream's tick
    State state_ = State::starting;

    beast::flat_buffer in_;
    std::optional<beast::http::request_parser<beast::http::string_body>> parser_;
    std::array<char, 256> peeked_;  // read into while we only watch for the client's going
    bool read_under_way_ = false;
    bool continue_said_ = false;

    http::Reply reply_;
    RequestFacts facts_;
    std::string out_;
    std::size_t out_done_ = 0;
    bool write_under_way_ = false;
    bool wake_noted_ = false;
};

void Server::Session::arm(milliseconds time) {
    deadline_.expires_after(time);
    deadline_.async_wait([self = shared_from_this()](error_code error) {
        // A timer that was set anew while its old expiry was already queued must not fire.
        if (!error && self->deadline_.expiry() <= steady_clock::now()) self->cut();
    });
}

void Server::Session::start() {
    arm(core_.options.limits.handshake_max);
    wire_->handshake([self = shared_from_this()](error_code error) {
        if (error) return self->cut();
        self->next_request();
    });
}

void Server::Session::next_request() {
    if (core_.draining && in_.size() == 0) return close_politely();
    parser_.emplace();
    parser_->eager(true);
    parser_->header_limit(static_cast<std::uint32_t>(core_.options.limits.header_max));
    parser_->body_limit(core_.options.limits.body_max);
    continue_said_ = false;
    if (in_.size() == 0) {
        state_ = State::idle;
        arm(core_.options.limits.idle_max);
        return read_more();
    }
    state_ = State::reading;
    arm(core_.options.limits.request_max);
    parse();
}

void Server::Session::read_more() {
    if (read_under_way_) return;
    read_under_way_ = true;
    const bool peeks = state_ == State::streaming || state_ == State::delaying;
    const asio::mutable_buffer into = peeks ? asio::buffer(peeked_) : in_.prepare(read_size);
    wire_->read_some(into, [self = shared_from_this(), peeks](error_code error, std::size_t size) {
        self->read_under_way_ = false;
        if (peeks) asio::buffer_copy(self->in_.prepare(size), asio::buffer(self->peeked_, size));
        self->in_.commit(size);
        self->on_read(error);
    });
}

void Server::Session::on_read(error_code error) {
    if (error) return cut();  // also a half-closed client: it takes part in no exchange any more
    switch (state_) {
        case State::idle:
            state_ = State::reading;
            arm(core_.options.limits.request_max);
            return parse();
        case State::reading: return parse();
        case State::delaying:
        case State::streaming:
            // Only to notice the client's going; a pipelined request waits for the stream's end.
            if (in_.size() < core_.options.limits.header_max) read_more();
            return;
        case State::closing: return discard();
        case State::starting:
        case State::answering: return;
    }
}

void Server::Session::parse() {
    for (;;) {
        if (in_.size() == 0) return read_more();
        error_code error;
        in_.consume(parser_->put(in_.data(), error));
        const bool need_more = error == beast::http::error::need_more;
        if (error && !need_more) return refuse(status_of(error));
        if (parser_->is_done()) return dispatch();
        if (parser_->is_header_done() && !continue_said_ &&
            equals_ignoring_case(view(parser_->get()[beast::http::field::expect]),
                                 "100-continue")) {
            continue_said_ = true;
            return say_continue();
        }
        if (need_more) return read_more();
    }
}

void Server::Session::say_continue() {
    out_ = "HTTP/1.1 100 Continue\r\n\r\n";
    write([this] {
        arm(core_.options.limits.request_max);
        if (in_.size() > 0) return parse();
        read_more();
    });
}

void Server::Session::refuse(int status) {
    facts_ = {};
    facts_.keep_alive = false;
    reply_ = {};
    reply_.response.status = status;
    answer();
}

void Server::Session::dispatch() {
    state_ = State::answering;
    deadline_.cancel();
    auto message = parser_->release();
    http::Request request;
    request.method = std::string(view(message.method_string()));
    request.target = origin_form(view(message.target()));
    for (const auto& field : message)
        request.headers.add(view(field.name_string()), view(field.value()));
    facts_ = {.version = message.version(),
              .keep_alive = message.keep_alive(),
              .head = request.method == "HEAD"};
    const bool has_host = message.version() < 11 || message.count(beast::http::field::host) == 1;
    request.body = std::move(message.body());
    if (!has_host) return refuse(400);
    try {
        reply_ = core_.handler.handle(request, core_.now());
    } catch (const std::exception& e) {
        core_.failed(e.what());
        reply_ = {};
        reply_.response.status = 500;
    }
    if (reply_.delay.count() <= 0) return answer();
    state_ = State::delaying;
    read_more();
    pause_.expires_after(reply_.delay);
    pause_.async_wait([self = shared_from_this()](error_code error) {
        if (!error && self->state_ == State::delaying) self->answer();
    });
}

void Server::Session::answer() {
    if (reply_.drop_connection) return cut();
    state_ = State::answering;
    if (core_.draining) facts_.keep_alive = false;
    const bool streams = reply_.stream && !facts_.head;
    if (!is_safe(reply_.response)) {
        core_.failed("a handler's answer has a header field that cannot be sent");
        reply_ = {};
        reply_.response.status = 500;
    } else if (streams) {
        return start_stream();
    }
    reply_.stream.reset();
    out_ = whole_text(reply_.response, facts_, core_.now());
    write([this] {
        reply_ = {};
        if (!facts_.keep_alive) return close_politely();
        next_request();
    });
}

void Server::Session::start_stream() {
    state_ = State::streaming;
    // Chunks are HTTP/1.1; for an older client the end of the connection is the end of the body.
    if (facts_.version < 11) facts_.keep_alive = false;
    out_ = stream_head_text(reply_.response, facts_, core_.now());
    const auto noted = std::make_shared<std::atomic<bool>>(false);
    reply_.stream->on_more([gate = core_.gate, weak = weak_from_this(), noted] {
        if (noted->exchange(true)) return;  // many wakes before one look are one
        // The caller may hold the stream's lock: it must never become the owner of the session,
        // whose end destroys that stream. So the weak pointer is only looked into on the server's
        // threads.
        const std::lock_guard lock(gate->mutex);
        if (gate->io == nullptr) return;
        asio::post(*gate->io, [weak, noted] {
            const std::shared_ptr<Session> self = weak.lock();
            if (!self) return;
            asio::post(self->strand(), [self, noted] {
                noted->store(false);
                self->woken();
            });
        });
    });
    read_more();
    write([this] { pump(); });
}

void Server::Session::woken() {
    if (state_ != State::streaming) return;
    if (write_under_way_) {
        wake_noted_ = true;
    } else {
        pump();
    }
}

void Server::Session::pump() {
    if (state_ != State::streaming) return;
    pause_.cancel();
    wake_noted_ = false;
    http::Stream::Chunk chunk;
    try {
        chunk = reply_.stream->take(core_.now());
    } catch (const std::exception& e) {
        core_.failed(e.what());
        return cut();  // without the last chunk the client knows that it did not get everything
    }
    const bool ended = chunk.ended || core_.draining;
    if (chunk.bytes.empty() && !ended) return wait_for_more();
    out_ = chunk_text(chunk.bytes, facts_, ended);
    write([this, ended] { after_pump(ended); });
}

void Server::Session::after_pump(bool ended) {
    if (!ended) return pump();
    reply_ = {};
    if (!facts_.keep_alive || core_.draining) return close_politely();
    next_request();
}

void Server::Session::wait_for_more() {
    deadline_.cancel();
    pause_.expires_after(stream_tick);
    pause_.async_wait([self = shared_from_this()](error_code error) {
        if (!error && !self->write_under_way_) self->pump();
    });
}

/// Sends `out_` and then goes on; `then` lives as long as the session does.
void Server::Session::write(std::function<void()> then) {
    write_under_way_ = true;
    arm(core_.options.limits.write_gap_max);
    const std::size_t size = std::min(write_size, out_.size() - out_done_);
    wire_->write_some(asio::buffer(out_.data() + out_done_, size),
                      [self = shared_from_this(), then = std::move(then)](
                          error_code error, std::size_t written) mutable {
                          self->write_under_way_ = false;
                          if (error) return self->cut();
                          if (self->state_ == State::closing) return;
                          self->out_done_ += written;
                          if (self->out_done_ < self->out_.size())
                              return self->write(std::move(then));
                          self->out_.clear();
                          self->out_done_ = 0;
                          then();
                      });
}

void Server::Session::close_politely() {
    state_ = State::closing;
    arm(core_.draining ? linger_when_draining : linger_max);
    wire_->shutdown([self = shared_from_this()](error_code) {
        error_code ignored;
        self->wire_->socket().shutdown(tcp::socket::shutdown_send, ignored);
        self->discard();
    });
}

/// Closing a socket that still holds unread bytes resets the connection, and the client would lose
/// the answer that says why: so what it still sends is read and forgotten, for a moment.
void Server::Session::discard() {
    if (read_under_way_) return;
    in_.clear();
    read_under_way_ = true;
    wire_->socket().async_read_some(in_.prepare(read_size),
                                    [self = shared_from_this()](error_code error, std::size_t) {
                                        self->read_under_way_ = false;
                                        if (error) return self->cut();
                                        self->discard();
                                    });
}

void Server::Session::drain() {
    switch (state_) {
        case State::idle: return close_politely();
        case State::streaming: return woken();
        case State::starting: return cut();
        case State::reading:
        case State::delaying:
        case State::answering:
        case State::closing: return;  // `answer` closes
    }
}

void Server::Session::cut() {
    state_ = State::closing;
    error_code ignored;
    wire_->socket().close(ignored);
    deadline_.cancel();
    pause_.cancel();
    reply_.stream.reset();
}

// ------------------------------------------------------------------------------------------------

Result<void> Server::Core::listen() {
    const std::string& text = options.listen;
    const std::size_t colon = text.rfind(':');
    const auto refused = [&] {
        return invalid(fmt::format("listen address \"{}\" is not HOST:PORT", text));
    };
    if (colon == text.npos) return refused();
    host = text.substr(0, colon);
    const char* end = text.data() + text.size();
    const auto parsed = std::from_chars(text.data() + colon + 1, end, port);
    if (parsed.ec != std::errc() || parsed.ptr != end) return refused();
    if (host == "localhost") {
        Result<void> first = bind(asio::ip::address_v4::loopback());
        if (!first) return first;
        // A machine without IPv6 has one loopback address, and that one is served.
        if (Result<void> second = bind(asio::ip::address_v6::loopback()); !second) return {};
        return {};
    }
    std::string bare = host;
    if (bare.size() > 2 && bare.front() == '[' && bare.back() == ']')
        bare = bare.substr(1, bare.size() - 2);
    error_code error;
    const auto address = asio::ip::make_address(bare, error);
    if (error || (address.is_v6() && bare == host)) return refused();
    return bind(address);
}

Result<void> Server::Core::bind(const asio::ip::address& address) {
    const tcp::endpoint endpoint(address, port);
    auto acceptor = std::make_unique<tcp::acceptor>(io);
    error_code error;
    acceptor->open(endpoint.protocol(), error);
    if (!error) fcntl(acceptor->native_handle(), F_SETFD, FD_CLOEXEC);
    if (!error) acceptor->set_option(asio::socket_base::reuse_address(true), error);
    if (!error && address.is_v6()) acceptor->set_option(asio::ip::v6_only(true), error);
    if (!error) acceptor->bind(endpoint, error);
    if (!error) acceptor->listen(asio::socket_base::max_listen_connections, error);
    if (error)
        return unavailable(fmt::format("listen on {}: {}", options.listen, lower(error.message())));
    port = acceptor->local_endpoint(error).port();
    acceptors_.push_back(std::move(acceptor));
    return {};
}

void Server::Core::run() {
    gate->io = &io;
    work_.emplace(io.get_executor());
    for (const auto& acceptor : acceptors_) accept(*acceptor);
    for (std::size_t i = 0; i < std::max<std::size_t>(options.threads, 1); ++i) {
        threads_.emplace_back([this] {
            for (;;) {
                try {
                    io.run();
                    return;
                } catch (
                    const std::exception& e) {  // out of memory in one handler: its session is gone
                    failed(e.what());
                }
            }
        });
    }
}

void Server::Core::accept(tcp::acceptor& acceptor) {
    acceptor.async_accept(
        asio::make_strand(io), [this, &acceptor](error_code error, Socket socket) {
            if (error == asio::error::operation_aborted || draining) return;
            if (!error) {
                fcntl(socket.native_handle(), F_SETFD, FD_CLOEXEC);
                socket.set_option(tcp::no_delay(true), error);
                std::shared_ptr<Session> session;
                {
                    const std::lock_guard lock(mutex);
                    if (!draining && sessions.size() < options.limits.connections_max) {
                        const std::uint64_t id = ++next_id_;
                        session = std::make_shared<Session>(*this, id, wrap(std::move(socket)));
                        sessions.emplace(id, session);
                    }
                }
                if (session) asio::post(session->strand(), [session] { session->start(); });
                return accept(acceptor);
            }
            // Out of descriptors: the connection waits in the backlog.
            auto timer = std::make_shared<asio::steady_timer>(io, accept_retry);
            timer->async_wait([this, timer, &acceptor](error_code) {
                if (!draining) accept(acceptor);
            });
        });
}

std::unique_ptr<Wire> Server::Core::wrap(Socket socket) const {
    if (!tls) return std::make_unique<PlainWire>(std::move(socket));
    return std::make_unique<TlsWire>(std::move(socket), tls);
}

void Server::Core::failed(std::string_view what) const noexcept {
    try {
        if (options.on_failure) options.on_failure(what);
    } catch (const std::exception&) {  // whoever is told of failures must not add one
    }
}

void Server::Core::forget(std::uint64_t id) {
    const std::lock_guard lock(mutex);
    sessions.erase(id);
    if (sessions.empty()) gone.notify_all();
}

void Server::Core::stop() {
    std::unique_lock lock(mutex);
    if (stopped_) return;
    stopped_ = true;
    draining = true;
    for (const auto& acceptor : acceptors_) {
        asio::post(io, [&a = *acceptor] {
            error_code ignored;
            a.close(ignored);
        });
    }
    const auto each = [this](void (Session::*what)()) {
        for (const auto& [id, weak] : sessions) {
            asio::post(io, [weak, what] {
                const std::shared_ptr<Session> self = weak.lock();
                if (self) asio::post(self->strand(), [self, what] { ((*self).*what)(); });
            });
        }
    };
    each(&Session::drain);
    const auto empty = [this] { return sessions.empty(); };
    if (!gone.wait_for(lock, options.limits.drain_max, empty)) {
        each(&Session::cut);
        gone.wait_for(lock, milliseconds(200), empty);
    }
    lock.unlock();
    io.stop();
    for (std::thread& thread : threads_) thread.join();
    const std::lock_guard closed(gate->mutex);
    gate->io = nullptr;
}

// ------------------------------------------------------------------------------------------------

Server::Server(std::unique_ptr<Core> core) : core_(std::move(core)) {}
Server::~Server() { stop(); }

Result<std::unique_ptr<Server>> Server::start(ServerOptions options, http::Handler& handler,
                                              Now now) {
    const std::optional<ServerIdentity> identity = options.identity;
    auto server = std::make_unique<Server>(
        std::make_unique<Core>(std::move(options), handler, std::move(now)));
    if (identity) {
        if (Result<void> fits = server->renew(*identity); !fits) return std::move(fits).error();
    }
    if (Result<void> listens = server->core_->listen(); !listens) return std::move(listens).error();
    server->core_->run();
    return server;
}

std::uint16_t Server::port() const { return core_->port; }

std::string Server::origin() const {
    return fmt::format("{}://{}:{}", core_->options.identity ? "https" : "http", core_->host,
                       core_->port);
}

Result<void> Server::renew(const ServerIdentity& identity) {
    auto tls = make_tls_context(identity);
    if (!tls) return std::move(tls).error();
    const std::lock_guard lock(core_->mutex);
    core_->tls = std::move(*tls);
    return {};
}

std::size_t Server::connections() const {
    const std::lock_guard lock(core_->mutex);
    return core_->sessions.size();
}

void Server::stop() { core_->stop(); }

}  // namespace sallyport::serve
