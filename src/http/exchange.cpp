// tidy: long because cpprestsdk is costly to compile and stays in this one file
// An exception that no continuation looked at must not end the process with a trap; before pplx.
#include <cstdio>
// NOLINTNEXTLINE(bugprone-reserved-identifier): the name that pplx looks for
#define _REPORT_PPLTASK_UNOBSERVED_EXCEPTION() \
    static_cast<void>(std::fputs("http: a failed task was not looked at\n", stderr))

#include "http/exchange.hpp"

#include <cpprest/http_client.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <pplx/threadpool.h>
#include <sys/socket.h>

#include <algorithm>
#include <atomic>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl.hpp>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <deque>
#include <mutex>
#include <vector>

#include "base/releaser.hpp"
#include "base/text.hpp"

namespace sallyport::http {

namespace {

namespace streams = concurrency::streams;
namespace client = web::http::client;
using tcp = boost::asio::ip::tcp;

/// What our own timers on the loop leave for cpprest's inactivity timer to end: nothing.
constexpr std::chrono::hours inactivity_max{24};
constexpr std::size_t pool_threads = 4;

using Bio = std::unique_ptr<BIO, Releaser<BIO_free>>;
using Key = std::unique_ptr<EVP_PKEY, Releaser<EVP_PKEY_free>>;
using Cert = std::unique_ptr<X509, Releaser<X509_free>>;
using Store = std::unique_ptr<X509_STORE, Releaser<X509_STORE_free>>;

std::vector<Cert> read_certificates(const std::string& pem) {
    const Bio bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
    std::vector<Cert> certs;
    while (X509* cert = PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr))
        certs.emplace_back(cert);
    ERR_clear_error();  // the end of the text is an error to OpenSSL
    return certs;
}

}  // namespace

class TrustMaterial {
public:
    Store roots;
    std::vector<Cert> chain;
    Key key;
};

namespace {

// --- streams
// ---------------------------------------------------------------------------------------

using StreamBase = streams::details::streambuf_state_manager<uint8_t>;

/// What both directions of our streams do not do: seek, peek, lend their memory.
class PlainStream : public StreamBase {
public:
    using StreamBase::StreamBase;
    bool can_seek() const override { return false; }
    bool has_size() const override { return false; }
    std::size_t buffer_size(std::ios_base::openmode) const override { return 0; }
    void set_buffer_size(std::size_t, std::ios_base::openmode) override {}
    std::size_t in_avail() const override { return 0; }
    pos_type getpos(std::ios_base::openmode) const override { return nowhere(); }
    pos_type seekpos(pos_type, std::ios_base::openmode) override { return nowhere(); }
    pos_type seekoff(off_type, std::ios_base::seekdir, std::ios_base::openmode) override {
        return nowhere();
    }
    bool acquire(uint8_t*& data, std::size_t& size) override {
        data = nullptr;
        size = 0;
        return false;
    }
    void release(uint8_t*, std::size_t) override {}

protected:
    pplx::task<bool> _sync() override { return pplx::task_from_result(true); }
    uint8_t* _alloc(std::size_t) override { return nullptr; }
    void _commit(std::size_t) override {}
    pplx::task<std::size_t> _putn(const uint8_t*, std::size_t) override {
        return pplx::task_from_result<std::size_t>(0);
    }
    pplx::task<int_type> _putc(uint8_t) override { return none(); }
    pplx::task<std::size_t> _getn(uint8_t*, std::size_t) override {
        return pplx::task_from_result<std::size_t>(0);
    }
    std::size_t _scopy(uint8_t*, std::size_t) override { return 0; }
    pplx::task<int_type> _bumpc() override { return none(); }
    int_type _sbumpc() override { return traits::eof(); }
    pplx::task<int_type> _getc() override { return none(); }
    int_type _sgetc() override { return traits::eof(); }
    pplx::task<int_type> _nextc() override { return none(); }
    pplx::task<int_type> _ungetc() override { return none(); }
    static pplx::task<int_type> none() { return pplx::task_from_result<int_type>(traits::eof()); }

private:
    static pos_type nowhere() { return static_cast<pos_type>(traits::eof()); }
};

/// A request body. cpprest sends a request again, POST included, when a reused connection was
/// closed, and does so only if it can go back to the body's first byte: this decides whether it
/// can.
class BodySource final : public PlainStream {
public:
    BodySource(std::string body, bool may_rewind)
        : PlainStream(std::ios_base::in), body_(std::move(body)), may_rewind_(may_rewind) {}

