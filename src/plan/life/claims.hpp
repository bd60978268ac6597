#pragma once

#include <map>
#include <optional>

#include "plan/life/ends.hpp"
#include "plan/path/wanted.hpp"

namespace sallyport::life {

/// What a record's request needs on each NSG, and whether it may be opened there now.
struct Wanted {
    Result<path::WantedByNsg> rules;
    /// `ForeignDeny`, `NoNsgNoFirewall`, `AccountPaused` …: what openings and repairs wait for.
    std::optional<access::Problem> obstacle = {};
    /// A mode is an obstacle, but no reason not to plan: lanes filter what they do by it.
    bool may_open = false;
};
Wanted wanted(const View& view);

/// A claim for every NSG on which the record has, had or wants rules.
std::map<NsgId, nsg::GrantClaim> claims_of(const View& view, const Wanted& wanted,
                                           const std::optional<Ending>& over);

}  // namespace sallyport::life
