#include "kube/client.hpp"

#include <charconv>

#include <nlohmann/json.hpp>

namespace sallyport::kube {

namespace {

using namespace std::chrono_literals;
using Json = nlohmann::json;

constexpr std::size_t refusal_max = 64UL * 1024;  ///< of a watch's refusal, as much as is read

ErrorKind kind_of(int status) {
    switch (status) {
        case 400:
        case 405:
        case 413:
        case 415:
        case 422: return ErrorKind::invalid;
        case 401:
        case 403: return ErrorKind::denied;
        case 404: return ErrorKind::not_found;
        case 409:
        case 410:
        case 412: return ErrorKind::conflict;
        case 429: return ErrorKind::throttled;
        default: return ErrorKind::unavailable;
    }
}

std::optional<seconds> retry_after_of(const http::Headers& headers) {
    const std::string_view text = headers.value_or("Retry-After", "");
    int value = 0;
    const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (failure != std::errc{} || end != text.data() + text.size() || value < 0)
        return std::nullopt;
    return seconds(value);
}

}  // namespace

void declare_metrics(Metrics& metrics) {
    metrics.declare(
        {.name = "rest_client_requests_total",
         .kind = MetricKind::counter,
         .help = "Requests to the API server, by status code (<error>: no answer) and method.",
         .labels = {"code", "method"}});
    metrics.declare(
        {.name = "sallyport_reflector_relists_total",
         .kind = MetricKind::counter,
         .help = "Whole lists read from the API server, the first one included, by kind.",
         .labels = {"kind"}});
    metrics.declare({.name = "sallyport_reflector_last_event_timestamp_seconds",
                     .kind = MetricKind::gauge,
                     .help = "When a kind's list or watch last told anything, bookmarks included.",
                     .labels = {"kind"}});
    metrics.declare(
        {.name = "sallyport_events_dropped_total",
         .kind = MetricKind::counter,
         .help = "Kubernetes Events not written: too many about one object, or refused."});
}

Error error_of(const http::Response& head, std::string_view body) {
    Error error{.kind = kind_of(head.status),
                .message = "the API server answered " + std::to_string(head.status),
                .retry_after = retry_after_of(head.headers),
                .status = head.status};
    const Json status = Json::parse(body, nullptr, false);
    if (!status.is_object()) return error;
    const auto text = [&status](const char* name) {
        const auto it = status.find(name);
        return it != status.end() && it->is_string() ? it->get<std::string>() : std::string();
    };
    error.code = text("reason");
    if (const std::string message = text("message"); !message.empty())
        error.message += ": " + message;
    return error;
}

http::Request Client::request(std::string_view method, std::string target) const {
    http::Request request{
        .method = std::string(method), .origin = connection_.origin, .target = std::move(target)};
    request.headers.set("Accept", "application/json");
    request.headers.set("User-Agent", "sallyport-controller");
    if (!connection_.token.empty())
        request.headers.set("Authorization", "Bearer " + connection_.token.reveal());
    return request;
}

void Client::note(std::string_view method, const http::Response* answer) {
    const std::string code = answer ? std::to_string(answer->status) : "<error>";
    metrics_.increment("rest_client_requests_total", {code, method});
    if (!answer) return;
    const auto date = answer->headers.find("Date");
    if (!date) return;
    const Timestamp now = clock_.now();
    if (const auto theirs = parse_http_date(*date))
        heard_ = {*theirs - now, now, clock_.steady_now()};
}

std::optional<seconds> Client::clock_offset() const {
    if (!heard_) return std::nullopt;
    const auto passed = std::chrono::floor<seconds>(clock_.steady_now() - heard_->steady);
    const seconds was_set = clock_.now() - heard_->wall - passed;
    // Both are whole seconds, so that one may seem to be ahead by one.
    const bool is_rounding = was_set >= seconds(-1) && was_set <= seconds(1);
    return is_rounding ? heard_->offset : heard_->offset - was_set;
}

Task<Result<std::string>> Client::send(http::Request request, http::SendOptions options) {
    const std::string method = request.method;
    Result<http::Response> answer = co_await transport_.send(std::move(request), options);
    note(method, answer ? &*answer : nullptr);
    if (!answer) co_return std::move(answer).error();
    if (answer->status < 200 || answer->status > 299) co_return error_of(*answer, answer->body);
    co_return std::move(answer->body);
}

Task<Result<std::string>> Client::get(std::string target) {
    http::SendOptions options{.timeout = connection_.list_timeout};
    co_return co_await send(request("GET", std::move(target)), options);
}

Task<Result<std::string>> Client::create(std::string target, std::string body) {
    http::Request post = request("POST", std::move(target));
    post.headers.set("Content-Type", "application/json");
    post.body = std::move(body);
    // Creating is not idempotent: a copy of a create that worked would be answered AlreadyExists.
    http::SendOptions options{
        .timeout = connection_.timeout, .may_resend = false, .may_reuse = true};
    co_return co_await send(std::move(post), options);
}

Task<Result<std::string>> Client::replace(std::string target, std::string body) {
    http::Request put = request("PUT", std::move(target));
    put.headers.set("Content-Type", "application/json");
    put.body = std::move(body);
    http::SendOptions options{.timeout = connection_.timeout, .may_resend = false};
    co_return co_await send(std::move(put), options);
}

Task<Result<std::string>> Client::patch(std::string target, std::string body) {
    http::Request patch = request("PATCH", std::move(target));
    patch.headers.set("Content-Type", "application/merge-patch+json");
    patch.body = std::move(body);
    http::SendOptions options{
        .timeout = connection_.timeout, .may_resend = false, .may_reuse = true};
    co_return co_await send(std::move(patch), options);
}

Task<Result<std::string>> Client::remove(std::string target, std::string body) {
    http::Request remove = request("DELETE", std::move(target));
    remove.headers.set("Content-Type", "application/json");
    remove.body = std::move(body);
    http::SendOptions options{.timeout = connection_.timeout};
    co_return co_await send(std::move(remove), options);
}

Task<Result<std::unique_ptr<http::ByteStream>>> Client::watch(
    std::string target, std::chrono::milliseconds idle_limit) {
    http::SendOptions options{.timeout = connection_.timeout};
    Result<std::unique_ptr<http::ByteStream>> opened =
        co_await transport_.open(request("GET", std::move(target)), options, idle_limit);
    note("WATCH", opened ? &(*opened)->head() : nullptr);
    if (!opened) co_return std::move(opened).error();
    if ((*opened)->head().status == 200) co_return std::move(opened);
    std::string body;
    while (body.size() < refusal_max) {
        Result<std::string> bytes = co_await (*opened)->next();
        if (!bytes || bytes->empty()) break;
        body += *bytes;
    }
    co_return error_of((*opened)->head(), body);
}

}  // namespace sallyport::kube
