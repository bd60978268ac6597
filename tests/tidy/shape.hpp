#pragma once

#include "tidy/source.hpp"

namespace sallyport::tidy {

constexpr int function_lines_max = 70;  ///< a function fits on a screen
constexpr int file_lines_max = 500;
constexpr int columns_max = 100;

struct Function {
    int first_line;  ///< where its head starts
    int open_line;   ///< of the opening brace
    int close_line;  ///< of the closing one
    int lines() const { return close_line - open_line + 1; }
};

/// The function bodies of C++ text, lambdas and blocks counted as parts of the function around
/// them.
std::vector<Function> functions_of(std::string_view text);

/// Longer functions and files say why: `// tidy: long because …`, inside or right above the
/// function, or within the first ten lines of the file.
Findings check_function_lengths(const std::vector<File>& files);
Findings check_file_lengths(const std::vector<File>& files);
/// Columns are code points. Text inside a raw string may be longer: it is somebody else's layout.
Findings check_columns(const std::vector<File>& files);
/// Blanks at line ends, tabs in C++, no line break at the end of the file, CRLF.
Findings check_blanks(const std::vector<File>& files);

}  // namespace sallyport::tidy
