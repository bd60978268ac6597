#include "http/message.hpp"

#include <algorithm>

#include "base/text.hpp"

namespace sallyport::http {

void Headers::set(std::string_view name, std::string_view value) {
    remove(name);
    add(name, value);
}

void Headers::add(std::string_view name, std::string_view value) {
    fields_.emplace_back(name, value);
}

void Headers::remove(std::string_view name) {
    std::erase_if(fields_,
                  [&](const auto& field) { return equals_ignoring_case(field.first, name); });
}

std::optional<std::string_view> Headers::find(std::string_view name) const {
    const auto it = std::ranges::find_if(
        fields_, [&](const auto& field) { return equals_ignoring_case(field.first, name); });
    if (it == fields_.end()) return std::nullopt;
    return it->second;
}

std::string_view Headers::value_or(std::string_view name, std::string_view other) const {
    return find(name).value_or(other);
}

Target::Target(std::string_view target) {
    const std::size_t mark = target.find('?');
    const std::string_view path = target.substr(0, mark);
    for (const std::string_view part : split(path, '/')) {
        if (!part.empty()) segments_.push_back(percent_decoded(part));
    }
    path_ = percent_decoded(path);
    if (mark == target.npos) return;
    for (const std::string_view part : split(target.substr(mark + 1), '&')) {
        if (part.empty()) continue;
        const std::size_t equals = part.find('=');
        const std::string_view value =
            equals == part.npos ? std::string_view() : part.substr(equals + 1);
        queries_.emplace_back(percent_decoded(part.substr(0, equals), true),
                              percent_decoded(value, true));
    }
}

std::optional<std::string> Target::query(std::string_view name) const {
    const auto it = std::ranges::find_if(queries_, [&](const auto& q) { return q.first == name; });
    if (it == queries_.end()) return std::nullopt;
    return it->second;
}

}  // namespace sallyport::http
