#pragma once

#include <condition_variable>
#include <coroutine>
#include <cstdint>
#include <exception>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

#include "base/task.hpp"
#include "base/time.hpp"

namespace sallyport {

/// Where the loop learns the time for its timers. The real one is the machine's steady clock; a
/// simulated one stands still until it is moved.
class SteadySource {
public:
    virtual SteadyTime steady_now() const = 0;

protected:
    ~SteadySource() = default;
};

class Loop;

/// `first` is for what must not wait behind the rest of the process's work, such as ends that have
/// come. Who uses it keeps it short: nothing else runs meanwhile.
enum class Turn { usual, first };

/// A suspended coroutine that something will resume. Lives inside the awaiter, hence in the frame:
/// when the frame is destroyed, the waiter takes itself off whatever list it stands in.
class Waiter {
public:
    Waiter() = default;
    Waiter(const Waiter&) = delete;
    Waiter& operator=(const Waiter&) = delete;
    ~Waiter() { unlink(); }

    /// Stands at the end of `queue` until someone moves or resumes it.
    void enqueue(std::list<Waiter*>& queue, std::coroutine_handle<> frame);
    void unlink();
    bool stands_in(const std::list<Waiter*>& queue) const { return queue_ == &queue; }

private:
    friend class Loop;
    std::list<Waiter*>* queue_ = nullptr;
    std::list<Waiter*>::iterator place_;
    std::coroutine_handle<> frame_;
};

/// One thread that resumes coroutines. Everything above `http/` runs on it, so nothing there locks.
///
/// `post` is the only member another thread may call. In production `run()` drives it; a simulation
/// calls `run_ready()`, moves its clock to `next_timer()`, and repeats. Ready work runs in the
/// order in which it became ready, what asked for `Turn::first` before all else; timers due at the
/// same time fire in the order in which they were set.
class Loop final {
public:
    explicit Loop(const SteadySource& time) : time_(time) {}
    Loop(const Loop&) = delete;
    Loop& operator=(const Loop&) = delete;
    ~Loop();

    /// Runs `work` on the loop's thread, after what is ready now. Any thread.
    void post(std::function<void()> work);
    /// Moves `waiter` (queued elsewhere) to the ready queue. Loop thread.
    void make_ready(Waiter& waiter);

    /// Something that happens once at a time; takes itself off the loop when it is destroyed.
    class Timer;
    /// `co_await loop.sleep_until(t)`: resumed in the first turn at or after `t`.
    class Sleep;
    Sleep sleep_until(SteadyTime due, Turn turn = Turn::usual);
    /// `co_await loop.yield()`: lets everything that is ready run first; with `Turn::first` only
    /// what has asked for that as well.
    class Yield;
    Yield yield(Turn turn = Turn::usual);

    /// Runs due timers and all that is ready, until nothing is. True if anything ran.
    bool run_ready();
    std::optional<SteadyTime> next_timer() const;

    /// Runs until `stop()`; sleeps while there is nothing to do.
    void run();
    /// Makes `run()` return after the current turn. Any thread.
    void stop();

    SteadyTime steady_now() const { return time_.steady_now(); }
    /// The longest single resumption so far and since the last call (a turn should stay under 2
    /// ms).
    std::chrono::nanoseconds take_longest_turn() { return std::exchange(longest_turn_, {}); }

private:
    bool run_one();
    void fire_due_timers();
    void take_posted();
    void note_turn(SteadyTime started);

    const SteadySource& time_;
    std::list<Waiter*>& queue(Turn turn) { return turn == Turn::first ? first_ : ready_; }

    std::list<Waiter*> ready_;
    std::list<Waiter*> first_;
    std::multimap<SteadyTime, Timer*> timers_;
    std::chrono::nanoseconds longest_turn_{};

