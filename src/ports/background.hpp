#pragma once

#include <functional>

#include "base/task.hpp"

namespace sallyport {

/// Where computing is done that would keep the loop busy for long and needs nothing of it, such as
/// reading a list of thousands of objects.
class Background {
public:
    virtual ~Background() = default;
    /// Runs `work` once, perhaps on another thread, and resumes on the loop afterwards; an
    /// exception (a `Bug`) comes out here. `work` is run also when the awaiting task is destroyed
    /// meanwhile, so it owns whatever it touches.
    virtual Task<void> run(std::function<void()> work) = 0;
};

/// On the loop itself, at once: where all must happen in one order, as in a simulation.
class NoBackground final : public Background {
public:
    Task<void> run(std::function<void()> work) override {
        work();
        co_return;
    }
};

}  // namespace sallyport
