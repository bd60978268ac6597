#include "sim/monitor.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "base/text.hpp"
#include "model/mark.hpp"
#include "sim/asked_access.hpp"
#include "sim/faults.hpp"
#include "sim/scenes.hpp"

namespace sallyport::sim {
namespace {

using namespace std::chrono_literals;

/// Between two looks at the cloud while a write may change it, and while nobody has told of one.
constexpr auto look_pause = 100ms;
constexpr auto idle_look_pause = 1000ms;
/// An operation of azure-sim ends within that, or its rule says that it has not.
constexpr auto after_a_write = 3s;
/// What a process has to get once before it can close anything, by `call_class`; no other call.
const std::set<std::string> closing_needs = {"kube:LIST:accessrecords", "kube:LIST:cloudaccounts",
                                             "kube:GET:secrets"};
constexpr std::size_t timeline_max = 400;
constexpr std::size_t told_max = 90;
constexpr std::size_t complaints_max = 10;
constexpr const char* group = "/apis/sallyport.dev/v1alpha1/";

/// Those who have no grant: beside the granted address, anywhere, inside the network.
constexpr const char* strangers[] = {"198.51.103.200", "203.0.113.9", "2001:db8:ffff::9"};

bool is_rule_path(const std::string& path) {
    return path.find("/securityRules/") != std::string::npos;
}
/// `nsg/rule` of a request about one rule.
std::string rule_of(const http::Request& request) {
    const std::string path(http::Target(request.target).path());
    const std::size_t at = path.find("/securityRules/");
    const std::size_t nsg = path.rfind('/', at - 1) + 1;
    return path.substr(nsg, at - nsg) + "/" + path.substr(at + 15);
}

/// An opening of a grant, if this is one: an Allow with a grant's mark.
std::optional<Opening> opening_of(const http::Request& request) {
    if (request.origin != azure_origin || request.method != "PUT" || !is_rule_path(request.target))
        return std::nullopt;
    const json body = json::parse(request.body, nullptr, false);
    if (!body.is_object() || !body.contains("properties")) return std::nullopt;
    const json& properties = body.at("properties");
    const auto mark = Mark::parse(properties.value("description", ""));
    if (properties.value("access", "") != "Allow" || !mark || mark->kind != MarkKind::grant)
        return std::nullopt;
    const std::string path = rule_of(request);
    const std::size_t slash = path.find('/');
    return Opening{.nsg = path.substr(0, slash),
                   .rule = path.substr(slash + 1),
                   .uid = mark->uid,
                   .priority = properties.value("priority", 0),
                   .properties = properties};
}

/// The kind of the API server's objects that a request is about: `accessgrants`.
std::string kind_of(const http::Request& request) {
    std::vector<std::string> segments = http::Target(request.target).segments();
    std::size_t at = !segments.empty() && segments[0] == "apis" ? 3 : 2;
    if (segments.size() > at + 2 && segments[at] == "namespaces") at += 2;
    return segments.size() > at ? segments[at] : "";
}

std::string short_call(const http::Request& request) {
    std::string call = describe_call(request);
    const auto cut = [&](const std::string& what) {
        if (const std::size_t at = call.find(what); at != call.npos) call.erase(at, what.size());
    };
    cut("/subscriptions/22222222-2222-2222-2222-222222222222");
    cut("/resourceGroups/rg-web/providers/Microsoft.Network/networkSecurityGroups");
    cut("/apis/sallyport.dev/v1alpha1");
    return call;
}

}  // namespace

Monitor::Monitor(World& world) : world_(world) {
    world_.witness = this;
    look();
    history_.foreign_expected = history_.foreign;
}

Monitor::~Monitor() { world_.witness = nullptr; }

void Monitor::note(const std::string& what) {
    const auto since = std::chrono::duration_cast<std::chrono::milliseconds>(
        world_.time.loop.steady_now().time_since_epoch() - std::chrono::hours(1));
    timeline_.push_back(
        fmt::format("{:9.3f}  {}", static_cast<double>(since.count()) / 1000.0, what));
    add_to_trace(timeline_.back());
    if (timeline_.size() > timeline_max) timeline_.pop_front();
}

void Monitor::add_to_trace(const std::string& text) {
    for (const char c : text)
        trace_ = (trace_ ^ static_cast<unsigned char>(c)) * 0x100000001b3;  // FNV-1a
}

void Monitor::disturb_azure(std::chrono::seconds span) {
    history_.azure_heals = std::max(history_.azure_heals, world_.time.loop.steady_now() + span);
}
void Monitor::disturb_kube(std::chrono::seconds span, const std::string& call) {
    const SteadyTime now = world_.time.loop.steady_now();
    history_.kube_heals = std::max(history_.kube_heals, now + span);
    // Until a process has got what it needs for closing, it cannot close.
    const bool got = world_.acting() == process_ && got_.contains(call);
    if (closing_needs.contains(call) && !got)
        history_.start_heals = std::max(history_.start_heals, now + span);
}

void Monitor::clock_was_set() { history_.clock_set = world_.time.loop.steady_now(); }

void Monitor::resumed() {
    history_.running_since = world_.time.loop.steady_now();
    note("the process goes on");
}

void Monitor::sent(const http::Request& request, const support::Fate& fate) {
    const bool writes = request.method != "GET" && request.method != "HEAD";
    const bool event = request.target.find("/events") != std::string::npos;
    add_to_trace(request.method + request.target + request.body);
    const SteadyTime now = world_.time.loop.steady_now();
    if (world_.acting() != process_) look();
    own_writes_.sent(request, fate, now);
    const bool routine = request.target.find("/leases") != std::string::npos ||
                         request.target.find("/oauth2/") != std::string::npos;  // signs in
    if (now >= minute_began_ + 60s) history_.writes_of_minute = 0, minute_began_ = now;
    if (writes && !event && !routine) ++history_.writes_of_minute, last_write_ = now;
    const bool arrives = fate.way == support::Fate::Way::delivered && !fate.instead;
    if (!writes && arrives && !fate.change && got_.size() < closing_needs.size()) {
        if (const std::string call = call_class(request); closing_needs.contains(call))
            got_.insert(call);
    }
    if (writes && !arrives) note("sent      " + short_call(request) + "  (disturbed)");
    if (request.origin != azure_origin || !writes || !is_rule_path(request.target)) return;
    auto opening = opening_of(request);
    if (!opening) {
        const std::string path = rule_of(request);
        history_.removals_sent[path] = now;
        const auto rule = history_.rules.find(path);
        // What somebody else made of it may go, and the opening come again under another name.
        if (rule == history_.rules.end() || rule->second.by_others) return;
        const auto grant = history_.grants.find(rule->second.uid);
        if (grant != history_.grants.end() && !grant->second.removal_sent)
            grant->second.removal_sent = now;
        return;
    }
    look();
    const auto stands = history_.rules.find(rule_of(request));
    opening->narrows =
        stands != history_.rules.end() && lets_in_all_of(stands->second, opening->properties);
    for (const Invariant& each : invariants()) {
        if (each.at_opening) complain(each, each.at_opening(history_, *opening));
    }
    history_.puts_sent[rule_of(request)] = now;
}

void Monitor::handled(const http::Request& request, const http::Response& response) {
    if (request.origin == kube_origin)
        history_.time_told = world_.time.loop.steady_now() - world_.network.latency / 2;
    if (request.method == "GET") {
        const std::string path(http::Target(request.target).path());
        const std::string prefix = std::string(group) + "namespaces/payments/accessgrants/";
        if (!path.starts_with(prefix)) return;
        for (auto& [uid, grant] : history_.grants) {
            if (grant.name == path.substr(prefix.size()))
                grant.read_live = world_.time.loop.steady_now();
        }
        return;
    }
    own_writes_.answered(request, response,
                         world_.time.loop.steady_now() + world_.network.latency / 2);
    moved(request);
    const bool is_routine = request.target.find("/events") != std::string::npos ||
                            request.target.find("/leases") != std::string::npos;
    if (!is_routine) note(fmt::format("operator  {} -> {}", short_call(request), response.status));
    count(request, response);
    const auto opening = opening_of(request);
    if (!opening || response.status >= 300) return;
    history_.journal = world_.files.files["journal/prod.jsonl"];
    look();
    for (const Invariant& each : invariants()) {
        if (each.at_landing) complain(each, each.at_landing(history_, *opening));
    }
    history_.journal.clear();
}

void Monitor::count(const http::Request& request, const http::Response& response) {
    if (request.origin != azure_origin || !is_rule_path(request.target)) return;
    const std::string path = rule_of(request);
    const auto rule = history_.rules.find(path);
    const auto is_policys = [](const std::string& text) {
        return text.find(" policy=") != text.npos;
    };
    const bool lockdown = request.method == "PUT"
                              ? is_policys(request.body)
                              : rule != history_.rules.end() &&
                                    is_policys(rule->second.properties.value("description", ""));
    const std::string key = path.substr(0, path.find('/')) + (lockdown ? " lockdown" : " grant");
    if (request.method == "PUT" && response.status == 201) ++created_[key];
    if (request.method == "DELETE" && response.status == 202) ++removed_[key];
}

void Monitor::outside(const std::string& who, const http::Request& request,
                      const http::Response& response) {
    const bool azure = request.origin == azure_origin;
    note(fmt::format("{:<9} {} -> {}", who, azure ? short_call(request) : describe_call(request),
                     response.status));
    if (azure && request.target.starts_with("/_sim/")) return;
    moved(request);
    // A hold that somebody takes with the operator's token was not let go by the operator.
    for (auto& [uid, grant] : history_.grants) grant.was_held &= who != "controller";
    if (!azure) return;
    history_.others_wrote = world_.time.loop.steady_now();
    outsiders_moved_ = true;
    look();
}

void Monitor::moved(const http::Request& request) {
    if (request.origin != azure_origin) {
        moved_kinds_.insert(kind_of(request));
        return;
    }
    rules_moved_ = true;
    azure_wrote_ = world_.time.loop.steady_now();
}

void Monitor::step() {
    const SteadyTime now = world_.time.loop.steady_now();
    const bool busy = now < azure_wrote_ + after_a_write || unsettled_;
    const bool told = rules_moved_ || !moved_kinds_.empty() || world_.acting() != process_;
    if (!told && now < looked_ + (busy ? look_pause : idle_look_pause)) return;
    look();
    judge();
}

const History& Monitor::look() {
    history_.steady = looked_ = world_.time.loop.steady_now();
    history_.now = world_.now();
    history_.overdue_metric = world_.metrics.value("sallyport_overdue_grants");
    history_.clock_apart = clock_apart ? clock_apart() : 0s;
    history_.stale_write = own_writes_.stale();
    if (world_.acting() != process_) {
        process_ = world_.acting();
        got_.clear();
        own_writes_.forget();
        history_.running_since.reset();
        if (process_) history_.running_since = history_.steady;
        note(process_ ? "a process starts" : "no process acts");
    }
    if (!moved_kinds_.empty()) look_at_objects();
    look_at_rules();
    return history_;
}

void Monitor::judge() {
    for (const Invariant& each : invariants()) {
        if (each.after_step) complain(each, each.after_step(history_));
    }
}

void Monitor::complain(const Invariant& invariant, const Complaint& complaint) {
    if (!complaint || complaints_.size() >= complaints_max) return;
    const std::string head = invariant.id + " " + invariant.title + ": ";
    for (const std::string& earlier : complaints_) {
        if (earlier.starts_with(head)) return;  // the first one tells
    }
    complaints_.push_back(head + *complaint);
    note("VIOLATION " + complaints_.back());
}

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
    for (const json& nsg : state.at("networkSecurityGroups")) {
        const std::string id = nsg.at("id");
        for (const json& rule : nsg.at("securityRules"))
            see_rule(id.substr(id.rfind('/') + 1), rule, present);
    }
    if (std::exchange(outsiders_moved_, false)) history_.foreign_expected = history_.foreign;
    std::erase_if(history_.rules, [&](const auto& each) { return !present.contains(each.first); });
    see_reach();
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
    if (!name.starts_with("sp-")) {
        json plain = rule;
        plain.erase("etag");
        plain["properties"] = std::move(properties);
        history_.foreign += plain.dump() + "\n";
        return;
    }
    const std::string path = nsg + "/" + name;
    present.insert(path);
    SeenRule& seen = history_.rules[path];
    if (seen.properties != properties) {
        seen.since = history_.steady;
        seen.by_others = outsiders_moved_;
        const auto mark = Mark::parse(properties.value("description", ""));
        seen.nsg = nsg;
        seen.name = name;
        seen.allows = properties.value("access", "") == "Allow";
        seen.of_grant = mark && mark->kind == MarkKind::grant;
        seen.uid = mark ? mark->uid : "";
        seen.mark_end = mark ? mark->end : std::nullopt;
        seen.properties = std::move(properties);
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
    history_.strangers_in.clear();
    for (const char* stranger : strangers) {
        for (const char* vm : {"web01", "web02"}) {
            if (reaches(stranger, vm, 22, "Tcp"))
                history_.strangers_in.push_back(fmt::format("{} to {}", stranger, vm));
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
    if (is_moved("jitpolicies")) by_name("jitpolicies", history_.policies);
    if (is_moved("cloudaccounts")) by_name("cloudaccounts", history_.accounts);
    if (is_moved("accessrecords")) see_records(list("accessrecords"));
    if (is_moved("accessgrants")) see_grants(list("accessgrants"));
    see_ends();
    if (is_moved("accessledgers")) {
        for (const json& ledger : list("accessledgers"))
            history_.head_seq = ledger.at("spec").at("head").at("seq").get<std::uint64_t>();
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

/// What ended a grant before its time.
void Monitor::see_ends() {
    for (const auto& [name, record] : history_.records) {
        const std::string uid = record.at("spec").at("grant").at("uid");
        if (const auto grant = history_.grants.find(uid); grant != history_.grants.end())
            grant->second.record = record;
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
            over(grant, "without its policy");
    }
}

// --- Telling -------------------------------------------------------------------------------------

std::string Monitor::told() {
    std::string text;
    for (const std::string& complaint : complaints_) text += "VIOLATION " + complaint + "\n";
    text += fmt::format("created {}, removed {}\ntimeline:\n", json(created_).dump(),
                        json(removed_).dump());
    for (std::size_t i = timeline_.size() > told_max ? timeline_.size() - told_max : 0;
         i < timeline_.size(); ++i)
        text += "  " + timeline_[i] + "\n";
    Witness* const me = std::exchange(world_.witness, nullptr);  // telling is not acting
    text += world_.story();
    world_.witness = me;
    return text;
}

}  // namespace sallyport::sim
