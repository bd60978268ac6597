#include "simulator/identity.hpp"

#include <algorithm>
#include <charconv>
#include <optional>

#include "base/digest.hpp"
#include "base/text.hpp"
#include "base/time.hpp"
#include "simulator/errors.hpp"
#include "simulator/json.hpp"

namespace sallyport::simulator {

namespace {

/// Entra's own figure for app tokens.
constexpr std::int64_t token_life_s = 3599;

std::string base64url(std::string_view bytes) {
    std::string text = base64(bytes);
    while (!text.empty() && text.back() == '=') text.pop_back();
    std::ranges::replace(text, '+', '-');
    std::ranges::replace(text, '/', '_');
    return text;
}

std::string field(const http::Target& form, std::string_view name) {
    return form.query(name).value_or("");
}

bool is_below(std::string_view scope, std::string_view above) {
    if (!starts_with_ignoring_case(scope, above)) return false;
    return scope.size() == above.size() || above.empty() || scope[above.size()] == '/';
}

bool any_matches(const std::vector<std::string>& patterns, std::string_view action) {
    return std::ranges::any_of(patterns,
                               [&](const std::string& p) { return action_matches(p, action); });
}

http::Response unauthorized(std::string_view code, std::string_view message,
                            std::string_view tenant) {
    // unverified: codes, messages and the exact header of ARM's 401.
    http::Response response = gateway_error(401, code, message);
    response.headers.add(
        "WWW-Authenticate",
        "Bearer authorization_uri=\"https://login.microsoftonline.com/" + std::string(tenant) +
            "\", error=\"invalid_token\", error_description=\"" + std::string(message) + "\"");
    return response;
}

}  // namespace

Identity::Identity(std::string tenant, std::vector<Principal> principals, std::string key,
                   bool accept_any_token)
    : tenant_(std::move(tenant)),
      principals_(std::move(principals)),
      key_(std::move(key)),
      accept_any_token_(accept_any_token),
      anyone_{"anyone",
              "00000000-0000-0000-0000-00000000a000",
              "00000000-0000-0000-0000-00000000b000",
              {},
              {{{}, {"*"}, {}}}} {}

std::string Identity::sign(std::string_view text) const {
    return base64url(sha256(key_ + "|" + std::string(text)));
}

http::Response Identity::refuse(int status, std::string_view error, int code, std::string_view text,
                                std::int64_t now_ms) const {
    std::string time = format_rfc3339(Timestamp(std::chrono::seconds(now_ms / 1000)));
    std::ranges::replace(time, 'T', ' ');
    const std::string trace = uuid_v5("6ba7b810-9dad-11d1-80b4-00c04fd430c8", key_ + time);
    const Json body = {
        {"error", error},
        {"error_description", "AADSTS" + std::to_string(code) + ": " + std::string(text) +
                                  " Trace ID: " + trace + " Correlation ID: " + trace +
                                  " Timestamp: " + time},
        {"error_codes", Json::array({code})},
        {"timestamp", time},
        {"trace_id", trace},
        {"correlation_id", trace},
        {"error_uri", "https://login.microsoftonline.com/error?code=" + std::to_string(code)}};
    return json_response(status, dumped(body));
}

http::Response Identity::token(std::string_view tenant, const http::Request& request,
                               std::int64_t now_ms) const {
    if (request.method != "POST") {
        // unverified: code for another method.
        return refuse(405, "invalid_request", 900561, "The endpoint only accepts POST requests.",
                      now_ms);
    }
    if (!equals_ignoring_case(tenant, tenant_)) {
        // unverified: status and wording.
        return refuse(400, "invalid_request", 90002,
                      "Tenant '" + std::string(tenant) + "' not found.", now_ms);
    }
    const http::Target form("/?" + request.body);
    if (field(form, "grant_type") != "client_credentials") {
        // unverified: code for grants that the simulator does not know.
        return refuse(
            400, "unsupported_grant_type", 70003,
            "The app requested an unsupported grant type '" + field(form, "grant_type") + "'.",
            now_ms);
    }
    const auto who = std::ranges::find_if(principals_, [&](const Principal& p) {
        return equals_ignoring_case(p.app_id, field(form, "client_id"));
    });
    if (who == principals_.end()) {
        // unverified: status.
        return refuse(400, "unauthorized_client", 700016,
                      "Application with identifier '" + field(form, "client_id") +
                          "' was not found in the directory '" + tenant_ + "'.",
                      now_ms);
    }
    if (field(form, "client_secret") != who->secret) {
        return refuse(
            401, "invalid_client", 7000215,
            "Invalid client secret provided. Ensure the secret being sent in the request is "
            "the client secret value, not the client secret ID, for a secret added to app '" +
                who->app_id + "'.",
            now_ms);
    }
    if (!field(form, "scope").ends_with("/.default")) {
        // unverified: code and wording.
        return refuse(400, "invalid_scope", 1002012,
                      "The provided value for scope " + field(form, "scope") + " is not valid.",
                      now_ms);
    }
    const std::int64_t now = now_ms / 1000;
    const Json claims = {{"aud", "https://management.azure.com/"},
                         {"iss", "https://sts.windows.net/" + tenant_ + "/"},
                         {"iat", now},
                         {"nbf", now},
                         {"exp", now + token_life_s},
                         {"appid", who->app_id},
                         {"idtyp", "app"},
                         {"oid", who->object_id},
                         {"tid", tenant_}};
    const std::string jwt = base64url(R"({"typ":"JWT","alg":"RS256","kid":"azure-sim"})") + "." +
                            base64url(dumped(claims)) + ".";
    // What `who` needs stands in clear beside the signature, which no client reads: no JSON is
    // parsed for each request.
    const std::string facts = "~" + std::to_string(now + token_life_s) + "~" + who->app_id;
    const std::string access_token = jwt + sign(jwt + facts) + facts;
    const Json body = {{"token_type", "Bearer"},
                       {"expires_in", token_life_s},
                       {"ext_expires_in", token_life_s},
                       {"access_token", access_token}};
    return json_response(200, dumped(body));
}

std::variant<const Principal*, http::Response> Identity::who(const http::Request& request,
                                                             std::int64_t now_ms) const {
    const std::string_view header = request.headers.value_or("Authorization", "");
    if (!starts_with_ignoring_case(header, "Bearer ") || header.size() < 8) {
        return unauthorized("AuthenticationFailed",
                            "Authentication failed. The 'Authorization' header is missing.",
                            tenant_);
    }
    const std::string_view token = header.substr(7);
    const std::vector<std::string_view> parts = split(token, '~');
    const std::size_t dot = parts[0].rfind('.');
    const bool genuine =
        parts.size() == 3 && dot != std::string_view::npos &&
        sign(std::string(parts[0].substr(0, dot + 1)) +
             std::string(token.substr(parts[0].size()))) == parts[0].substr(dot + 1);
    if (!genuine) {
        if (accept_any_token_) return &anyone_;
        return unauthorized("InvalidAuthenticationToken", "The access token is invalid.", tenant_);
    }
    std::int64_t ends = 0;
    std::from_chars(parts[1].data(), parts[1].data() + parts[1].size(), ends);
    if (ends <= now_ms / 1000) {
        return unauthorized("ExpiredAuthenticationToken",
                            "The access token expiry UTC time has passed.", tenant_);
    }
    const auto it =
        std::ranges::find_if(principals_, [&](const Principal& p) { return p.app_id == parts[2]; });
    if (it == principals_.end()) {
        return unauthorized("InvalidAuthenticationToken", "The access token is invalid.", tenant_);
    }
    return &*it;
}

bool action_matches(std::string_view pattern, std::string_view action) {
    // Greedy match with one point to come back to: linear for the patterns that roles have.
    std::size_t p = 0;
    std::size_t a = 0;
    std::optional<std::size_t> star;
    std::size_t resume = 0;
    while (a < action.size()) {
        if (p < pattern.size() && pattern[p] == '*') {
            star = p++;
            resume = a;
        } else if (p < pattern.size() && lower(pattern[p]) == lower(action[a])) {
            ++p;
            ++a;
        } else if (star) {
            p = *star + 1;
            a = ++resume;
        } else {
            return false;
        }
    }
    while (p < pattern.size() && pattern[p] == '*') ++p;
    return p == pattern.size();
}

std::vector<const Permission*> permissions_at(const Principal& principal, std::string_view scope) {
    std::vector<const Permission*> held;
    for (const Permission& permission : principal.permissions) {
        if (is_below(scope, permission.scope)) held.push_back(&permission);
    }
    return held;
}

bool is_allowed(const Principal& principal, std::string_view action, std::string_view scope) {
    // Each role's notActions take from that role alone; another role may give the action again.
    return std::ranges::any_of(permissions_at(principal, scope), [&](const Permission* permission) {
        return any_matches(permission->actions, action) &&
               !any_matches(permission->not_actions, action);
    });
}

const DenyAssignment* denied_by(const std::vector<DenyAssignment>& assignments,
                                const Principal& principal, std::string_view action,
                                std::string_view scope) {
    for (const DenyAssignment& assignment : assignments) {
        if (is_below(scope, assignment.scope) && any_matches(assignment.actions, action) &&
            !any_matches(assignment.not_actions, action) &&
            std::ranges::find(assignment.excluded, principal.name) == assignment.excluded.end()) {
            return &assignment;
        }
    }
    return nullptr;
}

}  // namespace sallyport::simulator
