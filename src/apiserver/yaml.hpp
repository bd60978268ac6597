#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string_view>

#include "base/result.hpp"

namespace sallyport::apiserver {

/// The schema files of this program, as JSON. For texts that we wrote ourselves: plain scalars
/// become booleans, numbers or null where they look like them, quoted ones stay text, anchors are
/// followed.
Result<nlohmann::json> schema_from_yaml(std::string_view text);

}  // namespace sallyport::apiserver
