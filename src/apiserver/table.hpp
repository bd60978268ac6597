#pragma once

#include <span>
#include <string>
#include <string_view>

#include "apiserver/cache.hpp"
#include "apiserver/status.hpp"
#include "base/time.hpp"

namespace sallyport::apiserver {

/// `3m5s`, `47h`, `2y30d`: as kubectl shows ages; `<invalid>` for times to come.
std::string human_duration(seconds age);

/// What a row carries beside its cells: the query parameter `includeObject`. kubectl asks for whole
/// objects to sort by a field (`--sort-by`).
enum class RowObject { none, metadata, whole };
Outcome<RowObject> row_object_of(std::string_view include_object);

/// A `meta.k8s.io/v1` Table. Watches send definitions with the first event only.
struct TableOptions {
    bool with_definitions = true;
    RowObject object = RowObject::metadata;
    std::uint64_t version = 0;  ///< 0: none is shown
    std::string continue_token = {};
    std::optional<std::size_t> remaining = {};
};
std::string table_of(const ResourceType& type, std::span<const EntryPtr> entries, Timestamp now,
                     const TableOptions& options);

}  // namespace sallyport::apiserver
