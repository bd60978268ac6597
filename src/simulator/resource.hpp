#pragma once

#include <optional>

#include "simulator/core.hpp"

namespace sallyport::simulator {

// How each kind of resource completes what is PUT, and what hangs on it.

/// Fills `next` from the call's body as the provider does: defaults, ids, addresses, references.
std::optional<http::Response> complete(Core& core, const Call& call, Resource& next);
std::optional<http::Response> complete_subnet(Core& core, const Json& properties, Resource& subnet,
                                              const Resource& vnet);
/// Writes the resource's ETag and state into its nested objects, which show them too.
void stamp(Resource& resource);
/// Why it cannot be deleted now; nothing when it can.
std::optional<http::Response> in_use(Core& core, const Resource& resource);
/// Ties the NICs of a VM to it, or sets them free.
void vm_is_made(Core& core, Resource& vm);
void vm_is_gone(Core& core, Resource& vm);
/// The members of a VM that Azure adds to what was PUT; secrets are taken out.
void complete_machine(Json& properties);
std::string subnet_json(const Resource& subnet);

}  // namespace sallyport::simulator
