#include <fmt/format.h>

#include <set>

#include "sim/plan_judge.hpp"
#include "sim/scenes.hpp"

using namespace sallyport;
using namespace sallyport::sim;
using namespace std::chrono_literals;

// Fault plans S2 to S6, generated from an undisturbed run of each workload: every call that the
// operator makes is a site, and what can happen there happens. Each run is judged after every step
// (invariants.hpp) and must come to the same end.
namespace {

/// One in so many of the plans runs. All of them: SALLYPORT_PLANS_STRIDE=1, `make sim STRIDE=1`.
#ifdef NDEBUG
constexpr std::uint64_t usual_stride = 23;
#else
constexpr std::uint64_t usual_stride = 1200;
#endif

void run_plans(const std::string& name) {
    const std::string only = setting("SALLYPORT_PLAN");
    const std::string part = setting("SALLYPORT_PLANS");
    const Workload* workload = find_workload(name);
    REQUIRE(workload != nullptr);
    if (!only.empty() && !only.starts_with(name + "/")) return;
    const Undisturbed expected(*workload);
    REQUIRE_MESSAGE(expected.wrong.empty(), expected.wrong << "\n" << expected.told);
    std::map<std::string, int> ran;
    int wrong_ones = 0;
    const std::uint64_t every =
        std::max<std::uint64_t>(setting("SALLYPORT_PLANS_STRIDE", usual_stride), 1);
    std::size_t offset = 0;
    for (const char c : name) offset = offset * 31 + static_cast<unsigned char>(c);
    for (std::size_t i = 0; i < expected.plans.size(); ++i) {
        const Plan& plan = expected.plans[i];
        const bool chosen = only.empty() ? (i + offset) % every == 0 : plan.name() == only;
        if (!chosen || plan.name().find(part) == std::string::npos) continue;
        ++ran[plan.kind->suite];
        std::string told;
        const std::string wrong = carry_out(plan, expected, told);
        if (wrong.empty()) continue;
        ++wrong_ones;
        MESSAGE("FAILED ", plan.name(), ": ", wrong.substr(0, 300));
        if (wrong_ones <= 1 || !only.empty()) MESSAGE(told, "SALLYPORT_PLAN='", plan.name(), "'");
    }
    std::string counts;
    for (const auto& [suite, count] : ran) counts += fmt::format(" {} {}", suite, count);
    MESSAGE(name, ": of ", expected.plans.size(), " plans ran", counts);
    CHECK(wrong_ones == 0);
}

}  // namespace

TEST_CASE("fault plans: a lockdown is written") { run_plans("lockdown"); }
TEST_CASE("fault plans: a grant opens and expires") { run_plans("expires"); }
TEST_CASE("fault plans: a grant is deleted while open") { run_plans("deleted"); }
TEST_CASE("fault plans: a grant is revoked") { run_plans("revoked"); }
TEST_CASE("fault plans: a grant is deleted while it opens") { run_plans("deleted-early"); }
TEST_CASE("fault plans: a policy is deleted") { run_plans("policy-deleted"); }
TEST_CASE("fault plans: a grant of both families") { run_plans("both-families"); }
TEST_CASE("fault plans: two grants share a hole") { run_plans("coalesced"); }
TEST_CASE("fault plans: a grant on two machines") { run_plans("two-machines"); }
TEST_CASE("fault plans: somebody widens a rule") { run_plans("widened"); }
TEST_CASE("fault plans: somebody takes a rule away") { run_plans("taken-away"); }
TEST_CASE("fault plans: Git applies an ended grant again") { run_plans("reapplied"); }
TEST_CASE("fault plans: a grant is made again under its name") { run_plans("recreated"); }
TEST_CASE("fault plans: a grant's hold is torn out") { run_plans("torn-out"); }
TEST_CASE("fault plans: a grant's hold is torn off before anybody hears of its deletion") {
    run_plans("torn-off");
}
TEST_CASE("fault plans: a grant ends while another opens slowly") { run_plans("overlapping"); }
TEST_CASE("fault plans: a policy is narrowed") { run_plans("narrowed"); }

TEST_CASE("every workload has its case") {
    const std::set<std::string> known = {
        "lockdown",       "expires",       "deleted",   "revoked",      "deleted-early",
        "policy-deleted", "both-families", "coalesced", "two-machines", "widened",
        "taken-away",     "reapplied",     "recreated", "torn-out",     "torn-off",
        "overlapping",    "narrowed"};
    for (const Workload& workload : all_workloads()) CHECK(known.contains(workload.name));
    CHECK(known.size() == all_workloads().size());
}
