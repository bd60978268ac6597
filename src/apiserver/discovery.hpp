#pragma once

#include <string>
#include <string_view>

#include "apiserver/resources.hpp"

namespace sallyport::apiserver {

/// The answers that tell clients what is served; made once, at start. `aggregated` ones are
/// `APIGroupDiscoveryList`s of `apidiscovery.k8s.io`, which kubectl asks for; the plain ones cost
/// it a request for each group.
std::string aggregated_discovery(const Resources& resources, bool of_core,
                                 std::string_view version);
std::string api_versions();
std::string api_group_list(const Resources& resources);
/// Empty: there is no such group.
std::string api_group(const Resources& resources, std::string_view group);
std::string api_resource_list(const Resources& resources, std::string_view group,
                              std::string_view version);

/// OpenAPI v3: the index of documents, and the document of one group and version.
std::string openapi_index(const Resources& resources);
std::string openapi_document(const Resources& resources, std::string_view group,
                             std::string_view version);

}  // namespace sallyport::apiserver
