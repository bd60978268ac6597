#include <algorithm>

#include "plan/nsg/draft.hpp"

namespace sallyport::nsg {
namespace {

/// The end of one of our own allow rules: what every mode does.
bool ends_access_of_ours(const Step& step) {
    return step.kind != StepKind::put && step.effect == WriteEffect::closes &&
           step.reason != reasons::foreign_overdue;
}

}  // namespace

std::vector<Step> allowed_steps(const Plan& plan, Mode mode) {
    if (mode == Mode::enforce) return plan.steps;
    std::vector<Step> allowed;
    std::ranges::copy_if(plan.steps, std::back_inserter(allowed), ends_access_of_ours);
    return allowed;
}

}  // namespace sallyport::nsg
