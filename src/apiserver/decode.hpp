#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "apiserver/resources.hpp"
#include "apiserver/status.hpp"

namespace sallyport::apiserver {

/// Largest request body, as API servers have it.
inline constexpr std::size_t body_max = std::size_t{3} * 1024 * 1024;
/// Deepest nesting of a body.
inline constexpr int depth_max = 100;

/// What becomes of members that a schema does not know, and of members given twice.
enum class FieldValidation { ignore, warn, strict };

/// Parses JSON. `problems` gets `duplicate field "…"` for members given twice.
Outcome<nlohmann::json> parse_json(std::string_view text, std::vector<std::string>& problems);

/// Prunes what the kind's schema does not know; `problems` gets `unknown field "…"`.
void prune_object(const ResourceType& type, nlohmann::json& object,
                  std::vector<std::string>& problems);

/// Checks that the object is of that kind and version.
Outcome<bool> check_kind(const ResourceType& type, const nlohmann::json& object);

/// 400 in the words of a real server; `kind` is doubled there too.
Failure strict_failure(const ResourceType& type, const std::vector<std::string>& problems);

/// RFC 7386.
void merge(nlohmann::json& target, const nlohmann::json& patch);
/// RFC 6902.
Outcome<nlohmann::json> apply_json_patch(const nlohmann::json& object, const nlohmann::json& patch);

}  // namespace sallyport::apiserver
