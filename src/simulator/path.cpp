#include "simulator/path.hpp"

#include "base/text.hpp"

namespace sallyport::simulator {

namespace {

using Segments = std::vector<std::string>;

std::vector<std::pair<std::string, std::string>> pairs_of(const Segments& segments,
                                                          std::size_t from, std::size_t to) {
    std::vector<std::pair<std::string, std::string>> pairs;
    for (std::size_t i = from; i < to; i += 2) {
        pairs.emplace_back(segments[i], i + 1 < to ? segments[i + 1] : std::string());
    }
    return pairs;
}

std::string joined_path(const Segments& segments, std::size_t count) {
    std::string path;
    for (std::size_t i = 0; i < count; ++i) path += "/" + segments[i];
    return path;
}

}  // namespace

std::string ArmPath::type_key() const {
    std::string key = lower(provider);
    for (const auto& [type, name] : types) key += "/" + lower(type);
    return key;
}

std::optional<ArmPath> parse_arm_path(const Segments& segments) {
    if (segments.empty() || !equals_ignoring_case(segments[0], "subscriptions"))
        return std::nullopt;
    ArmPath path;
    if (segments.size() == 1) return path;
    path.subscription = segments[1];
    std::size_t at = 2;
    if (at < segments.size() && equals_ignoring_case(segments[at], "resourceGroups")) {
        if (segments.size() == 3) {
            path.lists_groups = true;
            path.scope = joined_path(segments, 2);
            return path;
        }
        path.group = segments[3];
        at = 4;
    }
    path.scope = joined_path(segments, at);
    if (at == segments.size()) return path;
    if (!equals_ignoring_case(segments[at], "providers") || at + 1 >= segments.size()) {
        return std::nullopt;
    }
    std::size_t last = at;
    for (std::size_t i = at + 2; i < segments.size(); ++i) {
        if (equals_ignoring_case(segments[i], "providers")) last = i;
    }
    if (last != at) {
        path.scope_provider = segments[at + 1];
        path.scope_types = pairs_of(segments, at + 2, last);
        path.scope = joined_path(segments, last);
    }
    if (last + 2 >= segments.size()) return std::nullopt;
    path.provider = segments[last + 1];
    path.types = pairs_of(segments, last + 2, segments.size());
    return path;
}

}  // namespace sallyport::simulator
