#include "simulator/errors.hpp"

#include "simulator/json.hpp"

namespace sallyport::simulator {

http::Response json_response(int status, std::string body) {
    http::Response response;
    response.status = status;
    response.headers.add("Content-Type", "application/json; charset=utf-8");
    response.body = std::move(body);
    return response;
}

http::Response arm_error(int status, std::string_view code, std::string_view message,
                         std::string_view extra) {
    std::string body = R"({"error":{"code":)";
    body += json_text(code);
    body += R"(,"message":)";
    body += json_text(message);
    body += extra;
    body += "}}";
    return json_response(status, std::move(body));
}

http::Response gateway_error(int status, std::string_view code, std::string_view message,
                             std::string_view extra) {
    http::Response response = arm_error(status, code, message, extra);
    response.headers.add("X-Ms-Failure-Cause", "gateway");
    return response;
}

http::Response group_not_found(std::string_view group) {
    return gateway_error(404, "ResourceGroupNotFound",
                         "Resource group '" + std::string(group) + "' could not be found.");
}

http::Response resource_not_found(std::string_view type, std::string_view name,
                                  std::string_view group) {
    return gateway_error(404, "ResourceNotFound",
                         "The Resource '" + std::string(type) + "/" + std::string(name) +
                             "' under resource group '" + std::string(group) +
                             "' was not found. For more details please go to "
                             "https://aka.ms/ARMResourceNotFoundFix");
}

http::Response child_not_found(std::string_view id) {
    return arm_error(404, "NotFound", "Resource " + std::string(id) + " not found.",
                     R"(,"details":[])");
}

}  // namespace sallyport::simulator
