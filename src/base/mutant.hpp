#pragma once

#include <string_view>

/// Planted bugs, to show that the checks notice them (`make mutants`, docs/reliability.md). In the
/// build that has them, one is chosen by the environment (SALLYPORT_MUTANT); in every other build
/// each is `false` to the compiler, and nothing of it is left.
namespace sallyport {

#ifdef SALLYPORT_MUTANTS
bool planted(std::string_view bug);
#else
constexpr bool planted(std::string_view /*bug*/) { return false; }
#endif

}  // namespace sallyport
