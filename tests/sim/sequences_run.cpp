#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "model/mark.hpp"
#include "sim/operations.hpp"
#include "sim/scenes.hpp"
#include "sim/sequences.hpp"

namespace sallyport::sim {
namespace {

using namespace std::chrono_literals;
using What = SequenceStep::What;

constexpr auto going_within = 25min;  ///< deleted objects: until no write may land any more
constexpr auto slice = 500ms;         ///< between two looks at what lockdowns there are
/// What was sent for the objects before may land until then.
constexpr auto former_lands_within = 10s;

const std::string plain = "/apis/sallyport.dev/v1alpha1/";

http::Response create(World& world, const json& manifest) {
    const std::string path = path_of(manifest);
    const bool grant = manifest.at("kind") == "AccessGrant";
    return world.request(grant ? "alice" : "admin", "POST", path.substr(0, path.rfind('/')),
                         manifest.dump());
}

/// A grant of the sequence begins and ends at other times in another world.
bool depends_on_time(const json& manifest) {
    const json& spec = manifest.at("spec");
    return spec.contains("notAfter") || spec.contains("notBefore");
}

/// The world that began with the last accepted objects, and whose grants were asked for then.
struct FreshWorld {
    std::map<std::string, json> of_open = {};
    json before = {};  ///< without a grant, or with those that are open
    json of_new = {};
    std::string wrong = {}, told = {};
};
FreshWorld make_fresh(const json& account, const json& policy, const std::vector<json>& open) {
    FreshWorld fresh;
    OperatedWorld at(account, policy);
    at.world.start_operator();
    fresh.wrong = settle(at, "begun so");
    for (const json& grant : open) create(at.world, grant);
    if (fresh.wrong.empty() && !open.empty()) fresh.wrong = settle(at, "begun so, and asked");
    fresh.before = at.outcome("none");
    for (const json& grant : open) {
        const std::string name = grant.at("metadata").at("name");
        fresh.of_open[name] = at.outcome(name);
        if (!at.world.grant(name).is_null()) at.world.remove(path_of(grant));
    }
    if (fresh.wrong.empty() && !open.empty()) fresh.wrong = settle(at, "begun so, and closed");
    if (fresh.wrong.empty()) {
        create(at.world, grant_of("z"));
        fresh.wrong = settle(at, "begun so, and asked for another");
    }
    fresh.of_new = at.outcome("z");
    if (!fresh.wrong.empty()) fresh.told = at.monitor.told();
    return fresh;
}
/// Shrinking asks for the same again and again.
const FreshWorld& fresh_of(const json& account, const json& policy, const std::vector<json>& open) {
    static std::map<std::string, FreshWorld> made;
    const std::string key = json::array({account, policy, open}).dump();
    const auto found = made.find(key);
    if (found != made.end()) return found->second;
    return made.emplace(key, make_fresh(account, policy, open)).first->second;
}

/// What may change without anything being owed less to a grant that is open.
bool leaves_grants_alone(const SequenceStep& step) {
    if (step.what != What::edit || step.kind != "JitPolicy") return false;
    static const char* const harmless[] = {"spec.request",           "spec.approval",
                                           "spec.retainEndedGrants", "spec.network.lockdown",
                                           "spec.network.onEnd",     "spec.drift.closed"};
    return std::ranges::any_of(harmless,
                               [&](const char* path) { return step.edit.path.starts_with(path); });
}

class Run {
public:
    explicit Run(const Sequence& sequence)
        : sequence_(sequence), at_(World::account(), World::a_policy()) {
        for (const char* kind : {"CloudAccount", "JitPolicy"})
            manifests_[path_of(base_of(kind))] = base_of(kind);
    }

