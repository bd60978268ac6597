#include "codec/yaml.hpp"

#include <fmt/format.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <initializer_list>
#include <nlohmann/json.hpp>
#include <optional>
#include <sstream>
#include <stdexcept>
#include <string>
#include <utility>

#include "base/text.hpp"

namespace sallyport::codec {
namespace {

using nlohmann::json;

constexpr std::string_view core_tags = "tag:yaml.org,2002:";
constexpr double exact_integers_max = 9007199254740992.0;  // 2^53

/// yaml-cpp reports by exceptions, and its event handler has no other way to stop it; none leaves
/// this file.
struct Problem : std::runtime_error {
    Problem(const YAML::Mark& mark, const std::string& what)
        : std::runtime_error(what), line(mark.line), column(mark.column) {}
    int line;  ///< from 0; negative: unknown
    int column;
};

bool is_one_of(std::string_view text, std::initializer_list<std::string_view> words) {
    return std::ranges::find(words, text) != words.end();
}

bool is_digit(char c) { return c >= '0' && c <= '9'; }

bool is_valid_utf8(const std::string& text) {
    // yaml-cpp's own `\N` and `\_` escapes yield bare bytes that nlohmann refuses to write later.
    try {
        static_cast<void>(json(text).dump());
        return true;
    } catch (const json::type_error&) {
        return false;
    }
}

std::optional<json> decimal_integer(std::string_view text) {
    if (text.starts_with('+')) text.remove_prefix(1);
    const char* const end = text.data() + text.size();
    std::int64_t value = 0;
    if (const auto [at, failure] = std::from_chars(text.data(), end, value);
        failure == std::errc() && at == end) {
        return json(value);
    }
    std::uint64_t large = 0;
    if (const auto [at, failure] = std::from_chars(text.data(), end, large);
        failure == std::errc() && at == end) {
        return json(large);
    }
    return std::nullopt;
}

/// `[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?`
bool has_float_shape(std::string_view text) {
    const auto take_digits = [&] {
        const std::size_t count = std::min(text.find_first_not_of("0123456789"), text.size());
        text.remove_prefix(count);
        return count;
    };
    const auto take_sign = [&] {
        if (text.starts_with('+') || text.starts_with('-')) text.remove_prefix(1);
    };
    take_sign();
    const std::size_t whole = take_digits();
    if (text.starts_with('.')) {
        text.remove_prefix(1);
        if (take_digits() == 0 && whole == 0) return false;
    } else if (whole == 0) {
        return false;
    }
    if (text.starts_with('e') || text.starts_with('E')) {
        text.remove_prefix(1);
        take_sign();
        if (take_digits() == 0) return false;
    }
    return text.empty();
}

std::optional<json> decimal_float(std::string_view text) {
    if (!has_float_shape(text)) return std::nullopt;
    if (text.starts_with('+')) text.remove_prefix(1);
    double value = 0;
    const auto [at, failure] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (failure != std::errc() || at != text.data() + text.size()) return std::nullopt;
    if (value == std::floor(value) && std::fabs(value) < exact_integers_max) {
        return json(static_cast<std::int64_t>(value));
    }
    return json(value);
}

/// `010`, `0x1F`, `0b1`, `1_000`: another number to each reader.
bool is_ambiguous_number(std::string_view text) {
    if (text.starts_with('+') || text.starts_with('-')) text.remove_prefix(1);
    if (text.empty() || !is_digit(text.front())) return false;
    if (text.front() == '0' && text.size() > 1) {
        const char kind = lower(text[1]);
        const auto is_in = [&](std::string_view digits) {
            return text.size() > 2 && lower(text.substr(2)).find_first_not_of(digits) == text.npos;
        };
        if (kind == 'x') return is_in("0123456789abcdef_");
        if (kind == 'o') return is_in("01234567_");
        if (kind == 'b') return is_in("01_");
        return text.find_first_not_of("0123456789_") == text.npos;
    }
    return text.find('_') != text.npos && text.find_first_not_of("0123456789_") == text.npos;
}

json plain_scalar(const YAML::Mark& mark, const std::string& text) {
    if (is_one_of(text, {"", "~", "null", "Null", "NULL"})) return nullptr;
    if (is_one_of(text, {"true", "True", "TRUE"})) return true;
    if (is_one_of(text, {"false", "False", "FALSE"})) return false;
    if (is_one_of(lower(text), {"y", "yes", "on", "n", "no", "off"})) {
        throw Problem(
            mark, fmt::format("`{0}` is a boolean to some readers and a word to others: write true "
                              "or false, or \"{0}\"",
                              text));
    }
    if (is_one_of(lower(text), {".nan", ".inf", "+.inf", "-.inf"})) {
        throw Problem(mark, fmt::format("`{}` has no JSON form", text));
    }
    const char first = text.front();
    if (first != '.' && first != '+' && first != '-' && !is_digit(first)) return text;
    if (is_ambiguous_number(text)) {
        throw Problem(
            mark,
            fmt::format("`{0}` is another number to each reader: write it in decimal, or \"{0}\"",
                        text));
    }
    if (auto integer = decimal_integer(text)) return *std::move(integer);
    if (auto real = decimal_float(text)) return *std::move(real);
    return text;
}

json scalar(const YAML::Mark& mark, const std::string& tag, const std::string& text) {
    if (!is_valid_utf8(text)) throw Problem(mark, "the text is not UTF-8");
    // yaml-cpp: `!` is a quoted scalar, `?` a plain one.
    if (tag == "!" || tag == std::string(core_tags) + "str") return text;
    if (tag != "?") throw Problem(mark, fmt::format("the tag {} is not supported", tag));
    return plain_scalar(mark, text);
}

/// Builds JSON from yaml-cpp's events, which carry positions; its `Node` keeps duplicate keys
/// silently.
class Builder final : public YAML::EventHandler {
public:
    explicit Builder(YamlLimits limits) : limits_(limits) {}
    json take() { return std::move(root_); }

