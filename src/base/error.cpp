#include "base/error.hpp"

#include "base/check.hpp"

namespace sallyport {

std::string_view to_text(ErrorKind kind) {
    switch (kind) {
        case ErrorKind::invalid: return "invalid";
        case ErrorKind::denied: return "denied";
        case ErrorKind::not_found: return "not_found";
        case ErrorKind::conflict: return "conflict";
        case ErrorKind::throttled: return "throttled";
        case ErrorKind::unavailable: return "unavailable";
    }
    throw Bug("an error kind out of range");
}

Error Error::context(std::string_view what) && {
    message.insert(0, ": ").insert(0, what);
    return std::move(*this);
}

}  // namespace sallyport
