#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include "base/loop.hpp"
#include "ports/background.hpp"

namespace sallyport::system {

/// A few threads that take what is handed over, first come, first served. The destructor waits for
/// what was handed over; the loop outlives it.
class Threads final : public Background {
public:
    Threads(Loop& loop, std::size_t count);
    Threads(const Threads&) = delete;
    Threads& operator=(const Threads&) = delete;
    ~Threads() override;

    Task<void> run(std::function<void()> work) override;

private:
    void take_turns();

    Loop& loop_;
    std::mutex mutex_;  // guards the three below
    std::condition_variable wake_;
    std::deque<std::function<void()>> work_;
    bool stopping_ = false;
    std::vector<std::thread> threads_;
};

}  // namespace sallyport::system
