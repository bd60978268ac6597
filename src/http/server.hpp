#pragma once

#include <string>

#include "base/time.hpp"
#include "http/message.hpp"

namespace sallyport::http {

/// Answers requests: what the embedded control plane, azure-sim and the metrics endpoint implement
/// and `serve/` carries. Called from several threads at once unless the server was told otherwise.
class Handler {
public:
    virtual ~Handler() = default;
    virtual Reply handle(const Request& request, Timestamp now) = 0;
};

}  // namespace sallyport::http
