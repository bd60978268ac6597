#include "sim/faults.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "base/text.hpp"
#include "sim/scenes.hpp"

namespace sallyport::sim {
namespace {

using namespace std::chrono_literals;

/// How long a fault that lasts, lasts.
constexpr auto heals_after = 75s;

bool is_event(const http::Request& request) {
    return request.target.find("/events") != std::string::npos;
}
bool is_watch(const http::Request& request) {
    return request.target.find("watch=true") != std::string::npos;
}

std::string azure_class(const http::Request& request, const std::vector<std::string>& segments) {
    const auto has = [&](const char* word) {
        return std::ranges::find(segments, word) != segments.end();
    };
    if (has("oauth2")) return "azure:token";
    if (has("operations") || has("operationResults")) return "azure:poll";
    const std::string last = segments.empty() ? "" : segments.back();
    if (has("securityRules"))
        return fmt::format("azure:{}:rule:{}", request.method, segments[segments.size() - 3]);
    const bool named =
        segments.size() > 1 && segments[segments.size() - 2] == "networkSecurityGroups";
    if (named) return "azure:GET:nsg:" + last;
    return "azure:LIST:" + last;
}

std::string kube_class(const http::Request& request, const std::vector<std::string>& segments) {
    std::size_t at = 2;  // of the kind: /api/v1/…, /apis/group/version/…
    if (!segments.empty() && segments[0] == "apis") at = 3;
    if (segments.size() > at + 2 && segments[at] == "namespaces") at += 2;
    const std::string kind = segments.size() > at ? segments[at] : "";
    const bool named = segments.size() > at + 1;
    const std::string sub = segments.size() > at + 2 ? ":" + segments[at + 2] : "";
    const std::string verb = is_watch(request)                   ? "WATCH"
                             : request.method == "GET" && !named ? "LIST"
                                                                 : request.method;
    return fmt::format("kube:{}:{}{}", verb, kind, sub);
}

}  // namespace

std::string call_class(const http::Request& request) {
    const http::Target target(request.target);
    return request.origin == azure_origin ? azure_class(request, target.segments())
                                          : kube_class(request, target.segments());
}

std::string Plan::name() const {
    return fmt::format("{}/{}/{}#{}/{}/{}", workload->name, kind->suite, site.call, site.nth,
                       kind->name, until_healed ? "until-healed" : "once");
}

Injector::Injector(World& of, Monitor& by, const Plan* plan) : world(of), monitor(by), plan_(plan) {
    world.fate = [this](const http::Request& request) { return decide(request); };
    world.network.on_stream_bytes = [this](const http::Request& request, std::string& bytes) {
        return disturb_stream(request, bytes);
    };
    world.network.is_silent = [this](const http::Request&) { return streams_silent; };
}

void Injector::forget_watches() {
    watches_are_gone_ = true;
    told_gone_.clear();
    world.network.break_streams();
}

std::optional<http::Response> Injector::gone(const http::Request& request) {
    if (!watches_are_gone_ || !is_watch(request)) return std::nullopt;
    if (!told_gone_.insert(call_class(request)).second) return std::nullopt;
    return http::Response{
        .status = 410,
        .body = R"({"kind":"Status","status":"Failure","reason":"Expired","code":410})"};
}

support::Fate Injector::decide(const http::Request& request) {
    support::Fate fate;
    if (const auto list = lists.find(request.target); list != lists.end()) {
        fate.instead = http::Response{.body = list->second};
        fate.instead->headers.set("Date", format_http_date(world.now()));
        return fate;
    }
    if (auto response = gone(request)) {
        fate.instead = std::move(response);
        return fate;
    }
    if (is_event(request)) return fate;  // nothing waits for them
    const std::string call = call_class(request);
    if (!counting_) return fate;
    const std::size_t n = seen_[call]++;
    order_.push_back(call);
    if (!plan_ || healed_ || call != plan_->site.call || n < plan_->site.nth) return fate;
    if (n > plan_->site.nth && (!plan_->until_healed || plan_->kind->lasts)) return fate;
    if (hits_++ == 0) first_hit_ = world.time.loop.steady_now();
    monitor.note(fmt::format("FAULT     {} on {}#{}", plan_->kind->name, call, n));
    const FaultKind& kind = *plan_->kind;
    const auto heals_in = kind.heals_in + (kind.lasts ? heals_after : 0s);
    if (plan_->site.azure() && !kind.lasts) monitor.disturb_azure(heals_in);
    if (!plan_->site.azure() || kind.lasts)
        monitor.disturb_kube(heals_in, kind.lasts ? std::string() : call);
    kind.hit(*this, request, fate);
    return fate;
}

void Injector::tend() {
    if (is_active() && world.time.loop.steady_now() >= first_hit_ + heals_after) heal();
}

void Injector::heal() {
    healed_ = true;
    if (plan_->kind->heal) plan_->kind->heal(*this);
    stream_fault = StreamFault::none;
    streams_silent = false;
    lists.clear();
    monitor.note("healed");
}

bool Injector::disturb_stream(const http::Request& request, std::string& bytes) {
    const std::string path(http::Target(request.target).path());
    const std::string fresh = bytes;
    const bool once = !plan_ || !plan_->until_healed;
    const StreamFault fault = once ? std::exchange(stream_fault, StreamFault::none) : stream_fault;
    const auto error = [](int code, const char* reason) {
        return fmt::format(R"({{"type":"ERROR","object":{{"kind":"Status","apiVersion":"v1",)"
                           R"("status":"Failure","reason":"{}","code":{},"message":"no"}}}})"
                           "\n",
                           reason, code);
    };
    bool goes_on = true;
    switch (fault) {
        case StreamFault::none: break;
        case StreamFault::error_500: bytes = error(500, "InternalError"); break;
        case StreamFault::gone_410: bytes = error(410, "Expired"); break;
        case StreamFault::cut:
            bytes.resize(bytes.size() / 2);
            goes_on = false;
            break;
        case StreamFault::closed:
            bytes.clear();
            goes_on = false;
            break;
        // At last from a server that lags.
        case StreamFault::again:
            bytes = last_bytes_[path] + bytes + bytes + last_bytes_[path];
            break;
        case StreamFault::garbage: bytes = "{]\n" + bytes; break;
    }
    if (fault != StreamFault::none) {
        monitor.note("FAULT     on the watch " + path);
        monitor.disturb_kube(plan_ ? plan_->kind->heals_in : FaultKind{}.heals_in);
    }
    last_bytes_[path] = fresh;
    return goes_on;
}

std::vector<Site> Injector::sites() const {
    std::vector<Site> all;
    std::map<std::string, std::size_t> n;
    for (const std::string& call : order_) {
        const std::size_t nth = n[call]++;
        all.push_back(
            {.call = call, .nth = nth, .first = nth == 0, .last = nth + 1 == seen_.at(call)});
    }
    return all;
}

}  // namespace sallyport::sim
