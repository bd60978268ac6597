#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace sallyport::tidy {

/// One text file of the repository; `path` is relative to its root.
struct File {
    std::string path;
    std::string text;
};

struct Finding {
    std::string path;
    int line = 0;  ///< from 1; 0: the file as a whole
    std::string rule;
    std::string message;

    std::string text() const;  ///< `path:line: message [rule]`, as compilers print
};
using Findings = std::vector<Finding>;

bool is_header(const File& file);
bool is_cpp(const File& file);  ///< header or source
/// `base` of `src/base/x.hpp`; `controller` and `tests` of files below those; else empty.
std::string folder_of(std::string_view path);

std::vector<std::string_view> lines_of(std::string_view text);
int line_at(std::string_view text, std::size_t offset);
/// Every offset at which `word` stands with no letter, digit or underscore next to it.
std::vector<std::size_t> words_in(std::string_view text, std::string_view word);

/// The text with comments blanked out; and, if `literals`, the inside of string and character
/// literals too. Line breaks stay, so offsets and line numbers are those of the original.
enum class Blank { comments, comments_and_literals };
std::string blanked(std::string_view text, Blank what);

struct Include {
    int line;
    bool system;  ///< in angle brackets
    std::string name;
};
std::vector<Include> includes_of(std::string_view text);

/// True if the line, or one of the `above` lines before it, says `tidy: <rule> because <reason>`.
/// Every rule can be set aside like this, in sight and with a reason.
bool is_excused(std::string_view text, int line, std::string_view rule, int above = 1);

}  // namespace sallyport::tidy
