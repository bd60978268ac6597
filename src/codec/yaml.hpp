#pragma once

#include <nlohmann/json_fwd.hpp>

#include <cstddef>
#include <string_view>
#include <vector>

#include "base/result.hpp"

namespace sallyport::codec {

/// What a YAML text may cost; aliases count as what they expand to.
struct YamlLimits {
    std::size_t bytes = 8U << 20U;
    std::size_t nodes = 1'000'000;
    std::size_t depth = 100;
};

/// YAML as kubectl turns it into JSON, so that one decoder serves files and the API server.
///
/// Where YAML readers disagree it refuses, with line and column, and never guesses: duplicate keys;
/// `yes`, `on`, `n` and their like (booleans to kubectl, words to others); `010`, `0x1F` and
/// `1_000`; tags of other types; control characters; `.inf`; an unterminated quote; a line without
/// its colon. Quoted, they are plain strings. Merge keys (`<<`) and aliases work; 1.0 is the
/// integer 1, as Go prints it.
Result<nlohmann::json> parse_yaml(std::string_view text, YamlLimits limits = {});

/// All documents of a file, split at lines of `---`; empty ones are left out. Lines in errors count
/// from the start of the file.
Result<std::vector<nlohmann::json>> parse_yaml_documents(std::string_view text,
                                                         YamlLimits limits = {});

}  // namespace sallyport::codec
