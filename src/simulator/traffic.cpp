#include "simulator/traffic.hpp"

#include <array>

#include "base/text.hpp"
#include "simulator/json.hpp"

namespace sallyport::simulator {

namespace {

constexpr std::string_view redacted = "[redacted]";

std::string without_form_secrets(std::string_view body) {
    std::vector<std::string> parts;
    for (const std::string_view part : split(body, '&')) {
        const std::size_t equals = part.find('=');
        const std::string_view name = part.substr(0, equals);
        const bool secret =
            name == "client_secret" || name == "client_assertion" || name == "password";
        parts.push_back(secret ? std::string(name) + "=" + std::string(redacted)
                               : std::string(part));
    }
    return join(parts, "&");
}

/// Replaces the text value of `key` wherever it stands in a JSON text.
void redact_member(std::string& body, std::string_view key) {
    const std::string wanted = "\"" + std::string(key) + "\"";
    for (std::size_t at = body.find(wanted); at != std::string::npos; at = body.find(wanted, at)) {
        at += wanted.size();
        const std::size_t from = body.find('"', at);
        if (from == std::string::npos || trimmed(body.substr(at, from - at)) != ":") continue;
        std::size_t to = from + 1;
        while (to < body.size() && body[to] != '"') to += body[to] == '\\' ? 2 : 1;
        if (to >= body.size()) return;
        body.replace(from + 1, to - from - 1, redacted);
        at = from;
    }
}

std::string safe_body(const http::Headers& headers, std::string body) {
    if (headers.value_or("Content-Type", "").find("x-www-form-urlencoded") !=
        std::string_view::npos) {
        return without_form_secrets(body);
    }
    for (const char* key : {"access_token", "refresh_token", "client_secret", "adminPassword"}) {
        redact_member(body, key);
    }
    return body;
}

Json headers_of(const http::Headers& headers) {
    Json json = Json::object();
    for (const auto& [name, value] : headers) {
        const bool secret =
            equals_ignoring_case(name, "Authorization") || equals_ignoring_case(name, "Cookie");
        json[name] = secret ? std::string(redacted) : value;
    }
    return json;
}

}  // namespace

std::string traffic_line(const http::Request& request, const http::Response& response,
                         std::chrono::milliseconds arrived) {
    // A token request without its content type is read as a form too: the safe side.
    const bool token = request.target.find("/oauth2/") != std::string::npos;
    const std::string sent =
        token ? without_form_secrets(request.body) : safe_body(request.headers, request.body);
    return dumped(Json{{"arrivedMs", arrived.count()},
                       {"method", request.method},
                       {"url", request.target},
                       {"host", request.headers.value_or("Host", "")},
                       {"reqHeaders", headers_of(request.headers)},
                       {"reqBody", sent},
                       {"status", response.status},
                       {"respHeaders", headers_of(response.headers)},
                       {"respBody", safe_body(response.headers, response.body)}});
}

}  // namespace sallyport::simulator
