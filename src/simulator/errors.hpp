#pragma once

#include <string>
#include <string_view>

#include "http/message.hpp"

namespace sallyport::simulator {

/// ARM's error body (`{"error":{"code","message"}}`). `extra` is JSON text put behind
/// the message, starting with a comma, e.g. `,"details":[]`.
http::Response arm_error(int status, std::string_view code, std::string_view message,
                         std::string_view extra = {});

/// An error that ARM itself gives, not the resource provider: marked `X-Ms-Failure-Cause: gateway`.
http::Response gateway_error(int status, std::string_view code, std::string_view message,
                             std::string_view extra = {});

http::Response json_response(int status, std::string body);

http::Response group_not_found(std::string_view group);
/// A top-level resource; `type` as in `Microsoft.Network/networkSecurityGroups`.
http::Response resource_not_found(std::string_view type, std::string_view name,
                                  std::string_view group);
/// A child resource whose parent is there; the provider's own wording.
http::Response child_not_found(std::string_view id);

}  // namespace sallyport::simulator
