#pragma once

#include "tidy/source.hpp"

namespace sallyport::tidy {

/// Calls and words that have one home or none. Each finding names what to use in their place.
Findings check_banned(const std::vector<File>& files);
/// `using namespace` in a header: it would leak into every includer.
Findings check_using_namespace(const std::vector<File>& files);
/// `new` and `delete` expressions; `= delete` and `operator new` are no expressions.
Findings check_new_delete(const std::vector<File>& files);

/// In every text file: a path of somebody's machine.
Findings check_machine_paths(const std::vector<File>& files);
/// In every text file: the host of a package or image registry. Clients know their own defaults,
/// and whoever mirrors them must not have to patch us.
Findings check_registry_hosts(const std::vector<File>& files);

}  // namespace sallyport::tidy
