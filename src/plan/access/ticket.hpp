#pragma once

#include <optional>
#include <string>

namespace sallyport::access {

/// What is wrong with a ticket pattern (RE2 syntax); nullopt: it can be used.
std::optional<std::string> pattern_problem(const std::string& pattern);
/// Whether the whole ticket matches: a pattern without anchors does not let text around it through.
/// A pattern that cannot be used matches nothing.
bool ticket_matches(const std::string& ticket, const std::string& pattern);

}  // namespace sallyport::access
