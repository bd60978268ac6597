#include "tidy/tree.hpp"

#include <algorithm>
#include <array>
#include <fstream>
#include <iterator>

namespace sallyport::tidy {
namespace {

namespace fs = std::filesystem;

bool is_ours(const fs::path& relative) {
    static constexpr std::array<std::string_view, 5> others = {".git", "build", "node_modules",
                                                               ".cache", "__pycache__"};
    for (const fs::path& part : relative) {
        if (std::find(others.begin(), others.end(), part.string()) != others.end()) return false;
    }
    const std::string path = relative.string();
    return !path.starts_with("tests/data") && !path.starts_with("tests/fuzz/corpus");
}

std::string read(const fs::path& path) {
    std::ifstream in(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

}  // namespace

std::vector<File> read_tree(const fs::path& root) {
    std::vector<File> files;
    for (auto at = fs::recursive_directory_iterator(root); at != fs::recursive_directory_iterator();
         ++at) {
        const fs::path relative = fs::relative(at->path(), root);
        if (!is_ours(relative)) {
            if (at->is_directory()) at.disable_recursion_pending();
            continue;
        }
        if (!at->is_regular_file() || at->is_symlink()) continue;
        std::string text = read(at->path());
        if (text.find('\0') != std::string::npos) continue;  // a picture, not a text
        files.push_back({relative.generic_string(), std::move(text)});
    }
    std::sort(files.begin(), files.end(),
              [](const File& a, const File& b) { return a.path < b.path; });
    return files;
}

}  // namespace sallyport::tidy
