#pragma once

#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "simulator/behaviour.hpp"
#include "simulator/identity.hpp"

namespace sallyport::simulator {

struct Core;

/// One resource of an estate, as the PUT that makes it.
struct EstateItem {
    std::string id;    ///< path of the PUT
    std::string body;  ///< JSON
    int line = 0;      ///< 1-based
};

/// An estate as it was read: who may sign in, and what exists. The resources go through the same
/// code as a client's PUT, so that an estate cannot hold what Azure would refuse.
struct Estate {
    std::string tenant = "00000000-0000-0000-0000-000000000000";
    std::vector<Principal> principals;
    std::vector<DenyAssignment> deny_assignments;
    std::map<std::string, std::vector<std::string>> service_tags;
    Behaviour behaviour;
    std::vector<std::pair<std::string, std::string>> subscriptions;  ///< id and name
    std::vector<EstateItem> items;  ///< in an order in which references exist before their use
};

struct EstateProblem {
    int line = 0;
    std::string text;
};

/// Reads YAML (docs/azure-sim.md). Every problem is added to `problems`; what could be read is
/// given all the same, so that a second kind of check can find its own.
Estate read_estate(std::string_view yaml, std::vector<EstateProblem>& problems);
/// The world without an estate: one empty subscription, one principal.
Estate empty_estate();
/// Makes everything in `estate`; what is refused is added to `problems`.
void build_estate(Core& core, const Estate& estate, std::vector<EstateProblem>& problems);

}  // namespace sallyport::simulator
