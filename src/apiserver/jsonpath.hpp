#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

namespace sallyport::apiserver {

/// The value at a path as printer columns and selectable fields write them: `.spec.policyRef.name`,
/// and
/// `.status.conditions[?(@.type=="Active")].status` for the first such item. Null: there is none.
const nlohmann::json* at_path(const nlohmann::json& value, std::string_view path);

/// A scalar as selectors compare it: text as it is, numbers and booleans as JSON, else empty.
std::string text_at_path(const nlohmann::json& value, std::string_view path);

}  // namespace sallyport::apiserver
