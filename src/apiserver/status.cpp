#include "apiserver/status.hpp"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

namespace sallyport::apiserver {

namespace {

Failure about(const ResourceName& resource, std::string_view name) {
    Failure failure;
    failure.name = name;
    failure.group = resource.group;
    failure.kind = resource.plural;
    return failure;
}

}  // namespace

std::string in_quotes(std::string_view text) {
    return nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

Failure bad_request(std::string message) { return {400, "BadRequest", std::move(message)}; }

Failure unauthorized() { return {401, "Unauthorized", "Unauthorized"}; }

Failure no_such_path() {
    return {404, "NotFound", "the server could not find the requested resource"};
}

Failure not_found(const ResourceName& resource, std::string_view name) {
    Failure failure = about(resource, name);
    failure.code = 404;
    failure.reason = "NotFound";
    failure.message = fmt::format("{} {} not found", resource.qualified(), in_quotes(name));
    return failure;
}

Failure already_exists(const ResourceName& resource, std::string_view name) {
    Failure failure = about(resource, name);
    failure.code = 409;
    failure.reason = "AlreadyExists";
    failure.message = fmt::format("{} {} already exists", resource.qualified(), in_quotes(name));
    return failure;
}

Failure conflict(const ResourceName& resource, std::string_view name, std::string_view why) {
    Failure failure = about(resource, name);
    failure.code = 409;
    failure.reason = "Conflict";
    failure.message = fmt::format("Operation cannot be fulfilled on {} {}: {}",
                                  resource.qualified(), in_quotes(name), why);
    return failure;
}

Failure modified(const ResourceName& resource, std::string_view name) {
    return conflict(resource, name,
                    "the object has been modified; please apply your changes to the latest version "
                    "and try again");
}

Failure forbidden(const ResourceName& resource, std::string_view name, std::string_view why) {
    Failure failure = about(resource, name);
    failure.code = 403;
    failure.reason = "Forbidden";
    failure.message = name.empty() ? fmt::format("{} is forbidden: {}", resource.qualified(), why)
                                   : fmt::format("{} {} is forbidden: {}", resource.qualified(),
                                                 in_quotes(name), why);
    return failure;
}

Failure method_not_allowed(std::string_view method) {
    return {405, "MethodNotAllowed",
            fmt::format("the server does not allow this method on the requested resource ({})",
                        method)};
}

Failure unsupported_media_type(std::string_view why) {
    return {415, "UnsupportedMediaType", std::string(why)};
}

Failure not_acceptable(std::string_view why) { return {406, "NotAcceptable", std::string(why)}; }

Failure expired(std::string_view why) { return {410, "Expired", std::string(why)}; }

Failure internal_error(std::string_view why) {
    return {500, "InternalError", fmt::format("Internal error occurred: {}", why)};
}

Failure invalid_object(const KindName& kind, std::string_view name, std::vector<Cause> causes) {
    check(!causes.empty(), "an invalid object has at least one cause");
    std::string list;
    for (const Cause& cause : causes) {
        if (!list.empty()) list += ", ";
        list += cause.field + ": " + cause.message;
    }
    if (causes.size() > 1) list = "[" + list + "]";

    Failure failure;
    failure.code = 422;
    failure.reason = "Invalid";
    failure.name = name;
    failure.group = kind.group;
    failure.kind = kind.kind;
    const std::string qualified = kind.group.empty() ? kind.kind : kind.kind + "." + kind.group;
    failure.message = fmt::format("{} {} is invalid: {}", qualified, in_quotes(name), list);
    failure.causes = std::move(causes);
    return failure;
}

std::string body_of(const Failure& failure) {
    nlohmann::json details = nlohmann::json::object();
    const auto put = [&details](const char* key, const std::string& value) {
        if (!value.empty()) details[key] = value;
    };
    put("name", failure.name);
    put("group", failure.group);
    put("kind", failure.kind);
    put("uid", failure.uid);
    for (const Cause& cause : failure.causes) {
        nlohmann::json one = {{"message", cause.message}};
        if (!cause.reason.empty()) one["reason"] = cause.reason;
        if (!cause.field.empty()) one["field"] = cause.field;
        details["causes"].push_back(std::move(one));
    }
    if (failure.retry_after_seconds > 0) details["retryAfterSeconds"] = failure.retry_after_seconds;

    nlohmann::json body = {
        {"kind", "Status"},    {"apiVersion", "v1"},         {"metadata", nlohmann::json::object()},
        {"status", "Failure"}, {"message", failure.message}, {"reason", failure.reason},
        {"code", failure.code}};
    // kubectl shows the message of an Invalid without causes only where there are details.
    if (!details.empty() || failure.reason == "Invalid") body["details"] = std::move(details);
    return body.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

}  // namespace sallyport::apiserver
