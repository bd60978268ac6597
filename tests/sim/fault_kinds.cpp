#include <fmt/format.h>

#include "base/text.hpp"
#include "sim/faults.hpp"
#include "sim/scenes.hpp"

// The kinds of faults, as far as today's surfaces meet them.
namespace sallyport::sim {
namespace {

using namespace std::chrono_literals;
using Way = support::Fate::Way;

bool azure(const Site& s) { return s.azure(); }
bool azure_arm(const Site& s) { return s.azure() && !s.is("token"); }
bool azure_write(const Site& s) { return s.is(":rule:"); }
bool azure_put(const Site& s) { return s.is("azure:PUT"); }
bool azure_delete(const Site& s) { return s.is("azure:DELETE"); }
bool azure_poll(const Site& s) { return s.is("azure:poll"); }
bool azure_nsg(const Site& s) { return s.is("azure:GET:nsg") || s.is(":networkSecurityGroups"); }
/// A clock that is set in the very moment in which a write leaves changes nothing for it.
bool before_a_write(const Site& s) { return azure_arm(s) && !azure_put(s); }
bool azure_not_poll(const Site& s) { return azure_arm(s) && !azure_poll(s); }
bool kube(const Site& s) { return !s.azure(); }
bool kube_call(const Site& s) { return kube(s) && !s.is("WATCH"); }
bool kube_write(const Site& s) { return kube_call(s) && !s.is("GET") && !s.is("LIST"); }
bool kube_status(const Site& s) { return s.is(":status"); }
bool kube_create(const Site& s) { return s.is("kube:POST"); }
bool kube_read(const Site& s) { return s.is("kube:GET") || s.is("kube:LIST"); }
bool kube_watch(const Site& s) { return s.is("kube:WATCH"); }

http::Response arm(int status, const std::string& code, const std::string& message = "No.") {
    http::Response answer{.status = status,
                          .body = json{{"error", {{"code", code}, {"message", message}}}}.dump()};
    answer.headers.set("Content-Type", "application/json");
    return answer;
}
http::Response api(int status, const std::string& reason) {
    http::Response answer{.status = status,
                          .body = json{{"kind", "Status"},
                                       {"apiVersion", "v1"},
                                       {"status", "Failure"},
                                       {"reason", reason},
                                       {"message", "no: " + reason},
                                       {"code", status}}
                                      .dump()};
    answer.headers.set("Content-Type", "application/json");
    return answer;
}

/// The next request like this one has this effect in azure-sim.
void in_azure(Injector& in, const http::Request& request, const json& effect) {
    std::string path;
    for (const char c : std::string(http::Target(request.target).path())) {
        if (std::string_view("().[]+*?^$|\\").find(c) != std::string_view::npos) path += '\\';
        path += c;
    }
    set_fault(in.world, {{"times", 1},
                         {"match", {{"method", request.method}, {"path", path + "$"}}},
                         {"effect", effect}});
}

void throttled(Injector&, const http::Request&, support::Fate& fate) {
    fate.instead = arm(429, "SubscriptionRequestsThrottled");
    fate.instead->headers.set("Retry-After", "7");
}
void throttled_until(Injector& in, const http::Request&, support::Fate& fate) {
    fate.instead = arm(429, "OperationNotAllowed");
    fate.instead->headers.set("Date", format_http_date(in.world.now()));
    fate.instead->headers.set("Retry-After", format_http_date(in.world.now() + 8s));
}
void retryable(Injector&, const http::Request&, support::Fate& fate) {
    fate.instead = arm(429, "RetryableError");
}
void busy(Injector&, const http::Request&, support::Fate& fate) {
    fate.instead = arm(409, "AnotherOperationInProgress");
}
void precondition(Injector&, const http::Request&, support::Fate& fate) {
    fate.instead = arm(412, "PreconditionFailed");
}
void internal(Injector&, const http::Request&, support::Fate& fate) {
    fate.instead = arm(500, "InternalServerError");
}
void bad_gateway(Injector&, const http::Request&, support::Fate& fate) {
    fate.instead = http::Response{.status = 502, .body = "<html>Bad Gateway</html>"};
}
void unavailable_503(Injector&, const http::Request&, support::Fate& fate) {
    fate.instead = arm(503, "ServiceUnavailable");
    fate.instead->headers.set("Retry-After", "5");
}
void forbidden(Injector&, const http::Request&, support::Fate& fate) {
    fate.instead = arm(403, "AuthorizationFailed",
                       "does not have authorization to perform action 'Microsoft.Network/x'");
}
void locked(Injector&, const http::Request&, support::Fate& fate) {
    fate.instead = arm(409, "ScopeLocked", "the following scope(s) are locked: '/x'");
}
void unauthorised(Injector&, const http::Request&, support::Fate& fate) {
    fate.instead = arm(401, "ExpiredAuthenticationToken");
}
void parent_gone(Injector&, const http::Request&, support::Fate& fate) {
    fate.instead = arm(404, "ResourceNotFound",
                       "The Resource 'Microsoft.Network/networkSecurityGroups/x' under resource "
                       "group 'rg-web' was not found.");
}
void poll_gone(Injector&, const http::Request&, support::Fate& fate) {
    fate.instead = arm(404, "OperationNotFound");
}
void refused(Injector&, const http::Request&, support::Fate& fate) { fate.way = Way::refused; }
void swallowed(Injector&, const http::Request&, support::Fate& fate) { fate.way = Way::swallowed; }
void reply_lost(Injector&, const http::Request&, support::Fate& fate) {
    fate.way = Way::lost_reply;
}
void reply_hangs(Injector&, const http::Request&, support::Fate& fate) {
    fate.way = Way::hung_reply;
}
void lands_late(Injector&, const http::Request&, support::Fate& fate) { fate.delay = 45s; }
void cut_short(Injector&, const http::Request&, support::Fate& fate) {
    fate.change = [](http::Response& answer) { answer.body.resize(answer.body.size() / 2); };
}
void not_json(Injector&, const http::Request&, support::Fate& fate) {
    fate.change = [](http::Response& answer) { answer.body = "<html>sign in</html>"; };
}
void operation_fails(Injector& in, const http::Request& request, support::Fate&) {
    in_azure(in, request, {{"operation", {{"end", "Failed"}}}});
}
void operation_cancelled(Injector& in, const http::Request& request, support::Fate&) {
    in_azure(in, request,
             {{"operation",
               {{"end", "Canceled"}, {"code", "CanceledAndSupersededDueToAnotherOperation"}}}});
}
void operation_never_ends(Injector& in, const http::Request& request, support::Fate&) {
    in_azure(in, request, {{"operation", {{"end", "Never"}}}});
}
void stale_read(Injector& in, const http::Request& request, support::Fate&) {
    in_azure(in, request, {{"staleSeconds", 20}});
}

void conflict(Injector&, const http::Request&, support::Fate& fate) {
    fate.instead = api(409, "Conflict");
}
void expired_410(Injector&, const http::Request&, support::Fate& fate) {
    fate.instead = api(410, "Expired");
}
void too_many(Injector&, const http::Request&, support::Fate& fate) {
    fate.instead = api(429, "TooManyRequests");
    fate.instead->headers.set("Retry-After", "3");
}
void api_internal(Injector&, const http::Request&, support::Fate& fate) {
    fate.instead = api(500, "InternalError");
}
void api_forbidden(Injector&, const http::Request&, support::Fate& fate) {
    fate.instead = api(403, "Forbidden");
}
void api_invalid(Injector&, const http::Request&, support::Fate& fate) {
    fate.instead = api(422, "Invalid");
}
void api_slow(Injector&, const http::Request&, support::Fate& fate) { fate.delay = 12s; }

template <Injector::StreamFault fault>
void stream(Injector& in, const http::Request&, support::Fate&) {
    in.stream_fault = fault;
}
void silence(Injector& in, const http::Request&, support::Fate&) { in.streams_silent = true; }
void come_back_by_list(Injector& in) { in.forget_watches(); }

/// Created and deleted while nobody told the operator.
void ghost(Injector& in, const http::Request&, support::Fate&) {
    in.streams_silent = true;
    const json made = in.world.create_as("alice", World::a_grant("ghost", "1h"));
    if (made.value("kind", "") == "AccessGrant") in.world.remove(grant_path("ghost"));
}

/// Everything that lists and watches tell stays as it is now; reads of one object do not. The
/// process dies, and the next one begins with that view.
void freeze(Injector& in, const http::Request&, support::Fate& fate) {
    for (const char* kind :
         {"cloudaccounts", "jitpolicies", "accessgrants", "accessrecords", "accessledgers"}) {
        const std::string path = fmt::format("/apis/sallyport.dev/v1alpha1/{}?limit=500", kind);
        in.lists[path] = in.world.request("admin", "GET", path).body;
    }
    in.streams_silent = true;
    in.restart_wanted = true;
    fate.way = Way::swallowed;
}
void thaw(Injector& in) {
    in.streams_silent = false;
    in.world.network.break_streams();
}

void set_clock(Injector& in, std::chrono::seconds by) {
    in.world.operators_clock.jump(by);
    in.monitor.clock_was_set();
}
template <int seconds_off>
void jump(Injector& in, const http::Request&, support::Fate&) {
    set_clock(in, std::chrono::seconds(seconds_off));
}
template <int seconds_off>
void jump_back(Injector& in) {
    set_clock(in, std::chrono::seconds(-seconds_off));
}
void drift(Injector& in, const http::Request&, support::Fate&) {
    in.world.operators_clock.drift(500);
}
void drift_ends(Injector& in) { in.world.operators_clock.drift(0); }
void skew(Injector& in, const http::Request&, support::Fate&) { in.world.api_clock_ahead = 300s; }
void skew_ends(Injector& in) { in.world.api_clock_ahead = 0s; }

void suspend(Injector& in, const http::Request&, support::Fate&) { in.suspension = 30min; }
/// A machine that comes up without knowing what time it is, and learns it later.
constexpr std::chrono::seconds since_1970{1'795'000'000};
void starts_in_1970(Injector& in, const http::Request&, support::Fate& fate) {
    set_clock(in, -since_1970);
    in.restart_wanted = true;
    fate.way = Way::swallowed;
}
void learns_the_time(Injector& in) { set_clock(in, since_1970); }

constexpr auto timeout = 30s;
constexpr auto pause = 35s;  // the longest between two tries of a closing, and the try
constexpr auto in_flight = 900s;

std::vector<FaultKind> azure_kinds() {
    return {
        {"S4", "throttled", azure, throttled, pause + 7s},
        {"S4", "throttled-until", azure_arm, throttled_until, pause + 8s},
        {"S4", "retryable", azure_arm, retryable},
        {"S4", "busy", azure_write, busy},
        {"S4", "precondition", azure_write, precondition},
        {"S4", "internal-error", azure, internal},
        {"S4", "bad-gateway", azure, bad_gateway},
        {"S4", "unavailable", azure, unavailable_503},
        {"S4", "forbidden", azure_arm, forbidden},
        {"S4", "locked", azure_write, locked, pause + 300s},
        {"S4", "unauthorised", azure_arm, unauthorised},
        {"S4", "parent-gone", azure_not_poll, parent_gone, pause + 60s},
        // What cannot be followed any more may be asked for once more, while Azure is at it.
        {"S4", "operation-gone", azure_poll, poll_gone, pause, false, false, 1},
        {"S4", "refused", azure, refused},
        {"S4", "timed-out", azure, swallowed, pause + timeout},
        {"S4", "reply-lost", azure, reply_lost, pause, false, false, 1},
        {"S4", "reply-hangs", azure, reply_hangs, pause + timeout, false, false, 1},
        {"S4", "lands-late", azure_write, lands_late, pause + timeout + 45s, false, false, 1},
        {"S4", "cut-short", azure, cut_short, pause, false, false, 1},
        {"S4", "not-json", azure, not_json, pause, false, false, 1},
        {"S4", "operation-fails", azure_write, operation_fails, pause, false, false, 1},
        {"S4", "operation-cancelled", azure_write, operation_cancelled, pause, false, false, 1},
        {"S4", "operation-never-ends", azure_put, operation_never_ends, pause + in_flight, false,
         true, 1, true},
        {"S4", "removal-never-ends", azure_delete, operation_never_ends, pause + in_flight, false,
         true, 1},
        {"S4", "stale-read", azure_nsg, stale_read, pause + 20s},
    };
}

std::vector<FaultKind> kube_kinds() {
    using enum Injector::StreamFault;
    return {
        {"S5", "conflict", kube_write, conflict},
        {"S5", "expired", kube_read, expired_410},
        {"S5", "throttled", kube, too_many, pause + 3s},
        {"S5", "internal-error", kube, api_internal},
        {"S5", "forbidden", kube_status, api_forbidden},
        {"S5", "terminating", kube_create, api_forbidden},
        {"S5", "invalid", kube_write, api_invalid},
        {"S5", "refused", kube, refused},
        {"S5", "timed-out", kube, swallowed, pause + timeout},
        {"S5", "reply-lost", kube_call, reply_lost},
        {"S5", "reply-hangs", kube_call, reply_hangs, pause + timeout},
        {"S5", "slow", kube_call, api_slow, pause + 12s},
        {"S5", "cut-short", kube_call, cut_short},
        {"S5", "watch-gone", kube_watch, expired_410},
        {"S5", "watch-error", kube_write, stream<error_500>},
        {"S5", "watch-expired", kube_write, stream<gone_410>},
        {"S5", "watch-cut", kube_write, stream<cut>},
        {"S5", "watch-closed", kube_write, stream<closed>},
        {"S5", "watch-again", kube_write, stream<again>},
        {"S5", "watch-garbage", kube_write, stream<garbage>},
    };
}

std::vector<FaultKind> views_and_clocks() {
    return {
        {"S2", "view-frozen", kube_call, silence, pause, true, false, 0, false, thaw},
        {"S2", "restart-on-old-view", kube_write, freeze, pause, true, false, 1, false, thaw},
        {"S3", "unseen-then-watch", kube_call, ghost, pause, true, false, 0, false, nullptr},
        {"S3", "unseen-then-list", kube_call, ghost, pause, true, false, 0, false,
         come_back_by_list},

        {"S6", "hour-ahead", before_a_write, jump<3600>, pause, true, false, 0, true,
         jump_back<3600>},
        {"S6", "hour-behind", before_a_write, jump<-3600>, pause, true, false, 0, true,
         jump_back<-3600>},
        {"S6", "5-min-ahead", before_a_write, jump<300>, pause, true, false, 0, true,
         jump_back<300>},
        {"S6", "5-min-behind", before_a_write, jump<-300>, pause, true, false, 0, true,
         jump_back<-300>},
        {"S6", "20-s-behind", before_a_write, jump<-20>, pause, true, false, 0, true,
         jump_back<-20>},
        {"S6", "api-server-ahead", before_a_write, skew, pause, true, false, 0, true, skew_ends},
        {"S6", "suspended", before_a_write, suspend, pause, false, true, 1, true},
        {"S6", "starts-in-1970", before_a_write, starts_in_1970, pause, true, false, 1, true,
         learns_the_time},
        {"S6", "drifts", before_a_write, drift, pause, true, false, 0, true, drift_ends},
    };
}

}  // namespace

const std::vector<FaultKind>& fault_kinds() {
    static const std::vector<FaultKind> all = [] {
        std::vector<FaultKind> kinds = azure_kinds();
        for (const FaultKind& each : kube_kinds()) kinds.push_back(each);
        for (const FaultKind& each : views_and_clocks()) kinds.push_back(each);
        return kinds;
    }();
    return all;
}

}  // namespace sallyport::sim