    void OnDocumentStart(const YAML::Mark&) override {}
    void OnDocumentEnd() override {}
    void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
        // yaml-cpp turns the line `replicas 3` into {"replicas 3": null} and reports the key's own
        // place.
        if (!stack_.empty() && stack_.back().has_key && stack_.back().block &&
            mark.pos == stack_.back().key_position) {
            throw Problem(mark, "a ':' is missing");
        }
        value(mark, nullptr, anchor, 1);
    }
    void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  const std::string& text) override {
        if (tag == "?" && text == "<<" && expects_key()) {
            count(mark, 1);
            stack_.back().has_key = stack_.back().merging = true;
            stack_.back().key_position = mark.pos;
            return;
        }
        value(mark, scalar(mark, tag, text), anchor, 1);
    }
    void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override {
        if (anchor >= anchors_.size() || !anchors_[anchor].done) {
            throw Problem(mark, "the anchor contains itself or is not defined");
        }
        const Anchor& named = anchors_[anchor];
        if (stack_.size() + named.depth > limits_.depth) throw Problem(mark, "nested too deeply");
        // Counted before it is copied, so that the budget bounds the memory too.
        count(mark, named.nodes);
        note_depth(named.depth);
        place(mark, named.value);
    }
    void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                         YAML::EmitterStyle::value) override {
        open(mark, tag, json::array(), anchor, false);
    }
    void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                    YAML::EmitterStyle::value style) override {
        open(mark, tag, json::object(), anchor, style != YAML::EmitterStyle::Flow);
    }
    void OnSequenceEnd() override { close(); }
    void OnMapEnd() override {
        if (stack_.back().has_key) throw Problem(stack_.back().mark, "a key has no value");
        close();
    }

