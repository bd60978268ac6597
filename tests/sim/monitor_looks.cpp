#include <fmt/format.h>

#include <algorithm>

#include "base/text.hpp"
#include "model/mark.hpp"
#include "sim/asked_access.hpp"
#include "sim/monitor.hpp"

// What a monitor sees of the cloud and of the API server's objects.
namespace sallyport::sim {

using namespace std::chrono_literals;

namespace {

constexpr const char* group = "/apis/sallyport.dev/v1alpha1/";

/// Those who have no grant: beside the granted address, anywhere, inside the network.
constexpr const char* strangers[] = {"198.51.103.200", "203.0.113.9", "2001:db8:ffff::9"};

/// The first number of grants, as the account of these worlds has it.
constexpr int grants_from = 200;
/// What somebody has asked Azure for comes about within that.
constexpr auto others_take = 8s;
/// Who is excepted from a lockdown, where anybody is.
constexpr const char* excepted_network = "10.8.0.0/24";
constexpr const char* excepted_address = "10.8.0.9";

}  // namespace

// --- What the cloud shows ------------------------------------------------------------------------

void Monitor::look_at_rules() {
    std::string text =
        world_.cloud->handle({.method = "GET", .target = "/_sim/rules"}, world_.now())
            .response.body;
    rules_moved_ = false;
    if (text == rules_text_) return;
    rules_text_ = std::move(text);
    unsettled_ = rules_text_.find("\"Updating\"") != std::string::npos ||
                 rules_text_.find("\"Deleting\"") != std::string::npos;
    if (history_.addresses.empty()) look_at_machines();
    const json state = json::parse(rules_text_);
    std::set<std::string> present;
    history_.foreign.clear();
    history_.denied_above = false;
    for (const json& nsg : state.at("networkSecurityGroups")) {
        const std::string id = nsg.at("id");
        for (const json& rule : nsg.at("securityRules"))
            see_rule(id.substr(id.rfind('/') + 1), rule, present);
    }
    if (history_.denied_above) history_.denied_until = history_.steady;
    const bool others = std::exchange(outsiders_moved_, false);
    if (others) history_.foreign_expected = history_.foreign;
    std::erase_if(history_.rules, [&](const auto& each) {
        const bool gone = !present.contains(each.first);
        if (gone && others && each.second.of_grant) {
            if (each.second.state == "Succeeded") taken_away_.insert(each.first);
            see_meddling(each.second.uid);
        }
        return gone;
    });
    see_reach();
}

void Monitor::see_meddling(const std::string& uid) {
    const auto grant = history_.grants.find(uid);
    if (grant != history_.grants.end()) grant->second.meddled = history_.steady;
}

/// Machines stay what they are in these worlds.
void Monitor::look_at_machines() {
    const json state =
        json::parse(world_.cloud->handle({.method = "GET", .target = "/_sim/state"}, world_.now())
                        .response.body);
    for (const json& nic : state.at("networkInterfaces")) {
        const json& properties = nic.at("properties");
        const std::string vm = properties.value("/virtualMachine/id"_json_pointer, "");
        std::set<std::string>& own = history_.addresses[vm.substr(vm.rfind('/') + 1)];
        for (const json& ip : properties.at("ipConfigurations"))
            own.insert(ip.at("properties").at("privateIPAddress").get<std::string>());
    }
}

void Monitor::see_rule(const std::string& nsg, const json& rule, std::set<std::string>& present) {
    const std::string name = rule.at("name");
    json properties = rule.at("properties");
    const std::string state = properties.value("provisioningState", "");
    properties.erase("provisioningState");
    const auto mark = Mark::parse(properties.value("description", ""));
    const bool of_others = mark && mark->owner != owner_;
    if (!name.starts_with("sp-") || of_others) {
        history_.denied_above |= properties.value("access", "") == "Deny" &&
                                 properties.value("direction", "") == "Inbound" &&
                                 properties.value("priority", 0) < grants_from;
        // Whose deletion is under way is there, and has gone: who asked for it is judged now.
        if (state == "Deleting") return;
        json plain = rule;
        plain.erase("etag");
        plain["properties"] = std::move(properties);
        history_.foreign += plain.dump() + "\n";
        return;
    }
    const std::string path = nsg + "/" + name;
    present.insert(path);
    SeenRule& seen = history_.rules[path];
    if (state == "Deleting" && seen.state != state && outsiders_moved_ && seen.of_grant) {
        if (seen.state == "Succeeded") taken_away_.insert(path);  // and was not under way still
        see_meddling(seen.uid);
    }
    if (seen.properties != properties) {
        seen.since = history_.steady;
        seen.by_others = outsiders_moved_;
        seen.nsg = nsg;
        seen.name = name;
        seen.allows = properties.value("access", "") == "Allow";
        seen.of_grant = mark && mark->kind == MarkKind::grant;
        seen.uid = mark ? mark->uid : "";
        seen.mark_end = mark ? mark->end : std::nullopt;
        seen.properties = std::move(properties);
        if (seen.by_others) see_meddling(seen.uid);
    }
    seen.state = state;
    const auto grant = history_.grants.find(seen.uid);
    if (grant != history_.grants.end()) grant->second.had_rules = true;
}

bool Monitor::reaches(const std::string& source, const std::string& vm, int port,
                      const std::string& protocol) {
    const std::string target =
        fmt::format("/_sim/reach?source={}&vm={}&port={}&protocol={}", percent_encoded(source), vm,
                    port, protocol == "Udp" ? "Udp" : "Tcp");
    const http::Response answer =
        world_.cloud->handle({.method = "GET", .target = target}, world_.now()).response;
    return answer.status == 200 && answer.body.find("\"reachable\":true") != std::string::npos;
}

void Monitor::see_reach() {
    for (auto& [uid, grant] : history_.grants) {
        const std::vector<AskedAccess> asked = asked_access(history_, grant.object);
        bool all = !asked.empty();
        for (const AskedAccess& each : asked) {
            for (const std::string& source : sources_for(history_, grant.object, each.vm)) {
                const std::string address = source.substr(0, source.find('/'));
                for (const int port : std::set<int>{each.first, each.last})
                    all = all && reaches(address, each.vm, port, each.protocol);
            }
        }
        grant.reached = all;
        grant.reached_once = grant.reached_once || all;
        if (all || !grant.reached_once) {
            grant.cut_since.reset();
        } else if (!grant.cut_since) {
            grant.cut_since = history_.steady;
        }
    }
    if (history_.strangers_in.empty()) history_.strangers_since = history_.steady;
    history_.strangers_in.clear();
    for (const char* stranger : strangers) {
        for (const char* vm : {"web01", "web02"}) {
            if (reaches(stranger, vm, 22, "Tcp"))
                history_.strangers_in.push_back(fmt::format("{} to {}", stranger, vm));
        }
    }
    see_excepted();
}

void Monitor::see_excepted() {
    bool excepted = false;
    for (const auto& [name, policy] : history_.policies) {
        if (policy.at("metadata").contains("deletionTimestamp")) continue;
        const json exceptions =
            policy.value("/spec/network/lockdown/exceptions"_json_pointer, json::array());
        for (const json& each : exceptions) excepted |= each.value("cidr", "") == excepted_network;
    }
    if (!excepted) {
        history_.excepted_in.clear();
        history_.excepted_out.clear();
        return;
    }
    for (const char* vm : {"web01", "web02"}) {
        if (reaches(excepted_address, vm, 22, "Tcp")) {
            history_.excepted_in[vm] = history_.steady;
            history_.excepted_out.erase(vm);
        } else if (history_.excepted_in.contains(vm)) {
            history_.excepted_out.insert(vm);
        }
    }
}

// --- What the API server shows -------------------------------------------------------------------

void Monitor::look_at_objects() {
    const auto list = [&](const std::string& kind) {
        const http::Response answer =
            world_.api
                ->handle({.method = "GET",
                          .target = group + kind,
                          .headers = {{"Authorization", "Bearer admin-token"}}},
                         world_.now())
                .response;
        const json body = answer.status == 200 ? json::parse(answer.body) : json();
        return body.is_object() ? body.value("items", json::array()) : json::array();
    };
    const auto by_name = [&](const std::string& kind, std::map<std::string, json>& into) {
        into.clear();
        for (json& object : list(kind)) {
            const std::string name = object.at("metadata").at("name");
            into.emplace(name, std::move(object));
        }
    };
    const auto is_moved = [moved = std::exchange(moved_kinds_, {})](const char* kind) {
        return moved.contains(kind) || moved.contains("");
    };
    if (is_moved("jitpolicies")) {
        by_name("jitpolicies", history_.policies);
        for (const auto& [name, policy] : history_.policies)
            removes_lockdown_[policy.at("metadata").at("uid")] =
                policy.value("/spec/network/lockdown/onDelete"_json_pointer, "") == "Remove";
    }
    if (is_moved("cloudaccounts")) by_name("cloudaccounts", history_.accounts);
    if (is_moved("accessrecords")) {
        look_at_rules();  // what a record calls closed is to be closed now
        see_records(list("accessrecords"));
    }
    if (is_moved("accessgrants")) see_grants(list("accessgrants"));
    see_ends();
    if (is_moved("accessledgers")) {
        for (const json& ledger : list("accessledgers")) {
            if (ledger.at("metadata").at("name") != "prod") continue;
            history_.head_seq = ledger.at("spec").at("head").at("seq").get<std::uint64_t>();
        }
    }
    if (is_moved("accessgrants")) see_reach();
}

void Monitor::see_records(const json& items) {
    history_.records.clear();
    for (const json& record : items) {
        const std::string name = record.at("metadata").at("name");
        history_.first_records.try_emplace(name, record);
        const auto end = parse_rfc3339(record.value("/status/end"_json_pointer, std::string()));
        if (end) {
            Timestamp& least = history_.least_ends.try_emplace(name, *end).first->second;
            least = std::min(least, *end);
        }
        history_.records.emplace(name, record);
    }
}

void Monitor::see_grants(const json& items) {
    for (auto& [uid, grant] : history_.grants) grant.exists = false;
    for (const json& object : items) {
        const json& meta = object.at("metadata");
        SeenGrant& grant = history_.grants[meta.at("uid").get<std::string>()];
        grant.name = meta.at("name");
        grant.object = object;
        grant.exists = true;
        const auto finalizers = meta.value("finalizers", json::array());
        const bool held = std::ranges::any_of(
            finalizers, [](const json& one) { return one.get<std::string>() == hold_finalizer; });
        grant.released = grant.was_held && !held;
        grant.was_held = grant.was_held || held;
    }
    for (auto& [uid, grant] : history_.grants) grant.released |= grant.was_held && !grant.exists;
}

void Monitor::see_record(SeenGrant& grant, const json& record) {
    const json::json_pointer closed("/status/closedAt");
    if (record.contains(closed) && !grant.record.contains(closed)) see_closed(grant, record);
    grant.record = record;
    if (!grant.recorded) grant.recorded = history_.steady;
    if (grant.excused_as_opened || !record.contains("/status/openedAt"_json_pointer)) return;
    // The newest read of each group may be on its way still.
    SteadyTime oldest = history_.steady;
    const std::string uid = record.at("spec").at("grant").at("uid");
    for (const std::string nsg : {"nsg-subnet", "nsg-web01"}) {
        const bool on_its_way = std::ranges::any_of(history_.rules, [&](const auto& each) {
            return each.second.uid == uid && each.second.nsg == nsg;
        });
        if (!on_its_way) continue;
        SteadyTime newest{};
        for (const SteadyTime& read : groups_read_[nsg]) {
            if (read < history_.steady - 10ms) newest = std::max(newest, read);
        }
        oldest = std::min(oldest, newest);
    }
    // Where machines are is read once in a sweep.
    grant.excused_as_opened = history_.steady < history_.azure_heals ||
                              history_.others_wrote + others_take >= oldest ||
                              history_.machines_moved + 62s >= history_.steady;
}

/// What a record calls closed has no rule that a proof would have shown: Azure's reads are at most
/// 20 s old.
void Monitor::see_closed(const SeenGrant& grant, const json& record) {
    for (const auto& [path, rule] : history_.rules) {
        if (!rule.allows || rule.by_others || rule.since + 25s >= history_.steady) continue;
        // What lands after its removal is seen by the next sweep.
        const auto removal = history_.removals_sent.find(path);
        if (removal != history_.removals_sent.end() && rule.since >= removal->second) continue;
        if (rule.uid != record.at("spec").at("grant").at("uid").get<std::string>()) continue;
        history_.closed_unproven = fmt::format(
            "the record of {} says that it is closed, and {} is there", grant.name, path);
    }
}

/// What ended a grant before its time.
void Monitor::see_ends() {
    for (const auto& [name, record] : history_.records) {
        const std::string uid = record.at("spec").at("grant").at("uid");
        if (const auto grant = history_.grants.find(uid); grant != history_.grants.end())
            see_record(grant->second, record);
    }
    const auto over = [&](SeenGrant& grant, const std::string& by) {
        if (grant.over) return;
        grant.over = history_.steady;
        grant.over_by = by;
    };
    for (auto& [uid, grant] : history_.grants) {
        const json& meta = grant.object.at("metadata");
        if (!grant.exists) over(grant, "gone");
        if (meta.contains("deletionTimestamp")) over(grant, "deleted");
        if (grant.object.at("spec").value("revoked", false)) over(grant, "revoked");
        if (grant.record.is_null()) continue;
        const auto policy =
            history_.policies.find(grant.object.at("spec").at("policyRef").at("name"));
        const json of = grant.record.at("spec").at("policy");
        if (policy == history_.policies.end() ||
            policy->second.at("metadata").at("uid") != of.at("uid") ||
            policy->second.at("metadata").contains("deletionTimestamp"))
            over(grant, without_policy);
    }
}

}  // namespace sallyport::sim
