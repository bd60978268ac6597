#pragma once

#include <string_view>

#include <nlohmann/json_fwd.hpp>

namespace sallyport::kube {

/// The RFC 7386 patch that turns the object `from` into `to`: members that differ, explicit nulls
/// for members that go, lists as a whole. An empty object when nothing differs. A null inside `to`
/// counts as an absent member, as the patch could not carry it.
nlohmann::json merge_patch(const nlohmann::json& from, const nlohmann::json& to);

/// Sets `lastTransitionTime` of each of `wanted`'s `conditions`: what `seen` has for that type
/// while the status of the type is the same, else `now` (RFC 3339).
void carry_transition_times(const nlohmann::json& seen, nlohmann::json& wanted,
                            std::string_view now);

}  // namespace sallyport::kube
