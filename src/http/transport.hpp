#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>

#include "base/result.hpp"
#include "base/secret.hpp"
#include "base/task.hpp"
#include "http/message.hpp"

namespace sallyport::http {

struct SendOptions {
    /// The whole exchange, from hand-over to the last byte. It ends in `unavailable`, and the
    /// request may have worked.
    std::chrono::milliseconds timeout = std::chrono::seconds(30);
    /// True: the request may be sent again on a fresh connection when a reused one turns out
    /// closed. False for anything that must reach the server at most once.
    bool may_resend = true;
    /// Without `may_resend`: it need not have a connection of its own. One that has just been used
    /// and that the server has not closed saves the handshake; closed in that very moment, it
    /// leaves open whether the request worked. For requests whose outcome can be read afterwards.
    bool may_reuse = false;
    /// A longer body is refused as `unavailable` ("answer too large").
    std::size_t body_max = 64UL * 1024 * 1024;
};

/// A response body that arrives piece by piece. Destroying it closes the connection.
class ByteStream {
public:
    virtual ~ByteStream() = default;
    virtual const Response& head() const = 0;  ///< status and headers; the body is empty
    /// The next bytes, or an empty string at the clean end. Fails with `unavailable` when nothing
    /// arrives for the stream's idle limit or the connection breaks.
    virtual Task<Result<std::string>> next() = 0;
};

/// Sends requests. Every HTTP status is a value; only the lack of an answer is an error (always
/// kind `unavailable`). Called on the loop; suspends. Follows no redirects, keeps no cookies.
class Transport {
public:
    virtual ~Transport() = default;
    virtual Task<Result<Response>> send(Request request, SendOptions options) = 0;
    /// `options.timeout` bounds the wait for the head; afterwards `idle_limit` bounds each gap.
    virtual Task<Result<std::unique_ptr<ByteStream>>> open(
        Request request, SendOptions options, std::chrono::milliseconds idle_limit) = 0;
    /// Tries to have `connections` at rest to the probe's origin for the next seconds, so that what
    /// is sent then need not wait for TCP and TLS; no more than requests may be under way at once.
    /// Sends `probe` once on each new one, since a connection cannot be made without a request; its
    /// answers are dropped. Nothing is told: without them all works as before.
    virtual void prepare(const Request& probe, int connections) { (void)probe, (void)connections; }
};

/// Whom to trust and who to be, for all requests of one transport.
struct Trust {
    std::string ca_pem = {};  ///< only these roots; empty: the system's
    std::string client_cert_pem = {};
    Secret client_key_pem = {};
};

/// Makes transports; the real network, or a simulated one.
class Network {
public:
    virtual ~Network() = default;
    virtual std::unique_ptr<Transport> transport(Trust trust) = 0;
};

}  // namespace sallyport::http
