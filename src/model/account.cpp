#include "model/account.hpp"

#include "base/check.hpp"

namespace sallyport {

std::string_view to_text(Mode mode) {
    switch (mode) {
        case Mode::enforce: return "Enforce";
        case Mode::observe: return "Observe";
        case Mode::paused: return "Paused";
    }
    throw Bug("a mode out of range");
}

}  // namespace sallyport
