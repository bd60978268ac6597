#include "azure/client.hpp"

#include <algorithm>
#include <charconv>

#include <fmt/format.h>

#include "azure/endpoint.hpp"
#include "azure/paths.hpp"
#include "base/digest.hpp"
#include "codec/arm.hpp"

namespace sallyport::azure {

namespace {

using namespace std::chrono_literals;

/// ARM itself gives up on a provider after about 60 s; half of it keeps a lane alive.
constexpr std::chrono::milliseconds call_timeout = 30s;

/// What is left for us, or for the subscription as a whole where the answer tells only that.
void read_rate(const http::Headers& headers, std::string_view what, std::optional<int>& left) {
    for (const std::string_view scope : {"", "global-"}) {
        const auto text =
            headers.find(fmt::format("x-ms-ratelimit-remaining-subscription-{}{}", scope, what));
        if (!text) continue;
        int value = 0;
        const auto [end, failure] =
            std::from_chars(text->data(), text->data() + text->size(), value);
        if (failure != std::errc{} || end != text->data() + text->size() || value < 0) continue;
        left = value;
        return;
    }
}

}  // namespace

void declare_metrics(Metrics& metrics) {
    metrics.declare(
        {.name = "sallyport_azure_requests_total",
         .kind = MetricKind::counter,
         .help =
             "Requests to the resource manager, by status code (<error>: no answer) and method.",
         .labels = {"code", "method"}});
}

std::string ArmClient::new_id() const { return uuid_v4_of(random_.bytes(16)); }

std::string ArmClient::correlation_of(const http::Headers& headers) {
    const auto correlation = headers.find("x-ms-correlation-request-id");
    return std::string(correlation ? *correlation : headers.value_or("x-ms-request-id", ""));
}

std::optional<seconds> ArmClient::retry_after_of(const http::Headers& headers) const {
    return codec::parse_retry_after(headers.value_or("Retry-After", ""), clock_.now());
}

Error ArmClient::error_of(const http::Response& answer) const {
    const std::string correlation = correlation_of(answer.headers);
    const auto date = parse_http_date(answer.headers.value_or("Date", ""));
    return codec::decode_error({.status = answer.status,
                                .body = answer.body,
                                .retry_after = answer.headers.value_or("Retry-After", ""),
                                .correlation_id = correlation,
                                .now = date ? *date : clock_.now()});
}

Result<std::string> ArmClient::target_of(std::string_view text) const {
    Result<Url> url = parse_url(text);
    std::string why;
    if (!url) {
        why = url.error().message;
    } else if (url->origin != origin_) {
        why = fmt::format("it leads to {}, and not to {}", url->origin, origin_);
    } else {
        return std::move(url->target);
    }
    Error error = unavailable("a link that Azure gave is not followed: " + why);
    error.code = "ForeignLink";
    return error;
}

Task<Result<http::Response>> ArmClient::send(Call call) {
    if (call.request_id.empty()) call.request_id = new_id();
    if (call.correlation_id.empty()) call.correlation_id = new_id();
    Result<Secret> token = co_await tokens_.token();
    if (!token) co_return std::move(token).error();
    Result<http::Response> answer = co_await send_with(call, *token);
    if (!answer) co_return std::move(answer).error();
    if (answer->status == 401) {
        // Nothing was done, so that also a write may be sent again.
        tokens_.refuse(*token);
        token = co_await tokens_.token();
        if (!token) co_return std::move(token).error();
        answer = co_await send_with(call, *token);
        if (!answer) co_return std::move(answer).error();
    }
    if (answer->status < 200 || answer->status > 299) co_return error_of(*answer);
    co_return answer;
}

Task<void> ArmClient::prepare(int writes) {
    const http::Request probe{.method = "GET", .origin = origin_, .target = metadata_target()};
    transport_.prepare(probe, writes);
    // Without one the write will say so.
    static_cast<void>(co_await tokens_.token());
}

Task<Result<http::Response>> ArmClient::send_with(const Call& call, const Secret& token) {
    http::Request request{
        .method = call.method, .origin = origin_, .target = call.target, .body = call.body};
    request.headers.set("Authorization", "Bearer " + token.reveal());
    request.headers.set("Accept", "application/json");
    if (!call.body.empty()) request.headers.set("Content-Type", "application/json");
    request.headers.set("x-ms-client-request-id", call.request_id);
    request.headers.set("x-ms-correlation-request-id", call.correlation_id);
    request.headers.set("x-ms-return-client-request-id", "true");
    const http::SendOptions options{.timeout = call_timeout, .may_resend = call.may_resend};
    if (call.last_look) {
        Result<void> looked = call.last_look();
        if (!looked) co_return std::move(looked).error();
    }
    Result<http::Response> answer = co_await transport_.send(std::move(request), options);
    const std::string code = answer ? std::to_string(answer->status) : "<error>";
    metrics_.increment("sallyport_azure_requests_total", {code, call.method});
    if (answer) learn(answer->headers);
    co_return answer;
}

void ArmClient::learn(const http::Headers& headers) {
    read_rate(headers, "reads", quota_.reads);
    read_rate(headers, "writes", quota_.writes);
    read_rate(headers, "deletes", quota_.deletes);
}

}  // namespace sallyport::azure
