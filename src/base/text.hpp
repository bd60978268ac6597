#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace sallyport {

/// ASCII only: ARM ids, header names and service tags never need more.
char lower(char c);
std::string lower(std::string_view text);
bool equals_ignoring_case(std::string_view a, std::string_view b);
bool starts_with_ignoring_case(std::string_view text, std::string_view prefix);

/// Splits at every `separator`; empty parts are kept, so joining gives the text back.
std::vector<std::string_view> split(std::string_view text, char separator);
std::string join(const std::vector<std::string>& parts, std::string_view separator);
std::string_view trimmed(std::string_view text);

/// `application/x-www-form-urlencoded`-safe percent encoding of everything but unreserved
/// characters.
std::string percent_encoded(std::string_view text);
/// Undoes percent encoding; malformed escapes stay as they are. `+` is a space only in queries.
std::string percent_decoded(std::string_view text, bool plus_is_space = false);

}  // namespace sallyport
