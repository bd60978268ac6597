#include "kube/lease.hpp"

#include <nlohmann/json.hpp>

#include "base/mutant.hpp"

namespace sallyport::kube {
namespace {

using Json = nlohmann::json;
using namespace std::chrono_literals;

/// The type of a Lease's times has microseconds; ours has seconds.
std::string micro_time(Timestamp time) {
    std::string text = format_rfc3339(time);
    text.insert(text.size() - 1, ".000000");
    return text;
}

std::string text_in(const Json& object, const char* name) {
    const auto it = object.find(name);
    return it != object.end() && it->is_string() ? it->get<std::string>() : std::string();
}
std::int64_t number_in(const Json& object, const char* name) {
    const auto it = object.find(name);
    return it != object.end() && it->is_number_integer() ? it->get<std::int64_t>() : 0;
}

}  // namespace

Lease::Lease(World world, Client& client, Options options)
    : world_(world), client_(client), options_(std::move(options)) {}

void Lease::declare_metrics(Metrics& metrics) {
    metrics.declare({.name = "leader_election_master_status",
                     .kind = MetricKind::gauge,
                     .help = "1 while this process leads, else 0.",
                     .labels = {"name"}});
}

bool Lease::leads() const {
    return renewed_ && world_.clock.steady_now() - *renewed_ < renew_deadline;
}
bool Lease::may_open() const {
    if (planted("lease-age-ignored")) return leads();
    return renewed_ && world_.clock.steady_now() - *renewed_ < fresh_for;
}
std::optional<SteadyTime> Lease::opens_until() const {
    return renewed_.value_or(SteadyTime{}) + fresh_for;
}

std::string Lease::target() const {
    return "/apis/coordination.k8s.io/v1/namespaces/" + options_.ns + "/leases/" + options_.name;
}

Result<void> Lease::take(const std::string& body) {
    const Json object = Json::parse(body, nullptr, false);
    if (!object.is_object() || !object.contains("metadata") || !object["metadata"].is_object())
        return unavailable("the answer is no Lease");
    const std::string version = text_in(object["metadata"], "resourceVersion");
    if (seen_ && seen_->version == version) return {};
    const Json spec =
        object.contains("spec") && object["spec"].is_object() ? object["spec"] : Json::object();
    seen_ = Seen{.version = version,
                 .holder = text_in(spec, "holderIdentity"),
                 .transitions = number_in(spec, "leaseTransitions"),
                 .acquired = text_in(spec, "acquireTime"),
                 .duration = std::chrono::seconds(number_in(spec, "leaseDurationSeconds")),
                 .at = world_.clock.steady_now()};
    return {};
}

Task<Result<void>> Lease::read() {
    const Result<std::string> body = co_await client_.get(target());
    if (!body) co_return body.error();
    co_return take(*body);
}

/// Writes the Lease with `holder` in it, based on what was seen last.
Task<Result<void>> Lease::write(bool exists, std::string holder) {
    const std::string now = micro_time(world_.clock.now());
    const bool same = exists && seen_->holder == holder;
    const std::int64_t transitions = exists ? seen_->transitions + (same ? 0 : 1) : 0;
    Json object = {{"apiVersion", "coordination.k8s.io/v1"},
                   {"kind", "Lease"},
                   {"metadata", {{"name", options_.name}, {"namespace", options_.ns}}},
                   {"spec",
                    {{"holderIdentity", holder},
                     {"leaseDurationSeconds", holder.empty() ? 1 : duration.count()},
                     {"acquireTime", same && !seen_->acquired.empty() ? seen_->acquired : now},
                     {"renewTime", now},
                     {"leaseTransitions", transitions}}}};
    Result<std::string> answer = unavailable("not sent");
    if (exists) {
        object["metadata"]["resourceVersion"] = seen_->version;
        std::string body = object.dump();
        answer = co_await client_.replace(target(), std::move(body));
    } else {
        std::string collection = target().substr(0, target().rfind('/'));
        std::string body = object.dump();
        answer = co_await client_.create(std::move(collection), std::move(body));
    }
    if (!answer) co_return std::move(answer).error();
    co_return take(*answer);
}

/// Whether somebody else held it a moment ago, and may believe so still: also when it was deleted
/// by hand, which its holder learns with its next renewal only.
bool Lease::may_be_held(SteadyTime now) const {
    return seen_ && !seen_->holder.empty() && seen_->holder != options_.identity &&
           now - seen_->at < std::max(seen_->duration, duration);
}

/// One try to win or to renew. A leader writes at once, on what it wrote last; only when that is
/// refused, and while it does not lead, it reads first.
Task<bool> Lease::attempt() {
    const SteadyTime asked = world_.clock.steady_now();
    if (leads() && seen_ && seen_->holder == options_.identity) {
        const Result<void> renewed = co_await write(true, options_.identity);
        if (renewed) {
            won(asked);
            co_return true;
        }
        const ErrorKind refusal = renewed.error().kind;  // changed by somebody, or deleted?
        if (refusal != ErrorKind::conflict && refusal != ErrorKind::not_found) co_return false;
    }
    const Result<void> found = co_await read();
    if (!found && found.error().kind != ErrorKind::not_found) co_return false;
    const SteadyTime now = world_.clock.steady_now();
    if (!found && !may_be_held(now)) seen_.reset();
    if (seen_ && !seen_->holder.empty() && seen_->holder != options_.identity) {
        if (renewed_) lose();  // somebody else holds what we thought ours
        if (lost_ || may_be_held(now)) co_return false;
    }
    const SteadyTime written = world_.clock.steady_now();
    const Result<void> done = co_await write(seen_.has_value(), options_.identity);
    if (done) won(written);
    co_return done.has_value();
}

void Lease::tell() const {
    for (const auto& listener : listeners_) listener();
}

void Lease::won(SteadyTime asked) {
    if (lost_) return;
    const bool before = renewed_.has_value();
    renewed_ = asked;
    if (!leads()) {
        // The answer took longer than it is worth. Nobody was told that we lead, unless we did.
        if (before) {
            lose();
        } else {
            renewed_.reset();
        }
        return;
    }
    if (before) return;
    world_.metrics.set("leader_election_master_status", {options_.name}, 1);
    world_.log.info("leading", {{"lease", options_.name}, {"identity", options_.identity}});
    tell();
}

void Lease::lose() {
    lost_ = true;
    renewed_.reset();
    world_.metrics.set("leader_election_master_status", {options_.name}, 0);
    world_.log.error("leadership.lost",
                     {{"lease", options_.name}, {"holder", seen_ ? seen_->holder : std::string()}});
    tell();
}

void Lease::start(Scope& scope) {
    scope.start(run());
    scope.start(watch_deadline());
}

Task<void> Lease::watch_deadline() {
    while (!lost_) {
        const SteadyTime now = world_.clock.steady_now();
        co_await world_.clock.sleep_until(renewed_ ? *renewed_ + renew_deadline : now + 1s);
        if (renewed_ && !leads()) lose();
    }
}

Task<void> Lease::run() {
    world_.metrics.set("leader_election_master_status", {options_.name}, 0);
    while (!lost_) {
        co_await attempt();
        const auto spread = std::chrono::duration_cast<std::chrono::milliseconds>(
            retry_period * jitter * world_.random.fraction());
        const SteadyTime next = world_.clock.steady_now() + retry_period + spread;
        co_await world_.clock.sleep_until(next);
    }
}

Task<void> Lease::release() {
    if (!leads() || !seen_ || seen_->holder != options_.identity) co_return;
    renewed_.reset();
    lost_ = true;
    const Result<void> done = co_await write(true, "");
    if (!done) world_.log.warn("lease.not_released", {{"error", done.error().message}});
}

}  // namespace sallyport::kube
