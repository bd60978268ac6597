#include "azure/token.hpp"

#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "base/text.hpp"
#include "codec/arm.hpp"

namespace sallyport::azure {

namespace {

using namespace std::chrono_literals;

constexpr std::chrono::seconds lifetime_max = std::chrono::hours(48);
constexpr std::string_view wrong_secret = "AADSTS7000215";
constexpr std::string_view ended_secret = "AADSTS7000222";

struct Remedy {
    std::string_view code;
    std::string_view what;
};
/// What a person does about it.
constexpr std::array remedies = {
    Remedy{wrong_secret,
           "the client secret is wrong: put the secret's value, not its id, into the Kubernetes "
           "Secret"},
    Remedy{ended_secret,
           "the client secret has expired: make a new one and put its value into the Kubernetes "
           "Secret"},
    Remedy{"AADSTS700016",
           "the application is not known in the tenant: check spec.azure.identity and "
           "spec.azure.tenantId"},
    Remedy{"AADSTS90002", "the tenant is not known: check spec.azure.tenantId"},
    Remedy{"AADSTS50001",
           "the resource is not known: check spec.azure.cloud and spec.azure.endpoints"},
    Remedy{"AADSTS1002012", "the scope is not valid: check spec.azure.endpoints.resourceManager"},
};

}  // namespace

bool TokenSource::lasts(std::chrono::seconds span) const {
    return !token_.empty() && clock_.steady_now() + span < ends_;
}

void TokenSource::refuse(const Secret& token) {
    if (token_ == token) token_ = {};
}

Task<Result<Secret>> TokenSource::token() {
    if (is_fresh()) co_return token_;
    if (lasts(usable_until) && turn_.free() == 0) co_return token_;
    const std::uint64_t seen = attempts_;
    co_await turn_.take();
    const Permit permit(turn_);
    // Somebody asked while we waited: their answer is ours.
    if (attempts_ == seen) {
        last_ = co_await fetch();
        ++attempts_;
    }
    if (lasts(0s)) co_return token_;
    if (!last_) co_return last_.error();
    co_return unavailable("sign-in: the token has ended already");
}

Task<Result<void>> TokenSource::fetch() {
    http::Request request{
        .method = "POST",
        .origin = credential_.authority,
        .target = "/" + percent_encoded(credential_.tenant_id) + "/oauth2/v2.0/token"};
    request.headers.set("Content-Type", "application/x-www-form-urlencoded");
    request.headers.set("Accept", "application/json");
    request.body =
        "grant_type=client_credentials&client_id=" + percent_encoded(credential_.client_id) +
        "&client_secret=" + percent_encoded(credential_.secret.reveal()) +
        "&scope=" + percent_encoded(credential_.scope);
    const http::SendOptions options{.timeout = 15s, .body_max = 1UL << 20U};
    const SteadyTime asked = clock_.steady_now();
    const Result<http::Response> answer = co_await transport_.send(std::move(request), options);
    if (!answer) co_return Error(answer.error()).context("sign-in");
    co_return take(*answer, asked);
}

Result<void> TokenSource::take(const http::Response& answer, SteadyTime asked) {
    if (answer.status != 200) return refusal(answer);
    Result<codec::TokenAnswer> granted = codec::decode_token(answer.body);
    if (!granted) return std::move(granted).error();
    token_ = std::move(granted->token);
    const std::chrono::seconds span = std::min(granted->expires_in, lifetime_max);
    ends_ = asked + span;
    refresh_at_ = asked + std::max(span - refresh_before, span / 2);
    return {};
}

Error TokenSource::refusal(const http::Response& answer) const {
    Error error =
        codec::decode_token_error({.status = answer.status,
                                   .body = answer.body,
                                   .retry_after = answer.headers.value_or("Retry-After", ""),
                                   .now = clock_.now()});
    if (error.kind == ErrorKind::denied) error.reason = "SignInRefused";
    for (const Remedy& remedy : remedies) {
        if (error.code == remedy.code) error.message += fmt::format("; {}", remedy.what);
    }
    if (error.code == wrong_secret || error.code == ended_secret)
        error.message += " " + credential_.secret_name;
    const std::string& secret = credential_.secret.reveal();
    const bool echoed = !secret.empty() && error.message.find(secret) != error.message.npos;
    if (echoed) error.message = "sign-in: refused, in words that are not repeated here";
    return error;
}

}  // namespace sallyport::azure
