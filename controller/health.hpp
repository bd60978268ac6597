#pragma once

#include <atomic>
#include <functional>
#include <mutex>
#include <string>

#include "base/time.hpp"
#include "http/server.hpp"

namespace sallyport::controller {

/// What the loop tells the health endpoint; written on the loop, read on server threads.
class Health final {
public:
    /// The loop is alive now, and ready or waiting for something (in words; empty: ready).
    void beat(Timestamp now, std::string waiting_for);
    Timestamp last_beat() const { return Timestamp(seconds(last_beat_.load())); }
    std::string waiting_for() const;

private:
    std::atomic<std::int64_t> last_beat_{0};
    mutable std::mutex mutex_;
    std::string waiting_for_ = "the start";
};

/// `/healthz` and `/livez`: the loop turned within the last 30 s; never says anything about Azure
/// or the API server. `/readyz`: every record has been looked at once, and `trouble` has nothing to
/// say (of the embedded control plane: why it cannot write). `/metrics`: Prometheus text.
class HealthEndpoint final : public http::Handler {
public:
    HealthEndpoint(const Health& health, std::function<std::string()> render_metrics,
                   std::function<std::string()> trouble)
        : health_(health),
          render_metrics_(std::move(render_metrics)),
          trouble_(std::move(trouble)) {}
    http::Reply handle(const http::Request& request, Timestamp now) override;

private:
    const Health& health_;
    std::function<std::string()> render_metrics_;
    std::function<std::string()> trouble_;
};

}  // namespace sallyport::controller
