#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "azure/token.hpp"
#include "base/result.hpp"
#include "base/task.hpp"
#include "http/transport.hpp"
#include "ports/gateway.hpp"
#include "ports/metrics.hpp"
#include "ports/random.hpp"

namespace sallyport::azure {

/// Declares every metric of this folder; call it once, before anything here is made.
void declare_metrics(Metrics& metrics);

/// Requests to one resource manager with one identity. An answer that is not 2xx is an `Error`
/// (`codec::decode_error`).
/// A 401 makes it forget the token and ask once more with a fresh one.
class ArmClient {
public:
    ArmClient(Clock& clock, Random& random, Metrics& metrics, http::Transport& transport,
              TokenSource& tokens, std::string origin)
        : clock_(clock),
          random_(random),
          metrics_(metrics),
          transport_(transport),
          tokens_(tokens),
          origin_(std::move(origin)) {}

    struct Call {
        std::string method = "GET";
        std::string target = {};  ///< path and query
        std::string body = {};
        std::string request_id = {};      ///< `x-ms-client-request-id`; empty: a new one
        std::string correlation_id = {};  ///< shared by the calls of one action; empty: a new one
        bool may_resend = true;
        std::function<Result<void>()> last_look = {};  ///< see `Departure`
    };
    Task<Result<http::Response>> send(Call call);
    /// A token, and connections at rest for `writes` requests. The request that makes a connection
    /// asks for the cloud's metadata: that needs no token and counts in no bucket.
    Task<void> prepare(int writes);

    /// The target of an absolute URL that Azure gave us. Refused when it leads to another origin
    /// than the resource manager's: our token must not go there (`unavailable`, code
    /// `ForeignLink`).
    Result<std::string> target_of(std::string_view url) const;
    /// The id to quote to support: ARM's correlation id, else its request id.
    static std::string correlation_of(const http::Headers& headers);
    std::optional<seconds> retry_after_of(const http::Headers& headers) const;
    std::string new_id() const;
    /// What the answers since the last call told; each tells its own bucket only.
    Quota take_quota() { return std::exchange(quota_, {}); }
    const std::string& origin() const { return origin_; }

private:
    Task<Result<http::Response>> send_with(const Call& call, const Secret& token);
    Error error_of(const http::Response& answer) const;
    void learn(const http::Headers& headers);

    Clock& clock_;
    Random& random_;
    Metrics& metrics_;
    http::Transport& transport_;
    TokenSource& tokens_;
    std::string origin_;
    Quota quota_;
};

}  // namespace sallyport::azure
