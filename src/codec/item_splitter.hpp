#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>

#include "base/result.hpp"

namespace sallyport::codec {

/// Cuts a list body (`{"items": [{…}, …], …}`) into its items while it arrives, so a list of
/// any length costs the memory of one item.
///
/// Each object of the top-level array named `list_key` is handed out as text as soon as it is
/// complete, perhaps as a view of the chunk that was fed: valid during the call only. All else
/// collects in `rest()`, which is the document with that array empty (or, for an answer without
/// such a list, the whole body). It counts brackets and strings; whether an item is JSON is for its
/// reader to say.
class ItemSplitter {
public:
    using OnItem = std::function<void(std::string_view)>;
    struct Limits {
        std::size_t item = 16U << 20U;
        std::size_t rest = 4U << 20U;
    };

    ItemSplitter(std::string list_key, OnItem on_item, Limits limits);
    ItemSplitter(std::string list_key, OnItem on_item)
        : ItemSplitter(std::move(list_key), std::move(on_item), Limits()) {}

    /// `unavailable` when a limit is passed or the text cannot be a document; the same from then
    /// on.
    Result<void> feed(std::string_view chunk);
    const std::string& rest() const { return rest_; }
    /// The document has been closed: without this, a list that was cut short looks like a short
    /// list.
    bool complete() const { return !failed_ && depth_ == 0 && begun_; }

private:
    void step_into(char bracket, std::size_t at);
    void step_out(char bracket, std::string_view chunk, std::size_t at);
    void keep(std::string_view chunk, std::size_t end);

    std::string list_key_;
    OnItem on_item_;
    Limits limits_;
    std::string rest_;
    std::string item_;      ///< the part of an item from earlier chunks
    std::string key_;       ///< the newest string at the top level
    std::size_t from_ = 0;  ///< first byte of the chunk that is not kept yet
    int depth_ = 0;
    bool begun_ = false;
    bool in_list_ = false;
    bool in_item_ = false;
    bool in_string_ = false;
    bool escaped_ = false;
    bool failed_ = false;
};

}  // namespace sallyport::codec
