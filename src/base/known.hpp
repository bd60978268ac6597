#pragma once

#include <optional>
#include <utility>

#include "base/check.hpp"

namespace sallyport {

/// A value that was read, or the admission that it was not. Failing to list is not an empty list:
/// code that takes a `Known<T>` must say what it does when nothing is known.
template <class T>
class Known {
public:
    Known() = default;  ///< unknown
    Known(T value) : value_(std::move(value)) {}

    bool known() const { return value_.has_value(); }
    explicit operator bool() const { return known(); }
    const T& operator*() const {
        check(known(), "reading a value that is not known");
        return *value_;
    }
    const T* operator->() const { return &**this; }

    friend bool operator==(const Known&, const Known&) = default;

private:
    std::optional<T> value_;
};

}  // namespace sallyport
