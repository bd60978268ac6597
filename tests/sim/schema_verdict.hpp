#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

/// What a CRD's schema says of an object, worked out from its text alone: a second reading, which
/// shares nothing with `src/apiserver`. The rules are evaluated as CEL, not by their C++ twins.
namespace sallyport::sim {

using nlohmann::json;

/// Whether a rule of `x-kubernetes-validations` holds; nullopt: its evaluation fails, which a real
/// server takes for broken. `old` is null where there is none. Throws std::runtime_error when the
/// rule uses what this reading does not know: then it has to learn it.
std::optional<bool> rule_holds(const json& rule, const json& self, const json* old);

struct SchemaVerdict {
    std::vector<std::string> shape =
        {};  ///< places that types, limits, patterns and the like forbid
    std::vector<std::string> rules =
        {};  ///< places that rules forbid; told when the shape is right
    bool allows() const { return shape.empty() && rules.empty(); }
    /// Those that an answer has to name.
    const std::vector<std::string>& places() const { return shape.empty() ? rules : shape; }
};

/// Of an object as it is stored; `old` is what was there before, or null.
SchemaVerdict verdict_of(const json& schema, const json& object, const json* old);

/// `object` as a server stores it: without what the schema does not know, without nulls, with the
/// defaults. Kubernetes, "Defaulting and Nullable": a null whose field is not nullable is pruned
/// before defaulting happens.
json as_stored(const json& schema, json object);

}  // namespace sallyport::sim
