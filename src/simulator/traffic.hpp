#pragma once

#include <chrono>
#include <string>

#include "http/message.hpp"

namespace sallyport::simulator {

/// One request and its answer as a line of JSON: arrivedMs (since the simulator's start; 0 without
/// a clock), method, url, host, reqHeaders, reqBody, status, respHeaders, respBody. Bearer tokens,
/// client secrets and passwords are replaced by `[redacted]`.
std::string traffic_line(const http::Request& request, const http::Response& response,
                         std::chrono::milliseconds arrived);

}  // namespace sallyport::simulator