    std::mutex mutex_;  // guards what follows
    std::condition_variable wake_;
    std::vector<std::function<void()>> posted_;
    bool stopping_ = false;
};

class Loop::Timer {
public:
    explicit Timer(Loop& loop) : loop_(loop) {}
    Timer(const Timer&) = delete;
    Timer& operator=(const Timer&) = delete;

protected:
    virtual ~Timer() { disarm(); }
    void arm(SteadyTime due) { place_ = loop_.timers_.emplace(due, this); }
    void disarm() {
        if (place_) loop_.timers_.erase(*place_);
        place_.reset();
    }
    void enqueue_ready(Waiter& waiter, std::coroutine_handle<> frame, Turn turn) {
        waiter.enqueue(loop_.queue(turn), frame);
    }
    Loop& loop_;

private:
    friend class Loop;
    virtual void on_due() = 0;
    std::optional<std::multimap<SteadyTime, Timer*>::iterator> place_;
};

class Loop::Sleep final : Timer {
public:
    Sleep(Loop& loop, SteadyTime due, Turn turn) : Timer(loop), due_(due), turn_(turn) {}
    bool await_ready() const { return false; }
    void await_suspend(std::coroutine_handle<> frame) {
        frame_ = frame;
        arm(due_);
    }
    void await_resume() {}

private:
    void on_due() override { enqueue_ready(waiter_, frame_, turn_); }
    SteadyTime due_;
    Turn turn_;
    std::coroutine_handle<> frame_;
    Waiter waiter_;
};

class Loop::Yield {
public:
    Yield(Loop& loop, Turn turn) : queue_(loop.queue(turn)) {}
    bool await_ready() const { return false; }
    void await_suspend(std::coroutine_handle<> frame) { waiter_.enqueue(queue_, frame); }
    void await_resume() {}

private:
    std::list<Waiter*>& queue_;
    Waiter waiter_;
};

inline Loop::Sleep Loop::sleep_until(SteadyTime due, Turn turn) { return Sleep(*this, due, turn); }
inline Loop::Yield Loop::yield(Turn turn) { return Yield(*this, turn); }

/// Level-triggered wake-up with memory of one: `set()` before `next()` is not lost, many `set()`s
/// are one. For "something may have changed, look again".
class Event final {
public:
    explicit Event(Loop& loop) : loop_(loop) {}
    void set();
    bool is_set() const { return set_; }

    class Next {
    public:
        explicit Next(Event& event) : event_(event) {}
        bool await_ready() const { return event_.set_; }
        void await_suspend(std::coroutine_handle<> frame) {
            waiter_.enqueue(event_.waiters_, frame);
        }
        void await_resume() { event_.set_ = false; }

    private:
        Event& event_;
        Waiter waiter_;
    };
    /// `co_await event.next()`: until set, then clears it.
    Next next() { return Next(*this); }

    class NextUntil final : Loop::Timer {
    public:
        NextUntil(Event& event, SteadyTime due) : Timer(event.loop_), event_(event), due_(due) {}
        bool await_ready() const { return event_.set_; }
        void await_suspend(std::coroutine_handle<> frame) {
            waiter_.enqueue(event_.waiters_, frame);
            arm(due_);
        }
        /// True: the event was set (and is cleared); false: the time came first.
        bool await_resume() {
            disarm();
            return std::exchange(event_.set_, false);
        }

    private:
        void on_due() override {
            if (waiter_.stands_in(event_.waiters_)) loop_.make_ready(waiter_);
        }
        Event& event_;
        SteadyTime due_;
        Waiter waiter_;
    };
    /// `co_await event.next_until(t)`: until set, or until `t`.
    NextUntil next_until(SteadyTime due) { return NextUntil(*this, due); }

private:
    friend class Next;
    friend class NextUntil;
    Loop& loop_;
    bool set_ = false;
    std::list<Waiter*> waiters_;
};

/// A count of permits; first come, first served.
class Semaphore final {
public:
    Semaphore(Loop& loop, std::size_t permits) : loop_(loop), free_(permits) {}

