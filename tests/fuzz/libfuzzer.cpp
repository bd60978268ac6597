#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "fuzz/targets.hpp"

// The target that the environment names: one program for all of them links in a tenth of the time.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static const auto* const target = [] {
        const char* name = std::getenv("FUZZ_TARGET");
        for (const sallyport::fuzz::Target& each : sallyport::fuzz::targets()) {
            if (name && each.name == name) return &each;
        }
        std::abort();
    }();
    target->run({reinterpret_cast<const char*>(data), size});
    return 0;
}
