#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "sim/operations.hpp"
#include "sim/scenes.hpp"

// Two worlds for each operation: one that began as usual, was changed and is changed back, and one
// that began with the change.
namespace sallyport::sim {
namespace {

/// Denies of a policy's former wishes stay: only its own hold or a person takes a lockdown away.
/// While the new wishes cannot be carried out, exceptions stay as well: without them the denies
/// that stay would cut what was excepted. Any other rule that nobody wants is a complaint; empty:
/// there is none.
std::string unwanted(const json& seen, const json& wanted, const json& former, bool works) {
    for (const json& rule : seen) {
        if (std::ranges::find(wanted, rule) != wanted.end()) continue;
        const bool was = std::ranges::find(former, rule) != former.end();
        if (!was || (works && rule.at(1) != "Deny"))
            return "there is a rule that nobody wants: " + rule.dump();
    }
    return "";
}

/// What is not workable goes on as it was as far as it can: the last good credential reads and
/// closes, a lockdown stays. That it is not Ready, and why, is the same.
json comparable(const std::string& part, json object, const json& expected) {
    // Machines that a policy closes are covered, also while it is not as its author wants it.
    if (part == "account" &&
        expected.value("/policy/conditions/Ready/0"_json_pointer, "") != "True")
        object.erase("coverage");
    const bool works =
        expected.value(json::json_pointer("/" + part + "/conditions/Ready/0"), "") == "True";
    if (works || part == "grant" || object.is_null()) return object;
    json told = json::object();
    for (const char* type : {"Ready", "Reconciling", "Stalled"}) {
        if (object.at("conditions").contains(type)) told[type] = object.at("conditions").at(type);
    }
    return told;
}

}  // namespace

std::string compare_outcomes(json seen, json expected, json former) {
    // Confirmation is asked for before a lockdown is written the first time, and an account that
    // observes or is paused writes none: one that stands, stands.
    const std::string why = expected.value("/policy/conditions/Ready/1"_json_pointer, "");
    const auto is_ready = [&expected](const std::string& part) {
        return expected.value(json::json_pointer("/" + part + "/conditions/Ready/0"), "") == "True";
    };
    const bool first_time = why == "LockdownUnconfirmed" || why == "LockdownPending";
    if (first_time) {
        seen.erase("policy");
        expected.erase("policy");
        seen.erase("grant");
        expected.erase("grant");
    } else if (seen.at("lockdown").size() > expected.at("lockdown").size()) {
        // What `mode: None` leaves open is still closed by the deny that stays.
        for (json* each : {&seen, &expected}) {
            each->at("policy").at("conditions").erase("Closed");
            each->at("policy").erase("findings");
        }
    }
    if (first_time || expected.value("/account/conditions/Ready/0"_json_pointer, "") != "True") {
        // What stands may have moved to where `precedence` puts it; or it keeps its number, and the
        // bands that cannot be used give that another name.
        for (json* rules : {&seen.at("lockdown"), &expected.at("lockdown"), &former}) {
            for (json& rule : *rules) rule.erase(rule.size() - 1);
        }
    }
    for (const char* part : {"account", "policy", "grant"}) {
        const json is = comparable(part, seen.value(part, json()), expected);
        const json wanted = comparable(part, expected.value(part, json()), expected);
        if (is != wanted)
            return fmt::format("{} is\n  {}\nand not\n  {}", part, is.dump(), wanted.dump());
    }
    const bool works = !first_time && is_ready("account") && is_ready("policy");
    std::string wrong = unwanted(seen.at("lockdown"), expected.at("lockdown"), former, works);
    for (const json& rule : expected.at("lockdown")) {
        if (std::ranges::find(seen.at("lockdown"), rule) == seen.at("lockdown").end())
            wrong = "there is no rule " + rule.dump();
    }
    return wrong;
}

/// It is checked against the policy as it is now; a wider one gives it nothing;
/// refusals are for new ones.
std::string judge_open_grant(const json& now, const json& of_fresh) {
    static const std::set<std::string> narrower = {"SourceNotAllowed", "SourceTooWide",
                                                   "PortNotAllowed", "TargetNotAllowed"};
    const std::string phase = now.value("/grant/phase"_json_pointer, "gone");
    const std::string fresh = of_fresh.value("/grant/phase"_json_pointer, "gone");
    const std::string why = of_fresh.value("/grant/conditions/Ready/1"_json_pointer, "");
    if (fresh == "Open" && now.at("grant") != of_fresh.at("grant"))
        return "an open grant that may be open is " + now.at("grant").dump();
    if (narrower.contains(why) && phase != "PolicyNarrowed")
        return "an open grant that the policy does not cover any more (" + why + ") is " + phase;
    const bool stays = phase == "Open" || fresh == "Open" || phase == "PolicyNarrowed";
    if (!stays && now.value("/grant/rules"_json_pointer, json::array()).empty() && phase == "gone")
        return "an open grant has gone";
    return "";
}

const UndisturbedWorld& undisturbed_world() {
    static const UndisturbedWorld result = [] {
        UndisturbedWorld seen;
        OperatedWorld at(World::account(), World::a_policy());
        at.world.start_operator();
        at.rest();
        for (const auto& [name, outcome] :
             {std::pair{"a", &seen.of_a}, std::pair{"b", &seen.of_b}, std::pair{"c", &seen.of_c}}) {
            at.ask_for(name);
            at.rest();
            *outcome = at.outcome(name);
        }
        seen.wrong = at.complaint();
        return seen;
    }();
    return result;
}

std::string settle(OperatedWorld& at, const char* when) {
    if (!at.rest()) return fmt::format("{}: it does not become quiet", when);
    const std::string wrong = at.complaint();
    return wrong.empty() ? "" : fmt::format("{}: {}", when, wrong);
}

namespace {

struct Fresh {
    json of_a, of_b;
    std::string wrong, told;
};
Fresh begin_with(const Operation& operation) {
    Fresh fresh;
    const bool policy = operation.kind == "JitPolicy";
    OperatedWorld at(policy ? World::account() : operation.manifest,
                     policy ? operation.manifest : World::a_policy());
    at.world.start_operator();
    fresh.wrong = settle(at, "begun with it");
    for (const auto& [name, outcome] : {std::pair{"a", &fresh.of_a}, std::pair{"b", &fresh.of_b}}) {
        if (!fresh.wrong.empty()) break;
        at.ask_for(name);
        fresh.wrong = settle(at, "begun with it, and asked");
        *outcome = at.outcome(name);
    }
    if (!fresh.wrong.empty()) fresh.told = at.monitor.told();
    return fresh;
}

/// The changed world beside the fresh one.
class Change {
public:
    Change(const WalkedKind& kind, const Operation& operation)
        : kind_(kind), operation_(operation), at_(World::account(), World::a_policy()) {}

