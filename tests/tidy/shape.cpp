#include "tidy/shape.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <string>

namespace sallyport::tidy {
namespace {

/// Blanks preprocessor lines, whose braces need not balance.
std::string without_directives(std::string code) {
    bool in_directive = false;
    for (std::size_t start = 0; start < code.size();) {
        const std::size_t end = std::min(code.find('\n', start), code.size());
        const std::size_t first = code.find_first_not_of(" \t", start);
        if (!in_directive) in_directive = first < end && code[first] == '#';
        const bool goes_on = in_directive && end > start && code[end - 1] == '\\';
        if (in_directive)
            std::fill(code.begin() + static_cast<std::ptrdiff_t>(start),
                      code.begin() + static_cast<std::ptrdiff_t>(end), ' ');
        in_directive = goes_on;
        start = end + 1;
    }
    return code;
}

/// `head` without what stands in parentheses and angle brackets.
std::string outermost(std::string_view head) {
    std::string out;
    int depth = 0;
    for (std::size_t n = 0; n < head.size(); ++n) {
        const char c = head[n];
        const bool arrow = c == '>' && n > 0 && (head[n - 1] == '-' || head[n - 1] == '=');
        if (c == '(' || c == '<') ++depth;
        if (depth == 0) out += c;
        if ((c == ')' || c == '>') && depth > 0 && !arrow) --depth;
    }
    return out;
}

enum class Scope { outer, function, inner };

/// What a brace opens at namespace or class level, told from the text in front of it.
Scope scope_of(std::string_view head) {
    const std::string bare = outermost(head);
    for (const std::string_view word :
         {"namespace", "class", "struct", "union", "enum", "extern"}) {
        if (!words_in(bare, word).empty()) return Scope::outer;
    }
    return head.find('(') == std::string_view::npos ? Scope::inner : Scope::function;
}

/// Follows braces and parentheses through blanked code and collects function bodies.
class FunctionFinder {
public:
    explicit FunctionFinder(std::string_view code) : code_(code) {}

    std::vector<Function> run() {
        for (at_ = 0; at_ < code_.size(); ++at_) take(code_[at_]);
        return std::move(functions_);
    }

private:
    struct Open {
        Scope scope;
        std::size_t head;
        std::size_t brace;
        int parentheses;
    };

    void take(char c) {
        if (c == '(') ++parentheses_;
        if (c == ')') --parentheses_;
        if (c == '{') open();
        if (c == '}') close();
        if (c == ';' && parentheses_ == 0) head_ = at_ + 1;
    }

    void open() {
        const bool at_top =
            parentheses_ == 0 && (stack_.empty() || stack_.back().scope == Scope::outer);
        const Scope scope = at_top ? scope_of(code_.substr(head_, at_ - head_)) : Scope::inner;
        stack_.push_back({scope, head_, at_, parentheses_});
        parentheses_ = 0;
        head_ = at_ + 1;
    }

    void close() {
        if (stack_.empty()) return;
        const Open opened = stack_.back();
        stack_.pop_back();
        parentheses_ = opened.parentheses;
        // `int x{1}` and `: a_{1} {`: what follows still belongs to the same head.
        head_ = opened.scope == Scope::inner ? opened.head : at_ + 1;
        if (opened.scope != Scope::function) return;
        const std::size_t first = code_.find_first_not_of(" \t\n", opened.head);
        functions_.push_back(
            {line_at(code_, first), line_at(code_, opened.brace), line_at(code_, at_)});
    }

    std::string_view code_;
    std::size_t at_ = 0;
    std::size_t head_ = 0;
    int parentheses_ = 0;
    std::vector<Open> stack_;
    std::vector<Function> functions_;
};

bool is_code(const File& file) {
    for (const char* suffix : {".py", ".sh", ".cmake", "CMakeLists.txt", "Makefile"}) {
        if (file.path.ends_with(suffix)) return true;
    }
    return is_cpp(file);
}

int columns_of(std::string_view line) {
    return static_cast<int>(std::count_if(line.begin(), line.end(), [](char c) {
        return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U;
    }));
}

}  // namespace

std::vector<Function> functions_of(std::string_view text) {
    const std::string code = without_directives(blanked(text, Blank::comments_and_literals));
    return FunctionFinder(code).run();
}

Findings check_function_lengths(const std::vector<File>& files) {
    Findings findings;
    for (const File& file : files) {
        if (!is_cpp(file)) continue;
        for (const Function& function : functions_of(file.text)) {
            if (function.lines() <= function_lines_max) continue;
            const int above = function.close_line - function.first_line + 3;
            if (is_excused(file.text, function.close_line, "long", above)) continue;
            findings.push_back({file.path, function.first_line, "function-length",
                                fmt::format("a function of {} lines; {} fit on a screen",
                                            function.lines(), function_lines_max)});
        }
    }
    return findings;
}

Findings check_file_lengths(const std::vector<File>& files) {
    Findings findings;
    for (const File& file : files) {
        const int lines = static_cast<int>(lines_of(file.text).size());
        if (!is_code(file) || lines <= file_lines_max) continue;
        if (is_excused(file.text, 10, "long", 10)) continue;
        findings.push_back(
            {file.path, 0, "file-length",
             fmt::format("{} lines; more than {} need a reason", lines, file_lines_max)});
    }
    return findings;
}

Findings check_columns(const std::vector<File>& files) {
    Findings findings;
    for (const File& file : files) {
        if (!is_code(file)) continue;
        // Long text in a raw string is blanked away; a line that is still long is our own layout.
        const std::string code =
            is_cpp(file) ? blanked(file.text, Blank::comments_and_literals) : file.text;
        const std::vector<std::string_view> kept = lines_of(code);
        const std::vector<std::string_view> lines = lines_of(file.text);
        for (std::size_t n = 0; n < lines.size(); ++n) {
            if (columns_of(lines[n]) <= columns_max) continue;
            const int number = static_cast<int>(n + 1);
            const bool raw = is_cpp(file) &&
                             kept[n].find_first_not_of(' ') == std::string_view::npos &&
                             lines[n].find("//") == std::string_view::npos;
            if (raw || is_excused(file.text, number, "columns")) continue;
            findings.push_back(
                {file.path, number, "columns",
                 fmt::format("{} columns; {} is the most", columns_of(lines[n]), columns_max)});
        }
    }
    return findings;
}

Findings check_blanks(const std::vector<File>& files) {
    Findings findings;
    for (const File& file : files) {
        int number = 0;
        for (const std::string_view line : lines_of(file.text)) {
            ++number;
            if (line.ends_with('\r')) {
                findings.push_back({file.path, number, "blanks", "CRLF at the end of the line"});
            } else if (line.ends_with(' ') || line.ends_with('\t')) {
                findings.push_back({file.path, number, "blanks", "blanks at the end of the line"});
            }
            if (is_cpp(file) && line.find('\t') != std::string_view::npos) {
                findings.push_back({file.path, number, "blanks", "a tab"});
            }
        }
        if (!file.text.empty() && !file.text.ends_with('\n')) {
            findings.push_back({file.path, number, "blanks", "no line break at the end"});
        }
    }
    return findings;
}

}  // namespace sallyport::tidy
