#include "sim/shrink.hpp"

#include <algorithm>
#include <numeric>

namespace sallyport::sim {

std::vector<std::size_t> shrink(std::size_t count,
                                const std::function<bool(const std::vector<std::size_t>&)>& fails,
                                std::size_t tries_max) {
    std::vector<std::size_t> kept(count);
    std::iota(kept.begin(), kept.end(), std::size_t{0});
    std::size_t tries = 0;
    const auto fails_with = [&](const std::vector<std::size_t>& fewer) {
        return tries++ < tries_max && fails(fewer);
    };
    if (!kept.empty() && fails_with({})) return {};
    for (std::size_t part = (count + 1) / 2; part > 0 && tries < tries_max;) {
        bool left_out = false;
        for (std::size_t from = 0; from < kept.size() && tries < tries_max;) {
            const std::size_t to = std::min(from + part, kept.size());
            std::vector<std::size_t> fewer(kept.begin(),
                                           kept.begin() + static_cast<std::ptrdiff_t>(from));
            fewer.insert(fewer.end(), kept.begin() + static_cast<std::ptrdiff_t>(to), kept.end());
            if (fewer.empty() || !fails_with(fewer)) {
                from = to;
                continue;
            }
            kept = std::move(fewer);
            left_out = true;
        }
        // What could be left out may let go what could not before.
        if (!left_out || part > 1) part = part == 1 ? 0 : (part + 1) / 2;
    }
    return kept;
}

}  // namespace sallyport::sim
