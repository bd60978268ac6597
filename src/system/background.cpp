#include "system/background.hpp"

#include <exception>
#include <utility>

namespace sallyport::system {

Threads::Threads(Loop& loop, std::size_t count) : loop_(loop) {
    for (std::size_t i = 0; i < count; ++i) threads_.emplace_back([this] { take_turns(); });
}

Threads::~Threads() {
    {
        const std::lock_guard lock(mutex_);
        stopping_ = true;
    }
    wake_.notify_all();
    for (std::thread& thread : threads_) thread.join();
}

void Threads::take_turns() {
    for (;;) {
        std::function<void()> work;
        {
            std::unique_lock lock(mutex_);
            wake_.wait(lock, [this] { return stopping_ || !work_.empty(); });
            if (work_.empty()) return;
            work = std::move(work_.front());
            work_.pop_front();
        }
        work();
    }
}

Task<void> Threads::run(std::function<void()> work) {
    OneShot<std::exception_ptr> shot(loop_);
    std::function<void()> answered = [work = std::move(work), done = shot.replier()] {
        std::exception_ptr failure;
        try {
            work();
        } catch (...) {
            failure = std::current_exception();
        }
        done.reply(std::move(failure));  // moved: the loop alone lets go of it
    };
    {
        const std::lock_guard lock(mutex_);
        work_.push_back(std::move(answered));
    }
    wake_.notify_one();
    const std::exception_ptr failure = co_await shot.answer();
    if (failure) std::rethrow_exception(failure);
}

}  // namespace sallyport::system
