#include "sim/operations.hpp"

#include <fmt/format.h>

#include <set>

#include "sim/plan_judge.hpp"
#include "sim/scenes.hpp"
#include "sim/sequences.hpp"

using namespace sallyport;
using namespace sallyport::sim;
using namespace std::chrono_literals;

// S8: operations walked from the CRDs in crds/. What a schema forbids is
// refused, each place named, and changes nothing; what it allows is taken, and then a world that
// came to it is as one that began with it, and comes back when it is taken back.
namespace {

/// One in so many of the operations that are accepted runs; all: SALLYPORT_PLANS_STRIDE=1.
#ifdef NDEBUG
constexpr std::uint64_t usual_stride = 61;
constexpr std::size_t refusals_stride = 1;
#else
constexpr std::uint64_t usual_stride = 300;
constexpr std::size_t refusals_stride = 60;  // unoptimised code and sanitizers
#endif

/// Kinds whose spec nobody but the operator writes (admission `sallyport-operator-only`).
const std::set<std::string> not_walked = {"AccessRecord", "AccessLedger"};

struct Walked {
    std::vector<Operation> refused = {};
    std::vector<Operation> idle = {};  ///< taken, and what is stored is what was there
    std::vector<Operation> accepted = {};
};

bool is_chosen(const Operation& operation) {
    const std::string only = setting("SALLYPORT_PLAN");
    return only.empty() || operation.name() == only;
}
/// Of those that are refused or change nothing, which are quick.
bool is_in_turn(std::size_t index) {
    return !setting("SALLYPORT_PLAN").empty() || index % refusals_stride == 0;
}
/// For a replay, whose summary counts plans.
void tell_replayed(std::size_t count) {
    if (!setting("SALLYPORT_PLAN").empty()) MESSAGE("plans ran S8 ", count);
}

/// Told apart by this reading of the schema, and not by the server's.
Walked walk(const std::string& name, const json& old) {
    const WalkedKind& kind = kind_named(name);
    WalkUses uses;
    Walked walked;
    for (Operation& each : operations_of(kind, base_of(name), uses)) {
        if (!is_chosen(each)) continue;
        json object;
        const bool allowed = expected_verdict(kind, each, old, object).allows();
        const bool same = allowed && old.is_object() && object.at("spec") == old.at("spec");
        (!allowed ? walked.refused
         : same   ? walked.idle
                  : walked.accepted)
            .push_back(std::move(each));
    }
    return walked;
}

void check_chosen(const Operation& operation, const std::string& wrong, const std::string& told) {
    CHECK_MESSAGE(wrong.empty(), operation.name()
                                     << ": " << wrong << "\n"
                                     << told << "SALLYPORT_PLAN='" << operation.name() << "'");
}

/// What is refused, and what changes nothing, leaves everything as it is.
void check_refusals(const std::string& name) {
    const WalkedKind& kind = kind_named(name);
    OperatedWorld at(World::account(), World::a_policy());
    at.world.start_operator();
    REQUIRE_TOLD(at.world, at.rest());
    at.ask_for("a");
    at.ask_for("g");
    REQUIRE_TOLD(at.world, at.rest());
    const json before = everything_of(at.world);
    const SteadyTime last_write = at.monitor.last_write();
    const std::string path = path_of(base_of(name));
    const json old = at.world.get(path);
    const Walked walked = walk(name, old);
    std::size_t index = 0;
    for (const std::vector<Operation>* group : {&walked.refused, &walked.idle}) {
        for (const Operation& each : *group) {
            if (!is_in_turn(index++)) continue;
            json object;
            const SchemaVerdict verdict = expected_verdict(kind, each, old, object);
            const http::Response answer = carry_in(at.world, kind, each, base_of(name));
            std::string wrong = judge_answer(answer, verdict);
            if (wrong.empty() && at.world.get(path) != old) wrong = "it changed the object";
            check_chosen(each, wrong, "");
        }
    }
    at.world.run_for(2min);
    CHECK(everything_of(at.world) == before);
    CHECK(at.monitor.last_write() == last_write);
    const std::string wrong = at.complaint();
    CHECK_MESSAGE(wrong.empty(), wrong);
    tell_replayed(index);
    MESSAGE(name, ": of ", properties_of(kind).size(), " properties ", walked.refused.size(),
            " operations are refused, ", walked.idle.size(), " change nothing, ",
            walked.accepted.size(), " are accepted");
}

std::uint64_t stride() {
    if (!setting("SALLYPORT_PLAN").empty()) return 1;
    return std::max<std::uint64_t>(setting("SALLYPORT_PLANS_STRIDE", usual_stride), 1);
}

void check_changes(const std::string& name) {
    const WalkedKind& kind = kind_named(name);
    json stored = base_of(name);
    stored["spec"] = as_stored(kind.schema.at("properties").at("spec"), stored.at("spec"));
    const Walked walked = walk(name, stored);
    std::size_t ran = 0;
    for (std::size_t i = 0; i < walked.accepted.size(); ++i) {
        if (i % stride() != 0) continue;
        ++ran;
        std::string told;
        const std::string wrong = run_change(kind, walked.accepted[i], told);
        check_chosen(walked.accepted[i], wrong, told);
    }
    MESSAGE(name, ": of ", walked.accepted.size(), " plans ran S8 ", ran);
}

}  // namespace

