#include <doctest/doctest.h>

#include <algorithm>
#include <random>

#include "engine/budget.hpp"
#include "engine/deadlines.hpp"
#include "engine/key_queue.hpp"
#include "engine/preflight.hpp"
#include "engine/repairs.hpp"
#include "engine/retry.hpp"
#include "support/builders.hpp"
#include "support/simulated_time.hpp"

using namespace sallyport;
using namespace sallyport::engine;
using namespace std::chrono_literals;

namespace {

const Timestamp nine = *parse_rfc3339("2026-11-21T09:00:00Z");

Task<void> take_and_note(Budget& budget, Call call, Urgency urgency, Clock& clock,
                         std::vector<SteadyTime>& taken) {
    co_await budget.take(call, urgency);
    taken.push_back(clock.steady_now());
}

Task<void> collect(KeyQueue& queue, std::vector<std::string>& seen) {
    for (;;) {
        std::string key = co_await queue.next();
        seen.push_back(key);
        queue.done(key);
    }
}

Task<void> hold_one(KeyQueue& queue, Event& release, std::vector<std::string>& seen) {
    std::string key = co_await queue.next();
    seen.push_back(key);
    co_await release.next();
    queue.done(key);
}

}  // namespace

TEST_CASE(
    "a retry doubles up to its ceiling, keeps half of it as a floor, and honours Retry-After") {
    struct Row {
        const char* why;
        Attempt attempt;
        double fraction;
        std::chrono::milliseconds expected;
    };
    for (const Row& row : {
             Row{"the first, lowest jitter",
                 {.attempt = 0, .base = 1s, .ceiling = 60s},
                 0.0,
                 500ms},
             Row{"the first, highest jitter",
                 {.attempt = 0, .base = 1s, .ceiling = 60s},
                 1.0,
                 1000ms},
             Row{"doubled twice", {.attempt = 2, .base = 1s, .ceiling = 60s}, 1.0, 4000ms},
             Row{"at the ceiling", {.attempt = 40, .base = 1s, .ceiling = 60s}, 1.0, 60000ms},
             Row{"not before Retry-After",
                 {.attempt = 0, .base = 1s, .ceiling = 60s, .retry_after = 17s},
                 0.0,
                 17000ms},
         }) {
        CAPTURE(row.why);
        CHECK(next_attempt(row.attempt, row.fraction) == row.expected);
    }
}

TEST_CASE("a closing is tried again within 30 s, whatever the kind of its error") {
    for (const ErrorKind kind :
         {ErrorKind::invalid, ErrorKind::denied, ErrorKind::not_found, ErrorKind::conflict,
          ErrorKind::throttled, ErrorKind::unavailable}) {
        CAPTURE(to_text(kind));
        for (int attempt = 0; attempt < 50; ++attempt) {
            CHECK(next_attempt(reaction_to({kind, "no"}, attempt, Urgency::closing), 1.0) <= 30s);
        }
    }
}

TEST_CASE(
    "an end fires once at its time, stays overdue until it is cleared, and moves when it is set "
    "anew") {
    Deadlines ends;
    ends.set("a", nine + 10s);
    ends.set("b", nine + 20s);
    ends.set("b", nine + 5s);

    CHECK(ends.take_due(nine + 4s).empty());
    CHECK(ends.take_due(nine + 5s) == std::vector<std::string>{"b"});
    CHECK(ends.take_due(nine + 9s).empty());
    CHECK(ends.oldest_overdue(nine + 9s) == 4s);
    CHECK(ends.overdue(nine + 9s) == 1);
    CHECK(ends.take_due(nine + 10s) == std::vector<std::string>{"a"});

    ends.clear("b");
    CHECK(ends.oldest_overdue(nine + 12s) == 2s);
    ends.clear("a");
    CHECK(ends.oldest_overdue(nine + 12s) == 0s);
    CHECK(ends.size() == 0);
}

