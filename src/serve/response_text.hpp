#pragma once

#include <string>
#include <string_view>

#include "base/time.hpp"
#include "http/message.hpp"

namespace sallyport::serve {

/// What of a request decides how its answer is framed.
struct RequestFacts {
    unsigned version = 11;  ///< 10 or 11
    bool keep_alive = true;
    bool head = false;
};

/// False if a field name is no token, or a value holds a control character (CR, LF, NUL …), which
/// would let it split the answer; false too for a status that is none.
bool is_safe(const http::Response& response);

/// The whole answer as it goes on the wire: status line, the response's fields without its own
/// framing, `Date` unless it has one, `Content-Length`, `Connection`, and the body (not for HEAD).
/// A failure without a body gets its reason phrase as one.
std::string whole_text(const http::Response& response, const RequestFacts& facts, Timestamp now);

/// The head of a streamed answer: chunked for HTTP/1.1, up to the end of the connection before it.
std::string stream_head_text(const http::Response& response, const RequestFacts& facts,
                             Timestamp now);
std::string chunk_text(std::string_view bytes, const RequestFacts& facts, bool last);

/// `/path?query` of a request target that may be in absolute form, as proxies send it.
std::string origin_form(std::string_view target);

}  // namespace sallyport::serve
