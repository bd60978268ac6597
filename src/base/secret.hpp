#pragma once

#include <string>
#include <utility>

namespace sallyport {

/// A value that must never be printed: no formatter, no stream operator, no JSON. `reveal()` is the
/// one way out and easy to search for.
class Secret {
public:
    Secret() = default;
    explicit Secret(std::string text) : text_(std::move(text)) {}
    const std::string& reveal() const { return text_; }
    bool empty() const { return text_.empty(); }
    friend bool operator==(const Secret&, const Secret&) = default;

private:
    std::string text_;
};

}  // namespace sallyport
