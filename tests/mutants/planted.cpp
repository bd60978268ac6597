#include <cstdlib>
#include <string>

#include "base/mutant.hpp"

// Linked in the mutation build only.
namespace sallyport {

bool planted(std::string_view bug) {
    static const std::string chosen = [] {
        const char* given = std::getenv("SALLYPORT_MUTANT");
        return std::string(given != nullptr ? given : "");
    }();
    return bug == chosen;
}

}  // namespace sallyport
