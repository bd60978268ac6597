#include "tidy/source.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>

namespace sallyport::tidy {
namespace {

bool is_word_character(char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_';
}

/// Walks over C++ text and blanks what it is told to. Knows comments, literals and raw strings.
class Blanker {
public:
    Blanker(std::string_view text, Blank what)
        : text_(text), out_(text), literals_(what == Blank::comments_and_literals) {}

    std::string run() {
        while (at_ < text_.size()) step();
        return std::move(out_);
    }

private:
    void step() {
        const std::string_view rest = text_.substr(at_);
        if (rest.starts_with("//")) return blank_until(end_of("\n", at_, 0));
        if (rest.starts_with("/*")) return blank_until(end_of("*/", at_ + 2, 2));
        if (rest.starts_with("R\"") && !follows_word()) return raw_string();
        if (rest.front() == '"') return quoted('"');
        // A quote between digits groups them: 1'000.
        if (rest.front() == '\'' && !follows_word()) return quoted('\'');
        ++at_;
    }

    bool follows_word() const { return at_ > 0 && is_word_character(text_[at_ - 1]); }

    std::size_t end_of(std::string_view mark, std::size_t from, std::size_t add) const {
        const std::size_t found = text_.find(mark, from);
        return found == std::string_view::npos ? text_.size() : found + add;
    }

    void blank_until(std::size_t end) {
        for (; at_ < end; ++at_) {
            if (text_[at_] != '\n') out_[at_] = ' ';
        }
    }

    void literal_until(std::size_t end) {
        if (literals_) {
            blank_until(end);
        } else {
            at_ = end;
        }
    }

    void raw_string() {
        const std::size_t open = text_.find('(', at_);
        if (open == std::string_view::npos) {
            ++at_;
            return;
        }
        const std::string close = fmt::format("){}\"", text_.substr(at_ + 2, open - at_ - 2));
        const std::size_t end = end_of(close, open, 0);
        at_ = open + 1;
        literal_until(end);
        at_ = std::min(text_.size(), end + close.size());
    }

    void quoted(char quote) {
        std::size_t end = at_ + 1;
        while (end < text_.size() && text_[end] != quote && text_[end] != '\n') {
            end += text_[end] == '\\' ? 2 : 1;
        }
        ++at_;
        literal_until(std::min(end, text_.size()));
        ++at_;
    }

    std::string_view text_;
    std::string out_;
    bool literals_;
    std::size_t at_ = 0;
};

}  // namespace

std::string Finding::text() const {
    return line == 0 ? fmt::format("{}: {} [{}]", path, message, rule)
                     : fmt::format("{}:{}: {} [{}]", path, line, message, rule);
}

bool is_header(const File& file) { return file.path.ends_with(".hpp"); }
bool is_cpp(const File& file) { return is_header(file) || file.path.ends_with(".cpp"); }

std::string folder_of(std::string_view path) {
    if (path.starts_with("src/")) {
        path.remove_prefix(4);
        const std::size_t slash = path.find('/');
        return slash == std::string_view::npos ? "" : std::string(path.substr(0, slash));
    }
    for (const std::string_view top : {"controller", "tests"}) {
        if (path.starts_with(top) && path.substr(top.size()).starts_with('/')) {
            return std::string(top);
        }
    }
    return "";
}

std::vector<std::string_view> lines_of(std::string_view text) {
    std::vector<std::string_view> lines;
    while (!text.empty()) {
        const std::size_t end = std::min(text.find('\n'), text.size());
        lines.push_back(text.substr(0, end));
        text.remove_prefix(std::min(end + 1, text.size()));
    }
    return lines;
}

int line_at(std::string_view text, std::size_t offset) {
    const std::string_view before = text.substr(0, offset);
    return 1 + static_cast<int>(std::count(before.begin(), before.end(), '\n'));
}

std::vector<std::size_t> words_in(std::string_view text, std::string_view word) {
    std::vector<std::size_t> found;
    for (std::size_t at = text.find(word); at != std::string_view::npos;
         at = text.find(word, at + 1)) {
        const std::size_t end = at + word.size();
        const bool starts = at == 0 || !is_word_character(text[at - 1]);
        const bool ends = end >= text.size() || !is_word_character(text[end]);
        if (starts && ends) found.push_back(at);
    }
    return found;
}

std::string blanked(std::string_view text, Blank what) { return Blanker(text, what).run(); }

std::vector<Include> includes_of(std::string_view text) {
    std::vector<Include> includes;
    const std::string code = blanked(text, Blank::comments);
    int number = 0;
    for (std::string_view line : lines_of(code)) {
        ++number;
        const std::size_t hash = line.find_first_not_of(" \t");
        if (hash == std::string_view::npos || line[hash] != '#') continue;
        line.remove_prefix(std::min(line.find_first_not_of(" \t", hash + 1), line.size()));
        if (!line.starts_with("include")) continue;
        const std::size_t open = line.find_first_of("\"<");
        if (open == std::string_view::npos) continue;
        const std::size_t close = line.find(line[open] == '<' ? '>' : '"', open + 1);
        if (close == std::string_view::npos) continue;
        includes.push_back(
            {number, line[open] == '<', std::string(line.substr(open + 1, close - open - 1))});
    }
    return includes;
}

bool is_excused(std::string_view text, int line, std::string_view rule, int above) {
    const std::vector<std::string_view> lines = lines_of(text);
    const std::string excuse = fmt::format("tidy: {} because ", rule);
    for (int n = std::max(1, line - above); n <= line; ++n) {
        if (n > static_cast<int>(lines.size())) return false;
        const std::string_view candidate = lines[static_cast<std::size_t>(n - 1)];
        const std::size_t at = candidate.find(excuse);
        if (at != std::string_view::npos && candidate.size() - at > excuse.size() + 8) return true;
    }
    return false;
}

}  // namespace sallyport::tidy
