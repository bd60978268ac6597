#pragma once

#include <cstdint>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "apiserver/resources.hpp"
#include "apiserver/selectors.hpp"
#include "apiserver/store.hpp"
#include "base/time.hpp"

namespace sallyport::apiserver {

/// An object as the server keeps it: its text, and what lists and watches look at without parsing
/// it.
struct Entry {
    const ResourceType* type = nullptr;
    std::string ns = {};
    std::string name = {};
    std::uint64_t version = 0;
    Text text = {};
    Labels labels = {};
    std::vector<std::string> fields = {};  ///< values of `type->selectable_fields`
    Timestamp written{};                   ///< the newest time in it; what Events expire by

    SelectableValues selectable() const { return {ns, name, fields}; }
};
using EntryPtr = std::shared_ptr<const Entry>;

/// Reads labels and fields off the text of an object, without making an object of it: a start does
/// this for all there is. Keeps the text. `invalid` when it is not JSON.
Result<EntryPtr> read_entry(const ResourceType& type, Text text);
/// The same for an object that is about to be written; it must be valid for its kind.
EntryPtr make_entry(const ResourceType& type, const nlohmann::json& object);

}  // namespace sallyport::apiserver