    std::string run() {
        const Fresh fresh = begin_with(operation_);
        told = fresh.told;
        if (!fresh.wrong.empty()) return fresh.wrong;
        told.clear();
        std::string wrong = begin();
        if (wrong.empty()) wrong = change(fresh);
        if (wrong.empty()) wrong = take_back();
        if (!wrong.empty()) told = at_.monitor.told();
        return wrong;
    }
    std::string told = {};

private:
    std::string begin() {
        at_.world.start_operator();
        if (std::string wrong = settle(at_, "before"); !wrong.empty()) return wrong;
        at_.ask_for("a");
        return settle(at_, "before");
    }
    std::string change(const Fresh& fresh) {
        json wanted;
        const json old = at_.world.get(path_of(base_of(kind_.kind)));
        const SchemaVerdict verdict = expected_verdict(kind_, operation_, old, wanted);
        const http::Response answer = carry_in(at_.world, kind_, operation_, base_of(kind_.kind));
        if (std::string wrong = judge_answer(answer, verdict); !wrong.empty()) return wrong;
        if (json::parse(answer.body).at("spec") != wanted.at("spec"))
            return "stored otherwise than the schema says: " + answer.body;
        if (std::string wrong = settle(at_, "changed"); !wrong.empty()) return wrong;
        if (std::string wrong = judge_open_grant(at_.outcome("a"), fresh.of_a); !wrong.empty())
            return "changed: " + wrong;
        at_.ask_for("b");
        if (std::string wrong = settle(at_, "changed, and asked"); !wrong.empty()) return wrong;
        changed_ = at_.outcome("b");
        const std::string wrong =
            compare_outcomes(changed_, fresh.of_b, undisturbed_world().of_b.at("lockdown"));
        return wrong.empty() ? "" : "differs from a world that began with it: " + wrong;
    }
    std::string take_back() {
        Operation back = operation_;
        back.value = "as it was";
        back.manifest = base_of(kind_.kind);
        json object = at_.world.get(path_of(back.manifest));
        object["spec"] = back.manifest.at("spec");
        const http::Response answer =
            at_.world.request("admin", "PUT", path_of(back.manifest), object.dump());
        if (answer.status != 200) return "taken back: " + answer.body;
        if (std::string wrong = settle(at_, "taken back"); !wrong.empty()) return wrong;
        at_.ask_for("c");
        if (std::string wrong = settle(at_, "taken back, and asked"); !wrong.empty()) return wrong;
        const std::string wrong =
            compare_outcomes(at_.outcome("c"), undisturbed_world().of_c, changed_.at("lockdown"));
        return wrong.empty() ? "" : "taken back, it is not as before: " + wrong;
    }