    SequenceResult play() {
        std::string wrong = begin();
        for (std::size_t i = 0; i < sequence_.size() && wrong.empty(); ++i) {
            at_.monitor.note(fmt::format("step {}: {}", i + 1, sequence_[i].text()));
            wrong = take(sequence_[i]);
            if (wrong.empty()) wrong = wait_after(sequence_[i]);
            if (!wrong.empty()) wrong = fmt::format("step {}: {}", i + 1, wrong);
        }
        if (wrong.empty()) wrong = come_to_rest("in the end");
        if (wrong.empty()) wrong = compare_with_fresh();
        if (wrong.empty()) wrong = set_back();
        result_.wrong = wrong;
        if (!wrong.empty() && result_.told.empty()) result_.told = at_.monitor.told();
        return std::move(result_);
    }

private:
    json get(const char* kind) { return at_.world.get(path_of(base_of(kind))); }
    bool works(const char* kind) {
        const json object = get(kind);
        const json ready = object.is_null() ? json() : condition(object, "Ready");
        return ready.is_object() && ready.at("status") == "True";
    }

    std::string begin() {
        at_.world.start_operator();
        if (std::string wrong = settle(at_, "before"); !wrong.empty()) return wrong;
        take({.what = What::ask, .kind = "AccessGrant", .name = "a"});
        return come_to_rest("before");
    }

    // --- Steps -----------------------------------------------------------------------------------

    std::string take(const SequenceStep& step) {
        switch (step.what) {
            case What::restart: restart(); return "";
            case What::remove: {
                const std::string path = step.kind == "AccessGrant" ? grant_path(step.name)
                                                                    : path_of(base_of(step.kind));
                const http::Response answer = at_.world.request("admin", "DELETE", path);
                if (answer.status == 200) removed(step);
                return answer.status == 200 || answer.status == 404 ? "" : answer.body;
            }
            case What::ask: return ask(step);
            case What::edit:
            case What::base: return write(step);
        }
        return "";
    }

    /// The last good credential is in memory alone: a process that never had one
    /// cannot close, so that none ends or begins while the account names another.
    void restart() {
        const json manifest = manifests_.at(path_of(World::account()));
        const json account = get("CloudAccount");
        const bool signs_in =
            manifest.at("spec").value("azure", json()) == World::account().at("spec").at("azure") &&
            works("CloudAccount");
        if (account.is_null() || !signs_in) return;
        at_.world.crash();
        at_.world.start_operator();
        at_.world.run_for(5s);
    }

    void removed(const SequenceStep& step) {
        changed_ = at_.world.time.loop.steady_now();
        if (step.kind == "AccessGrant") {
            owed_.erase(step.name);
        } else {
            owed_.clear();
        }
    }

    json base(const SequenceStep& step) const {
        return step.kind == "AccessGrant" ? sequence_grant(step.name) : base_of(step.kind);
    }
    Operation operation(const SequenceStep& step, const json& from) const {
        const WalkedKind& kind = kind_named(step.kind);
        const bool edits = !step.edit.path.empty();
        return {step.kind, step.edit.path, step.value, edits ? edited(kind, from, step.edit) : from,
                step.edit};
    }

    /// As a tool applies it: what is not there is created.
    std::string write(const SequenceStep& step) {
        const WalkedKind& kind = kind_named(step.kind);
        const std::string path = path_of(base(step));
        const json old = at_.world.get(path);
        const bool grant = step.kind == "AccessGrant";
        if (grant && (old.is_null() || !manifests_.contains(path))) return "";
        const json last = manifests_.at(path);
        const Operation written = operation(step, step.what == What::base ? base(step) : last);
        json wanted;
        const SchemaVerdict verdict = expected_verdict(kind, written, old, wanted);
        const http::Response answer = old.is_null() ? create(at_.world, written.manifest)
                                                    : carry_in(at_.world, kind, written, last);
        if (std::string wrong = judge_answer(answer, verdict); !wrong.empty()) return wrong;
        if (!verdict.allows()) {
            ++result_.refused;
            return at_.world.get(path) == old ? "" : "it was refused, and changed the object";
        }
        if (json::parse(answer.body).at("spec") != wanted.at("spec"))
            return "stored otherwise than the schema says: " + answer.body;
        ++result_.accepted;
        manifests_[path] = written.manifest;
        changed_ = at_.world.time.loop.steady_now();
        const bool same = old.is_object() && old.at("spec") == wanted.at("spec");
        if (grant) {
            owed_.erase(step.name);
        } else if (!same && !leaves_grants_alone(step)) {
            owed_.clear();
        }
        return "";
    }

