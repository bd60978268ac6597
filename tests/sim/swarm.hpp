#pragma once

#include <random>
#include <string>
#include <vector>

#include "sim/faults.hpp"
#include "sim/replicas.hpp"

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

/// Who takes part in a seed. What once failed with the first cast alone still means what it meant
/// (corpus.txt).
enum class Cast { first, whole };

/// What the whole cast plays in; one for each seed.
struct Setting {
    bool several = false;        ///< two replicas, of which one leads
    bool stormy = true;          ///< faults of all kinds at any time
    bool both_families = false;  ///< IPv4 and IPv6
    bool excepted = false;       ///< the lockdown lets a jump host through, which got in before
    std::string estate = World::small_estate();
    json policy_changes = json::object();
    std::chrono::milliseconds lag{0};  ///< of all watches
    bool calm = false;                 ///< from some moment on nothing goes wrong; people go on

    static Setting of(std::uint64_t seed, Cast cast);
};

/// One seed: a mix of users, tools and outsiders, and of faults with probabilities of their own,
/// for some simulated minutes. Then everything heals and everybody leaves, and the world must come
/// to rest. Judged after every step by a monitor.
class Swarm {
public:
    /// With `only` that happens and nothing else of what the seed has.
    explicit Swarm(std::uint64_t seed, const Schedule* only = nullptr, Cast cast = Cast::whole);
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

private:
    struct Event {
        SteadyTime at;
        std::size_t number;
        std::string name;
        std::function<void()> act;
        bool goes_wrong = false;  ///< nobody wants it
    };
    struct Chance {
        const FaultKind* kind;
        double probability;
    };
    using Strike = std::function<void(const http::Request&, support::Fate&)>;
    /// Waits for a call of a class, and strikes the first.
    struct Trap {
        std::string name;
        std::string call;
        Strike strike;
    };
    /// For a while all calls of some sort meet with the same.
    struct Outage {
        SteadyTime until;
        std::string calls;  ///< part of their class, or of their target
        const FaultKind* kind;
    };

    std::uint64_t draw(std::uint64_t below) { return random_() % below; }
    bool chance(double probability) {
        return static_cast<double>(random_() >> 11) * 0x1p-53 < probability;
    }
    std::chrono::milliseconds draw_ms(std::uint64_t from, std::uint64_t below) {
        return std::chrono::milliseconds(from + draw(below - from));
    }
    SteadyTime some_time(double from, double to);
    SteadyTime end_of_trouble() const { return began_ + troubled_; }
    SteadyTime now() const { return world.time.loop.steady_now(); }
    void add(SteadyTime at, std::string name, std::function<void()> act);

    // The first cast.
    void plan_users();
    void plan_outsiders();
    void plan_faults();
    void plan_tearings();

    // Those who joined later: people and tools (swarm_people.cpp).
    void plan_people();
    void plan_requesters();
    SteadyTime plan_request(const std::string& name, SteadyTime asked, SteadyTime& ends);
    void plan_end(const std::string& name, SteadyTime asked, const json& grant);
    void plan_policy();
    void plan_meddlers();
    void plan_neighbours();
    void plan_detaching();
    void end_grant(const std::string& name, std::uint64_t how);
    enum class Change { removed, widened, denies };
    void change_some_rule(Change change, std::uint64_t which);
    void remove_our_rules();
    void put_policy_right();

    // What happens to machines and to the ways between them (swarm_troubles.cpp).
    void plan_troubles();
    void plan_outages();
    void plan_traps();
    void plan_clocks();
    void plan_silence();
    void calm_down();
    void plan_lock();
    void plan_race(const std::string& name, SteadyTime asked, SteadyTime ends);
    void plan_hidden_group(const std::string& name, SteadyTime asked);
    std::optional<std::string> some_open_grant() const;
    void plan_leadership();
    Strike some_strike(std::string& name);
    Strike some_crash(std::string& name);
    Strike some_person(std::string& name);
    void set_clock(std::chrono::seconds by, std::chrono::seconds span);
    void silence(std::chrono::seconds span, bool then_gone);
    void strike_leader(std::uint64_t how, std::chrono::seconds span);
    void crash_for(std::chrono::milliseconds down);
    std::optional<std::chrono::milliseconds> until_an_end() const;
    /// A moment at which something is asked for or ends, or some time before or after it.
    SteadyTime near_something(std::chrono::milliseconds before, std::chrono::milliseconds after);

    support::Fate decide(const http::Request& request);
    bool in_trouble(const Site& site, const http::Request& request, support::Fate& fate);
    void hit(const FaultKind& kind, const Site& site, const http::Request& request,
             support::Fate& fate);
    const FaultKind* drawn(const Site& site);
    const FaultKind* chosen(const std::string& call, std::size_t nth) const;
    void start();
    void run(SteadyTime::duration span);
    void tend();
    void step();
    void leave();
    std::string come_to_rest();

    const Cast cast_;
    const Setting setting_;
    const std::unique_ptr<World> owned_;

public:
    World& world;
    Monitor monitor;
    Injector injector;

private:
    ReplicatedWorld* const several_;  ///< nullptr: there is only one process
    std::mt19937_64 random_;
    SteadyTime began_;
    bool planning_troubles_ = false;
    std::optional<SteadyTime> calm_from_;
    std::chrono::seconds troubled_{0};
    json policy_;
    std::vector<std::string> names_;   ///< of grants
    std::vector<SteadyTime> moments_;  ///< at which something is asked for, or ends
    std::vector<Event> events_;
    std::vector<Chance> chances_;
    const Schedule* only_;
    Schedule happened_;
    std::vector<Event> planned_;
    std::map<std::string, std::size_t> seen_;  ///< calls, by class
    bool healed_ = false;
    bool is_calm() const { return calm_from_ && now() >= *calm_from_; }
    std::vector<Trap> traps_;
    std::vector<Outage> outages_;
    std::chrono::milliseconds down_{1000};  ///< of a process that dies in a call
    std::optional<SteadyTime> back_at_;
    std::optional<SteadyTime> silent_until_;
    bool gone_after_silence_ = false;
    std::chrono::seconds clock_off_{0};
    std::optional<SteadyTime> clock_right_at_;
    std::optional<SteadyTime> lease_blocked_until_;
    std::optional<SteadyTime> lock_off_at_;
    std::optional<SteadyTime> ways_whole_at_;  ///< of replicas that are cut off
};

}  // namespace sallyport::sim
