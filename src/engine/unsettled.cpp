#include "engine/unsettled.hpp"

#include <algorithm>

#include "base/text.hpp"
#include "plan/life/plan.hpp"

namespace sallyport::engine {

void Unsettled::read(const NsgState& state, const Owner& owner) {
    std::map<std::string, SteadyTime> since;
    for (const SecurityRule& rule : state.rules) {
        if (rule.is_settled()) continue;
        const auto name = RuleName::parse(rule.name);
        if (!name || name->owner != owner.text()) continue;
        std::string folded = lower(rule.name);
        const auto before = since_.find(folded);
        since.emplace(std::move(folded), before == since_.end() ? state.read_sent : before->second);
    }
    since_ = std::move(since);
}

std::set<std::string> Unsettled::overlong(SteadyTime now) const {
    std::set<std::string> names;
    for (const auto& [name, since] : since_) {
        if (now - since >= life::in_flight_limit) names.insert(name);
    }
    return names;
}

SteadyTime Unsettled::next_after(SteadyTime now) const {
    SteadyTime next = SteadyTime::max();
    for (const auto& [name, since] : since_) {
        if (since + life::in_flight_limit > now)
            next = std::min(next, since + life::in_flight_limit);
    }
    return next;
}

}  // namespace sallyport::engine
