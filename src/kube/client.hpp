#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.hpp"
#include "base/secret.hpp"
#include "base/task.hpp"
#include "http/transport.hpp"
#include "ports/clock.hpp"
#include "ports/metrics.hpp"

namespace sallyport::kube {

/// Declares every metric of this folder; call it once, before anything here is made.
void declare_metrics(Metrics& metrics);

/// Where the API server is and who we are there. The token goes nowhere but into requests to
/// `origin`.
struct Connection {
    std::string origin;  ///< `https://host:port`
    Secret token = {};   ///< bearer token; empty: none is sent (a client certificate then)
    std::chrono::milliseconds timeout{15'000};       ///< of one call
    std::chrono::milliseconds list_timeout{60'000};  ///< of one read, which may be a page of a list
};

/// Requests to one API server, as text. Every answer that is not 2xx is an `Error`:
/// 400, 413, 415, 422 `invalid` · 401, 403 `denied` · 404 `not_found` · 409, 410, 412 `conflict` ·
/// 429 `throttled` · all else, and no answer, `unavailable`; `code` is the Status' reason
/// (`AlreadyExists`, `Conflict`, `Expired` …), `message` its message.
class Client {
public:
    Client(Clock& clock, Metrics& metrics, http::Transport& transport, Connection connection)
        : clock_(clock),
          metrics_(metrics),
          transport_(transport),
          connection_(std::move(connection)) {}

    Task<Result<std::string>> get(std::string target);
    Task<Result<std::string>> create(std::string target, std::string body);
    /// A whole object in the place of the one whose resourceVersion it carries.
    Task<Result<std::string>> replace(std::string target, std::string body);
    /// RFC 7386.
    Task<Result<std::string>> patch(std::string target, std::string body);
    Task<Result<std::string>> remove(std::string target, std::string body);
    /// A watch; `idle_limit` bounds each gap between bytes.
    Task<Result<std::unique_ptr<http::ByteStream>>> watch(std::string target,
                                                          std::chrono::milliseconds idle_limit);

    /// The server's wall time minus ours by the newest `Date` header; a wall clock of ours that was
    /// set since then is seen at once. To about a second: the header has no fraction.
    std::optional<seconds> clock_offset() const;
    /// The server's time, for what stands in its objects; ours before it was heard.
    Timestamp server_now() const { return clock_.now() + clock_offset().value_or(seconds(0)); }

private:
    http::Request request(std::string_view method, std::string target) const;
    Task<Result<std::string>> send(http::Request request, http::SendOptions options);
    void note(std::string_view method, const http::Response* answer);

    Clock& clock_;
    Metrics& metrics_;
    http::Transport& transport_;
    Connection connection_;
    struct Heard {
        seconds offset;
        Timestamp wall;  ///< ours in that moment
        SteadyTime steady;
    };
    std::optional<Heard> heard_;
};

/// What a refusal means; `body` is a `Status` if the server is well. Public for tests.
Error error_of(const http::Response& head, std::string_view body);

}  // namespace sallyport::kube
