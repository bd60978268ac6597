#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"

namespace sallyport::kube {

/// Cuts a growing body into lines, as a watch sends them. What is after the last newline stays
/// back; dropping the splitter drops it.
class LineSplitter {
public:
    static constexpr std::size_t line_max = 8UL * 1024 * 1024;

    /// Appends every line that is complete now to `lines`, without its newline; empty lines are
    /// left out. `invalid` when a line is longer than `line_max`.
    Result<void> feed(std::string_view bytes, std::vector<std::string>& lines);
    bool has_partial_line() const { return !partial_.empty(); }

private:
    std::string partial_;
};

}  // namespace sallyport::kube
