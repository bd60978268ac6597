#pragma once

#include <optional>
#include <string>
#include <vector>

#include "sim/history.hpp"

/// What must hold in every moment (docs/promises.md numbers them). Each is one function
/// that gives what is wrong, or nothing. They judge what the simulated cloud and the API server
/// show. Not here: I11, I12 and I13, which need an end of all trouble and are judged by the plans;
/// I14, for which several processes are needed (leadership_test).
namespace sallyport::sim {

using Complaint = std::optional<std::string>;

struct Invariant {
    std::string id;
    std::string title;
    Complaint (*after_step)(const History&) = nullptr;
    Complaint (*at_opening)(const History&, const Opening&) = nullptr;
    /// Azure has carried an opening out.
    Complaint (*at_landing)(const History&, const Opening&) = nullptr;
};
const std::vector<Invariant>& invariants();

/// Whether a rule as it stands in the cloud lets in, and as early, all that one of these properties
/// would.
bool lets_in_all_of(const SeenRule& rule, const json& properties);

/// What the promises state, and what a simulated Azure takes to do it.
namespace bounds {
inline constexpr std::chrono::seconds nsg{30};
inline constexpr std::chrono::seconds sweep{60};
inline constexpr std::chrono::seconds azure{2};
}  // namespace bounds

}  // namespace sallyport::sim
