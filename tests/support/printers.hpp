#pragma once

#include <doctest/doctest.h>
#include <fmt/format.h>

// Makes every type with an fmt formatter readable in a failing CHECK; without it doctest prints
// {?}.
namespace doctest {
template <class T>
    requires(fmt::is_formattable<T>::value && !std::is_arithmetic_v<T> && !std::is_pointer_v<T> &&
             !std::is_array_v<T>)
struct StringMaker<T> {
    static String convert(const T& value) {
        const std::string text = fmt::format("{}", value);
        return {text.c_str(), static_cast<unsigned>(text.size())};
    }
};
}  // namespace doctest
