#pragma once

#include <random>
#include <string>
#include <vector>

#include "sim/faults.hpp"

namespace sallyport::sim {

/// One seed: a mix of users, tools and outsiders, and of faults with probabilities of their own,
/// for some simulated minutes. Then everything heals and everybody leaves, and the world must come
/// to rest. Judged after every step by a monitor.
class Swarm {
public:
    explicit Swarm(std::uint64_t seed);
    Swarm(const Swarm&) = delete;
    Swarm& operator=(const Swarm&) = delete;

    /// Empty: all went as it must; else what did not.
    std::string play();
    std::string told();
    /// Of all that happened and when: the same seed gives the same.
    std::uint64_t trace() const { return monitor.trace(); }
    std::chrono::nanoseconds lived() const;

    World world;
    Monitor monitor;
    Injector injector;

private:
    struct Event {
        SteadyTime at;
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
    void add(SteadyTime at, std::string name, std::function<void()> act);
    support::Fate decide(const http::Request& request);
    void step();
    void leave();
    std::string come_to_rest();

    std::mt19937_64 random_;
    SteadyTime began_;
    std::chrono::seconds troubled_{0};
    std::vector<Event> events_;
    std::vector<Chance> chances_;
    bool healed_ = false;
    std::optional<SteadyTime> back_at_;
};

}  // namespace sallyport::sim
