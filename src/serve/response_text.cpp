#include "serve/response_text.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "base/text.hpp"

namespace sallyport::serve {

namespace {

std::string_view reason_phrase(int status) {
    switch (status) {
        case 200: return "OK";
        case 201: return "Created";
        case 202: return "Accepted";
        case 204: return "No Content";
        case 301: return "Moved Permanently";
        case 302: return "Found";
        case 304: return "Not Modified";
        case 307: return "Temporary Redirect";
        case 308: return "Permanent Redirect";
        case 400: return "Bad Request";
        case 401: return "Unauthorized";
        case 403: return "Forbidden";
        case 404: return "Not Found";
        case 405: return "Method Not Allowed";
        case 406: return "Not Acceptable";
        case 408: return "Request Timeout";
        case 409: return "Conflict";
        case 410: return "Gone";
        case 412: return "Precondition Failed";
        case 413: return "Payload Too Large";
        case 415: return "Unsupported Media Type";
        case 422: return "Unprocessable Entity";
        case 429: return "Too Many Requests";
        case 431: return "Request Header Fields Too Large";
        case 500: return "Internal Server Error";
        case 501: return "Not Implemented";
        case 502: return "Bad Gateway";
        case 503: return "Service Unavailable";
        case 504: return "Gateway Timeout";
        default: return "Status";
    }
}

bool is_token_character(char c) {
    if ((c >= '0' && c <= '9') || (lower(c) >= 'a' && lower(c) <= 'z')) return true;
    return std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
}

bool is_control(char c) { return (c >= 0 && c < 0x20 && c != '\t') || c == 0x7f; }

bool is_framing(std::string_view name) {
    return equals_ignoring_case(name, "content-length") ||
           equals_ignoring_case(name, "transfer-encoding") ||
           equals_ignoring_case(name, "connection");
}

bool has_no_body(int status) { return status < 200 || status == 204 || status == 304; }

std::string head_text(const http::Response& response, const RequestFacts& facts, Timestamp now) {
    std::string text =
        fmt::format("HTTP/1.1 {} {}\r\n", response.status, reason_phrase(response.status));
    for (const auto& [name, value] : response.headers) {
        if (!is_framing(name)) text.append(name).append(": ").append(value).append("\r\n");
    }
    if (!response.headers.find("date")) text += "Date: " + format_http_date(now) + "\r\n";
    if (!facts.keep_alive) {
        text += "Connection: close\r\n";
    } else if (facts.version < 11) {
        text += "Connection: keep-alive\r\n";
    }
    return text;
}

}  // namespace

bool is_safe(const http::Response& response) {
    if (response.status < 200 || response.status > 599) return false;
    return std::ranges::all_of(response.headers, [](const auto& field) {
        return !field.first.empty() && std::ranges::all_of(field.first, is_token_character) &&
               std::ranges::none_of(field.second, is_control);
    });
}

std::string whole_text(const http::Response& response, const RequestFacts& facts, Timestamp now) {
    std::string text = head_text(response, facts, now);
    if (has_no_body(response.status)) return text + "\r\n";
    std::string phrase;
    if (response.status >= 400 && response.body.empty()) {
        if (!response.headers.find("content-type")) text += "Content-Type: text/plain\r\n";
        phrase = std::string(reason_phrase(response.status)) + "\n";
    }
    const std::string& body = phrase.empty() ? response.body : phrase;
    text += fmt::format("Content-Length: {}\r\n\r\n", body.size());
    if (!facts.head) text += body;
    return text;
}

std::string stream_head_text(const http::Response& response, const RequestFacts& facts,
                             Timestamp now) {
    std::string text = head_text(response, facts, now);
    if (facts.version >= 11) text += "Transfer-Encoding: chunked\r\n";
    return text + "\r\n";
}

std::string chunk_text(std::string_view bytes, const RequestFacts& facts, bool last) {
    if (facts.version < 11) return std::string(bytes);
    std::string text;
    if (!bytes.empty()) {
        text = fmt::format("{:x}\r\n", bytes.size());
        text.append(bytes).append("\r\n");
    }
    if (last) text += "0\r\n\r\n";
    return text;
}

std::string origin_form(std::string_view target) {
    if (!starts_with_ignoring_case(target, "http://") &&
        !starts_with_ignoring_case(target, "https://")) {
        return std::string(target);
    }
    const std::size_t path = target.find('/', target.find("//") + 2);
    return path == target.npos ? "/" : std::string(target.substr(path));
}

}  // namespace sallyport::serve