    bool can_seek() const override { return may_rewind_; }
    pos_type getpos(std::ios_base::openmode) const override { return place(); }
    pos_type seekpos(pos_type to, std::ios_base::openmode) override {
        if (!may_rewind_) return static_cast<pos_type>(traits::eof());
        at_ = std::min(body_.size(), static_cast<std::size_t>(static_cast<off_type>(to)));
        return place();
    }
    pos_type seekoff(off_type by, std::ios_base::seekdir from,
                     std::ios_base::openmode mode) override {
        if (from == std::ios_base::beg) return seekpos(by, mode);
        if (from == std::ios_base::end)
            return seekpos(static_cast<off_type>(body_.size()) + by, mode);
        return seekpos(static_cast<off_type>(at_) + by, mode);
    }
    std::size_t in_avail() const override { return body_.size() - at_; }

protected:
    pplx::task<std::size_t> _getn(uint8_t* into, std::size_t size) override {
        const std::size_t taken = std::min(size, body_.size() - at_);
        std::copy_n(body_.data() + at_, taken, into);
        at_ += taken;
        return pplx::task_from_result(taken);
    }
    std::size_t _scopy(uint8_t* into, std::size_t size) override {
        const std::size_t copied = std::min(size, body_.size() - at_);
        std::copy_n(body_.data() + at_, copied, into);
        return copied;
    }

private:
    pos_type place() const { return static_cast<pos_type>(static_cast<off_type>(at_)); }

