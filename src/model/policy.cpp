#include "model/policy.hpp"

namespace sallyport {

std::string_view to_text(ClockStarts clock_starts) {
    return clock_starts == ClockStarts::when_open ? "WhenOpen" : "WhenApproved";
}

}  // namespace sallyport
