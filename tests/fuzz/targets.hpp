#pragma once

#include <span>
#include <string_view>

/// What reads bytes that others wrote. Each target takes any bytes, must not crash, and checks what
/// it promises for those that it accepts; a broken promise aborts. libFuzzer runs one of them
/// (libfuzzer.cpp); ctest runs all of them, over their corpus and a fixed number of changes to it
/// (replay.cpp).
namespace sallyport::fuzz {

struct Target {
    std::string_view name;  ///< also the folder of its corpus
    void (*run)(std::string_view bytes);
};
std::span<const Target> targets();

}  // namespace sallyport::fuzz
