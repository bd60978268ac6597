#pragma once

#include <string>
#include <string_view>

#include "ports/store.hpp"

namespace sallyport::kube {

inline constexpr std::string_view api_version = "sallyport.dev/v1alpha1";

/// True for records and ledgers, which live in the operator's namespace.
bool is_internal(Kind kind);
bool is_cluster_scoped(Kind kind);
/// Where the cache lists and watches a kind: cluster-wide, internal kinds in the operator's
/// namespace.
std::string collection_target(Kind kind);
/// Where objects of the kind are created in `ns` (ignored when cluster-scoped).
std::string create_target(Kind kind, std::string_view ns);
std::string object_target(const ObjectRef& ref);
std::string status_target(const ObjectRef& ref);
/// A core/v1 object: `resource` is `secrets`, `configmaps`, `events`; no name: the collection.
std::string core_target(std::string_view ns, std::string_view resource, std::string_view name = {});

/// The ref of an internal object.
ObjectRef internal(Kind kind, std::string_view name);

}  // namespace sallyport::kube
