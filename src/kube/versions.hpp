#pragma once

#include <algorithm>
#include <string_view>

namespace sallyport::kube {

/// Whether a resourceVersion is one that can be ordered: decimal digits without a leading zero, as
/// every API server makes them (comparable since Kubernetes 1.35, and before that in practice).
inline bool is_ordered(std::string_view version) {
    return !version.empty() && version.front() != '0' &&
           std::ranges::all_of(version, [](char c) { return '0' <= c && c <= '9'; });
}

/// Whether `a` is newer than `b`. A version that cannot be ordered counts as newer when it differs,
/// so that such a server's news is never dropped.
inline bool is_newer(std::string_view a, std::string_view b) {
    if (a == b) return false;
    if (!is_ordered(a) || !is_ordered(b)) return true;
    return a.size() != b.size() ? a.size() > b.size() : a > b;
}

}  // namespace sallyport::kube
