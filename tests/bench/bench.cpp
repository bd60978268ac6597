#include <algorithm>
#include <ctime>
#include <functional>
#include <iostream>
#include <vector>

#include "engine/deadlines.hpp"
#include "plan/path/proof.hpp"
#include "support/builders.hpp"

// What the pure parts cost at Azure's limits: an NSG of 1,000 rules, and 100,000 ends. CPU time of
// this thread, so that a busy machine shows the same. ends.py measures whole processes.

using namespace sallyport;
using namespace sallyport::testing;

namespace {

constexpr int ours = 900;     // one rule each of as many grants
constexpr int foreign = 100;  // together as many as an NSG can hold

volatile std::size_t kept = 0;  // results go here, so that no work is left out

void time_it(const char* what, int times, const std::function<std::size_t()>& work) {
    std::vector<double> took;
    kept = work();  // caches are warm in a process that has run for a while
    for (int i = 0; i < times; ++i) {
        const std::clock_t begun = std::clock();
        kept = work();
        took.push_back(1000.0 * static_cast<double>(std::clock() - begun) / CLOCKS_PER_SEC);
    }
    std::ranges::sort(took);
    const auto at_share = [&](double share) {
        return took[static_cast<std::size_t>(share * static_cast<double>(took.size() - 1))];
    };
    // tidy: stdout because a benchmark is a program for a terminal
    std::cout << fmt::format("{:<62} {:>9.3f} {:>9.3f}\n", what, at_share(0.5), at_share(0.99))
              << std::flush;
}

std::string address_of(int i) { return fmt::format("198.51.{}.{}/32", 100 + i / 250, i % 250); }

/// 1,000 rules: 900 grants of ours that are open as they should be, and 100 rules of others.
struct FullNsg {
    NsgState state = read_of("nsg-web", {});
    std::vector<nsg::GrantClaim> claims = {};
    std::vector<RecordedRule> recorded = {};
    std::vector<Cidr> sources = {};

    FullNsg() {
        for (int i = 0; i < ours; ++i) {
            const nsg::RuleContent wanted = opening(address_of(i).c_str());
            const int priority = Bands{}.grants.from + i;
            const nsg::GrantClaim claim =
                grant(fmt::format("g{}", i)).wants({wanted}).recorded(wanted, 0, priority);
            state.rules.push_back(rule_of(claim, 0, priority, wanted));
            claims.push_back(claim);
        }
        for (int i = 0; i < foreign; ++i) {
            state.rules.push_back(rule(fmt::format("theirs-{}", i), 3000 + i)
                                      .from({fmt::format("10.{}.0.0/16", i).c_str()})
                                      .port("443"));
        }
        std::ranges::sort(state.rules, {}, &SecurityRule::priority);
    }
};

void measure_plan() {
    const FullNsg full;
    check(full.state.rules.size() == rules_per_nsg_max, "the NSG is full");
    nsg::Inputs quiet = inputs(&full.state, full.claims);
    check(nsg::plan(quiet).steps.empty(), "a world as desired gives no steps");
    time_it("nsg::plan, 1,000 rules, 900 grants, nothing to do", 200,
            [&] { return nsg::plan(quiet).grants.size(); });
    nsg::Inputs over = quiet;
    over.now = at("12:00");
    check(nsg::plan(over).steps.size() == ours, "every end is a closing");
    time_it("nsg::plan, 1,000 rules, 900 grants ending at once", 100,
            [&] { return nsg::plan(over).steps.size(); });
    const NsgState empty = read_of("nsg-web", {});
    nsg::Inputs fresh = inputs(&empty, full.claims);
    time_it("nsg::plan, 900 openings on an empty NSG", 100,
            [&] { return nsg::plan(fresh).steps.size(); });
}

void measure_path() {
    const FullNsg full;
    const Topology topology = TopologyBuilder().machine("web01", {"10.0.0.4"});
    const path::Way way = must(path::ways_to(topology, vm_id("web01"))).at(0);
    const path::Traffic traffic{.sources = AddressSet::of(cidr("198.51.100.7/32")),
                                .ports = PortRange::single(22)};
    time_it("path::through, one source, 1,000 rules", 500,
            [&] { return path::through(full.state, topology, way, traffic).allows.size(); });
    const path::Traffic all{.sources = AddressSet::of(cidr("0.0.0.0/0")),
                            .ports = PortRange::single(22)};
    time_it("path::through, all of IPv4, 1,000 rules", 100,
            [&] { return path::through(full.state, topology, way, all).allows.size(); });
    const ResolvedRequest request{
        .policy_uid = "ssh",
        .access = {{.target = {.id = vm_id("web01"), .vm_id = "vmid-web01"},
                    .ports = {{.ports = PortRange::single(22)}},
                    .sources = cidrs({"198.51.100.7/32"})}}};
    const path::Observations observed{{nsg_id(), &full.state}};
    const path::GrantQuestion question{
        .request = request, .rules = full.claims[7].recorded, .uid = "g7"};
    check(path::judge(question, topology, observed, owner()).open == Truth::yes, "g7 is open");
    time_it("path::judge, one grant, 1,000 rules", 500,
            [&] { return path::judge(question, topology, observed, owner()).sentence.size(); });
}

void measure_ends() {
    constexpr int ends = 100'000;
    std::vector<std::string> uids;
    for (int i = 0; i < ends; ++i) uids.push_back(fmt::format("6f0c3a52-0000-4000-8000-{:012}", i));
    const Timestamp first = at("09:00");
    const auto filled = [&](bool all_at_once) {
        engine::Deadlines deadlines;
        for (int i = 0; i < ends; ++i) {
            deadlines.set(uids[static_cast<std::size_t>(i)],
                          first + seconds(all_at_once ? 0 : (i * 7919) % 28'800));
        }
        return deadlines;
    };
    time_it("engine::Deadlines, 100,000 ends set, spread over 8 h", 20,
            [&] { return filled(false).size(); });
    const engine::Deadlines at_once = filled(true);
    time_it("engine::Deadlines, copied and 100,000 taken in one second", 20, [&] {
        engine::Deadlines deadlines = at_once;
        return deadlines.take_due(first).size();
    });
    engine::Deadlines spread = filled(false);
    Timestamp now = first;
    time_it("engine::Deadlines, what is due in one second of 100,000", 2'000, [&] {
        now += seconds(1);
        return spread.take_due(now).size();
    });
}

}  // namespace

int main() {
    // tidy: stdout because a benchmark is a program for a terminal
    std::cout << fmt::format("{:<62} {:>9} {:>9}\n", "", "p50 ms", "p99 ms");
    measure_plan();
    measure_path();
    measure_ends();
    return 0;
}
