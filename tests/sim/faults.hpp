#pragma once

#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "sim/monitor.hpp"
#include "sim/workloads.hpp"

/// Faults by plan: what can go wrong at a call of the operator, and where (docs/promises.md, S2
/// to S6).
namespace sallyport::sim {

/// What is called, with names of rules, grants and operations left out:
/// `azure:PUT:rule:nsg-web01`, `azure:poll`, `kube:PATCH:accessgrants:status`.
std::string call_class(const http::Request& request);

/// The nth call of its class since the first act of a workload.
struct Site {
    std::string call;
    std::size_t nth = 0;
    bool first = false;  ///< the first of its class, or the last: where a lasting fault begins
    bool last = false;
    bool azure() const { return call.starts_with("azure"); }
    bool is(std::string_view part) const { return call.find(part) != call.npos; }
};

class Injector;

struct FaultKind {
    std::string suite;  ///< S2 to S6
    std::string name;
    bool (*fits)(const Site& site);
    /// The call that is hit, and its fate to be.
    void (*hit)(Injector& injector, const http::Request& request, support::Fate& fate);
    /// All is well so much later than the last hit; what an
    /// operator to take: a timeout, the longest pause between tries, a sweep.
    std::chrono::seconds heals_in{35};
    /// Of itself it lasts until it is healed, and so is not tried `once`.
    bool lasts = false;
    /// Only once: it makes no sense again and again, or not until healed.
    bool single = false;
    /// Creations and removals that it may cost besides, for each hit.
    int repeats = 0;
    /// It may last longer than the opening allowance, and so end a grant that never opened.
    bool may_prevent = false;
    void (*heal)(Injector& injector) = nullptr;
};
const std::vector<FaultKind>& fault_kinds();

struct Plan {
    const Workload* workload = nullptr;
    const FaultKind* kind = nullptr;
    Site site = {};
    bool until_healed = false;
    /// `expires/S4/azure:poll#1/reply-lost/once`, by which it can be run alone.
    std::string name() const;
};

/// Disturbs a world as a plan says. Without a plan it only lists the sites.
class Injector {
public:
    Injector(World& world, Monitor& monitor, const Plan* plan);

    /// Calls count from now on.
    void begin() { counting_ = true; }
    /// To be called often: ends what lasts, when it is time.
    void tend();
    bool was_hit() const { return hits_ > 0; }
    /// It lasts, and is not healed yet.
    bool is_active() const {
        return hits_ > 0 && !healed_ && (plan_->until_healed || plan_->kind->lasts);
    }
    int hits() const { return hits_; }
    std::vector<Site> sites() const;

    World& world;
    Monitor& monitor;

    // What kinds set.
    enum class StreamFault { none, error_500, gone_410, cut, closed, again, garbage };
    StreamFault stream_fault = StreamFault::none;
    bool streams_silent = false;
    std::map<std::string, std::string> lists;  ///< by path: what lists say instead
    bool restart_wanted = false;
    std::chrono::seconds suspension{0};  ///< the process stands still for so long

    /// The next watch of each kind is answered 410, and what there is is listed anew.
    void forget_watches();
    /// For one that is; nullopt: it is not.
    std::optional<http::Response> gone(const http::Request& request);

private:
    void heal();
    support::Fate decide(const http::Request& request);
    bool disturb_stream(const http::Request& request, std::string& bytes);

    const Plan* plan_;
    bool counting_ = false;
    bool healed_ = false;
    int hits_ = 0;
    SteadyTime first_hit_{};
    std::map<std::string, std::size_t> seen_;
    std::vector<std::string> order_;
    bool watches_are_gone_ = false;
    std::set<std::string> told_gone_;
    std::map<std::string, std::string> last_bytes_;  ///< of each stream's path
};

}  // namespace sallyport::sim
