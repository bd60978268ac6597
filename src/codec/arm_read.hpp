#pragma once

#include <functional>
#include <nlohmann/json.hpp>

#include "codec/arm.hpp"
#include "codec/json_read.hpp"

/// What the decoders of ARM's bodies share.
namespace sallyport::codec {

/// An id; reports a problem when it is there but cannot be read.
template <class Id>
std::optional<Id> read_arm_id(const Field& field) {
    return field.parsed([](std::string_view text) { return Id::parse(text); });
}
/// The `id` of a reference such as `{"id": "…"}`; nullopt when there is no reference.
template <class Id>
std::optional<Id> read_reference(const Field& field) {
    if (!field) return std::nullopt;
    return read_arm_id<Id>(field["id"].required());
}

std::string read_loose_text(const Field& field);  ///< empty for anything but a string
std::vector<Cidr> read_networks(const Field& field);

/// Azure gave something else than was asked for: worth another try, and a look.
Error unreadable_answer(std::string_view what, const Problems& problems);

/// Parses `body` and reads it as one value; `read` reports problems through its field.
template <class T, class Read>
Result<T> decode_body(std::string_view body, std::string_view what, Read read) {
    auto document = parse_json(body);
    if (!document) return unavailable(fmt::format("{}: {}", what, document.error().message));
    Problems problems;
    std::optional<T> value = read(Field(*document, problems));
    if (!value || !problems.empty()) return unreadable_answer(what, problems);
    return *std::move(value);
}

inline constexpr std::size_t arm_list_max = 100'000;

/// A list page; one entry that cannot be read spoils it.
template <class T, class Read>
Result<Page<T>> decode_page(std::string_view body, std::string_view what, Read read) {
    return decode_body<Page<T>>(body, what, [&](const Field& root) -> std::optional<Page<T>> {
        Page<T> page;
        for (const Field& item : root["value"].required().items(arm_list_max)) {
            if (auto value = read(item)) page.values.push_back(*std::move(value));
        }
        page.next_link = read_loose_text(root["nextLink"]);
        return page;
    });
}

}  // namespace sallyport::codec
