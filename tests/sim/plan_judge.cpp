#include "sim/plan_judge.hpp"

#include <fmt/format.h>

#include <charconv>
#include <cstdlib>
#include <set>

namespace sallyport::sim {
namespace {

/// More of one sort than without a fault, or fewer, beyond what the fault explains.
std::string counted_otherwise(const std::map<std::string, int>& expected,
                              const std::map<std::string, int>& seen, int repeats) {
    std::map<std::string, int> all = expected;
    for (const auto& [what, count] : seen) all.try_emplace(what, 0);
    for (const auto& [what, count] : all) {
        const auto found = seen.find(what);
        const int now = found == seen.end() ? 0 : found->second;
        if (now > count + repeats || now < count)
            return fmt::format("{}: {} instead of {}", what, now, count);
    }
    return "";
}

}  // namespace

Undisturbed::Undisturbed(const Workload& workload) {
    PlanRun run(workload, nullptr);
    wrong = run.play();
    if (!wrong.empty()) {
        told = run.told();
        return;
    }
    outcome = run.outcome();
    created = run.monitor.created();
    removed = run.monitor.removed();
    plans = plans_of(workload, run.injector.sites());
}

std::string carry_out(const Plan& plan, const Undisturbed& expected, std::string& told) {
    PlanRun run(*plan.workload, &plan);
    std::string wrong = run.play();
    const FaultKind& kind = *plan.kind;
    if (wrong.empty() && !kind.may_prevent && plan.workload->opens) {
        // A widened rule goes where its narrowing cannot be recorded within 5 s, and comes back.
        const bool may_go = plan.workload->name == "widened" && plan.site.is("accessrecords");
        const int repeats = kind.repeats * run.injector.hits() + (may_go ? 1 : 0);
        wrong = counted_otherwise(expected.created, run.monitor.created(), repeats);
        if (!wrong.empty()) wrong = "created " + wrong;
        if (wrong.empty()) {
            wrong = counted_otherwise(expected.removed, run.monitor.removed(), repeats);
            if (!wrong.empty()) wrong = "removed " + wrong;
        }
    }
    if (wrong.empty() && !kind.may_prevent) {
        const json outcome = run.outcome();
        if (outcome != expected.outcome)
            wrong = fmt::format("it ends otherwise:\n  {}\nthan undisturbed:\n  {}", outcome.dump(),
                                expected.outcome.dump());
    }
    if (!wrong.empty()) told = run.told();
    return wrong;
}

const Workload* find_workload(const std::string& name) {
    for (const Workload& each : all_workloads()) {
        if (each.name == name) return &each;
    }
    return nullptr;
}

std::string setting(const char* name) {
    const char* value = std::getenv(name);
    return value ? value : "";
}

std::uint64_t setting(const char* name, std::uint64_t usual) {
    const std::string text = setting(name);
    std::from_chars(text.data(), text.data() + text.size(), usual);
    return usual;
}

}  // namespace sallyport::sim
