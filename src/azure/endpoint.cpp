#include "azure/endpoint.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "base/text.hpp"

namespace sallyport::azure {

namespace {

constexpr std::string_view scheme = "https://";

Result<std::string> custom_origin(std::string_view field, std::string_view text,
                                  const std::vector<std::string>& allowed) {
    Result<Url> url = parse_url(text);
    if (!url) return std::move(url).error().context(fmt::format("spec.azure.endpoints.{}", field));
    if (url->target != "/") {
        return invalid(fmt::format(
            "spec.azure.endpoints.{}: \"{}\" has a path; give https://host[:port]", field, text));
    }
    const std::string authority = url->origin.substr(scheme.size());
    const std::size_t colon = authority.rfind(':');
    const bool has_port = colon != authority.npos && authority.find(']', colon) == authority.npos;
    const std::string host = has_port ? authority.substr(0, colon) : authority;
    const bool ok = std::ranges::any_of(allowed, [&](const std::string& each) {
        return equals_ignoring_case(each, authority) || equals_ignoring_case(each, host);
    });
    if (ok) return std::move(url->origin);
    return Error{
        ErrorKind::invalid,
        fmt::format("spec.azure.endpoints.{}: host {} is not allowed; start the controller with "
                    "--allow-custom-endpoint={}",
                    field, host, host),
        "EndpointNotAllowed"};
}

}  // namespace

Result<Url> parse_url(std::string_view text) {
    if (!starts_with_ignoring_case(text, scheme))
        return invalid(fmt::format("\"{}\" does not start with https://", text));
    const std::string_view rest = text.substr(scheme.size());
    const std::size_t end = rest.find_first_of("/?#");
    std::string authority = lower(rest.substr(0, end));
    const bool odd = std::ranges::any_of(authority, [](char c) {
        return c <= ' ' || c == '@' || c == '\\' || c == '"' || c == '%' ||
               static_cast<unsigned char>(c) > 126;
    });
    if (authority.empty() || odd) return invalid(fmt::format("\"{}\" has no plain host", text));
    if (authority.ends_with(":443")) authority.resize(authority.size() - 4);
    std::string target(end == rest.npos ? std::string_view("/") : rest.substr(end));
    if (target.front() != '/') target.insert(0, "/");
    target = target.substr(0, target.find('#'));
    const bool splits =
        std::ranges::any_of(target, [](char c) { return static_cast<unsigned char>(c) <= ' '; });
    if (splits) return invalid("the URL has blanks or control characters");
    return Url{.origin = std::string(scheme) + authority, .target = std::move(target)};
}

Result<Endpoints> endpoints_of(const AzureAccount& account,
                               const std::vector<std::string>& allowed) {
    const auto of = [](std::string_view manager, std::string_view authority) {
        return Endpoints{.resource_manager = std::string(manager),
                         .authority = std::string(authority),
                         .scope = std::string(manager) + "/.default"};
    };
    switch (account.cloud) {
        case AzureCloud::azure_public:
            return of("https://management.azure.com", "https://login.microsoftonline.com");
        case AzureCloud::us_government:
            return of("https://management.usgovcloudapi.net", "https://login.microsoftonline.us");
        case AzureCloud::china:
            return of("https://management.chinacloudapi.cn", "https://login.chinacloudapi.cn");
        case AzureCloud::custom: break;
    }
    Result<std::string> manager =
        custom_origin("resourceManager", account.resource_manager, allowed);
    if (!manager) return std::move(manager).error();
    Result<std::string> authority = custom_origin("authority", account.authority, allowed);
    if (!authority) return std::move(authority).error();
    return of(*manager, *authority);
}

}  // namespace sallyport::azure
