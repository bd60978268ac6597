#pragma once

#include <string>

#include "sim/faults.hpp"

namespace sallyport::sim {

/// One run of a workload, disturbed by a plan or by nothing, judged after every step by a monitor.
class PlanRun {
public:
    PlanRun(const Workload& workload, const Plan* plan);
    PlanRun(const PlanRun&) = delete;
    PlanRun& operator=(const PlanRun&) = delete;

    /// To its end, and on until it is quiet. Empty: all went as it must; else what did not.
    std::string play();
    /// What must be the same whether it was disturbed or not: rules that stay, ends of records,
    /// what grants say.
    json outcome();
    std::string told();

    World world;
    Monitor monitor;
    Injector injector;

private:
    void step(std::chrono::milliseconds span);
    std::chrono::milliseconds pace() const;
    bool is_over();
    void restart_if_wanted();

    const Workload& workload_;
    const Plan* plan_;
    std::size_t next_act_ = 0;
    SteadyTime acted_{};  ///< the last act
    std::optional<SteadyTime> back_at_ = {};
};

/// All plans that a recorded run of the workload gives, in a fixed order.
std::vector<Plan> plans_of(const Workload& workload, const std::vector<Site>& sites);

}  // namespace sallyport::sim
