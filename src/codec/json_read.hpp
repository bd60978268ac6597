#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <initializer_list>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.hpp"

namespace sallyport::codec {

/// What is wrong with one document: a line for each place, in the order they were found. A decoder
/// reads all of a document and asks at the end, so that a user hears of everything at once.
class Problems {
public:
    bool empty() const { return lines_.empty(); }
    const std::vector<std::string>& lines() const { return lines_; }
    /// `invalid`; the lines joined by "; ", at most `lines_max` of them.
    Error error() const;
    static constexpr std::size_t lines_max = 20;

private:
    friend class Field;
    struct Step {
        std::size_t parent;
        std::string_view name;  ///< empty: an item, by its index
        std::size_t index;
    };
    void add(std::string line);  ///< one that was said already is not said again

    std::vector<Step> steps_;  ///< paths, spelled out only when something is wrong
    std::vector<std::string> lines_;
};

/// One place of a JSON document: the value there, or nothing. Readers never throw and never
/// convert: what is of the wrong type, or out of bounds, is a problem with its path
/// (`spec.network.ports[0].port`), and reads as nothing. `null` is nothing.
///
/// Borrows the document and the problems, and the names given to `[]` (literals): not to be kept.
class Field {
public:
    Field(const nlohmann::json& document, Problems& problems);

    /// A member; nothing when this is nothing. A problem when this is not an object.
    Field operator[](std::string_view name) const;
    bool present() const { return value_ != nullptr; }
    explicit operator bool() const { return present(); }
    const nlohmann::json* raw() const { return value_; }
    std::string path() const;

    /// Reports `path: what` as a problem.
    void refuse(std::string_view what) const;
    /// Itself; a problem when it is nothing.
    Field required() const;

    std::optional<std::string> text(std::size_t size_max = 4096) const;
    /// The text where it is not empty; a problem when it is nothing or empty.
    std::string name(std::size_t size_max = 1024) const;
    std::optional<std::int64_t> integer(std::int64_t min, std::int64_t max) const;
    std::optional<bool> boolean() const;
    std::vector<Field> items(std::size_t count_max) const;
    std::vector<std::pair<std::string, Field>> members() const;
    std::vector<std::string> texts(std::size_t count_max, std::size_t size_max = 1024) const;

    /// The text as `parse` (text → `Result`) reads it; its error is the problem.
    template <class Parse>
    auto parsed(Parse&& parse) const
        -> std::optional<typename decltype(parse(std::string_view()))::value_type> {
        const auto given = text();
        if (!given) return std::nullopt;
        auto value = parse(std::string_view(*given));
        if (value) return *std::move(value);
        refuse(value.error().message);
        return std::nullopt;
    }
    /// One of the words; `fallback` when it is nothing, and a problem for any other word.
    template <class T>
    T choice(std::initializer_list<std::pair<std::string_view, T>> words, T fallback) const {
        const auto given = text();
        if (!given) return fallback;
        std::string known;
        for (const auto& [word, value] : words) {
            if (*given == word) return value;
            known.append(known.empty() ? "" : ", ").append(word);
        }
        refuse(fmt::format("\"{}\" is not one of {}", given->substr(0, 64), known));
        return fallback;
    }

private:
    Field(const nlohmann::json* value, Problems* problems, std::size_t step)
        : value_(value), problems_(problems), step_(step) {}
    Field child(const nlohmann::json* value, std::string_view name, std::size_t index) const;

    const nlohmann::json* value_;
    Problems* problems_;
    std::size_t step_;
};

/// JSON text of foreign origin: bounded in depth, never an exception. `invalid` says what is wrong.
Result<nlohmann::json> parse_json(std::string_view text);

/// The text of a value that came from outside, for messages and bodies: never throws, whatever its
/// bytes.
std::string json_text(const nlohmann::json& value);

}  // namespace sallyport::codec