    std::string ask(const SequenceStep& step) {
        const WalkedKind& kind = kind_named("AccessGrant");
        const Operation asked = operation(step, base(step));
        const std::string path = path_of(base(step));
        const json old = at_.world.get(path);
        json wanted;
        const SchemaVerdict verdict = request_verdict(kind, asked, wanted);
        const http::Response answer = create(at_.world, asked.manifest);
        if (verdict.allows() && !old.is_null())
            return answer.status == 409 ? "" : "there was one of that name: " + answer.body;
        if (std::string wrong = judge_answer(answer, verdict); !wrong.empty()) return wrong;
        ++(verdict.allows() ? result_.accepted : result_.refused);
        if (!verdict.allows()) return "";
        if (json::parse(answer.body).at("spec") != wanted.at("spec"))
            return "stored otherwise than the schema says: " + answer.body;
        manifests_[path] = asked.manifest;
        names_.insert(step.name);
        return "";
    }

    std::string wait_after(const SequenceStep& step) {
        if (!step.then) return come_to_rest("at rest");
        const SteadyTime until = at_.world.time.loop.steady_now() + *step.then;
        while (at_.world.time.loop.steady_now() < until) {
            const std::chrono::nanoseconds left = until - at_.world.time.loop.steady_now();
            at_.world.run_for(std::min<std::chrono::nanoseconds>(slice, left));
            note_lockdowns();
        }
        return broken();
    }

    /// What is wrong in any moment.
    std::string broken() {
        if (!at_.monitor.complaints().empty()) return at_.monitor.complaints().front();
        if (at_.world.time.bugs > 0 || at_.world.network.handler_failures > 0)
            return "a bug was thrown";
        return at_.world.log.errors > 0 ? "the log has errors" : "";
    }

    // --- At rest ---------------------------------------------------------------------------------

    std::string come_to_rest(const char* when) {
        note_lockdowns();
        std::string wrong = settle(at_, when);
        note_lockdowns();
        if (wrong.empty()) wrong = judge_owed();
        if (wrong.empty()) wrong = judge_telling();
        return wrong;
    }

    void note_lockdowns() {
        for (const auto& [path, rule] : at_.monitor.look().rules) {
            if (rule.of_grant) continue;
            lockdowns_.try_emplace(plain_rule(rule.nsg, rule.properties),
                                   at_.world.time.loop.steady_now());
        }
    }
    static json plain_rule(const std::string& nsg, const json& properties) {
        json rule = comparable_rule(nsg, properties, json());
        rule.erase(rule.size() - 1);
        return rule;
    }

    /// Nothing happened that takes anything from them.
    std::string judge_owed() {
        for (const std::string& name : owed_) {
            if (at_.world.phase(name) != "Open")
                return fmt::format("nothing ended grant {}, and it is {}", name,
                                   at_.world.phase(name));
        }
        for (const std::string& name : names_) {
            const auto manifest = manifests_.find(grant_path(name));
            const bool plain_one =
                manifest != manifests_.end() && manifest->second == sequence_grant(name);
            if (plain_one && at_.world.phase(name) == "Open") owed_.insert(name);
        }
        // Two hours, less what the sequence may take.
        if (at_.world.now() > *parse_rfc3339(start_of_time) + 100min) owed_.clear();
        return "";
    }

    static std::string orphan(const SeenRule& rule) {
        return fmt::format("OrphanLockdown: rule {} on {}:", rule.name, rule.nsg);
    }
    /// A lockdown that nobody asks for is told, and none that is not there.
    std::string judge_telling() {
        const json account = get("CloudAccount");
        if (!works("CloudAccount")) return "";
        const json policy = get("JitPolicy");
        std::string told = account.value("/status/message"_json_pointer, "");
        const bool all_told = told.find(" more") == told.npos;
        std::string uid;
        if (policy.is_object()) {
            uid = policy.at("metadata").at("uid");
            told += policy.value("/status/findings"_json_pointer, json::array()).dump();
        }
        std::set<std::string> there;
        for (const auto& [path, rule] : at_.monitor.look().rules) {
            there.insert(orphan(rule));
            const auto mark = Mark::parse(rule.properties.value("description", ""));
            if (!mark || mark->kind != MarkKind::policy || mark->uid == uid) continue;
            if (all_told && told.find(orphan(rule)) == told.npos)
                return "nobody is told that the policy of " + path + " is gone: " + told;
        }
        for (std::size_t at = 0; (at = told.find("OrphanLockdown: rule ", at)) != told.npos; ++at) {
            const std::size_t end = told.find(':', at + std::string("OrphanLockdown:").size());
            const std::string said = told.substr(at, end + 1 - at);
            if (!there.contains(said)) return "that is not there: " + said;
        }
        return "";
    }

