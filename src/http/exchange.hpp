#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.hpp"
#include "http/message.hpp"
#include "http/transport.hpp"

namespace sallyport::http {

/// Hears how one exchange goes, on threads of the client's pool: the head, the bytes of the body in
/// order, and the end, which comes last; or just the end. The first bytes may come before the head,
/// or at the same time. Inside `http/` only.
class Receiver {
public:
    enum class Flow {
        go_on,
        pause,  ///< nothing more is read from the socket until `Exchange::resume`
        stop,   ///< enough: the exchange is canceled
    };
    virtual ~Receiver() = default;
    virtual void on_head(Response head) = 0;
    virtual Flow on_bytes(std::string_view bytes) = 0;  ///< must not throw
    /// The last call; the connection is by then closed or ready for the next request. The error's
    /// kind is `unavailable`.
    virtual void on_end(std::optional<Error> error) = 0;
};

/// One request under way. Any thread.
class Exchange {
public:
    virtual ~Exchange() = default;
    /// Closes the connection, if the request still has one; `on_end` then hears of it, maybe not at
    /// once (a name being resolved cannot be interrupted).
    virtual void cancel() = 0;
    virtual void resume() = 0;
};

/// Requests to one origin with one trust: a pool of connections that are kept while they are used.
class OriginClient {
public:
    virtual ~OriginClient() = default;
    /// Hands a request over. It is sent a second time only if `may_resend`, and then only after a
    /// reused connection turned out closed. Fails, without a call to the receiver, on what cannot
    /// be sent at all.
    virtual Result<std::shared_ptr<Exchange>> start(Request request, const SendOptions& options,
                                                    std::shared_ptr<Receiver> receiver) = 0;
    /// The same on a new connection, which rests afterwards for others to take.
    virtual Result<std::shared_ptr<Exchange>> start_fresh(Request request,
                                                          std::shared_ptr<Receiver> receiver) = 0;
    /// Connections at rest that requests would take.
    virtual std::size_t resting() = 0;
};

/// Certificates and keys, read once for all connections of a transport.
class TrustMaterial;
Result<std::shared_ptr<const TrustMaterial>> load_trust(const Trust& trust);

/// Refused: an origin that is not `http(s)://host[:port]`.
Result<std::shared_ptr<OriginClient>> make_origin_client(
    const std::string& origin, std::shared_ptr<const TrustMaterial> trust);

/// Starts the client's pool of four threads and keeps system roots from being read once for each
/// connection. Once per process, before other threads: it sets environment variables.
void prepare_client_pool();

}  // namespace sallyport::http
