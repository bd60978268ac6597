#pragma once

#include <map>
#include <string>
#include <vector>

#include "sim/plan_run.hpp"

/// Whether a disturbed run comes to the end of the undisturbed one (state, and
/// how often each thing was created and removed).
namespace sallyport::sim {

/// A workload without a fault: what to compare with, and the plans that its calls give.
struct Undisturbed {
    explicit Undisturbed(const Workload& workload);
    std::string wrong;  ///< empty: all went as it must
    std::string told = {};
    json outcome = {};
    std::map<std::string, int> created = {};
    std::map<std::string, int> removed = {};
    std::vector<Plan> plans = {};
};

/// Empty: as it must be; else what is not, and `told` tells the run.
std::string carry_out(const Plan& plan, const Undisturbed& expected, std::string& told);

/// nullptr: none has this name.
const Workload* find_workload(const std::string& name);

/// The environment's; empty when it is not set.
std::string setting(const char* name);
std::uint64_t setting(const char* name, std::uint64_t usual);

}  // namespace sallyport::sim
