#pragma once

#include <cstddef>
#include <memory>

#include "base/loop.hpp"
#include "http/transport.hpp"

namespace sallyport::http {

struct NetworkLimits {
    /// Requests of one transport under way at once; more wait their turn, first come first served.
    /// High, so that a closing rarely waits behind slow answers. Streams do not count.
    std::size_t requests_max = 128;
    /// What a stream holds before it stops reading its socket.
    std::size_t stream_buffer_max = 1024UL * 1024;
};

/// The real network: HTTP/1.1 by cpprestsdk, on a pool of four threads; answers are posted to the
/// loop.
///
/// Trusts only the given roots (the system's without any), and names only by their subject
/// alternative names. TLS 1.2 and later. Keeps connections per origin. IPv6 literals work; for
/// names, IPv4 is tried first. Proxies in the environment are not used. A timeout counts from the
/// moment at which the request has got its turn; it and a destroyed task close the connection at
/// once, except while a name is being resolved.
///
/// Construct it before any other thread: it sets environment variables. Must outlive its
/// transports, and the loop must outlive both. Frames that await a transport must go before it
/// does.
class CpprestNetwork final : public Network {
public:
    explicit CpprestNetwork(Loop& loop, NetworkLimits limits = {});
    /// Trust that cannot be read makes every request of the transport fail with the reason.
    std::unique_ptr<Transport> transport(Trust trust) override;

private:
    Loop& loop_;
    const NetworkLimits limits_;
};

}  // namespace sallyport::http
