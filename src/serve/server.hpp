#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.hpp"
#include "base/secret.hpp"
#include "base/time.hpp"
#include "http/server.hpp"

namespace sallyport::serve {

/// What a TLS server shows: its certificate (chain, leaf first) and the key to it, both PEM.
struct ServerIdentity {
    std::string chain_pem;
    Secret key_pem;
};

/// What one client may cost. A limit that is passed ends its connection, never the server.
struct Limits {
    std::size_t header_max = 16UL * 1024;             ///< request line and fields; beyond: 431
    std::size_t body_max = 3UL * 1024 * 1024;         ///< decoded body; beyond: 413
    std::chrono::milliseconds request_max{30'000};    ///< first to last byte of a request
    std::chrono::milliseconds handshake_max{10'000};  ///< TLS
    std::chrono::milliseconds idle_max{120'000};      ///< between requests of a kept connection
    std::chrono::milliseconds write_gap_max{
        30'000};                                 ///< a client that takes nothing that long is cut
    std::chrono::milliseconds drain_max{1'000};  ///< what `stop()` grants answers under way
    std::size_t connections_max = 4096;          ///< one more is closed at once
};

struct ServerOptions {
    /// `HOST:PORT`. HOST is an IPv4 literal, an IPv6 literal in brackets, or `localhost`, which
    /// means both loopback addresses. PORT 0: the kernel chooses.
    std::string listen = "127.0.0.1:0";
    std::optional<ServerIdentity> identity = {};  ///< none: plain HTTP
    Limits limits = {};
    std::size_t threads = 2;
    /// Told of exceptions that left a handler or a stream, on a server thread. The client got a
    /// 500, or a cut connection if the answer had begun.
    std::function<void(std::string_view what)> on_failure = {};
};

/// Carries a handler over HTTP/1.1, plain or TLS 1.2 and later, on a few threads of its own.
///
/// Keep-alive, pipelining, `Expect: 100-continue`, chunked requests and HEAD work as in RFC 9112;
/// both a length and chunks, or two lengths, are refused. Every answer gets `Date` (from `now`) and
/// `Content-Length`; a handler's own framing fields are ignored, and a header field that could
/// split the answer makes it a 500.
///
/// A stream is sent in chunks, each at once. It is taken after every wake, after every chunk that
/// was written, and at least once a second, but never before the client has taken the previous
/// chunk: a slow client holds one chunk and the kernel's buffer, and after `write_gap_max` loses
/// the connection. The stream is destroyed when it ends, the client goes, or the server stops.
class Server final {
public:
    using Now = std::function<Timestamp()>;

    /// Listens and serves at once. `handler` must outlive the server and bear calls from several
    /// threads. Refused as `invalid`: an address that cannot be read, a key that is not the
    /// certificate's. As `unavailable`: an address that is taken or not ours.
    static Result<std::unique_ptr<Server>> start(ServerOptions options, http::Handler& handler,
                                                 Now now);

    Server(const Server&) = delete;
    Server& operator=(const Server&) = delete;
    ~Server();  ///< stops

    std::uint16_t port() const;
    /// `https://127.0.0.1:10443`, as a client writes it.
    std::string origin() const;
    /// New connections show this identity from now on; a pair that does not fit changes nothing.
    Result<void> renew(const ServerIdentity& identity);
    std::size_t connections() const;
    /// Stops accepting, ends streams, lets answers under way finish for `drain_max`, cuts the rest
    /// and joins the threads. Not from a handler. Idempotent.
    void stop();

private:
    class Core;
    class Session;
    std::unique_ptr<Core> core_;

public:
    explicit Server(std::unique_ptr<Core> core);  ///< for `start`
};

}  // namespace sallyport::serve