    const WalkedKind& kind_;
    const Operation& operation_;
    OperatedWorld at_;
    json changed_ = {};
};

http::Response create(OperatedWorld& at, const json& grant) {
    return at.world.request("alice", "POST",
                            "/apis/sallyport.dev/v1alpha1/namespaces/payments/accessgrants",
                            grant.dump());
}

}  // namespace

std::string run_change(const WalkedKind& kind, const Operation& operation, std::string& told) {
    if (!undisturbed_world().wrong.empty()) return "undisturbed: " + undisturbed_world().wrong;
    Change change(kind, operation);
    std::string wrong = change.run();
    told = change.told;
    return wrong;
}

std::string run_request(const WalkedKind& kind, const Operation& operation, std::string& told) {
    json wanted;
    const SchemaVerdict verdict = request_verdict(kind, operation, wanted);
    OperatedWorld fresh(World::account(), World::a_policy());
    OperatedWorld changed(World::account(), World::a_policy());
    changed.world.start_operator();
    std::string wrong = settle(changed, "before");
    for (OperatedWorld* at : {&fresh, &changed}) {
        if (!wrong.empty()) break;
        const http::Response answer = create(*at, operation.manifest);
        wrong = judge_answer(answer, verdict);
        if (wrong.empty() && json::parse(answer.body).at("spec") != wanted.at("spec"))
            wrong = "stored otherwise than the schema says: " + answer.body;
        if (at == &fresh) at->world.start_operator();
        if (wrong.empty()) wrong = settle(*at, at == &fresh ? "begun with it" : "asked");
        if (!wrong.empty()) told = at->monitor.told();
    }
    if (!wrong.empty()) return wrong;
    wrong = compare_outcomes(changed.outcome("g"), fresh.outcome("g"), json::array());
    if (!wrong.empty()) wrong = "differs from a world that began with it: " + wrong;
    if (wrong.empty()) {
        changed.world.remove(path_of(operation.manifest));
        wrong = settle(changed, "deleted");
    }
    if (wrong.empty() && changed.world.phase("g") != "gone") wrong = "deleted, it stays";
    if (wrong.empty()) {
        changed.ask_for("a");
        wrong = settle(changed, "asked for another");
        if (wrong.empty())
            wrong = compare_outcomes(changed.outcome("a"), undisturbed_world().of_a, json::array());
    }
    if (!wrong.empty()) told = changed.monitor.told();
    return wrong;
}

}  // namespace sallyport::sim
