#pragma once

#include <span>
#include <string>

#include "apiserver/cache.hpp"
#include "base/time.hpp"

namespace sallyport::apiserver {

/// `3m5s`, `47h`, `2y30d`: as kubectl shows ages; `<invalid>` for times to come.
std::string human_duration(seconds age);

/// A `meta.k8s.io/v1` Table. Watches send definitions with the first event only.
struct TableOptions {
    bool with_definitions = true;
    std::uint64_t version = 0;  ///< 0: none is shown
    std::string continue_token = {};
    std::optional<std::size_t> remaining = {};
};
std::string table_of(const ResourceType& type, std::span<const EntryPtr> entries, Timestamp now,
                     const TableOptions& options);

}  // namespace sallyport::apiserver
