#pragma once

#include <doctest/doctest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <string_view>

namespace sallyport::test {

inline std::string read_file(const std::filesystem::path& path) {
    std::ifstream in(path, std::ios::binary);
    std::ostringstream text;
    text << in.rdbuf();
    return text.str();
}

/// Compares `text` with `tests/data/golden/<name>`. With SALLYPORT_ACCEPT=1 the file is written
/// anew and the test fails all the same, so that an accepting run is never a green one.
inline void check_golden(std::string_view name, const std::string& text) {
    const std::filesystem::path path = std::filesystem::path(TEST_DATA_DIR) / "golden" / name;
    const char* const accept = std::getenv("SALLYPORT_ACCEPT");
    if (accept != nullptr && std::string_view(accept) == "1") {
        std::filesystem::create_directories(path.parent_path());
        std::ofstream(path, std::ios::binary) << text;
        FAIL_CHECK("accepted " << path.string() << "; read the difference and run again without");
        return;
    }
    CAPTURE(path.string());
    CHECK(std::filesystem::exists(path));
    CHECK(read_file(path) == text);
}

}  // namespace sallyport::test
