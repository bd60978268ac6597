#pragma once

#include <coroutine>
#include <exception>
#include <optional>
#include <utility>

#include "base/check.hpp"

namespace sallyport {

/// A coroutine that gives a `T` to whoever awaits it.
///
/// Lazy: nothing runs until it is awaited (or handed to a `Scope`). Move-only; awaited once, as an
/// rvalue. Destroying a suspended task destroys its frame and everything in it, at any depth: that
/// is how a crash looks in simulation and how shutdown works in production.
///
/// Rules: coroutines are named functions or members, never lambdas; parameters by value, or
/// references to resources that outlive the Scope; an argument is built first and then awaited
/// (g++ 12 refuses a braced initialiser inside a `co_await` expression). Never destroy a Scope from
/// inside one of its own tasks.
template <class T = void>
class Task;

namespace detail {

/// What the promises of all tasks share. Completion is handed over without symmetric transfer,
/// which at -O0 and under sanitizers grows the stack: a child that finishes while its parent is
/// still starting it just returns to the parent.
class PromiseBase {
public:
    static std::suspend_always initial_suspend() noexcept { return {}; }

    struct Final {
        static bool await_ready() noexcept { return false; }
        template <class P>
        static void await_suspend(std::coroutine_handle<P> self) noexcept {
            PromiseBase& promise = self.promise();
            if (!promise.starting && promise.continuation) promise.continuation.resume();
        }
        static void await_resume() noexcept {}
    };
    static Final final_suspend() noexcept { return {}; }

    void unhandled_exception() noexcept { failure = std::current_exception(); }
    void rethrow_if_failed() const {
        if (failure) std::rethrow_exception(failure);
    }

    std::coroutine_handle<> continuation;
    std::exception_ptr failure;
    bool starting = false;
};

template <class T>
class Promise : public PromiseBase {
public:
    Task<T> get_return_object() noexcept;
    template <class U>
    void return_value(U&& value) {
        value_.emplace(std::forward<U>(value));
    }
    T take() {
        rethrow_if_failed();
        check(value_.has_value(), "a finished task has a value");
        return std::move(*value_);
    }

private:
    std::optional<T> value_;
};

template <>
class Promise<void> : public PromiseBase {
public:
    Task<void> get_return_object() noexcept;
    void return_void() noexcept {}
    void take() const { rethrow_if_failed(); }
};

}  // namespace detail

template <class T>
class [[nodiscard]] Task {
public:
    using promise_type = detail::Promise<T>;

    explicit Task(std::coroutine_handle<promise_type> frame) noexcept : frame_(frame) {}
    Task(Task&& other) noexcept : frame_(std::exchange(other.frame_, nullptr)) {}
    Task& operator=(Task&& other) noexcept {
        if (this != &other) {
            if (frame_) frame_.destroy();
            frame_ = std::exchange(other.frame_, nullptr);
        }
        return *this;
    }
    Task(const Task&) = delete;
    Task& operator=(const Task&) = delete;
    ~Task() {
        if (frame_) frame_.destroy();
    }

    class Awaiter {
    public:
        explicit Awaiter(std::coroutine_handle<promise_type> frame) noexcept : frame_(frame) {}
        bool await_ready() const noexcept { return frame_.done(); }
        bool await_suspend(std::coroutine_handle<> parent) {
            promise_type& promise = frame_.promise();
            promise.continuation = parent;
            promise.starting = true;
            frame_.resume();
            if (frame_.done()) return false;
            promise.starting = false;
            return true;
        }
        T await_resume() { return frame_.promise().take(); }

    private:
        std::coroutine_handle<promise_type> frame_;
    };
    Awaiter operator co_await() && noexcept { return Awaiter(frame_); }

private:
    std::coroutine_handle<promise_type> frame_;
};

template <class T>
Task<T> detail::Promise<T>::get_return_object() noexcept {
    return Task<T>(std::coroutine_handle<Promise<T>>::from_promise(*this));
}
inline Task<void> detail::Promise<void>::get_return_object() noexcept {
    return Task<void>(std::coroutine_handle<Promise<void>>::from_promise(*this));
}

}  // namespace sallyport