    /// What a policy that is there does not ask for any more is told by itself, and no other rule.
    std::string judge_left_behind(const json& expected) {
        // What waits to be confirmed, or cannot be carried out, asks for nothing yet.
        const std::string ready = expected.value("/policy/conditions/Ready/0"_json_pointer, "");
        if (!works("JitPolicy") || ready != "True") return "";
        const json policy = get("JitPolicy");
        const json account = get("CloudAccount");
        const std::string told =
            policy.value("/status/findings"_json_pointer, json::array()).dump();
        const std::string uid = policy.at("metadata").at("uid");
        for (const auto& [path, rule] : at_.monitor.look().rules) {
            if (rule.uid != uid || rule.allows) continue;
            const json seen = comparable_rule(rule.nsg, rule.properties, account);
            const json& wanted = expected.at("lockdown");
            const bool left = std::ranges::find(wanted, seen) == wanted.end();
            const bool is_told = told.find(orphan(rule)) != told.npos;
            if (left != is_told)
                return fmt::format("{} {}: {}", path,
                                   left ? "is asked for no more, and its policy is not told"
                                        : "is wanted, and told as left behind",
                                   told);
        }
        return "";
    }

    std::vector<std::string> terminating() {
        std::vector<std::string> names;
        for (const char* plural : {"cloudaccounts", "jitpolicies", "accessgrants"}) {
            const json list = at_.world.get(plain + plural);
            for (const json& object : list.at("items")) {
                if (object.at("metadata").contains("deletionTimestamp"))
                    names.push_back(object.at("metadata").at("name"));
            }
        }
        return names;
    }
    std::string wait_for_those_that_go() {
        at_.world.run_until([this] { return terminating().empty(); }, going_within);
        return come_to_rest("all that was deleted has gone");
    }

    json manifest_if_there(const char* kind) {
        return get(kind).is_null() ? json() : manifests_.at(path_of(base_of(kind)));
    }

    // --- The oracles of the end ------------------------------------------------------------------

    std::string compare_with_fresh() {
        if (!terminating().empty()) {
            if (std::string wrong = wait_for_those_that_go(); !wrong.empty()) return wrong;
        }
        // Without a credential nothing is proven gone, and nothing goes.
        const std::vector<std::string> stay = terminating();
        if (!stay.empty())
            return works("CloudAccount") ? stay.front() + " was deleted and stays" : "";
        ++result_.compared;
        std::vector<json> open;
        for (const std::string& name : names_) {
            const json& manifest = manifests_.at(grant_path(name));
            if (at_.world.phase(name) == "Open" && !depends_on_time(manifest))
                open.push_back(manifest);
        }
        const FreshWorld& fresh =
            fresh_of(manifest_if_there("CloudAccount"), manifest_if_there("JitPolicy"), open);
        if (!fresh.wrong.empty()) {
            result_.told = fresh.told;
            return "a world that began so: " + fresh.wrong;
        }
        std::string wrong = compare(at_.outcome("none"), fresh.before);
        if (wrong.empty()) wrong = judge_left_behind(fresh.before);
        for (const json& grant : open) {
            if (!wrong.empty()) break;
            const std::string name = grant.at("metadata").at("name");
            wrong = judge_open_grant(at_.outcome(name), fresh.of_open.at(name));
        }
        if (wrong.empty()) wrong = let_all_grants_go();
        if (wrong.empty()) {
            create(at_.world, grant_of("z"));
            wrong = come_to_rest("asked for another");
        }
        if (wrong.empty()) wrong = compare(at_.outcome("z"), fresh.of_new);
        return wrong.empty() ? "" : "differs from a world that began so: " + wrong;
    }

