#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

/// What may be written into one place of an object, from its schema.
namespace sallyport::sim {

using nlohmann::json;

struct NamedValue {
    std::string name;
    json value;
};

/// A valid value, the `index`th: different ones where the schema leaves room for that. `examples`
/// come first.
json sample_of(const json& schema, std::size_t index, const std::vector<json>& examples = {});
/// Members of which an object's rules want exactly one; empty: there are no such.
std::vector<std::string> one_of(const json& schema);

/// All that is worth a try: the limits and one beyond, what matches and what does not, wrong types.
/// Without absence and null, which are matters of the object around it.
/// `of_items`: examples for the items of a list.
std::vector<NamedValue> values_of(const json& schema, const std::vector<json>& examples,
                                  const std::vector<json>& of_items);

}  // namespace sallyport::sim
