#pragma once

#include <doctest/doctest.h>

#include <chrono>
#include <exception>
#include <optional>
#include <utility>

#include "base/loop.hpp"
#include "system/clock.hpp"

namespace sallyport::support {

/// A loop in the machine's time, for tests of what really waits: sockets, files, timers.
struct RealWorld {
    system::MachineTime time;
    Loop loop{time};
    system::SystemClock clock{loop};
    int bugs = 0;
    Scope scope{loop, [this](std::exception_ptr) { ++bugs; }};

    /// Runs one task to its end and gives its value.
    template <class T>
    T finish(Task<T> task) {
        std::optional<T> value;
        scope.start(keep(std::move(task), value, loop));
        loop.run();
        REQUIRE(value.has_value());
        return std::move(*value);
    }
    void finish(Task<void> task) {
        scope.start(end(std::move(task), loop));
        loop.run();
    }

private:
    template <class T>
    static Task<void> keep(Task<T> task, std::optional<T>& out, Loop& loop) {
        const StopAtEnd stop{loop};
        out.emplace(co_await std::move(task));
    }
    static Task<void> end(Task<void> task, Loop& loop) {
        const StopAtEnd stop{loop};
        co_await std::move(task);
    }
    struct StopAtEnd {
        Loop& loop;
        ~StopAtEnd() { loop.stop(); }
    };
};

}  // namespace sallyport::support
