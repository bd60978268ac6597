#pragma once

#include <chrono>
#include <optional>
#include <string>

#include "base/loop.hpp"
#include "base/result.hpp"
#include "base/secret.hpp"
#include "base/task.hpp"
#include "http/transport.hpp"
#include "ports/clock.hpp"

namespace sallyport::azure {

/// Who signs in, and where.
struct Credential {
    std::string authority;  ///< origin
    std::string tenant_id;
    std::string client_id;
    std::string scope;
    Secret secret = {};
    std::string secret_name = {};  ///< the Kubernetes Secret that `secret` came from, for messages
};

/// An access token by client secret, kept until 5 minutes (or half its life, if
/// that is shorter) before it ends. One request is
/// under way at a time: whoever needs a token meanwhile waits for that one and shares its outcome,
/// failure included; with a token that is still good for a minute nobody waits. A refresh that
/// fails leaves the old token in use while it lasts.
class TokenSource {
public:
    static constexpr std::chrono::seconds refresh_before{300};
    static constexpr std::chrono::seconds usable_until{60};

    TokenSource(Loop& loop, Clock& clock, http::Transport& transport, Credential credential)
        : clock_(clock),
          transport_(transport),
          credential_(std::move(credential)),
          turn_(loop, 1) {}

    /// `denied` says what to do about the credential, with Entra's code (`AADSTS7000215` …) in
    /// `code`; `throttled`, `unavailable`: later.
    Task<Result<Secret>> token();
    /// Forgets `token` if it is still the one in use: the server has refused it.
    void refuse(const Secret& token);

private:
    bool lasts(std::chrono::seconds span) const;
    bool is_fresh() const { return !token_.empty() && clock_.steady_now() < refresh_at_; }
    Task<Result<void>> fetch();
    Result<void> take(const http::Response& answer, SteadyTime asked);
    Error refusal(const http::Response& answer) const;

    Clock& clock_;
    http::Transport& transport_;
    Credential credential_;
    Semaphore turn_;
    Secret token_;
    SteadyTime refresh_at_{};
    SteadyTime ends_{};
    std::uint64_t attempts_ = 0;  ///< requests that have ended
    Result<void> last_ = {};
};

}  // namespace sallyport::azure
