#pragma once

#include <functional>
#include <string>
#include <vector>

#include "sim/world.hpp"

/// Scripts as data: what users, tools and outsiders do to a world, and when. Fault plans disturb
/// them; each must come to the same end.
namespace sallyport::sim {

/// What somebody does, and when.
struct Act {
    std::string name;
    std::function<bool(World&)> when;
    std::function<void(World&)> act;
};

struct Workload {
    std::string name;
    std::vector<Act> acts = {};
    std::function<bool(World&)> is_done;  ///< once all acts are through
    bool opens = true;                    ///< its grants open in every run
    bool from_the_start = false;          ///< disturbed also before the first act
    json policy_changes = json::object();
    std::string estate = World::small_estate();
};

/// Grant `a` alone; crash_test and the fault plans.
namespace workloads {
Workload lockdown();                                    ///< no grant: a policy closes its ports
Workload expires(const std::string& duration = "10s");  ///< W1
Workload deleted();                                     ///< W2
Workload revoked();                                     ///< W2, by `revoked: true`
Workload deleted_early();                               ///< W3: while it opens
Workload policy_deleted();  ///< it ends its grant and takes its lockdown along
Workload both_families(const std::string& duration = "10s");  ///< IPv4 and IPv6
}  // namespace workloads

/// The same, and those with several grants or with outsiders.
const std::vector<Workload>& all_workloads();

/// Its last status says this; `gone` when there is no object.
std::function<bool(World&)> is_in(std::string phase, std::string grant = "a");
/// Closed for whatever reason. That it was the right one is for the comparison of outcomes.
std::function<bool(World&)> has_ended(std::string grant = "a");
/// Open, or over without ever having been.
std::function<bool(World&)> has_opened(std::string grant = "a");
bool policy_is_ready(World& world);

std::string dual_stack_estate();

}  // namespace sallyport::sim
