#pragma once

#include <deque>
#include <map>
#include <string>
#include <vector>

#include "base/time.hpp"
#include "model/rule.hpp"
#include "plan/nsg/plan.hpp"

namespace sallyport::engine {

/// Who undoes what is put right on one NSG: somebody who changes a rule again and
/// again, or an Azure Policy that changes it while it is written.
class Repairs final {
public:
    static constexpr int fight_min = 3;    ///< repairs of one rule within `reach`
    static constexpr int mutated_min = 2;  ///< writes in a row that came back changed the same way
    static constexpr std::chrono::hours reach{1};

    /// A write of the rule was accepted; `stored`: what its answer shows, if it does.
    void written(const nsg::Step& step, const SecurityRule* stored, SteadyTime now);

    /// When this may be written again: at the pace of sweeps once it is a fight, or where Azure
    /// Policy changes what should close; not within an hour where it changes anything else.
    /// Removals never wait.
    SteadyTime not_before(const nsg::Step& step, std::chrono::milliseconds sweep_interval) const;

    /// The first time after `now` at which something that waits here may be written; the last of
    /// all times without any.
    SteadyTime next_after(SteadyTime now, std::chrono::milliseconds sweep_interval) const;

    /// `Fight(unknown)` and `MutatedByPolicy`, as of now.
    std::vector<nsg::Finding> findings(SteadyTime now) const;
    void forget_old(SteadyTime now);

private:
    struct History {
        std::string rule;
        std::string uid;
        std::string content;
        std::deque<SteadyTime> repairs;  ///< within `reach`, oldest first
        std::string changed;             ///< in words: how the last write came back
        int changed_times = 0;
        SteadyTime written{};
    };
    bool is_fight(const History& history) const {
        return static_cast<int>(history.repairs.size()) >= fight_min;
    }
    bool is_mutated(const History& history) const { return history.changed_times >= mutated_min; }

    std::map<std::string, History> rules_;  ///< by folded name
};

}  // namespace sallyport::engine
