#include "sim/replicas.hpp"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include "sim/invariants.hpp"
#include "sim/scenes.hpp"

namespace sallyport::sim {

using namespace std::chrono_literals;

class WayStream final : public http::ByteStream {
public:
    WayStream(Way& way, std::string origin, std::unique_ptr<http::ByteStream> inner,
              std::chrono::milliseconds idle_limit)
        : way_(way),
          origin_(std::move(origin)),
          inner_(std::move(inner)),
          idle_limit_(idle_limit) {}
    const http::Response& head() const override { return inner_->head(); }
    Task<Result<std::string>> next() override {
        if (!way_.cut.contains(origin_)) {
            Result<std::string> bytes = co_await inner_->next();
            if (!way_.cut.contains(origin_)) co_return bytes;
        }
        co_await way_.clock_.sleep_for(idle_limit_);
        co_return unavailable("idle too long");
    }

private:
    Way& way_;
    std::string origin_;
    std::unique_ptr<http::ByteStream> inner_;
    std::chrono::milliseconds idle_limit_;
};

class WayTransport final : public http::Transport {
public:
    WayTransport(Way& way, std::unique_ptr<http::Transport> inner)
        : way_(way), inner_(std::move(inner)) {}
    Task<Result<http::Response>> send(http::Request request, http::SendOptions options) override {
        const SteadyTime deadline = way_.clock_.steady_now() + options.timeout;
        const std::string origin = request.origin;
        if (way_.on_departure) way_.on_departure(request);
        if (way_.rewrite) way_.rewrite(request);
        if (!way_.cut.contains(origin)) {
            Result<http::Response> answer = co_await inner_->send(std::move(request), options);
            if (!way_.cut.contains(origin)) co_return answer;
        }
        co_await way_.clock_.sleep_until(deadline);
        co_return unavailable("timed out");
    }
    Task<Result<std::unique_ptr<http::ByteStream>>> open(
        http::Request request, http::SendOptions options,
        std::chrono::milliseconds idle_limit) override {
        const SteadyTime deadline = way_.clock_.steady_now() + options.timeout;
        const std::string origin = request.origin;
        if (!way_.cut.contains(origin)) {
            Result<std::unique_ptr<http::ByteStream>> stream =
                co_await inner_->open(std::move(request), options, idle_limit);
            if (!stream) co_return std::move(stream).error();
            std::unique_ptr<http::ByteStream> wrapped =
                std::make_unique<WayStream>(way_, origin, *std::move(stream), idle_limit);
            co_return wrapped;
        }
        co_await way_.clock_.sleep_until(deadline);
        co_return unavailable("timed out");
    }

private:
    Way& way_;
    std::unique_ptr<http::Transport> inner_;
};

std::unique_ptr<http::Transport> Way::transport(http::Trust trust) {
    return std::make_unique<WayTransport>(*this, inner_.transport(std::move(trust)));
}

ReplicatedWorld::ReplicatedWorld(std::uint64_t run_seed, std::string estate)
    : World(run_seed, std::move(estate)) {
    kube::Lease::declare_metrics(metrics);
    who_acts = [this]() -> const Operator* {
        for (const auto& [name, replica] : replicas) {
            if (replica.process && replica.process->lease->leads()) return replica.process.get();
        }
        return nullptr;
    };
    after_reply = [this](const http::Request& request, const http::Response& response) {
        if (const auto id = request.headers.find("x-ms-client-request-id"))
            under_way_.erase(std::string(*id));
        if (request.method == "GET" || response.status >= 300) return;
        if (request.target.find("/leases") == std::string::npos) return;
        const std::string holder =
            json::parse(request.body).value("/spec/holderIdentity"_json_pointer, "");
        const auto replica = replicas.find(holder.substr(0, holder.rfind('-')));
        if (replica != replicas.end()) replica->second.renewed = time.loop.steady_now();
    };
}

ReplicatedWorld::~ReplicatedWorld() {
    for (auto& [name, replica] : replicas) replica.process.reset();
}

void ReplicatedWorld::start(const std::string& name) {
    Replica& replica = replicas[name];
    replica.back_at.reset();
    if (!replica.way) {
        replica.way = std::make_unique<Way>(network, time.clock);
        replica.way->on_departure = [this, name](const http::Request& request) {
            note_departure(name, request);
        };
    }
    replica.process = make_operator(*replica.way, fmt::format("{}-{}", name, processes + 1));
}

/// The end of a deny opens what it held closed.
bool ReplicatedWorld::takes_lockdown_away(const http::Request& request) {
    if (request.method != "DELETE") return false;
    const std::vector<std::string> names = http::Target(request.target).segments();
    const json rule = find_rule(*this, names.at(names.size() - 3) + "/" + names.back());
    if (!rule.is_object()) return false;
    const json& properties = rule.at("properties");
    const bool harmless = properties.value("destinationPortRange", "") == "1";
    return properties.value("access", "") == "Deny" && !harmless &&
           properties.value("description", "").find(" policy=") != std::string::npos;
}

/// More than what stands under its name, or is about to.
bool ReplicatedWorld::lets_in_more(const http::Request& request) {
    if (request.body.find(R"("access":"Allow")") == std::string::npos) return false;
    const std::vector<std::string> names = http::Target(request.target).segments();
    const json rule = find_rule(*this, names.at(names.size() - 3) + "/" + names.back());
    if (!rule.is_object()) return true;
    const json& stands = rule.at("properties");
    SeenRule seen;
    seen.properties = stands;
    seen.state = stands.value("provisioningState", "");
    seen.allows = stands.value("access", "") == "Allow";
    seen.by_others = true;
    return !lets_in_all_of(seen, json::parse(request.body).at("properties"));
}

void ReplicatedWorld::note_departure(const std::string& name, const http::Request& request) {
    if (request.origin != azure_origin || request.method == "GET") return;
    const std::size_t rule = request.target.find("/securityRules/");
    if (rule == std::string::npos) return;
    const std::string nsg = request.target.substr(0, rule);
    const Replica& self = replicas.at(name);
    const auto age = time.loop.steady_now() - self.renewed;
    const bool opens = takes_lockdown_away(request) || lets_in_more(request);
    Departed write{.replica = name,
                   .call = describe_call(request),
                   .at = now(),
                   .leads = self.process->lease->leads(),
                   .opens = opens,
                   .may_open = age < kube::Lease::fresh_for};
    for (const auto& [id, other] : under_way_) {
        // One whose process has ended, or is cut off, is held up by nobody any more.
        const Replica& of = replicas.at(other.replica);
        const bool lives = of.process && of.process->lease->leads();
        if (other.replica != name && other.nsg == nsg && lives) write.others = other.replica;
    }
    if (const auto id = request.headers.find("x-ms-client-request-id"))
        under_way_[std::string(*id)] = {name, nsg};
    departed.push_back(std::move(write));
}

void ReplicatedWorld::terminate(const std::string& name) {
    Operator& ending = *replicas.at(name).process;
    ending.engine.stop();
    time.finish(ending.lease->release());
    kill(name);
}

std::string ReplicatedWorld::leader() {
    for (const auto& [name, replica] : replicas) {
        if (replica.process && replica.process->lease->leads()) return name;
    }
    return "";
}

std::string ReplicatedWorld::standby() {
    for (const auto& [name, replica] : replicas) {
        if (replica.process && !replica.process->lease->leads()) return name;
    }
    return "";
}

std::string ReplicatedWorld::wrong_writes() {
    for (; judged_ < departed.size(); ++judged_) {
        const Departed& write = departed[judged_];
        if (!write.leads)
            return "I14: " + write.replica + " writes and does not lead: " + write.call;
        if (write.opens && !write.may_open)
            return "I2: " + write.replica + " opens on a Lease older than 5 s: " + write.call;
        if (!write.others.empty() && write.opens)
            return "I14: " + write.replica + " writes while a write of " + write.others +
                   " to this NSG is under way: " + write.call;
    }
    return "";
}

void ReplicatedWorld::heal() {
    for (auto& [name, replica] : replicas) {
        replica.way->cut.clear();
        if (!replica.process) replica.back_at = time.loop.steady_now();
    }
}

void ReplicatedWorld::check_step() {
    int leading = 0;
    for (const auto& [name, replica] : replicas) {
        if (replica.process && replica.process->lease->leads()) ++leading;
    }
    REQUIRE_MESSAGE(leading <= 1, story());
}

void ReplicatedWorld::tend() {
    check_step();
    for (auto& [name, replica] : replicas) {
        if (replica.process && replica.process->lease->lost()) {
            replica.process.reset();
            replica.back_at = time.loop.steady_now() + 1s;
        }
        if (replica.azure_back_at && time.loop.steady_now() >= *replica.azure_back_at) {
            replica.azure_back_at.reset();
            replica.way->cut.erase(azure_origin);
        }
        if (replica.back_at && time.loop.steady_now() >= *replica.back_at) start(name);
    }
}

void ReplicatedWorld::tend_for(std::chrono::nanoseconds span) {
    tend_until([] { return false; }, span);
}

bool ReplicatedWorld::tend_until(const std::function<bool()>& done,
                                 std::chrono::nanoseconds at_most) {
    const SteadyTime end = time.loop.steady_now() + at_most;
    while (!done()) {
        if (time.loop.steady_now() >= end) return false;
        if (run_until(done, 200ms)) return true;
        tend();
    }
    return true;
}

void start_two(ReplicatedWorld& world) {
    world.set_up();
    world.start("a");
    world.start("b");
    const bool ready = world.tend_until(
        [&] { return world.policy("web-ssh").value("/status/phase"_json_pointer, "") == "Ready"; },
        60s);
    REQUIRE_TOLD(world, ready);
}

}  // namespace sallyport::sim