private:
    struct Frame {
        json value;
        YAML::anchor_t anchor = 0;
        YAML::Mark mark;
        std::size_t nodes_before = 0;
        bool block = false;
        bool has_key = false;
        bool merging = false;
        int key_position = -1;
        std::size_t depth = 1;  ///< levels below and including this one
        std::string key = {};
        std::vector<json> merges = {};
    };
    struct Anchor {
        json value;
        std::size_t nodes = 1;
        std::size_t depth = 0;
        bool done = false;
    };

    bool expects_key() const {
        return !stack_.empty() && stack_.back().value.is_object() && !stack_.back().has_key;
    }
    void count(const YAML::Mark& mark, std::size_t nodes) {
        nodes_ += nodes;
        if (nodes_ > limits_.nodes)
            throw Problem(mark, "the document has too many values (aliases?)");
    }
    void note_depth(std::size_t below) {
        if (!stack_.empty()) stack_.back().depth = std::max(stack_.back().depth, below + 1);
    }
    void open(const YAML::Mark& mark, const std::string& tag, json empty, YAML::anchor_t anchor,
              bool block) {
        const bool plain = tag == "?" || tag == "!" || tag == std::string(core_tags) + "map" ||
                           tag == std::string(core_tags) + "seq";
        if (!plain) throw Problem(mark, fmt::format("the tag {} is not supported", tag));
        if (expects_key()) throw Problem(mark, "a key must be a scalar");
        if (stack_.size() >= limits_.depth) throw Problem(mark, "nested too deeply");
        count(mark, 1);
        if (anchor != 0 && anchors_.size() <= anchor) anchors_.resize(anchor + 1);
        Frame frame;
        frame.value = std::move(empty);
        frame.anchor = anchor;
        frame.mark = mark;
        frame.nodes_before = nodes_;
        frame.block = block;
        stack_.push_back(std::move(frame));
    }
    void close() {
        Frame frame = std::move(stack_.back());
        stack_.pop_back();
        for (json& merge : frame.merges) {
            for (auto& [key, member] : merge.items()) {
                // Keys that are written win, and earlier merges win over later ones.
                if (!frame.value.contains(key)) frame.value[key] = member;
            }
        }
        if (frame.anchor != 0) {
            anchors_[frame.anchor] = {frame.value, nodes_ - frame.nodes_before + 1, frame.depth,
                                      true};
        }
        note_depth(frame.depth);
        attach(frame.mark, std::move(frame.value));
    }
    void value(const YAML::Mark& mark, json scalar_value, YAML::anchor_t anchor,
               std::size_t nodes) {
        count(mark, nodes);
        if (anchor != 0) {
            if (anchors_.size() <= anchor) anchors_.resize(anchor + 1);
            anchors_[anchor] = {scalar_value, nodes, 0, true};
        }
        place(mark, std::move(scalar_value));
    }
    void place(const YAML::Mark& mark, json placed) {
        if (expects_key()) {
            set_key(mark, placed);
        } else {
            attach(mark, std::move(placed));
        }
    }
    void set_key(const YAML::Mark& mark, const json& key) {
        if (key.is_structured() || key.is_null()) throw Problem(mark, "a key must be a string");
        Frame& frame = stack_.back();
        frame.key = key.is_string() ? key.get_ref<const std::string&>() : key.dump();
        if (frame.value.contains(frame.key)) {
            throw Problem(mark, fmt::format("the key \"{}\" is given twice", frame.key));
        }
        frame.has_key = true;
        frame.key_position = mark.pos;
    }
    void attach(const YAML::Mark& mark, json attached) {
        if (stack_.empty()) {
            root_ = std::move(attached);
            return;
        }
        Frame& frame = stack_.back();
        if (frame.value.is_array()) {
            frame.value.push_back(std::move(attached));
            return;
        }
        frame.has_key = false;
        if (!std::exchange(frame.merging, false)) {
            frame.value[frame.key] = std::move(attached);
            return;
        }
        const auto is_object = [](const json& j) { return j.is_object(); };
        if (attached.is_object()) {
            frame.merges.push_back(std::move(attached));
        } else if (attached.is_array() && std::ranges::all_of(attached, is_object)) {
            for (json& merge : attached) frame.merges.push_back(std::move(merge));
        } else {
            throw Problem(mark, "a merge key takes a mapping or a list of mappings");
        }
    }

    YamlLimits limits_;
    json root_;
    std::vector<Frame> stack_;
    std::vector<Anchor> anchors_;
    std::size_t nodes_ = 0;
};

