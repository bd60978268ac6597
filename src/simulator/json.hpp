#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace sallyport::simulator {

/// Keeps members in the order in which they were added, so that answers read as Azure's do.
/// Included by sources of this folder only; `simulator.hpp` shows none of it.
using Json = nlohmann::ordered_json;

/// The member if it is a string, else an empty string.
inline std::string text_at(const Json& object, std::string_view key) {
    if (!object.is_object()) return {};
    const auto it = object.find(key);
    return it != object.end() && it->is_string() ? it->get<std::string>() : std::string();
}

/// The member if it is there and not null, else nullptr.
inline const Json* member(const Json& object, std::string_view key) {
    if (!object.is_object()) return nullptr;
    const auto it = object.find(key);
    return it == object.end() || it->is_null() ? nullptr : &*it;
}

/// `text` as a JSON string, quotes included; bytes that are not UTF-8 become U+FFFD.
inline std::string json_text(std::string_view text) {
    return Json(text).dump(-1, ' ', false, Json::error_handler_t::replace);
}

inline std::string dumped(const Json& value) {
    return value.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace sallyport::simulator