    std::string let_all_grants_go() {
        owed_.clear();
        const json list = at_.world.get(plain + "accessgrants");
        for (const json& grant : list.at("items")) at_.world.remove(path_of(grant));
        std::string wrong = come_to_rest("all grants deleted");
        if (wrong.empty() && !terminating().empty()) wrong = wait_for_those_that_go();
        if (!wrong.empty() || terminating().empty()) return wrong;
        return works("CloudAccount") ? terminating().front() + " was deleted and stays" : "";
    }

    std::string set_back() {
        std::string wrong;
        for (int i = 0; i < 2 && wrong.empty(); ++i) {  // twice: what goes is made anew
            for (const char* kind : {"CloudAccount", "JitPolicy"}) {
                const json manifest = base_of(kind);
                SequenceStep step{
                    .what = What::base, .kind = kind, .name = manifest.at("metadata").at("name")};
                if (wrong.empty()) wrong = write(step);
            }
            if (wrong.empty()) wrong = come_to_rest("set back");
            if (wrong.empty() && i == 0) wrong = let_all_grants_go();
        }
        if (wrong.empty() && !terminating().empty())
            wrong = terminating().front() + " was deleted and stays";
        if (wrong.empty()) {
            create(at_.world, grant_of("y"));
            wrong = come_to_rest("set back, and asked");
        }
        if (!wrong.empty()) return wrong;
        // Each grant's own address.
        std::string text = at_.outcome("y").dump();
        const std::string own = "198.51.100.31/32";
        for (std::size_t at = 0; (at = text.find(own, at)) != text.npos;)
            text.replace(at, own.size(), "198.51.100.7/32");
        const json expected = undisturbed_world().of_a;
        wrong = compare(json::parse(text), expected);
        return wrong.empty() ? "" : "set back, it is not as before: " + wrong;
    }

    /// Lockdowns of former wishes stay, and count when they were there before the last one could be
    /// heard.
    std::string compare(json seen, const json& expected) {
        // Which of several things in its way a request is told depends on what was known before.
        const auto phase = [](const json& of) { return of.value("/grant/phase"_json_pointer, ""); };
        const bool refused = phase(seen) != "Open" && phase(expected) != "Open" &&
                             expected.contains("grant") && seen.contains("grant") &&
                             seen.at("grant").at("rules") == expected.at("grant").at("rules");
        const json ready = expected.at("account").at("conditions").value("Ready", json());
        const bool account_works = ready.is_array() && ready.at(0) == "True";
        if (refused && !account_works) seen["grant"] = expected.at("grant");
        // The last good credential reads on, so that a policy may be told more than in a new world.
        json* conditions = &seen.at("policy").at("conditions");
        const json& wanted = expected.at("policy").at("conditions");
        const auto not_ready = [](const json& all) {
            return all.contains("Ready") && all.at("Ready").at(0) != "True";
        };
        if (ready.is_array() && !account_works && not_ready(*conditions) && not_ready(wanted))
            *conditions = wanted;
        json former = json::array();
        for (const json& rule : seen.at("lockdown")) {
            json bare = rule;
            bare.erase(bare.size() - 1);
            const auto known = lockdowns_.find(bare);
            if (known != lockdowns_.end() && known->second <= changed_ + former_lands_within)
                former.push_back(rule);
        }
        return compare_outcomes(seen, expected, former);
    }

    const Sequence& sequence_;
    OperatedWorld at_;
    SequenceResult result_;
    std::map<std::string, json> manifests_;  ///< as they were accepted last, by path
    std::set<std::string> names_;            ///< of grants
    std::set<std::string> owed_;             ///< grants that were open, and that nothing has ended
    std::map<json, SteadyTime> lockdowns_;   ///< lockdown rules, and since when they were seen
    SteadyTime changed_{};                   ///< the last accepted change of account or policy
};

}  // namespace

SequenceResult run_sequence(const Sequence& sequence) {
    if (const std::string& wrong = undisturbed_world().wrong; !wrong.empty())
        return {.wrong = "undisturbed: " + wrong};
    return Run(sequence).play();
}

}  // namespace sallyport::sim
