#pragma once

#include <filesystem>

#include "tidy/source.hpp"

namespace sallyport::tidy {

/// The repository's own text files, sorted by path: without what was built, and without
/// `tests/data`, whose recordings are other people's.
std::vector<File> read_tree(const std::filesystem::path& root);

}  // namespace sallyport::tidy
