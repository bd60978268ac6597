#pragma once

#include <string>

#include "http/message.hpp"

namespace sallyport::simulator {

/// One request and its answer as a line of JSON: method, url, host, reqHeaders, reqBody, status,
/// respHeaders, respBody. Bearer tokens, client secrets and passwords are replaced by `[redacted]`.
std::string traffic_line(const http::Request& request, const http::Response& response);

}  // namespace sallyport::simulator
