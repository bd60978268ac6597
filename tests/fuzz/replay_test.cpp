#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

#include "fuzz/targets.hpp"

using namespace sallyport;

// libFuzzer finds new ways (`make fuzz`); here each decoder meets its corpus again, and the same
// changes to it each time.
namespace {

/// Enough to find what a slip of the hand breaks, in seconds.
constexpr int changes_of_each = 300;

struct Input {
    std::string name;
    std::string bytes;
};

std::vector<Input> corpus(std::string_view target) {
    std::vector<Input> found;
    const std::filesystem::path folder =
        std::filesystem::path(SOURCE_ROOT) / "tests/fuzz/corpus" / target;
    for (const auto& entry : std::filesystem::directory_iterator(folder)) {
        std::ifstream file(entry.path(), std::ios::binary);
        found.push_back({entry.path().filename().string(),
                         std::string(std::istreambuf_iterator<char>(file), {})});
    }
    std::ranges::sort(found, {}, &Input::name);
    return found;
}

/// A byte set, flipped, dropped, doubled; a piece cut out, moved, or taken from another input.
void change(std::string& bytes, const std::string& other, std::mt19937& random) {
    const auto below = [&random](std::size_t n) { return n == 0 ? 0 : random() % n; };
    const std::size_t at = below(bytes.size() + 1);
    switch (below(7)) {
        case 0: bytes.insert(at, 1, static_cast<char>(below(256))); break;
        case 1:
            if (at < bytes.size()) bytes[at] = static_cast<char>(bytes[at] ^ (1 << below(8)));
            break;
        case 2: bytes.erase(at, 1); break;
        case 3: bytes.erase(at, below(32)); break;
        case 4: bytes.insert(at, bytes.substr(below(bytes.size() + 1), below(16))); break;
        case 5: bytes.insert(at, other.substr(below(other.size() + 1), below(64))); break;
        default: {
            constexpr const char* tokens[] = {
                "{",           "}",  "[",    "]",   "\"",
                "\\",          "\n", "null", "-1",  "9223372036854775808",
                "1e999",       "0",  "\xff", "%00", "/",
                "::",          "*",  "&a",   "*a",  "<<",
                "\xef\xbb\xbf"};
            bytes.insert(at, tokens[below(std::size(tokens))]);
        }
    }
}

}  // namespace

TEST_CASE("every decoder stands its corpus and small changes to it") {
    for (const fuzz::Target& target : fuzz::targets()) {
        CAPTURE(target.name);
        const std::vector<Input> inputs = corpus(target.name);
        REQUIRE_FALSE(inputs.empty());
        std::mt19937 random(20261121);
        for (const Input& input : inputs) {
            target.run(input.bytes);
            for (int i = 0; i < changes_of_each; ++i) {
                std::string changed = input.bytes;
                const std::string& other = inputs[random() % inputs.size()].bytes;
                for (std::size_t n = random() % 4 + 1; n > 0; --n) change(changed, other, random);
                target.run(changed);
            }
        }
    }
}
