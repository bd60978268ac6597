#pragma once

#include <stdexcept>
#include <string>

namespace sallyport {

/// A broken invariant of ours. Thrown by `check`, caught in one place: around the task of one key,
/// so that one poisonous object never stops the closing of all others. In tests it fails the test.
class Bug : public std::logic_error {
public:
    using std::logic_error::logic_error;
};

/// States what holds; on in every build.
inline void check(bool holds, const char* what) {
    if (!holds) throw Bug(what);
}

/// For `std::visit`: one lambda per alternative, so that a new alternative stops the build.
template <class... Fs>
struct overloaded : Fs... {
    using Fs::operator()...;
};
template <class... Fs>
overloaded(Fs...) -> overloaded<Fs...>;

}  // namespace sallyport