TEST_CASE("a rule that comes back changed the same way from two writes is Azure Policy's doing") {
    nsg::Step step{
        .kind = nsg::StepKind::put, .rule = testing::rule("sp-x", 200), .uid = "a", .content = "c"};
    SecurityRule stored = step.rule;
    stored.direction = Direction::outbound;
    Repairs repairs;
    const SteadyTime start{};

    repairs.written(step, &stored, start);
    CHECK(repairs.findings(start).empty());
    CHECK(repairs.not_before(step, 60s) <= start);
    repairs.written(step, &stored, start + 10s);

    REQUIRE(repairs.findings(start + 10s).size() == 1);
    CHECK(repairs.findings(start + 10s).front().reason == "MutatedByPolicy");
    CHECK(repairs.findings(start + 10s).front().uid == "a");
    CHECK(repairs.not_before(step, 60s) == start + 10s + 1h);
    step.effect = WriteEffect::closes;
    CHECK(repairs.not_before(step, 60s) == start + 70s);
    step.kind = nsg::StepKind::remove;
    CHECK(repairs.not_before(step, 60s) <= start);
    repairs.forget_old(start + 10s + 1h);
    CHECK(repairs.findings(start + 10s + 1h).empty());
}

TEST_CASE("a write that comes back as it was asked for, in another order, says nothing") {
    nsg::Step step{.kind = nsg::StepKind::put,
                   .rule = testing::rule("sp-x", 200).from({"10.0.0.0/8", "192.0.2.0/24"}),
                   .uid = "a",
                   .content = "c"};
    SecurityRule stored = testing::rule("sp-x", 200).from({"192.0.2.0/24", "10.0.0.0/8"});
    Repairs repairs;
    for (int i = 0; i < 5; ++i) repairs.written(step, &stored, SteadyTime{});
    CHECK(repairs.findings(SteadyTime{}).empty());
}

TEST_CASE("ends that are near are told ahead, and not those that have come") {
    Deadlines ends;
    ends.set("now", nine);
    ends.set("soon", nine + 1s);
    ends.set("then", nine + 5s);
    ends.set("later", nine + 6s);

    CHECK(ends.between(nine, nine + 5s) == std::vector<std::string>{"soon", "then"});
    CHECK(ends.between(nine, nine).empty());
    ends.take_due(nine + 1s);
    CHECK(ends.between(nine + 1s, nine + 5s) == std::vector<std::string>{"then"});
}

TEST_CASE("an end that was fired by a clock set too far ahead fires again at its time") {
    Deadlines ends;
    ends.set("a", nine + 10s);
    REQUIRE(ends.take_due(nine + 1h).size() == 1);

    CHECK(ends.take_due(nine).empty());

    CHECK(ends.next() == nine + 10s);
    CHECK(ends.take_due(nine + 10s) == std::vector<std::string>{"a"});
}

TEST_CASE(
    "whatever is set, moved, cleared and fired, every end fires at its time and none is lost") {
    for (std::uint64_t seed = 1; seed <= 50; ++seed) {
        CAPTURE(seed);
        std::mt19937_64 random(seed);
        Deadlines ends;
        std::map<std::string, Timestamp> model;
        std::set<std::string> fired;
        Timestamp now = nine;
        for (int step = 0; step < 400; ++step) {
            const std::string uid = std::to_string(random() % 20);
            if (random() % 4 == 0) {
                ends.clear(uid);
                model.erase(uid);
                fired.erase(uid);
            } else {
                const Timestamp end = nine + seconds(random() % 300);
                if (!model.contains(uid) || model[uid] != end) fired.erase(uid);
                model[uid] = end;
                ends.set(uid, end);
            }
            now += seconds(random() % 3);
            for (const std::string& due : ends.take_due(now)) {
                REQUIRE(model.contains(due));
                CHECK(model[due] <= now);
                CHECK(fired.insert(due).second);
            }
            for (const auto& [key, end] : model) CHECK((end > now || fired.contains(key)));
            CHECK(ends.size() == model.size());
        }
    }
}

TEST_CASE(
    "openings stop at a quarter left; a closing goes on, and is never behind a waiting opening") {
    support::SimulatedWorld world(nine);
    Budget budget(world.loop, world.clock);
    std::vector<SteadyTime> opened;
    std::vector<SteadyTime> closed;
    for (int i = 0; i < 200; ++i) {
        world.scope.start(
            take_and_note(budget, Call::write, Urgency::opening, world.clock, opened));
    }
    const SteadyTime start = world.clock.steady_now();
    world.loop.run_ready();
    CHECK(opened.size() == 150);

    for (int i = 0; i < 50; ++i) {
        world.scope.start(
            take_and_note(budget, Call::write, Urgency::closing, world.clock, closed));
    }
    world.loop.run_ready();
    CHECK(closed.size() == 50);

    world.scope.start(take_and_note(budget, Call::write, Urgency::closing, world.clock, closed));
    world.run_for(200ms);
    REQUIRE(closed.size() == 51);
    CHECK(closed.back() - start <= 110ms);
    CHECK(opened.size() == 150);
    world.run_for(60s);
    CHECK(opened.size() == 200);
}

