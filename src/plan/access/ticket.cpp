#include "plan/access/ticket.hpp"

// RE2 and not std::regex: a policy author's pattern must not be able to stall the loop (RE2 is
// linear in the text), and std::regex throws and recurses.
#include <re2/re2.h>

namespace sallyport::access {
namespace {

RE2::Options quiet() {
    RE2::Options options;
    options.set_log_errors(false);
    options.set_max_mem(1 << 20);
    return options;
}

}  // namespace

std::optional<std::string> pattern_problem(const std::string& pattern) {
    const RE2 compiled(pattern, quiet());
    if (compiled.ok()) return std::nullopt;
    return compiled.error();
}

bool ticket_matches(const std::string& ticket, const std::string& pattern) {
    const RE2 compiled(pattern, quiet());
    return compiled.ok() && RE2::FullMatch(ticket, compiled);
}

}  // namespace sallyport::access
