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
    const json system = world.get("/api/v1/namespaces/kube-system");
    owner_ = Owner::of_cluster(system.at("metadata").at("uid").get<std::string>()).text();
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
    const bool tells =
        call.empty() || call.starts_with("kube:WATCH") || call.starts_with("kube:LIST");
    if (tells) history_.watches_heal = std::max(history_.watches_heal, now + span);
    // Until a process has got what it needs for closing, it cannot close.
    const bool got = world_.acting() == process_ && got_.contains(call);
    if (closing_needs.contains(call) && !got) disturb_starts(span);
}

void Monitor::disturb_starts(std::chrono::seconds span) {
    history_.start_heals = std::max(history_.start_heals, world_.time.loop.steady_now() + span);
}

void Monitor::clock_was_set() { history_.clock_set = world_.time.loop.steady_now(); }

void Monitor::resumed() {
    history_.running_since = world_.time.loop.steady_now();
    tries_.forget();
    note("the process goes on");
}

void Monitor::sent(const http::Request& request, const support::Fate& fate) {
    const bool writes = request.method != "GET" && request.method != "HEAD";
    const bool event = request.target.find("/events") != std::string::npos;
    add_to_trace(request.method + request.target + request.body);
    const SteadyTime now = world_.time.loop.steady_now();
    if (world_.acting() != process_) look();
    own_writes_.sent(request, fate, now);
    tries_.sent(request, fate, now, world_.network.latency);
    if (request.method == "DELETE" && request.target.find("/accessgrants/") != std::string::npos)
        deletions_.insert({std::string(http::Target(request.target).path()),
                           {now + world_.network.latency / 2 + fate.delay, now}});
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
        const bool goes = request.method == "DELETE" ||
                          request.body.find(R"("destinationPortRange":"1")") != std::string::npos;
        if (rule != history_.rules.end() && goes) see_lockdown_go(rule->second);
        if (rule != history_.rules.end()) see_removal(rule->second);
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
        see_read(request, response);
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
    see_deletion(request, response);
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

/// The operator asks for the end of a rule.
void Monitor::see_removal(const SeenRule& rule) {
    const auto found = history_.grants.find(rule.uid);
    if (found == history_.grants.end() || found->second.removal_sent) return;
    SeenGrant& grant = found->second;
    const auto aside = aside_.find(rule.nsg);
    const bool is_aside = aside != aside_.end() && history_.steady < aside->second;
    const auto end = history_.end_of(grant);
    const bool is_over = grant.over || (end && history_.now + history_.clock_apart >= *end);
    // What somebody else made of it may go, and the opening come again under another name.
    if (!is_over && (rule.by_others || is_aside)) return;
    grant.removal_sent = world_.time.loop.steady_now();
}

/// What the operator has read of each group, and when: on these reads its proofs stand.
void Monitor::see_read(const http::Request& request, const http::Response& response) {
    if (request.origin != azure_origin || response.status != 200) return;
    // Which of two accounts has read is not seen.
    if (history_.accounts.size() > 1) two_accounts_ = world_.time.loop.steady_now();
    if (world_.time.loop.steady_now() < two_accounts_ + 5s) return;
    const std::string call = call_class(request);
    for (const std::string nsg : {"nsg-subnet", "nsg-web01"}) {
        if (call != "azure:LIST:networkSecurityGroups" && call != "azure:GET:nsg:" + nsg) continue;
        std::deque<SteadyTime>& reads = groups_read_[nsg];
        reads.push_back(world_.time.loop.steady_now());
        if (reads.size() > 4) reads.pop_front();
    }
}

/// A deletion that lands late must not meet an object that was made after it had left.
void Monitor::see_deletion(const http::Request& request, const http::Response& response) {
    if (request.method != "DELETE" || request.origin != kube_origin) return;
    const SteadyTime now = world_.time.loop.steady_now();
    const std::string path(http::Target(request.target).path());
    const auto [first, last] = deletions_.equal_range(path);
    const auto mine =
        std::find_if(first, last, [&](const auto& e) { return e.second.lands == now; });
    if (mine == last) return;
    const SteadyTime sent = mine->second.sent;
    deletions_.erase(mine);
    const auto created = grants_created_.find(path);
    if (response.status >= 300 || created == grants_created_.end() || created->second < sent)
        return;
    history_.wrong_deletion =
        fmt::format("{} was made {:.1f} s after its deletion had left, and is deleted", path,
                    std::chrono::duration<double>(created->second - sent).count());
}

/// A lockdown whose policy is not there any more stays, unless the policy said otherwise.
void Monitor::see_lockdown_go(const SeenRule& rule) {
    const auto mark = Mark::parse(rule.properties.value("description", ""));
    const bool harmless = rule.properties.value("destinationPortRange", "") == "1";
    if (rule.allows || harmless || !mark || mark->kind != MarkKind::policy) return;
    for (const auto& [name, policy] : history_.policies) {
        const json& meta = policy.at("metadata");
        if (meta.at("uid") == mark->uid && !meta.contains("deletionTimestamp")) return;
    }
    const auto said = removes_lockdown_.find(mark->uid);
    if (said != removes_lockdown_.end() && said->second) return;
    history_.lost_lockdown =
        fmt::format("{}/{} is removed, and its policy is not there to say so", rule.nsg, rule.name);
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
    if (request.method == "PUT" && response.status < 300 && taken_away_.erase(path) > 0) {
        const auto opening = opening_of(request);
        const SeenGrant* grant = opening ? history_.grant(opening->uid) : nullptr;
        const bool well =
            history_.steady > std::max(history_.azure_heals, history_.kube_heals) + 60s;
        if (well && grant && grant->record.contains("/status/openedAt"_json_pointer))
            ++history_.put_back[path];
    }
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
    const SteadyTime now = world_.time.loop.steady_now();
    if (!azure && request.method != "POST" && kind_of(request) == "jitpolicies")
        history_.policy_edited = now;
    if (!azure && request.method == "POST" && response.status == 201 &&
        kind_of(request) == "accessgrants")
        grants_created_[std::string(http::Target(request.target).path()) + "/" +
                        json::parse(response.body).at("metadata").at("name").get<std::string>()] =
            now;
    if (!azure) return;
    history_.others_wrote = now;
    if (request.target.find("/networkInterfaces/") != std::string::npos)
        history_.machines_moved = now;
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
    history_.early_try = tries_.early();
    history_.tried_together = tries_.together();
    if (world_.acting() != process_) {
        process_ = world_.acting();
        got_.clear();
        own_writes_.forget();
        tries_.forget();
        // What became of a write may be known to the process alone that made it.
        history_.put_back.clear();
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
