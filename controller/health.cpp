#include "controller/health.hpp"

#include <fmt/format.h>

namespace sallyport::controller {
namespace {

constexpr seconds beat_age_max{30};

http::Reply text(int status, std::string body) {
    return {.response = {.status = status,
                         .headers = {{"Content-Type", "text/plain; charset=utf-8"}},
                         .body = std::move(body)}};
}

}  // namespace

void Health::beat(Timestamp now, std::string waiting_for) {
    last_beat_.store(now.time_since_epoch().count());
    const std::lock_guard lock(mutex_);
    waiting_for_ = std::move(waiting_for);
}

std::string Health::waiting_for() const {
    const std::lock_guard lock(mutex_);
    return waiting_for_;
}

http::Reply HealthEndpoint::handle(const http::Request& request, Timestamp now) {
    const http::Target target(request.target);
    if (request.method != "GET" && request.method != "HEAD")
        return text(405, "only GET is served here\n");
    if (target.path() == "/metrics") {
        http::Reply reply = text(200, render_metrics_());
        reply.response.headers.set("Content-Type", "text/plain; version=0.0.4; charset=utf-8");
        return reply;
    }
    const seconds age = now - health_.last_beat();
    const bool alive = age <= beat_age_max;
    const std::string stuck = fmt::format("the loop has not turned for {}\n", format_duration(age));
    if (target.path() == "/healthz" || target.path() == "/livez")
        return alive ? text(200, "ok\n") : text(500, stuck);
    if (target.path() == "/readyz") {
        if (!alive) return text(500, stuck);
        const std::string waiting = health_.waiting_for();
        if (!waiting.empty()) return text(503, "waiting for " + waiting + "\n");
        const std::string trouble = trouble_();
        return trouble.empty() ? text(200, "ok\n")
                               : text(503, trouble + "; nothing opens, closing goes on\n");
    }
    return text(404, "served here: /metrics, /healthz, /readyz\n");
}

}  // namespace sallyport::controller
