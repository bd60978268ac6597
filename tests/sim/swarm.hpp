#pragma once

#include <random>
#include <string>
#include <vector>

#include "sim/faults.hpp"

namespace sallyport::sim {

/// What happened to a call of the operator: the nth of its class.
struct Hit {
    std::string call;
    std::size_t nth = 0;
    const FaultKind* kind = nullptr;
};

/// What a run met with: the acts of everybody (by their place in the plan of the seed) and what
/// happened to calls. With the seed it says all.
struct Schedule {
    std::vector<std::size_t> acts = {};
    std::vector<Hit> hits = {};
    std::size_t size() const { return acts.size() + hits.size(); }
    /// The acts and hits of these numbers, of `size()`.
    Schedule part(const std::vector<std::size_t>& numbers) const;
};

/// One seed: a mix of users, tools and outsiders, and of faults with probabilities of their own,
/// for some simulated minutes. Then everything heals and everybody leaves, and the world must come
/// to rest. Judged after every step by a monitor.
class Swarm {
public:
    /// With `only` that happens and nothing else of what the seed has.
    explicit Swarm(std::uint64_t seed, const Schedule* only = nullptr);
    Swarm(const Swarm&) = delete;
    Swarm& operator=(const Swarm&) = delete;

    /// Empty: all went as it must; else what did not.
    std::string play();
    std::string told();
    /// Of all that happened and when: the same seed gives the same.
    std::uint64_t trace() const { return monitor.trace(); }
    std::chrono::nanoseconds lived() const;
    const Schedule& happened() const { return happened_; }
    /// Who does what, and when, and what happens to which call.
    std::string tell(const Schedule& schedule) const;

    World world;
    Monitor monitor;
    Injector injector;

private:
    struct Event {
        SteadyTime at;
        std::size_t number;
        std::string name;
        std::function<void()> act;
    };
    struct Chance {
        const FaultKind* kind;
        double probability;
    };

    std::uint64_t draw(std::uint64_t below) { return random_() % below; }
    bool chance(double probability) {
        return static_cast<double>(random_() >> 11) * 0x1p-53 < probability;
    }
    SteadyTime some_time(double from, double to);
    void plan_users();
    void plan_outsiders();
    void plan_faults();
    void plan_tearings();
    void add(SteadyTime at, std::string name, std::function<void()> act);
    support::Fate decide(const http::Request& request);
    const FaultKind* drawn(const Site& site);
    const FaultKind* chosen(const std::string& call, std::size_t nth) const;
    void step();
    void leave();
    std::string come_to_rest();

    std::mt19937_64 random_;
    SteadyTime began_;
    std::chrono::seconds troubled_{0};
    std::vector<Event> events_;
    std::vector<Chance> chances_;
    const Schedule* only_;
    Schedule happened_;
    std::vector<Event> planned_;
    std::map<std::string, std::size_t> seen_;  ///< calls, by class
    bool healed_ = false;
    std::optional<SteadyTime> back_at_;
    std::optional<SteadyTime> silent_until_;
};

}  // namespace sallyport::sim
