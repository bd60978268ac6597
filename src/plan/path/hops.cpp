#include "plan/path/hops.hpp"

#include <algorithm>

#include "base/text.hpp"

namespace sallyport::path {

std::optional<std::vector<const NsgState*>> hops_of(const Way& way, const Observations& observed,
                                                    const std::map<NsgId, SteadyTime>& not_before,
                                                    std::set<std::string>& unread) {
    std::vector<const NsgState*> hops;
    for (const NsgId& id : way.nsgs) {
        const auto found = observed.find(id);
        const auto after = not_before.find(id);
        const bool there = found != observed.end() && found->second != nullptr;
        if (!there || (after != not_before.end() && found->second->read_sent < after->second)) {
            unread.emplace(id.name());
            continue;
        }
        for (const std::string& name : found->second->unsettled)
            unread.insert(as_before(*found->second, name));
        if (found->second->unsettled.empty()) hops.push_back(found->second);
    }
    if (hops.size() != way.nsgs.size()) return std::nullopt;
    return hops;
}

std::string as_before(const NsgState& nsg, std::string_view rule) {
    const SecurityRule* found = nsg.find(rule);
    return fmt::format("rule {} as it was before its write (now {})", label(nsg.id, rule),
                       found ? found->provisioning_state : std::string("gone"));
}

std::vector<Protocol> protocols_of(Protocol protocol) {
    if (protocol == Protocol::any) return {Protocol::tcp, Protocol::udp};
    return {protocol};
}

std::string label(const NsgId& nsg, std::string_view rule) {
    return fmt::format("{}/{}", nsg.name(), rule);
}

std::string listed(const std::set<std::string>& names) {
    return join(std::vector<std::string>(names.begin(), names.end()), ", ");
}

std::string reads_in_words(const std::set<NsgId>& nsgs, const Observations& observed,
                           const Topology& topology) {
    std::set<std::string> names;
    std::optional<SteadyTime> oldest;
    for (const NsgId& id : nsgs) {
        names.emplace(id.name());
        const auto found = observed.find(id);
        if (found == observed.end() || found->second == nullptr) continue;
        oldest = std::min(oldest.value_or(SteadyTime::max()), found->second->read_sent);
    }
    std::string words = fmt::format("the read of {}", listed(names));
    // Reads carry steady time; the sweep's wall time tells what it was on the clock.
    if (oldest && topology.read_at != Timestamp{}) {
        const auto since = std::chrono::floor<seconds>(*oldest - topology.read_sent);
        words += fmt::format(" at {}", format_rfc3339(topology.read_at + since));
    }
    return words;
}

}  // namespace sallyport::path
