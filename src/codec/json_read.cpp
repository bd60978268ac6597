#include "codec/json_read.hpp"

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>

namespace sallyport::codec {
namespace {

using nlohmann::json;

constexpr std::size_t shown_max = 64;
constexpr int depth_max = 200;

std::string shown(const json& value) {
    std::string text = json_text(value);
    if (text.size() <= shown_max) return text;
    text.resize(shown_max);
    return text + "...";
}

std::string must_be(std::string_view what, const json& value) {
    return fmt::format("must be {} and is {}", what, shown(value));
}

/// nlohmann itself has no limit, and freeing a deep value costs the stack.
bool nests_too_deeply(std::string_view text) {
    int depth = 0;
    bool in_string = false;
    for (std::size_t i = 0; i < text.size(); ++i) {
        const char c = text[i];
        if (in_string) {
            if (c == '\\') ++i;
            in_string = c != '"';
        } else if (c == '"') {
            in_string = true;
        } else if (c == '{' || c == '[') {
            if (++depth > depth_max) return true;
        } else if (c == '}' || c == ']') {
            --depth;
        }
    }
    return false;
}

}  // namespace

Error Problems::error() const {
    std::string message;
    for (std::size_t i = 0; i < std::min(lines_.size(), lines_max); ++i) {
        message.append(i == 0 ? "" : "; ").append(lines_[i]);
    }
    if (lines_.size() > lines_max)
        message += fmt::format("; and {} more", lines_.size() - lines_max);
    return invalid(std::move(message));
}

void Problems::add(std::string line) {
    if (std::ranges::find(lines_, line) == lines_.end()) lines_.push_back(std::move(line));
}

Field::Field(const json& document, Problems& problems)
    : value_(document.is_null() ? nullptr : &document), problems_(&problems), step_(0) {
    if (problems.steps_.empty()) problems.steps_.push_back({0, {}, 0});
}

Field Field::child(const json* value, std::string_view name, std::size_t index) const {
    problems_->steps_.push_back({step_, name, index});
    const bool absent = value == nullptr || value->is_null();
    return {absent ? nullptr : value, problems_, problems_->steps_.size() - 1};
}

Field Field::operator[](std::string_view name) const {
    if (value_ == nullptr) return child(nullptr, name, 0);
    if (!value_->is_object()) {
        refuse(must_be("an object", *value_));
        return child(nullptr, name, 0);
    }
    const auto found = value_->find(name);
    return child(found == value_->end() ? nullptr : &*found, name, 0);
}

std::string Field::path() const {
    std::vector<const Problems::Step*> steps;
    for (std::size_t at = step_; at != 0; at = problems_->steps_[at].parent) {
        steps.push_back(&problems_->steps_[at]);
    }
    std::string text;
    for (auto step = steps.rbegin(); step != steps.rend(); ++step) {
        if ((*step)->name.empty()) {
            text += fmt::format("[{}]", (*step)->index);
        } else {
            text.append(text.empty() ? "" : ".").append((*step)->name);
        }
    }
    return text.empty() ? "the document" : text;
}

void Field::refuse(std::string_view what) const {
    problems_->add(fmt::format("{}: {}", path(), what));
}

Field Field::required() const {
    if (value_ == nullptr) refuse("is required");
    return *this;
}

std::optional<std::string> Field::text(std::size_t size_max) const {
    if (value_ == nullptr) return std::nullopt;
    const std::string* const given = value_->get_ptr<const std::string*>();
    if (given == nullptr) {
        refuse(must_be("a string", *value_));
        return std::nullopt;
    }
    if (given->size() > size_max) {
        refuse(fmt::format("has {} bytes, the limit is {}", given->size(), size_max));
        return std::nullopt;
    }
    return *given;
}

std::string Field::name(std::size_t size_max) const {
    const auto given = required().text(size_max);
    if (given && given->empty()) refuse("must not be empty");
    return given.value_or("");
}

std::optional<std::int64_t> Field::integer(std::int64_t min, std::int64_t max) const {
    if (value_ == nullptr) return std::nullopt;
    if (!value_->is_number_integer()) {
        refuse(must_be("a whole number", *value_));
        return std::nullopt;
    }
    constexpr auto signed_max =
        static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
    const bool too_large =
        value_->is_number_unsigned() && value_->get<std::uint64_t>() > signed_max;
    const std::int64_t value = too_large ? 0 : value_->get<std::int64_t>();
    if (too_large || value < min || value > max) {
        refuse(fmt::format("{} is not from {} to {}", shown(*value_), min, max));
        return std::nullopt;
    }
    return value;
}

std::optional<bool> Field::boolean() const {
    if (value_ == nullptr) return std::nullopt;
    if (value_->is_boolean()) return value_->get<bool>();
    refuse(must_be("true or false", *value_));
    return std::nullopt;
}

std::vector<Field> Field::items(std::size_t count_max) const {
    std::vector<Field> fields;
    if (value_ == nullptr) return fields;
    if (!value_->is_array()) {
        refuse(must_be("a list", *value_));
        return fields;
    }
    if (value_->size() > count_max) {
        refuse(fmt::format("has {} entries, the limit is {}", value_->size(), count_max));
        return fields;
    }
    fields.reserve(value_->size());
    for (std::size_t i = 0; i < value_->size(); ++i) fields.push_back(child(&(*value_)[i], {}, i));
    return fields;
}

std::vector<std::pair<std::string, Field>> Field::members() const {
    std::vector<std::pair<std::string, Field>> fields;
    if (value_ == nullptr) return fields;
    if (!value_->is_object()) {
        refuse(must_be("an object", *value_));
        return fields;
    }
    for (auto it = value_->begin(); it != value_->end(); ++it) {
        // The step keeps a view of the key, which lives in the document.
        fields.emplace_back(it.key(), child(&it.value(), it.key(), 0));
    }
    return fields;
}

std::vector<std::string> Field::texts(std::size_t count_max, std::size_t size_max) const {
    std::vector<std::string> out;
    for (const Field& item : items(count_max)) {
        if (auto given = item.required().text(size_max)) out.push_back(*std::move(given));
    }
    return out;
}

Result<json> parse_json(std::string_view text) {
    if (nests_too_deeply(text))
        return invalid(fmt::format("JSON nested deeper than {} levels", depth_max));
    json value = json::parse(text, nullptr, false);
    if (!value.is_discarded()) return value;
    // Parsed again for the place of the mistake, which only the exception carries.
    try {
        value = json::parse(text);
    } catch (const json::parse_error& failure) {
        return invalid(fmt::format("not JSON: mistake at byte {}", failure.byte));
    } catch (const json::out_of_range&) {
        return invalid("not JSON that can be read: a number is out of range");
    }
    return invalid("not JSON");
}

std::string json_text(const json& value) {
    return value.dump(-1, ' ', false, json::error_handler_t::replace);
}

}  // namespace sallyport::codec