TEST_CASE("a 429 holds its own bucket until Retry-After, and no other") {
    support::SimulatedWorld world(nine);
    Budget budget(world.loop, world.clock);
    std::vector<SteadyTime> taken;
    const SteadyTime start = world.clock.steady_now();

    budget.throttled(Call::remove, 17s);
    world.scope.start(take_and_note(budget, Call::remove, Urgency::closing, world.clock, taken));
    world.scope.start(take_and_note(budget, Call::write, Urgency::closing, world.clock, taken));
    world.run_for(30s);

    REQUIRE(taken.size() == 2);
    CHECK(taken[0] == start);
    CHECK(taken[1] - start >= 17s);
    CHECK(taken[1] - start < 18s);
}

TEST_CASE("what ARM says is left only ever lowers the estimate") {
    support::SimulatedWorld world(nine);
    Budget budget(world.loop, world.clock);

    budget.learn({.writes = 10'000});
    CHECK(budget.left(Call::write) == 200);
    budget.learn({.writes = 3});
    CHECK(budget.left(Call::write) == 3);
}

TEST_CASE("requests for one key merge, a running key waits for its end, urgent ones come first") {
    support::SimulatedWorld world(nine);
    KeyQueue queue(world.loop);
    Event release(world.loop);
    std::vector<std::string> seen;
    Scope scope(world.loop, [](std::exception_ptr) {});

    queue.add("a");
    queue.add("a");
    scope.start(hold_one(queue, release, seen));
    world.loop.run_ready();
    CHECK(seen == std::vector<std::string>{"a"});

    queue.add("a");  // while it runs
    queue.add("b");
    queue.add("c", KeyQueue::Priority::urgent);
    queue.add("b", KeyQueue::Priority::urgent);
    scope.start(collect(queue, seen));
    world.loop.run_ready();
    CHECK(seen == std::vector<std::string>{"a", "c", "b"});
    CHECK_FALSE(queue.idle());

    release.set();
    world.loop.run_ready();
    CHECK(seen == std::vector<std::string>{"a", "c", "b", "a"});
    CHECK(queue.idle());
}

TEST_CASE("of two times for one key the earlier wins, and being queued beats both") {
    support::SimulatedWorld world(nine);
    KeyQueue queue(world.loop);
    std::vector<std::string> seen;
    Scope scope(world.loop, [](std::exception_ptr) {});
    scope.start(queue.run_timers());
    scope.start(collect(queue, seen));
    const SteadyTime start = world.clock.steady_now();

    queue.add_at("a", start + 10s);
    queue.add_at("a", start + 5s);
    queue.add_at("a", start + 20s);
    queue.add_at("b", start + 7s);
    world.run_for(6s);
    CHECK(seen == std::vector<std::string>{"a"});
    queue.add("b");
    world.run_for(30s);
    CHECK(seen == std::vector<std::string>{"a", "b"});
}

TEST_CASE("an action is covered by patterns of ARM, minus notActions, without regard to case") {
    struct Row {
        const char* why;
        std::vector<Permission> permissions;
        bool allowed;
    };
    const std::string action = "Microsoft.Network/networkSecurityGroups/securityRules/write";
    for (const Row& row : {
             Row{"everything", {{.actions = {"*"}}}, true},
             Row{"a provider", {{.actions = {"microsoft.network/*"}}}, true},
             Row{"a verb in the middle", {{.actions = {"Microsoft.Network/*/write"}}}, true},
             Row{"another verb", {{.actions = {"Microsoft.Network/*/read"}}}, false},
             Row{"taken away",
                 {{.actions = {"*"}, .not_actions = {"Microsoft.Network/networkSecurityGroups/*"}}},
                 false},
             Row{"taken away in one, given in another",
                 {{.actions = {"*"}, .not_actions = {"Microsoft.Network/*"}},
                  {.actions = {action}}},
                 true},
             Row{"nothing", {}, false},
         }) {
        CAPTURE(row.why);
        CHECK(allows(row.permissions, action) == row.allowed);
    }
    CHECK(missing_actions({{.actions = {"*/read"}}}, needed_actions()).size() == 2);
}
