#include "codec/item_splitter.hpp"

#include <utility>

namespace sallyport::codec {
namespace {

constexpr int top_level = 1;
constexpr int list_level = 2;
constexpr int item_level = 3;
constexpr std::size_t key_size_max = 64;

bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }

}  // namespace

ItemSplitter::ItemSplitter(std::string list_key, OnItem on_item, Limits limits)
    : list_key_(std::move(list_key)), on_item_(std::move(on_item)), limits_(limits) {}

Result<void> ItemSplitter::feed(std::string_view chunk) {
    const auto fail = [&](const char* what) -> Result<void> {
        failed_ = true;
        return unavailable(what);
    };
    if (failed_) return fail("the list could not be read any further");
    from_ = 0;
    for (std::size_t i = 0; i < chunk.size(); ++i) {
        const char c = chunk[i];
        if (in_string_) {
            const bool closes = c == '"' && !escaped_;
            escaped_ = c == '\\' && !escaped_;
            if (depth_ == top_level && !closes && key_.size() < key_size_max) key_ += c;
            in_string_ = !closes;
            continue;
        }
        if (begun_ && depth_ == 0 && !is_blank(c))
            return fail("something follows the end of the list");
        if (c == '"') {
            in_string_ = true;
            if (depth_ == top_level) key_.clear();
        } else if (c == '{' || c == '[') {
            // The bracket that opens the list belongs to the rest, that of an item to the item.
            const bool opens_list = c == '[' && depth_ == top_level && key_ == list_key_;
            if (opens_list) keep(chunk, i + 1);
            step_into(c, i);
            in_list_ = in_list_ || opens_list;
        } else if (c == '}' || c == ']') {
            if (depth_ == 0) return fail("the list has a bracket too many");
            step_out(c, chunk, i);
        }
        if (in_item_ && item_.size() + (i - from_) > limits_.item) break;
    }
    if (!in_list_ || in_item_) keep(chunk, chunk.size());
    if (item_.size() > limits_.item) return fail("an item of the list is too large");
    if (rest_.size() > limits_.rest) return fail("the list is too large apart from its items");
    return {};
}

void ItemSplitter::step_into(char bracket, std::size_t at) {
    ++depth_;
    begun_ = true;
    if (in_list_ && depth_ == item_level && bracket == '{') {
        in_item_ = true;
        item_.clear();
        from_ = at;
    }
}

void ItemSplitter::step_out(char bracket, std::string_view chunk, std::size_t at) {
    if (in_item_ && depth_ == item_level) {
        const std::string_view part = chunk.substr(from_, at + 1 - from_);
        if (item_.empty()) {
            on_item_(part);
        } else {
            item_.append(part);
            on_item_(item_);
        }
        item_.clear();
        in_item_ = false;
    } else if (in_list_ && depth_ == list_level && bracket == ']') {
        in_list_ = false;
        key_.clear();
        from_ = at;
    }
    --depth_;
}

/// Appends the chunk up to `end` to what is being filled.
void ItemSplitter::keep(std::string_view chunk, std::size_t end) {
    (in_item_ ? item_ : rest_).append(chunk.substr(from_, end - from_));
    from_ = end;
}

}  // namespace sallyport::codec
