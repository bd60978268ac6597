#pragma once

#include <cstddef>
#include <functional>
#include <vector>

namespace sallyport::sim {

/// The fewest of `count` things (numbered from 0, in order) with which `fails` still holds, by
/// leaving out halves, quarters and so on down to single ones. `fails` is asked at most `tries_max`
/// times, and never about all of them: that is why it is asked at all.
std::vector<std::size_t> shrink(std::size_t count,
                                const std::function<bool(const std::vector<std::size_t>&)>& fails,
                                std::size_t tries_max);

}  // namespace sallyport::sim
