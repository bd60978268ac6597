#pragma once

#include <map>
#include <set>
#include <string>

#include "model/mark.hpp"
#include "model/rule.hpp"

namespace sallyport::engine {

/// Which rules of ours the reads of one NSG show as not in force, and since when. Azure tells how a
/// write ended in `provisioningState`; an operation that it lost sight of leaves the
/// rule in `Updating` for good, and nothing but another write brings it into force.
class Unsettled final {
public:
    void read(const NsgState& state, const Owner& owner);
    /// One of ours begins, of the rule with this folded name: its time counts from the next read.
    void written(const std::string& folded) { since_.erase(folded); }

    /// By folded name: for longer than any write may take.
    std::set<std::string> overlong(SteadyTime now) const;
    /// When the next one is; in the past: no more than are.
    SteadyTime next_after(SteadyTime now) const;

private:
    std::map<std::string, SteadyTime> since_;  ///< by folded name
};

}  // namespace sallyport::engine
