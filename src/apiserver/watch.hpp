#pragma once

#include <memory>

#include "apiserver/cache.hpp"
#include "apiserver/selectors.hpp"
#include "apiserver/table.hpp"
#include "http/message.hpp"

namespace sallyport::apiserver {

struct WatchOptions {
    const ResourceType* type = nullptr;
    std::string ns = {};
    LabelSelector labels = {};
    FieldSelector fields = {};
    bool as_table = false;
    RowObject row_object = RowObject::metadata;  ///< of a Table
    bool with_bookmarks = false;
    /// The state at the start comes first, as ADDED; with a bookmark at its end if
    /// `marks_initial_end`.
    bool with_initial = false;
    bool marks_initial_end = false;
    std::uint64_t version = 0;  ///< changes after this one
    seconds timeout{45 * 60};
};

/// A watch as a stream of JSON lines. Objects that begin to match a selector come as ADDED, those
/// that cease to as DELETED. Ends with an ERROR of 410 when it fell behind the history that is
/// kept.
std::unique_ptr<http::Stream> watch(std::shared_ptr<Cache> cache, WatchOptions options,
                                    Timestamp now);

}  // namespace sallyport::apiserver