    const std::string body_;
    const bool may_rewind_;
    std::size_t at_ = 0;
};

template <class T>
streams::streambuf<uint8_t> buffer_of(std::shared_ptr<T> stream) {
    std::shared_ptr<streams::details::basic_streambuf<uint8_t>> base = std::move(stream);
    return streams::streambuf<uint8_t>(base);
}

// --- errors
// ----------------------------------------------------------------------------------------

/// cpprest keeps the reason in a number: a packed OpenSSL error above 0xFFFF, else an errno.
std::string describe(const web::http::http_exception& e) {
    const int code = e.error_code().value();
    const char* reason =
        code > 0xFFFF ? ERR_reason_error_string(static_cast<unsigned long>(code)) : nullptr;
    if (reason != nullptr) return fmt::format("tls: {}", lower(reason));
    switch (code) {
        case ETIMEDOUT: return "timed out";
        case ECANCELED: return "canceled";
        case EHOSTUNREACH: return "connection refused or host unreachable";
        case ECONNABORTED: return "connection closed before the answer";
        case ECONNRESET: return "connection reset";
        case ENOENT: return "connection closed inside the answer";
        default: return lower(std::string_view(e.what()));
    }
}

/// The one place where cpprest's exceptions become errors.
Error failure_of(const std::exception_ptr& exception) {
    try {
        std::rethrow_exception(exception);
    } catch (const web::http::http_exception& e) {
        return unavailable(describe(e));
    } catch (const std::exception& e) {
        return unavailable(lower(std::string_view(e.what())));
    } catch (...) {
        return unavailable("unknown failure");
    }
}

// --- TLS and sockets
// -------------------------------------------------------------------------------

struct Origin {
    bool tls = false;
    std::string host;  ///< IPv6 without brackets
    int port = 0;
    int family = AF_INET;
    bool is_address = false;
};

Result<Origin> parse_origin(const std::string& text) {
    Origin origin;
    const Error refused = unavailable(fmt::format("\"{}\" is not http(s)://host[:port]", text));
    std::string_view rest = text;
    if (rest.starts_with("https://")) {
        origin.tls = true;
        rest.remove_prefix(8);
    } else if (rest.starts_with("http://")) {
        rest.remove_prefix(7);
    } else {
        return refused;
    }
    const std::size_t bracket = rest.starts_with('[') ? rest.find(']') : 0;
    if (bracket == rest.npos || rest.find_first_of("/?#@ ") != rest.npos) return refused;
    const std::size_t colon = rest.find(':', bracket);
    origin.host = rest.substr(0, colon);
    origin.port = origin.tls ? 443 : 80;
    if (colon != rest.npos) {
        const std::string digits(rest.substr(colon + 1));
        if (digits.empty() || digits.size() > 5 ||
            digits.find_first_not_of("0123456789") != digits.npos) {
            return refused;
        }
        origin.port = std::stoi(digits);
    }
    if (bracket > 0) origin.host = origin.host.substr(1, bracket - 1);
    if (origin.host.empty() || origin.port < 1 || origin.port > 65535) return refused;
    boost::system::error_code error;
    const auto address = boost::asio::ip::make_address(origin.host, error);
    origin.is_address = !error;
    if (!error && address.is_v6()) origin.family = AF_INET6;
    return origin;
}

/// Runs for every new connection, after cpprest has made a context of its own ideas.
void apply_tls(boost::asio::ssl::context& context, const TrustMaterial& trust,
               const Origin& origin) {
    SSL_CTX* raw = context.native_handle();
    SSL_CTX_set_min_proto_version(raw, TLS1_2_VERSION);
    X509_STORE_up_ref(trust.roots.get());
    SSL_CTX_set_cert_store(raw, trust.roots.get());  // these roots and no others
    if (trust.key) {
        SSL_CTX_use_certificate(raw, trust.chain.front().get());
        SSL_CTX_use_PrivateKey(raw, trust.key.get());
        for (std::size_t i = 1; i < trust.chain.size(); ++i) {
            SSL_CTX_add1_chain_cert(raw, trust.chain[i].get());
        }
    }
    // OpenSSL's own check of the name, besides cpprest's, which would accept a common name.
    X509_VERIFY_PARAM* check_name = SSL_CTX_get0_param(raw);
    X509_VERIFY_PARAM_set_hostflags(check_name, X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
    if (origin.is_address) {
        X509_VERIFY_PARAM_set1_ip_asc(check_name, origin.host.c_str());
    } else {
        X509_VERIFY_PARAM_set1_host(check_name, origin.host.c_str(), 0);
    }
}

/// Called before connect, when there is no descriptor yet: so the socket is opened here.
void tune(tcp::socket& socket, int family) {
    boost::system::error_code error;
    if (!socket.is_open()) socket.open(family == AF_INET6 ? tcp::v6() : tcp::v4(), error);
    if (error) return;
    const int fd = socket.native_handle();
    const auto set = [fd](int level, int option, unsigned value) {
        setsockopt(fd, level, option, &value, sizeof value);
    };
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    set(IPPROTO_TCP, TCP_NODELAY, 1);
    // A peer that vanished is noticed within a minute, also by a stream on which nothing is due.
    set(SOL_SOCKET, SO_KEEPALIVE, 1);
    set(IPPROTO_TCP, TCP_KEEPIDLE, 30);
    set(IPPROTO_TCP, TCP_KEEPINTVL, 10);
    set(IPPROTO_TCP, TCP_KEEPCNT, 3);
    set(IPPROTO_TCP, TCP_USER_TIMEOUT, 60'000);
}

/// The newest connection's descriptor; -1: none was made yet.
using Descriptor = std::shared_ptr<std::atomic<int>>;

/// Whether the peer has neither closed the connection nor sent what nobody asked for. A descriptor
/// that was closed here meanwhile does no harm: then cpprest makes a new connection anyway.
bool is_quiet(const Descriptor& descriptor) {
    char byte = 0;
    const auto got = recv(descriptor->load(), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    return got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
}

client::http_client_config config_of(const Origin& origin,
                                     std::shared_ptr<const TrustMaterial> trust,
                                     Descriptor descriptor = nullptr) {
    client::http_client_config config;
    config.set_timeout(inactivity_max);
    config.set_max_redirects(0);  // a redirect would take the token to any host
    config.set_validate_certificates(true);
    if (origin.tls) {
        config.set_ssl_context_callback([trust = std::move(trust), origin](auto& context) {
            apply_tls(context, *trust, origin);
        });
    }
    config.set_nativehandle_options([tls = origin.tls, family = origin.family,
                                     descriptor = std::move(descriptor)](void* handle) {
        using Tls = boost::asio::ssl::stream<tcp::socket&>;
        tcp::socket& socket =
            tls ? static_cast<Tls*>(handle)->next_layer() : *static_cast<tcp::socket*>(handle);
        tune(socket, family);
        if (descriptor) descriptor->store(socket.native_handle());
    });
    return config;
}

/// Clients of one connection each, that rest between two requests. The longest at rest is taken
/// first: its connection is surely back where cpprest looks for it.
class RestingClients final {
public:
    struct Kept {
        client::http_client client;
        Descriptor descriptor;  ///< none: of a client with a pool of cpprest's
    };

    std::optional<Kept> take() {
        const std::lock_guard lock(mutex_);
        drop_stale();
        while (!resting_.empty()) {
            Kept kept = std::move(resting_.front().kept);
            resting_.pop_front();
            if (is_quiet(kept.descriptor)) return kept;
        }
        return std::nullopt;
    }
    std::size_t count() {
        const std::lock_guard lock(mutex_);
        drop_stale();
        return resting_.size();
    }
    void give(Kept kept) {
        const std::lock_guard lock(mutex_);
        drop_stale();
        resting_.push_back({std::move(kept), std::chrono::steady_clock::now()});
    }

private:
    void drop_stale() {
        const auto oldest = std::chrono::steady_clock::now() - rest_max;
        while (!resting_.empty() && resting_.front().since <= oldest) resting_.pop_front();
    }

    /// Servers keep a connection for longer: a minute and more.
    static constexpr std::chrono::seconds rest_max{10};
    struct Resting {
        Kept kept;
        std::chrono::steady_clock::time_point since;
    };
    std::mutex mutex_;  // guards what follows
    std::deque<Resting> resting_;
};

// --- the exchange
// ----------------------------------------------------------------------------------

class CpprestExchange final : public Exchange {
public:
    explicit CpprestExchange(std::shared_ptr<Receiver> receiver) : receiver_(std::move(receiver)) {}

    void cancel() override {
        source_.cancel();
        resume();
    }
    void resume() override {
        const std::lock_guard lock(mutex_);
        if (gate_) gate_->set(0);
        gate_.reset();
    }
    pplx::cancellation_token token() const { return source_.get_token(); }

    /// One piece of the body; the task ends when the next may be read.
    pplx::task<std::size_t> take(std::string_view bytes) {
        pplx::task_completion_event<int> gate;
        {
            // Before the receiver sees the bytes: its `resume` may come before its answer does.
            const std::lock_guard lock(mutex_);
            gate_ = gate;
        }
        switch (receiver_->on_bytes(bytes)) {
            case Receiver::Flow::pause:
                return pplx::create_task(gate).then([size = bytes.size()](int) { return size; });
            case Receiver::Flow::stop:
                // Never by failing: cpprest then waits on the pool's own thread for the stream to
                // close, and four such waits at once stop the pool for good (seen).
                source_.cancel();
                break;
            case Receiver::Flow::go_on: break;
        }
        return pplx::task_from_result(bytes.size());
    }

    void head(const web::http::http_response& response) {
        Response head;
        head.status = response.status_code();
        for (const auto& [name, value] : response.headers()) head.headers.add(name, value);
        receiver_->on_head(std::move(head));
    }
    void end(std::optional<Error> error) {
        const std::lock_guard lock(mutex_);
        error_ = std::move(error);
        settled_ = true;
        if (released_) receiver_->on_end(std::move(error_));
    }
    /// cpprest has let go of the request, which it does just after it took the connection back. The
    /// end is told no earlier, or the next request would find no connection and open another.
    void release() {
        const std::lock_guard lock(mutex_);
        released_ = true;
        if (settled_) receiver_->on_end(std::move(error_));
    }

private:
    const std::shared_ptr<Receiver> receiver_;
    pplx::cancellation_token_source source_;
    std::mutex mutex_;  // guards what follows
    std::optional<pplx::task_completion_event<int>> gate_;
    std::optional<Error> error_;
    bool settled_ = false;  // by the answer, or why there is none
    bool released_ = false;
};

/// Where cpprest writes a response body: each HTTP chunk as it comes.
class BodySink final : public PlainStream {
public:
    explicit BodySink(std::shared_ptr<CpprestExchange> exchange)
        : PlainStream(std::ios_base::out), exchange_(std::move(exchange)) {}
    BodySink(const BodySink&) = delete;
    BodySink& operator=(const BodySink&) = delete;
    ~BodySink() override { exchange_->release(); }

protected:
    pplx::task<std::size_t> _putn(const uint8_t* data, std::size_t size) override {
        return exchange_->take({reinterpret_cast<const char*>(data), size});
    }
    pplx::task<int_type> _putc(uint8_t byte) override {
        return _putn(&byte, 1).then([byte](std::size_t) { return static_cast<int_type>(byte); });
    }

private:
    const std::shared_ptr<CpprestExchange> exchange_;
};

bool has_control(std::string_view text) {
    return std::ranges::any_of(
        text, [](char c) { return (c >= 0 && c < 0x20 && c != '\t') || c == 0x7f; });
}

Result<web::http::http_request> build(Request request, const Origin& origin, bool may_resend) {
    web::http::http_request out(request.method);
    out.set_request_uri(web::uri(request.target));
    if (!request.body.empty() || !may_resend) {
        const std::size_t size = request.body.size();
        auto source = std::make_shared<BodySource>(std::move(request.body), may_resend);
        out.set_body(buffer_of(std::move(source)).create_istream(), size);
        out.headers().remove("Content-Type");
    }
    // The URI carries an IPv6 host without brackets, and cpprest would name it so.
    if (!origin.tls && origin.family == AF_INET6) {
        out.headers()["Host"] = fmt::format("[{}]:{}", origin.host, origin.port);
    }
    for (const auto& [name, value] : request.headers) {
        if (name.empty() || has_control(name) || has_control(value)) {
            return unavailable(fmt::format("header field \"{}\" holds a control character", name));
        }
        out.headers().add(name, value);
    }
    return out;
}

class CpprestOriginClient final : public OriginClient {
public:
    CpprestOriginClient(Origin origin, web::uri uri, std::shared_ptr<const TrustMaterial> trust)
        : origin_(std::move(origin)),
          uri_(std::move(uri)),
          trust_(std::move(trust)),
          client_(uri_, config_of(origin_, trust_)) {}

    Result<std::shared_ptr<Exchange>> start(Request request, const SendOptions& options,
                                            std::shared_ptr<Receiver> receiver) override {
        const bool may_reuse = options.may_resend || options.may_reuse;
        std::optional<RestingClients::Kept> kept;
        if (may_reuse) kept = resting_->take();
        // cpprest's own pool, unless the request must not meet a connection that went stale.
        if (!kept && options.may_resend) kept = RestingClients::Kept{client_, nullptr};
        return hand_over(std::move(request), options.may_resend, may_reuse, std::move(kept),
                         std::move(receiver));
    }

    Result<std::shared_ptr<Exchange>> start_fresh(Request request,
                                                  std::shared_ptr<Receiver> receiver) override {
        return hand_over(std::move(request), true, true, std::nullopt, std::move(receiver));
    }

    std::size_t resting() override { return resting_->count(); }

private:
    /// Without `on`: on a fresh connection, where there is nothing to repeat and nothing stale: a
    /// request that a resting connection loses is one of which nobody knows whether it worked. It
    /// takes a client of its own, since cpprest's pool cannot be told.
    Result<std::shared_ptr<Exchange>> hand_over(Request request, bool may_resend, bool keep,
                                                std::optional<RestingClients::Kept> on,
                                                std::shared_ptr<Receiver> receiver) {
        try {
            auto built = build(std::move(request), origin_, may_resend);
            if (!built) return std::move(built).error();
            auto exchange = std::make_shared<CpprestExchange>(std::move(receiver));
            built->set_response_stream(
                buffer_of(std::make_shared<BodySink>(exchange)).create_ostream());
            if (!on) {
                auto descriptor = std::make_shared<std::atomic<int>>(-1);
                const auto config = config_of(origin_, trust_, descriptor);
                on = RestingClients::Kept{{uri_, config}, std::move(descriptor)};
            }
            std::function<void()> then = [] {};
            const bool own = on->descriptor != nullptr;
            if (keep && own) then = [on, resting = resting_] { resting->give(*on); };
            follow(on->client.request(*built, exchange->token()), on->client, exchange,
                   std::move(then));
            return std::shared_ptr<Exchange>(std::move(exchange));
        } catch (const std::exception&) {
            return failure_of(std::current_exception());
        }
    }

    /// Every task is looked at, whatever it holds. The client stays until the end: cpprest fails
    /// the requests of one that has gone. `then` is called before the receiver hears of an end
    /// that leaves the connection whole.
    static void follow(pplx::task<web::http::http_response> answer, client::http_client client,
                       std::shared_ptr<CpprestExchange> exchange, std::function<void()> then) {
        answer.then([client, exchange, then](pplx::task<web::http::http_response> done) {
            try {
                const web::http::http_response response = done.get();
                exchange->head(response);
                response.content_ready().then(
                    [client, exchange, then](pplx::task<web::http::http_response> whole) {
                        try {
                            whole.get();
                            then();
                            exchange->end({});
                        } catch (...) {
                            exchange->end(failure_of(std::current_exception()));
                        }
                    });
            } catch (...) {
                exchange->end(failure_of(std::current_exception()));
            }
        });
    }

    const Origin origin_;
    const web::uri uri_;
    const std::shared_ptr<const TrustMaterial> trust_;
    client::http_client client_;
    const std::shared_ptr<RestingClients> resting_ = std::make_shared<RestingClients>();
};

}  // namespace

Result<std::shared_ptr<const TrustMaterial>> load_trust(const Trust& trust) {
    auto material = std::make_shared<TrustMaterial>();
    material->roots.reset(X509_STORE_new());
    if (trust.ca_pem.empty()) {
        // Where Debian's ca-certificates puts them; SSL_CERT_FILE is taken for cpprest's sake.
        X509_STORE_load_file(material->roots.get(), "/etc/ssl/certs/ca-certificates.crt");
        ERR_clear_error();
    } else {
        const std::vector<Cert> roots = read_certificates(trust.ca_pem);
        if (roots.empty()) return unavailable("the CA to trust holds no PEM certificate");
        for (const Cert& root : roots) X509_STORE_add_cert(material->roots.get(), root.get());
    }
    if (trust.client_cert_pem.empty()) return std::shared_ptr<const TrustMaterial>(material);
    material->chain = read_certificates(trust.client_cert_pem);
    const std::string& key = trust.client_key_pem.reveal();
    const Bio bio(BIO_new_mem_buf(key.data(), static_cast<int>(key.size())));
    material->key.reset(PEM_read_bio_PrivateKey(bio.get(), nullptr, nullptr, nullptr));
    ERR_clear_error();
    if (material->chain.empty()) return unavailable("the client certificate cannot be read");
    if (!material->key ||
        X509_check_private_key(material->chain.front().get(), material->key.get()) != 1) {
        return unavailable("the client key is not the one of its certificate");
    }
    return std::shared_ptr<const TrustMaterial>(material);
}

Result<std::shared_ptr<OriginClient>> make_origin_client(
    const std::string& text, std::shared_ptr<const TrustMaterial> trust) {
    auto origin = parse_origin(text);
    if (!origin) return std::move(origin).error();
    try {
        // cpprest hands the host to the resolver as the URI has it, and `[::1]` does not resolve.
        web::uri_builder uri;
        uri.set_scheme(origin->tls ? "https" : "http");
        uri.set_host(origin->host);
        uri.set_port(origin->port);
        return std::shared_ptr<OriginClient>(
            std::make_shared<CpprestOriginClient>(*origin, uri.to_uri(), std::move(trust)));
    } catch (const std::exception&) {
        return failure_of(std::current_exception());
    }
}

void prepare_client_pool() {
    // cpprest reads the system's roots for every new connection (17 ms) before we replace them, and
    // then their whole directory once more (half of what is left).
    setenv("SSL_CERT_FILE", "/dev/null", 1);
    setenv("SSL_CERT_DIR", "/dev/null", 1);
    // One thread resolves names for all requests: a dead resolver must not hold it for long.
    setenv("RES_OPTIONS", "timeout:1 attempts:2", 0);
    static std::once_flag once;
    std::call_once(once, [] {
        try {
            crossplat::threadpool::initialize_with_threads(pool_threads);
        } catch (
            const std::exception&) {  // someone was first; then it has as many threads as it has
        }
    });
}

}  // namespace sallyport::http
