#pragma once

#include "tidy/source.hpp"

namespace sallyport::tidy {

/// Includes of ours against the floors of the architecture: each wrong edge, as `model -> engine`.
Findings check_include_edges(const std::vector<File>& files);
/// Each library's headers where its folder may have them, and nowhere else.
Findings check_third_party(const std::vector<File>& files);
/// `sallyport_library(… USES …)` in CMakeLists.txt links no more than the same table allows.
Findings check_links(const std::vector<File>& files);
/// Headers nobody includes, sources nobody builds.
Findings check_dead_files(const std::vector<File>& files);

}  // namespace sallyport::tidy
