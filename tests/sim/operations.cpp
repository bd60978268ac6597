#include "sim/operations.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <regex>
#include <set>

#include "model/mark.hpp"
#include "sim/scenes.hpp"

namespace sallyport::sim {
namespace {

using namespace std::chrono_literals;

constexpr const char* group = "/apis/sallyport.dev/v1alpha1/";
constexpr auto quiet_for = 75s;            // a sweep and a quarter
constexpr auto trouble_told_after = 6min;  // reads prove something for 3 minutes
constexpr auto longest = 20min;

/// Of an object that may not be there.
json part_of(const json& object, const char* pointer, json otherwise = json()) {
    const json::json_pointer at(pointer);
    return object.contains(at) ? object.at(at) : otherwise;
}

json conditions_of(const json& object) {
    json all = json::object();
    const json list = part_of(object, "/status/conditions", json::array());
    for (const json& each : list)
        all[each.at("type").get<std::string>()] = {each.at("status"), each.at("reason")};
    return all;
}

/// A merge patch that makes the one of the other.
json difference(const json& from, const json& to) {
    if (!from.is_object() || !to.is_object()) return to;
    json patch = json::object();
    for (const auto& [name, value] : to.items()) {
        if (!from.contains(name)) {
            patch[name] = value;
        } else if (from.at(name) != value) {
            patch[name] = difference(from.at(name), value);
        }
    }
    for (const auto& [name, value] : from.items()) {
        if (!to.contains(name)) patch[name] = nullptr;
    }
    return patch;
}

bool has_null(const json& value) {
    if (value.is_null()) return true;
    return value.is_structured() && std::ranges::any_of(value, has_null);
}

json texts(const json& properties, const char* one, const char* many) {
    std::set<std::string> all;
    for (const json& each : properties.value(many, json::array())) all.insert(each);
    if (const std::string single = properties.value(one, ""); !single.empty()) all.insert(single);
    return all;
}

std::string band_of(int priority, const json& bands) {
    for (const auto& [name, band] : bands.items()) {
        if (priority >= band.at("from") && priority <= band.at("to")) return name;
    }
    return "none";
}

/// Rules of ours, by whose they are; numbers within a band are free (a number
/// is kept for life).
json rules_by_owner(World& world, const json& account, const json& policy) {
    std::map<std::string, std::string> names;
    if (!policy.is_null()) names[policy.at("metadata").at("uid")] = "policy";
    const json grants = world.get(std::string(group) + "accessgrants");
    for (const json& grant : grants.at("items"))
        names[grant.at("metadata").at("uid")] = grant.at("metadata").at("name");
    std::map<std::string, std::set<json>> found;
    const json state = world.azure_state();
    for (const json& nsg : state.at("value")) {
        for (const json& rule : nsg.at("properties").at("securityRules")) {
            if (!rule.at("name").get<std::string>().starts_with("sp-")) continue;
            const json& p = rule.at("properties");
            const auto mark = Mark::parse(p.value("description", ""));
            const auto owner = mark ? names.find(mark->uid) : names.end();
            found[owner == names.end() ? "nobody" : owner->second].insert(
                comparable_rule(nsg.at("name"), p, account));
        }
    }
    return found;
}

/// Of a policy, without names and numbers of our rules. Lockdowns that nobody asks for any more are
/// another matter.
json findings_of(const json& policy) {
    static const std::regex ours("sp-[a-z0-9-]+");
    static const std::regex number("\\(?priority [0-9]+\\)?");
    std::set<std::string> all;
    const json list = part_of(policy, "/status/findings", json::array());
    for (const std::string text : list) {
        if (text.starts_with("OrphanLockdown")) continue;
        all.insert(std::regex_replace(std::regex_replace(text, ours, "sp-"), number, "priority"));
    }
    return all;
}

/// Of an object at rest.
std::string status_complaint(const json& object) {
    const json& meta = object.at("metadata");
    const std::string name =
        object.at("kind").get<std::string>() + " " + meta.at("name").get<std::string>();
    const json status = object.value("status", json::object());
    if (status.value("observedGeneration", -2) != meta.at("generation"))
        return name + ": its status does not speak of its newest generation";
    const json all = conditions_of(object);
    if (!all.contains("Ready")) return name + " has no condition Ready";
    for (const json& each : status.at("conditions")) {
        if (each.at("reason") == "") return name + ": a condition without a reason";
        if (each.at("status") != "True" && each.value("message", "").empty())
            return name + ": " + each.at("type").get<std::string>() +
                   " is not True and nothing says why";
    }
    const bool stalled = all.contains("Stalled");
    if (stalled && all.contains("Reconciling")) return name + " is Stalled and Reconciling";
    if (all.at("Ready").at(0) == "False" && !stalled && !all.contains("Reconciling"))
        return name + " is not Ready, and neither Stalled nor Reconciling";
    return "";
}

}  // namespace

json comparable_rule(const std::string& nsg, const json& p, const json& account) {
    return json::array(
        {nsg, p.at("access"), p.at("direction"), p.at("protocol"),
         texts(p, "sourceAddressPrefix", "sourceAddressPrefixes"),
         texts(p, "destinationAddressPrefix", "destinationAddressPrefixes"),
         texts(p, "destinationPortRange", "destinationPortRanges"),
         band_of(p.at("priority"), part_of(account, "/spec/priorities", json::object()))});
}

json grant_of(const std::string& name) {
    json manifest = World::a_grant(name, "1h");
    manifest["spec"]["network"]["ports"][0]["protocol"] = "Tcp";  // whatever its policy says later
    manifest["spec"]["network"]["sources"] = {fmt::format("198.51.100.{}/32", 7 + (name[0] - 'a'))};
    return manifest;
}

OperatedWorld::OperatedWorld(const json& account, const json& policy) : world(1), monitor(world) {
    world.network.stream_tick = 10s;
    world.apply(
        {{"apiVersion", "v1"}, {"kind", "Namespace"}, {"metadata", {{"name", "payments"}}}});
    world.apply({{"apiVersion", "v1"},
                 {"kind", "Secret"},
                 {"metadata", {{"name", "azure-prod"}, {"namespace", "sallyport-system"}}},
                 {"stringData", {{"clientSecret", "sallyport-secret"}}}});
    if (!account.is_null()) {
        account_name = account.at("metadata").at("name");
        world.apply(account);
    }
    if (!policy.is_null()) {
        policy_name = policy.at("metadata").at("name");
        world.apply(policy);
    }
}

json OperatedWorld::account() {
    return world.get(std::string(group) + "cloudaccounts/" + account_name);
}
json OperatedWorld::policy() { return world.policy(policy_name); }

bool OperatedWorld::rest() {
    const SteadyTime began = world.time.loop.steady_now();
    const auto now = [this] { return world.time.loop.steady_now(); };
    while (now() < began + longest && monitor.complaints().empty()) {
        const SteadyTime last = std::max(began, monitor.last_write());
        world.run_for(now() < last + 10s ? 500ms : 5s);
        if (now() < last + quiet_for) continue;
        const json seen[] = {account(), policy()};
        const bool well = std::ranges::all_of(seen, [](const json& each) {
            return conditions_of(each).value("Ready", json::array({""})).at(0) == "True";
        });
        if (well || now() > began + trouble_told_after) return true;
    }
    return !monitor.complaints().empty();
}

void OperatedWorld::ask_for(const std::string& grant) { ask(world, grant_of(grant)); }

json OperatedWorld::outcome(const std::string& grant) {
    const json of_account = account();
    const json of_policy = policy();
    const json asked = world.grant(grant);
    const json rules = rules_by_owner(world, of_account, of_policy);
    json result = {{"account",
                    {{"conditions", conditions_of(of_account)},
                     {"coverage", part_of(of_account, "/status/coverage")},
                     {"surfaces", part_of(of_account, "/status/surfaces")}}},
                   {"policy",
                    {{"phase", part_of(of_policy, "/status/phase", "")},
                     {"conditions", conditions_of(of_policy)},
                     {"findings", findings_of(of_policy)},
                     {"targets", part_of(of_policy, "/status/targets")}}},
                   {"lockdown", rules.value("policy", json::array())},
                   {"orphans", rules.value("nobody", json::array())}};
    if (asked.is_null()) return result;
    result["grant"] = {{"phase", part_of(asked, "/status/phase", "")},
                       {"conditions", conditions_of(asked)},
                       {"rules", rules.value(grant, json::array())}};
    return result;
}

std::string OperatedWorld::complaint() {
    if (!monitor.complaints().empty()) return monitor.complaints().front();
    if (world.time.bugs > 0 || world.network.handler_failures > 0) return "a bug was thrown";
    if (world.log.errors > 0) return "the log has errors";
    for (const char* plural : {"cloudaccounts", "jitpolicies", "accessgrants"}) {
        const json list = world.get(std::string(group) + plural);
        for (const json& object : list.at("items")) {
            // What goes is not told any more.
            if (object.at("metadata").contains("deletionTimestamp")) continue;
            if (std::string wrong = status_complaint(object); !wrong.empty()) return wrong;
        }
    }
    return "";
}

std::string path_of(const json& object) {
    const json& meta = object.at("metadata");
    const std::string kind = object.at("kind");
    const std::string plural = kind == "JitPolicy"      ? "jitpolicies"
                               : kind == "CloudAccount" ? "cloudaccounts"
                                                        : "accessgrants";
    std::string path = group;
    if (meta.contains("namespace")) path += "namespaces/payments/";
    return path + plural + "/" + meta.at("name").get<std::string>();
}

json everything_of(World& world) {
    json all = json::object();
    for (const char* plural : {"cloudaccounts", "jitpolicies", "accessgrants", "accessrecords"}) {
        const json list = world.get(std::string(group) + plural);
        for (json object : list.at("items")) {
            if (object.contains("status")) object["status"].erase("lastSweep");
            object.at("metadata").erase("resourceVersion");
            all[plural].push_back(object);
        }
    }
    all["rules"] = world.azure_state();
    return all;
}

json base_of(const std::string& kind) {
    if (kind == "JitPolicy") return World::a_policy();
    if (kind == "CloudAccount") return World::account();
    return grant_of("g");
}

http::Response carry_in(World& world, const WalkedKind& kind, const Operation& operation,
                        const json& base) {
    const std::string path = path_of(base);
    std::size_t digest = 0;
    for (const char c : operation.name()) digest = digest * 31 + static_cast<unsigned char>(c);
    const json patch = difference(base, operation.manifest);
    json merged = world.get(path);
    merged.merge_patch(patch);
    json wanted;
    expected_verdict(kind, operation, {}, wanted);
    const json spec_schema = kind.schema.at("properties").at("spec");
    // A patch cannot say everything: neither null, nor that what defaults filled in is to go.
    const bool says_it = !has_null(operation.manifest) && merged.contains("spec") &&
                         as_stored(spec_schema, merged.at("spec")) == wanted.value("spec", json());
    if (digest % 2 == 0 && says_it) {
        return world.request("admin", "PATCH", path, patch.dump(), "application/merge-patch+json");
    }
    json object = world.get(path);
    object.erase("spec");
    if (operation.manifest.contains("spec")) object["spec"] = operation.manifest.at("spec");
    return world.request("admin", "PUT", path, object.dump());
}

SchemaVerdict expected_verdict(const WalkedKind& kind, const Operation& operation, const json& old,
                               json& object) {
    object = operation.manifest;
    if (object.contains("spec") && object.at("spec").is_null()) object.erase("spec");
    if (object.contains("spec"))
        object["spec"] = as_stored(kind.schema.at("properties").at("spec"), object.at("spec"));
    json before = old;
    if (before.is_object()) before.erase("status");
    return verdict_of(kind.schema, object, old.is_null() ? nullptr : &before);
}

SchemaVerdict request_verdict(const WalkedKind& kind, const Operation& operation, json& object) {
    SchemaVerdict verdict = expected_verdict(kind, operation, {}, object);
    if (!verdict.allows()) return verdict;
    // Admission (docs/control-plane.md): it names no field in its cause.
    const std::string requester = object.value("/spec/requester/user"_json_pointer, "alice");
    const auto end = parse_rfc3339(object.value("/spec/notAfter"_json_pointer, start_of_time));
    const bool far = end && *end > *parse_rfc3339(start_of_time) + std::chrono::hours(745);
    if (requester != "alice" || far) verdict.rules.emplace_back("");
    return verdict;
}

std::string judge_answer(const http::Response& answer, const SchemaVerdict& verdict) {
    if (verdict.allows())
        return answer.status < 300 ? "" : "the schema allows it, and the answer is " + answer.body;
    if (answer.status < 300)
        return "the schema forbids " + verdict.places().front() + ", and it was taken";
    if (answer.status >= 500) return "refused as the server's fault: " + answer.body;
    std::set<std::string> named;
    const json body = json::parse(answer.body);
    for (const json& cause : body.value("/details/causes"_json_pointer, json::array()))
        named.insert(cause.value("field", ""));
    for (const std::string& place : verdict.places()) {
        if (!named.contains(place))
            return "refused without a word of " + place + ": " + answer.body;
    }
    return "";
}

}  // namespace sallyport::sim
