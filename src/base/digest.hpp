#pragma once

#include <string>
#include <string_view>

namespace sallyport {

/// SHA-256, 32 raw bytes.
std::string sha256(std::string_view bytes);
std::string hex(std::string_view bytes);
/// RFC 4648 base32 in lower case without padding: fits Kubernetes and NSG names.
std::string base32_lower(std::string_view bytes);
/// RFC 4648 base64 with padding.
std::string base64(std::string_view bytes);
/// RFC 4122 version 5 (SHA-1) of `name` in the namespace given as UUID text; lower case with
/// dashes.
std::string uuid_v5(std::string_view namespace_uuid, std::string_view name);
/// Formats 16 bytes as a version 4 UUID (the version and variant bits are set here).
std::string uuid_v4_of(std::string_view sixteen_bytes);

}  // namespace sallyport
