#include <doctest/doctest.h>
#include <fmt/format.h>

#include <fstream>
#include <sstream>

#include "sim/plan_judge.hpp"
#include "sim/swarm.hpp"

using namespace sallyport;
using namespace sallyport::sim;

// What once failed runs first (corpus.txt); and a search that ends at the first violation.
namespace {

/// Lines of corpus.txt: `plan NAME`, `seed NUMBER`, or `first-cast NUMBER` for one of before others
/// joined; what follows a `#` says why.
struct Corpus {
    std::vector<std::string> plans;
    std::vector<std::pair<std::uint64_t, Cast>> seeds;
};

Corpus read_corpus() {
    Corpus corpus;
    std::ifstream file(SOURCE_ROOT "/tests/sim/corpus.txt");
    REQUIRE(file.good());
    for (std::string line; std::getline(file, line);) {
        std::istringstream words(line.substr(0, line.find("  #")));
        std::string what, name;
        if (!(words >> what) || what.starts_with('#')) continue;
        REQUIRE_MESSAGE((words >> name), line);
        if (what == "plan") {
            corpus.plans.push_back(name);
        } else {
            REQUIRE_MESSAGE((what == "seed" || what == "first-cast"), line);
            corpus.seeds.emplace_back(std::stoull(name),
                                      what == "seed" ? Cast::whole : Cast::first);
        }
    }
    return corpus;
}

/// Each workload undisturbed, once.
class Reference {
public:
    const Undisturbed& of(const Workload& workload) {
        auto& known = known_[workload.name];
        if (!known) known = std::make_unique<Undisturbed>(workload);
        return *known;
    }

private:
    std::map<std::string, std::unique_ptr<Undisturbed>> known_;
};

/// Counts what ran, and keeps the first violation.
struct Search {
    Reference reference;
    std::size_t plans = 0;
    std::size_t seeds = 0;
    std::string caught = {};

    void try_plan(const Plan& plan) {
        std::string told;
        const std::string wrong = carry_out(plan, reference.of(*plan.workload), told);
        ++plans;
        if (!wrong.empty()) caught = plan.name() + ": " + wrong;
    }
    void try_seed(std::uint64_t seed, Cast cast = Cast::whole) {
        Swarm swarm(seed, nullptr, cast);
        const std::string wrong = swarm.play();
        ++seeds;
        if (!wrong.empty()) caught = fmt::format("seed {}: {}", seed, wrong);
    }
    bool try_undisturbed(const Workload& workload) {
        const std::string& wrong = reference.of(workload).wrong;
        if (!wrong.empty()) caught = workload.name + ", undisturbed: " + wrong;
        return wrong.empty();
    }
    /// False: no workload has such a plan now.
    bool try_plan_named(const std::string& name) {
        const Workload* workload = find_workload(name.substr(0, name.find('/')));
        if (!workload) return false;
        if (!try_undisturbed(*workload)) return true;
        for (const Plan& plan : reference.of(*workload).plans) {
            if (plan.name() != name) continue;
            try_plan(plan);
            return true;
        }
        return false;
    }
    /// One in `stride` of each workload's, turn by turn.
    void try_plans(std::uint64_t stride) {
        for (const Workload& workload : all_workloads()) {
            if (caught.empty()) try_undisturbed(workload);
        }
        std::size_t offset = 0;
        for (std::size_t i = 0, more = 1; more > 0; i += stride) {
            more = 0;
            for (const Workload& workload : all_workloads()) {
                if (!caught.empty()) return;
                const std::vector<Plan>& all = reference.of(workload).plans;
                const std::size_t at = i + offset++ % stride;
                if (i < all.size()) ++more;
                if (at < all.size()) try_plan(all[at]);
            }
        }
    }
};

}  // namespace

TEST_CASE("corpus: what once failed does not fail again") {
    Search search;
    const Corpus corpus = read_corpus();
    CHECK(corpus.plans.size() + corpus.seeds.size() > 0);
    for (const std::string& name : corpus.plans) {
        search.caught.clear();
        CHECK_MESSAGE(search.try_plan_named(name), name << " is no plan any more");
        CHECK_MESSAGE(search.caught.empty(), search.caught);
    }
    for (const auto& [seed, cast] : corpus.seeds) {
        search.caught.clear();
        search.try_seed(seed, cast);
        CHECK_MESSAGE(search.caught.empty(), search.caught);
    }
}

/// For whoever looks for one violation and no more. SALLYPORT_PLANS_STRIDE (0: no plans), then
/// SALLYPORT_SEEDS from SALLYPORT_FIRST_SEED on.
TEST_CASE("search: plans, then seeds, until the first violation" * doctest::skip()) {
    Search search;
    const std::uint64_t stride = setting("SALLYPORT_PLANS_STRIDE", 23);
    if (stride > 0) search.try_plans(stride);
    const std::uint64_t first = setting("SALLYPORT_FIRST_SEED", 1);
    const std::uint64_t count = setting("SALLYPORT_SEEDS", 2000);
    for (std::uint64_t seed = first; seed < first + count && search.caught.empty(); ++seed)
        search.try_seed(seed);
    const std::string ran = fmt::format("after {} plans and {} seeds", search.plans, search.seeds);
    if (search.caught.empty()) {
        MESSAGE("NOTHING ", ran);
    } else {
        FAIL_CHECK("CAUGHT ", ran, ": ", search.caught);
    }
}
