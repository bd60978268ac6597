#pragma once

#include <functional>
#include <type_traits>
#include <utility>
#include <variant>

#include "base/check.hpp"
#include "base/error.hpp"

namespace sallyport {

/// A value or an `Error`. Names and meaning are those of `std::expected`, so that it can become an
/// alias one day; unlike it, reading the wrong side is a `Bug` in every build, and dropping one on
/// the floor does not compile under -Werror.
template <class T>
class [[nodiscard]] Result {
public:
    using value_type = T;

    Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}
    Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}
    template <class U>
        requires(std::is_constructible_v<T, U &&> && !std::is_same_v<std::remove_cvref_t<U>, T> &&
                 !std::is_same_v<std::remove_cvref_t<U>, Error> &&
                 !std::is_same_v<std::remove_cvref_t<U>, Result>)
    // NOLINTNEXTLINE(bugprone-forwarding-reference-overload): its requirements leave those alone
    Result(U&& value) : state_(std::in_place_index<0>, std::forward<U>(value)) {}

    bool has_value() const { return state_.index() == 0; }
    explicit operator bool() const { return has_value(); }

    T& value() & { return *std::get_if<0>(&checked()); }
    const T& value() const& { return *std::get_if<0>(&checked()); }
    T&& value() && { return std::move(*std::get_if<0>(&checked())); }
    T& operator*() & { return value(); }
    const T& operator*() const& { return value(); }
    T&& operator*() && { return std::move(*this).value(); }
    T* operator->() { return &value(); }
    const T* operator->() const { return &value(); }

    const Error& error() const& {
        check(!has_value(), "error() of a Result that holds a value");
        return *std::get_if<1>(&state_);
    }
    Error&& error() && {
        check(!has_value(), "error() of a Result that holds a value");
        return std::move(*std::get_if<1>(&state_));
    }

    template <class U>
    T value_or(U&& other) const& {
        return has_value() ? value() : static_cast<T>(std::forward<U>(other));
    }

    /// `f(value)` gives another Result; an error passes through.
    template <class F>
    auto and_then(F&& f) && -> std::invoke_result_t<F, T&&> {
        if (!has_value()) return std::move(*this).error();
        return std::invoke(std::forward<F>(f), std::move(*this).value());
    }
    /// `f(value)` gives a plain value; an error passes through.
    template <class F>
    auto transform(F&& f) && -> Result<std::invoke_result_t<F, T&&>> {
        if (!has_value()) return std::move(*this).error();
        return std::invoke(std::forward<F>(f), std::move(*this).value());
    }

private:
    const std::variant<T, Error>& checked() const {
        check(has_value(), "value() of a Result that holds an error");
        return state_;
    }
    std::variant<T, Error>& checked() {
        check(has_value(), "value() of a Result that holds an error");
        return state_;
    }
    std::variant<T, Error> state_;
};

template <>
class [[nodiscard]] Result<void> {
public:
    using value_type = void;

    Result() = default;
    Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}

    bool has_value() const { return state_.index() == 0; }
    explicit operator bool() const { return has_value(); }
    void value() const { check(has_value(), "value() of a Result that holds an error"); }

    const Error& error() const& {
        check(!has_value(), "error() of a Result that holds a value");
        return *std::get_if<1>(&state_);
    }
    Error&& error() && {
        check(!has_value(), "error() of a Result that holds a value");
        return std::move(*std::get_if<1>(&state_));
    }

private:
    std::variant<std::monostate, Error> state_;
};

}  // namespace sallyport
