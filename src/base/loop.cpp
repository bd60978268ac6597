#include "base/loop.hpp"

#include <algorithm>

namespace sallyport {

void Waiter::enqueue(std::list<Waiter*>& queue, std::coroutine_handle<> frame) {
    check(queue_ == nullptr, "a waiter stands in one queue at a time");
    frame_ = frame;
    queue_ = &queue;
    place_ = queue.insert(queue.end(), this);
}

void Waiter::unlink() {
    if (queue_ == nullptr) return;
    queue_->erase(place_);
    queue_ = nullptr;
}

Loop::~Loop() {
    // Frames must be gone by now: their awaiters refer to this loop.
    posted_.clear();
}

void Loop::post(std::function<void()> work) {
    {
        const std::lock_guard lock(mutex_);
        posted_.push_back(std::move(work));
    }
    wake_.notify_one();
}

void Loop::make_ready(Waiter& waiter) {
    check(waiter.queue_ != nullptr, "only a queued waiter becomes ready");
    ready_.splice(ready_.end(), *waiter.queue_, waiter.place_);
    waiter.queue_ = &ready_;
}

void Loop::take_posted() {
    std::vector<std::function<void()>> work;
    {
        const std::lock_guard lock(mutex_);
        work.swap(posted_);
    }
    for (std::function<void()>& each : work) {
        const SteadyTime started = std::chrono::steady_clock::now();
        each();
        note_turn(started);
    }
}

void Loop::fire_due_timers() {
    if (timers_.empty()) return;
    const SteadyTime now = time_.steady_now();
    while (!timers_.empty() && timers_.begin()->first <= now) {
        Timer& timer = *timers_.begin()->second;
        timer.disarm();
        timer.on_due();
    }
}

void Loop::note_turn(SteadyTime started) {
    // The machine's clock, also in simulation: this measures work, not simulated time.
    longest_turn_ = std::max<std::chrono::nanoseconds>(longest_turn_,
                                                       std::chrono::steady_clock::now() - started);
}

bool Loop::run_one() {
    std::list<Waiter*>& from = queue(first_.empty() ? Turn::usual : Turn::first);
    if (from.empty()) return false;
    Waiter& waiter = *from.front();
    const std::coroutine_handle<> frame = waiter.frame_;
    waiter.unlink();
    const SteadyTime started = std::chrono::steady_clock::now();
    frame.resume();
    note_turn(started);
    return true;
}

bool Loop::run_ready() {
    bool ran = false;
    for (;;) {
        take_posted();
        fire_due_timers();
        if (!run_one()) {
            const std::lock_guard lock(mutex_);
            if (posted_.empty() || stopping_) return ran;
        }
        ran = true;
        const std::lock_guard lock(mutex_);
        if (stopping_) return ran;
    }
}

std::optional<SteadyTime> Loop::next_timer() const {
    if (timers_.empty()) return std::nullopt;
    return timers_.begin()->first;
}

void Loop::run() {
    {
        const std::lock_guard lock(mutex_);
        stopping_ = false;
    }
    for (;;) {
        run_ready();
        std::unique_lock lock(mutex_);
        if (stopping_) return;
        const auto has_work = [this] { return stopping_ || !posted_.empty(); };
        if (const auto due = next_timer()) {
            // Relative: `time_` may count what the condition variable's clock does not (suspend).
            wake_.wait_for(lock, *due - time_.steady_now(), has_work);
        } else {
            wake_.wait(lock, has_work);
        }
        if (stopping_) return;
    }
}

void Loop::stop() {
    {
        const std::lock_guard lock(mutex_);
        stopping_ = true;
    }
    wake_.notify_all();
}

void Event::set() {
    set_ = true;
    if (!waiters_.empty()) loop_.make_ready(*waiters_.front());
}

void Semaphore::give() {
    if (waiters_.empty()) {
        ++free_;
    } else {
        loop_.make_ready(*waiters_.front());
    }
}

/// The outermost frame of a started task: suspends first so that it starts in a later turn, and
/// stays suspended at its end until the scope collects it.
class Scope::Root {
public:
    struct promise_type {
        Root get_return_object() noexcept {
            return Root{std::coroutine_handle<promise_type>::from_promise(*this)};
        }
        static std::suspend_always initial_suspend() noexcept { return {}; }
        static std::suspend_always final_suspend() noexcept { return {}; }
        void return_void() noexcept {}
        static void unhandled_exception() noexcept { std::terminate(); }
    };
    std::coroutine_handle<promise_type> frame;
};

Scope::Root Scope::drive(Task<void> task, std::uint64_t id, Turn turn) {
    co_await loop_.yield(turn);
    try {
        Task<void> mine =
            std::move(task);  // its frame, parameters included, goes when it has ended
        co_await std::move(mine);
    } catch (...) {
        on_failure_(std::current_exception());
    }
    const auto it = roots_.find(id);
    finished_.push_back(it->second);
    roots_.erase(it);
}

void Scope::start(Task<void> task, Turn turn) {
    for (const std::coroutine_handle<> frame : finished_) frame.destroy();
    finished_.clear();
    const std::uint64_t id = next_id_++;
    const Root root = drive(std::move(task), id, turn);
    roots_.emplace(id, root.frame);
    root.frame.resume();  // up to its first yield
}

void Scope::cancel_all() {
    for (const std::coroutine_handle<> frame : std::exchange(finished_, {})) frame.destroy();
    // A frame that is destroyed may, through destructors, give permits; it may not start tasks.
    while (!roots_.empty()) {
        const std::coroutine_handle<> frame = roots_.begin()->second;
        roots_.erase(roots_.begin());
        frame.destroy();
    }
}

Scope::~Scope() { cancel_all(); }

}  // namespace sallyport
