#include "sim/workloads.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <set>

#include "sim/scenes.hpp"

namespace sallyport::sim {
namespace {

/// Longer than a fault that lasts and the pause between two tries, so that the grant opens.
const std::string outlasts_faults = "200s";
const std::string policy_path =
    "/apis/sallyport.dev/v1alpha1/namespaces/payments/jitpolicies/web-ssh";

std::function<void(World&)> asks(std::string duration, std::string grant = "a") {
    return [grant, duration](World& world) { ask(world, World::a_grant(grant, duration)); };
}
std::function<void(World&)> removes(std::string grant = "a") {
    return [grant](World& world) { world.remove(grant_path(grant)); };
}
std::function<void(World&)> revokes(std::string grant = "a") {
    return [grant](World& world) {
        patch(world, grant_path(grant), {{"spec", {{"revoked", true}}}});
    };
}
std::function<bool(World&)> is_gone(std::string grant = "a") { return is_in("gone", grant); }
std::function<bool(World&)> both(std::function<bool(World&)> one, std::function<bool(World&)> two) {
    return [one, two](World& world) { return one(world) && two(world); };
}

/// `nsg-web01/sp-…` of the opening on that NSG; empty: there is none.
std::string opening_on(World& world, const std::string& nsg) {
    for (const std::string& rule : world.our_rules()) {
        if (rule.starts_with(nsg + "/")) return rule.substr(nsg.size() + 1);
    }
    return "";
}
bool is_as_asked(World& world) {
    const std::string name = opening_on(world, "nsg-web01");
    if (name.empty()) return false;
    const json properties = find_rule(world, "nsg-web01/" + name).at("properties");
    return properties.at("provisioningState") == "Succeeded" &&
           properties.value("sourceAddressPrefix", "").starts_with(alice_at);
}
void widen_it(World& world) {
    const std::string name = opening_on(world, "nsg-web01");
    if (name.empty()) return;  // it has ended meanwhile
    json rule = {{"properties", find_rule(world, "nsg-web01/" + name).at("properties")}};
    rule["properties"]["sourceAddressPrefix"] = "*";
    rule["properties"].erase("sourceAddressPrefixes");
    put_rule(world, "nsg-web01", name, rule);
}
void take_it_away(World& world) {
    const std::string name = opening_on(world, "nsg-web01");
    if (!name.empty()) delete_rule(world, "nsg-web01", name);
}

/// As a GitOps tool applies it: with an end of its own, and the tool's mark.
json from_git(World& world) {
    json grant = World::a_grant("a");
    grant["metadata"]["labels"] = {{"app.kubernetes.io/instance", "payments"}};
    grant["spec"].erase("duration");
    // Late enough for it to open also when a fault lasts.
    grant["spec"]["notAfter"] = format_rfc3339(world.now() + std::chrono::seconds(200));
    return grant;
}

bool is_closed(World& world) {
    return policy_is_ready(world) &&
           condition(world.policy("web-ssh"), "Closed").value("status", "") == "True";
}

Workload coalesced() {
    return {.name = "coalesced",
            .acts = {{"alice asks for a", policy_is_ready, asks(outlasts_faults)},
                     {"alice asks for b, 1 h, the same hole", has_opened("a"), asks("1h", "b")},
                     {"b is deleted", both(has_opened("b"), has_ended("a")), removes("b")},
                     {"a is deleted", is_gone("b"), removes("a")}},
            .is_done = is_gone("a")};
}
Workload two_machines() {
    const auto asks_for_both = [](World& world) {
        json grant = World::a_grant("a", outlasts_faults);
        grant["spec"]["network"]["virtualMachines"] = {"web01", "web02"};
        ask(world, grant);
    };
    return {.name = "two-machines",
            .acts = {{"alice asks for web01 and web02", policy_is_ready, asks_for_both},
                     {"a is deleted", has_ended(), removes()}},
            .is_done = is_gone()};
}
Workload widened() {
    return {.name = "widened",
            .acts = {{"alice asks", policy_is_ready, asks("1h")},
                     {"somebody widens its rule", has_opened(), widen_it},
                     {"a is deleted",
                      [](World& world) { return is_as_asked(world) || has_ended()(world); },
                      removes()}},
            .is_done = is_gone()};
}
Workload taken_away() {
    return {
        .name = "taken-away",
        .acts = {{"alice asks", policy_is_ready, asks("1h")},
                 {"somebody removes its rule", has_opened(), take_it_away},
                 {"it is revoked",
                  [](World& world) { return is_as_asked(world) || has_ended()(world); }, revokes()},
                 {"a is deleted", has_ended(), removes()}},
        .is_done = is_gone()};
}
Workload reapplied() {
    return {.name = "reapplied",
            .acts = {{"Git applies", policy_is_ready,
                      [](World& world) { ask(world, from_git(world)); }},
                     {"somebody deletes it", has_ended(), removes()},
                     {"Git applies again", is_gone(), asks("1h")},
                     {"Git prunes", is_in("AlreadyUsed"), removes()}},
            .is_done = is_gone()};
}
Workload recreated() {
    return {.name = "recreated",
            .acts = {{"alice asks", policy_is_ready, asks("1h")},
                     {"a is deleted", has_opened(), removes()},
                     {"alice asks again under this name", is_gone(), asks("1h")},
                     {"a is deleted again", is_in("AlreadyUsed"), removes()}},
            .is_done = is_gone()};
}
/// Its hold is torn out with the operator's own token, its rule taken away, and its name used
/// again.
Workload torn_out() {
    const auto tear = [](World& world) {
        removes()(world);
        world.request("controller", "PATCH", grant_path("a"), R"({"metadata":{"finalizers":null}})",
                      "application/merge-patch+json");
        take_it_away(world);
        ask(world, World::a_grant("a", "1h"));
    };
    return {.name = "torn-out",
            .acts = {{"alice asks", policy_is_ready, asks("1h")},
                     {"a is torn out, and made again", has_opened(), tear},
                     {"a is deleted", is_in("AlreadyUsed"), removes()}},
            .is_done = is_gone(),
            .opens = false};  // who removes the rule that is taken away, is a race
}
/// The object is gone before anybody could be asked: what it opened has only its record.
Workload torn_off() {
    const auto is_closed = [](World& world) {
        return std::ranges::all_of(world.records(), [](const json& record) {
            return record.contains("/status/closedAt"_json_pointer);
        });
    };
    return {.name = "torn-off",
            .acts = {{"alice asks", policy_is_ready, asks("1h")},
                     {"its hold is torn off, and it is deleted", has_opened(),
                      [](World& world) { tear_off(world, "a"); }}},
            .is_done = both(is_gone(), is_closed)};
}
/// Azure takes seconds for each write, and the end of one comes while another's opening is on its
/// way.
Workload overlapping() {
    const auto asks_for_b = [](World& world) {
        const json status = world.grant("a").value("status", json::object());
        const auto end = parse_rfc3339(status.value("expirationTime", ""));
        json grant = World::a_grant("b", "1h");
        grant["spec"]["network"]["sources"] = {"198.51.100.9/32"};
        if (end && *end > world.now() + std::chrono::seconds(2))
            grant["spec"]["notBefore"] = format_rfc3339(*end - std::chrono::seconds(1));
        ask(world, grant);
    };
    return {
        .name = "overlapping",
        .acts = {{"alice asks for a", policy_is_ready, asks(outlasts_faults)},
                 {"alice asks for b, from just before the end of a", has_opened("a"), asks_for_b},
                 {"b is deleted", both(has_ended("a"), has_opened("b")), removes("b")},
                 {"a is deleted", is_gone("b"), removes("a")}},
        .is_done = is_gone("a"),
        .estate = World::small_estate() + "behaviour: {operationTime: 2500ms}\n"};
}
Workload narrowed() {
    const auto narrow = [](World& world) {
        patch(world, policy_path,
              {{"spec", {{"network", {{"sources", {{"within", {"198.51.103.0/24"}}}}}}}}});
    };
    return {.name = "narrowed",
            .acts = {{"alice asks", policy_is_ready, asks("1h")},
                     {"the policy is narrowed", has_opened(), narrow},
                     {"a is deleted", has_ended(), removes()}},
            .is_done = is_gone()};
}

}  // namespace

bool policy_is_ready(World& world) {
    return world.policy("web-ssh").value("/status/phase"_json_pointer, "") == "Ready";
}
std::function<bool(World&)> is_in(std::string phase, std::string grant) {
    return [grant, phase](World& world) { return world.phase(grant) == phase; };
}
std::function<bool(World&)> has_ended(std::string grant) {
    return [grant](World& world) {
        static const std::set<std::string> ended = {
            "Expired",        "Revoked",        "Deleted",         "PolicyDeleted",
            "PolicyNarrowed", "AccountDeleted", "EndedBeforeOpen", "OpeningTimedOut"};
        return ended.contains(world.phase(grant));
    };
}
std::function<bool(World&)> has_opened(std::string grant) {
    return [grant](World& world) {
        static const std::set<std::string> opened = {"Open", "Expired", "OpeningTimedOut",
                                                     "EndedBeforeOpen"};
        return opened.contains(world.phase(grant));
    };
}

std::string dual_stack_estate() {
    std::string estate = World::small_estate();
    const auto put = [&](const std::string& from, const std::string& to) {
        const auto at = estate.find(from);
        REQUIRE(at != estate.npos);
        estate.replace(at, from.size(), to);
    };
    put("[10.0.0.0/16]", "[10.0.0.0/16, 'fd00:1::/48']");
    put("[10.0.1.0/24]", "[10.0.1.0/24, 'fd00:1:0:1::/64']");
    put("address: 10.0.1.4}", "address: 10.0.1.4}, {subnet: vnet/web, address: 'fd00:1:0:1::4'}");
    return estate;
}

Workload workloads::lockdown() {
    return {.name = "lockdown", .is_done = is_closed, .from_the_start = true};
}
Workload workloads::expires(const std::string& duration) {
    return {.name = "expires",
            .acts = {{"alice asks for " + duration, policy_is_ready, asks(duration)},
                     {"a is deleted", has_ended(), removes()}},
            .is_done = is_gone()};
}
Workload workloads::deleted() {
    return {.name = "deleted",
            .acts = {{"alice asks", policy_is_ready, asks("1h")},
                     {"a is deleted", has_opened(), removes()}},
            .is_done = is_gone()};
}
Workload workloads::revoked() {
    return {.name = "revoked",
            .acts = {{"alice asks", policy_is_ready, asks("1h")},
                     {"it is revoked", has_opened(), revokes()},
                     {"a is deleted", has_ended(), removes()}},
            .is_done = is_gone()};
}
Workload workloads::deleted_early() {
    const auto has_record = [](World& world) { return !world.records().empty(); };
    return {.name = "deleted-early",
            .acts = {{"alice asks", policy_is_ready, asks("1h")},
                     {"a is deleted while it opens", has_record, removes()}},
            .is_done = is_gone(),
            .opens = false};
}
Workload workloads::policy_deleted() {
    const auto policy_gone = [](World& world) { return world.policy("web-ssh").is_null(); };
    return {.name = "policy-deleted",
            .acts = {{"alice asks", policy_is_ready, asks("1h")},
                     {"the policy is deleted", has_opened(),
                      [](World& world) { world.remove(policy_path); }},
                     {"a is deleted", has_ended(), removes()}},
            .is_done = both(is_gone(), policy_gone),
            .policy_changes = {{"network", {{"lockdown", {{"onDelete", "Remove"}}}}}}};
}
Workload workloads::both_families(const std::string& duration) {
    const auto asks_in_both = [duration](World& world) {
        json grant = World::a_grant("a", duration);
        grant.at("spec").at("network")["sources"] = {"198.51.100.7/32", "2001:db8::7/128"};
        ask(world, grant);
    };
    const json sources = {{"within", {"198.51.100.0/22", "2001:db8::/32"}},
                          {"widest", {{"ipv4", 28}, {"ipv6", 64}}}};
    return {.name = "both-families",
            .acts = {{"alice asks in both families", policy_is_ready, asks_in_both},
                     {"a is deleted", has_ended(), removes()}},
            .is_done = is_gone(),
            .policy_changes = {{"network", {{"sources", sources}}}},
            .estate = dual_stack_estate()};
}

const std::vector<Workload>& all_workloads() {
    using namespace workloads;
    static const std::vector<Workload> all = {lockdown(),
                                              expires(outlasts_faults),
                                              deleted(),
                                              revoked(),
                                              deleted_early(),
                                              policy_deleted(),
                                              both_families(outlasts_faults),
                                              coalesced(),
                                              two_machines(),
                                              widened(),
                                              taken_away(),
                                              reapplied(),
                                              recreated(),
                                              torn_out(),
                                              torn_off(),
                                              overlapping(),
                                              narrowed()};
    return all;
}

}  // namespace sallyport::sim