TEST_CASE("operations: what the schema of a policy forbids is refused and changes nothing") {
    check_refusals("JitPolicy");
}
TEST_CASE("operations: what the schema of an account forbids is refused and changes nothing") {
    check_refusals("CloudAccount");
}
TEST_CASE("operations: what may not be changed in a grant is refused and changes nothing") {
    check_refusals("AccessGrant");
}

TEST_CASE("operations: what somebody asks for is granted or refused, and told") {
    const WalkedKind& kind = kind_named("AccessGrant");
    WalkUses uses;
    std::size_t refused = 0;
    std::size_t ran = 0;
    std::size_t accepted = 0;
    OperatedWorld at(World::account(), World::a_policy());
    for (const Operation& each : operations_of(kind, base_of("AccessGrant"), uses)) {
        if (!is_chosen(each)) continue;
        json object;
        const SchemaVerdict verdict = request_verdict(kind, each, object);
        if (!verdict.allows()) {
            if (!is_in_turn(refused++)) continue;
            const http::Response answer = at.world.request(
                "alice", "POST",
                path_of(each.manifest).substr(0, path_of(each.manifest).rfind('/')),
                each.manifest.dump());
            std::string wrong = judge_answer(answer, verdict);
            if (wrong.empty() && !at.world.grant("g").is_null()) wrong = "it is there";
            check_chosen(each, wrong, "");
        } else if (accepted++ % stride() == 0) {
            ++ran;
            std::string told;
            const std::string wrong = run_request(kind, each, told);
            check_chosen(each, wrong, told);
        }
    }
    tell_replayed(refused);
    MESSAGE("AccessGrant, asked for: ", refused, " are refused; of ", accepted, " plans ran S8 ",
            ran);
}
TEST_CASE("operations: a changed policy is as one that began so, and comes back") {
    check_changes("JitPolicy");
}
TEST_CASE("operations: a changed account is as one that began so, and comes back") {
    check_changes("CloudAccount");
}

TEST_CASE("operations: every kind and every property is walked, and no table speaks of others") {
    WalkUses uses;
    for (const WalkedKind& kind : shipped_kinds_of_crds()) {
        if (not_walked.contains(kind.kind)) continue;
        std::map<std::string, int> of_path;
        for (const Operation& each : operations_of(kind, base_of(kind.kind), uses))
            ++of_path[each.path];
        for (const Property& property : properties_of(kind))
            CHECK_MESSAGE(of_path[property.path] >= 2, kind.kind << "." << property.path);
    }
    for (const std::string& kind : not_walked) kind_named(kind);
    for (const std::string& path : example_paths())
        CHECK_MESSAGE(uses.examples.contains(path), path);
    for (const std::string& path : replacing_paths())
        CHECK_MESSAGE(uses.replaced.contains(path), path);
}