void refuse_control_characters(std::string_view text) {
    YAML::Mark mark;
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        const bool control = (byte < 0x20 && c != '\n' && c != '\r' && c != '\t') || byte == 0x7F;
        if (control) throw Problem(mark, "control characters are not allowed");
        mark.column = c == '\n' ? 0 : mark.column + 1;
        mark.line += c == '\n' ? 1 : 0;
    }
}

/// One document; throws `Problem` and `YAML::Exception`.
json read_document(std::string_view text, YamlLimits limits) {
    refuse_control_characters(text);
    std::istringstream in{std::string(text)};
    YAML::Parser parser(in);
    Builder builder(limits);
    if (!parser.HandleNextDocument(builder)) return nullptr;
    json document = builder.take();
    // yaml-cpp starts a second document after `- a` + `b: 1` or `[x]y` without a word.
    Builder rest(limits);
    if (parser && parser.HandleNextDocument(rest)) {
        throw Problem(YAML::Mark::null_mark(), "there is something behind the document's end");
    }
    // It also accepts an unterminated quote when the text ends in blanks, but not without them.
    if (text.find_first_of("\"'") != text.npos) {
        std::istringstream trimmed_in{
            std::string(text.substr(0, text.find_last_not_of(" \t\r\n") + 1))};
        YAML::Parser again(trimmed_in);
        Builder ignored(limits);
        again.HandleNextDocument(ignored);
    }
    return document;
}

Error yaml_error(int line, int column, int first_line, std::string_view what) {
    if (line < 0) return invalid(fmt::format("YAML: {}", what));
    return invalid(
        fmt::format("YAML line {}, column {}: {}", first_line + line + 1, column + 1, what));
}

Result<json> guarded_document(std::string_view text, YamlLimits limits, int first_line) {
    if (text.size() > limits.bytes) {
        return invalid(fmt::format("YAML: the document has {} bytes, the limit is {}", text.size(),
                                   limits.bytes));
    }
    try {
        return read_document(text, limits);
    } catch (const Problem& problem) {
        return yaml_error(problem.line, problem.column, first_line, problem.what());
    } catch (const YAML::Exception& failure) {
        return yaml_error(failure.mark.line, failure.mark.column, first_line, failure.msg);
    } catch (const json::exception& failure) {
        return invalid(fmt::format("YAML: {}", failure.what()));
    }
}

bool is_separator(std::string_view line) {
    if (!line.starts_with("---")) return false;
    const std::string_view rest = trimmed(line.substr(3));
    return rest.empty() || (rest.front() == '#' && line.size() > 3 && line[3] != '#');
}

bool is_blank(std::string_view document) {
    return std::ranges::all_of(split(document, '\n'), [](std::string_view line) {
        const std::string_view text = trimmed(line);
        return text.empty() || text.front() == '#';
    });
}

}  // namespace

Result<json> parse_yaml(std::string_view text, YamlLimits limits) {
    return guarded_document(text, limits, 0);
}

Result<std::vector<json>> parse_yaml_documents(std::string_view text, YamlLimits limits) {
    std::vector<json> documents;
    std::size_t start = 0;
    int start_line = 0;
    int line_number = 0;
    std::size_t at = 0;
    for (;;) {
        const std::size_t line_end = std::min(text.find('\n', at), text.size());
        const bool last = line_end == text.size();
        const bool separates = is_separator(text.substr(at, line_end - at));
        if (separates || last) {
            const std::string_view document =
                text.substr(start, (separates ? at : line_end) - start);
            if (!is_blank(document)) {
                auto parsed = guarded_document(document, limits, start_line);
                if (!parsed) return std::move(parsed).error();
                documents.push_back(*std::move(parsed));
            }
            start = std::min(line_end + 1, text.size());
            start_line = line_number + 1;
        }
        if (last) return documents;
        at = line_end + 1;
        ++line_number;
    }
}

}  // namespace sallyport::codec