    class Take {
    public:
        explicit Take(Semaphore& semaphore) : semaphore_(semaphore) {}
        Take(const Take&) = delete;
        Take& operator=(const Take&) = delete;
        bool await_ready() {
            if (semaphore_.free_ == 0 || !semaphore_.waiters_.empty()) return false;
            --semaphore_.free_;
            return true;
        }
        void await_suspend(std::coroutine_handle<> frame) {
            waiting_ = true;
            waiter_.enqueue(semaphore_.waiters_, frame);
        }
        void await_resume() { waiting_ = false; }
        /// Destroyed between being handed a permit and running: the permit goes to the next.
        ~Take() {
            if (waiting_ && !waiter_.stands_in(semaphore_.waiters_)) semaphore_.give();
        }

    private:
        Semaphore& semaphore_;
        bool waiting_ = false;
        Waiter waiter_;
    };
    /// `co_await semaphore.take()`; pair it with `give()`, or use `Permit`.
    Take take() { return Take(*this); }
    void give();
    std::size_t free() const { return free_; }

private:
    friend class Take;
    Loop& loop_;
    std::size_t free_;
    std::list<Waiter*> waiters_;
};

/// Gives a taken permit back at the end of the scope.
class Permit final {
public:
    explicit Permit(Semaphore& semaphore) : semaphore_(semaphore) {}
    Permit(const Permit&) = delete;
    Permit& operator=(const Permit&) = delete;
    ~Permit() { semaphore_.give(); }

private:
    Semaphore& semaphore_;
};

/// One answer from outside the loop to one waiting coroutine. The two ends share a small state, so
/// that either may go away first: a reply to a destroyed frame is dropped.
template <class T>
class OneShot final {
    struct State {
        explicit State(Loop& l) : loop(l) {}
        Loop& loop;
        std::optional<T> value;
        std::list<Waiter*> waiters;
    };

public:
    explicit OneShot(Loop& loop) : state_(std::make_shared<State>(loop)) {}

    class Replier {
    public:
        /// Gives the answer. Any thread, once.
        void reply(T value) const {
            std::shared_ptr<State> state = state_;
            Loop& loop = state->loop;
            auto boxed = std::make_shared<T>(std::move(value));
            loop.post([state = std::move(state), boxed = std::move(boxed)] {
                state->value.emplace(std::move(*boxed));
                if (!state->waiters.empty()) state->loop.make_ready(*state->waiters.front());
            });
        }

    private:
        friend class OneShot;
        explicit Replier(std::shared_ptr<State> state) : state_(std::move(state)) {}
        std::shared_ptr<State> state_;
    };
    Replier replier() const { return Replier(state_); }

    class Answer {
    public:
        explicit Answer(OneShot& shot) : state_(*shot.state_) {}
        bool await_ready() const { return state_.value.has_value(); }
        void await_suspend(std::coroutine_handle<> frame) {
            waiter_.enqueue(state_.waiters, frame);
        }
        T await_resume() { return std::move(*state_.value); }

    private:
        State& state_;
        Waiter waiter_;
    };
    /// `co_await shot.answer()`. Loop thread.
    Answer answer() { return Answer(*this); }

private:
    std::shared_ptr<State> state_;
};

/// Owns tasks that nobody awaits. Destroying it destroys their frames, wherever they are suspended.
/// An exception that leaves a task (a `Bug`) goes to `on_failure`; the other tasks go on.
class Scope final {
public:
    using OnFailure = std::function<void(std::exception_ptr)>;
    Scope(Loop& loop, OnFailure on_failure) : loop_(loop), on_failure_(std::move(on_failure)) {}
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;
    ~Scope();

    /// Starts `task` in the loop's next turn and keeps it until it ends.
    void start(Task<void> task, Turn turn = Turn::usual);
    std::size_t running() const { return roots_.size(); }
    void cancel_all();

private:
    class Root;
    Root drive(Task<void> task, std::uint64_t id, Turn turn);
    Loop& loop_;
    OnFailure on_failure_;
    std::uint64_t next_id_ = 0;
    std::map<std::uint64_t, std::coroutine_handle<>> roots_;
    std::vector<std::coroutine_handle<>> finished_;
};

}  // namespace sallyport
