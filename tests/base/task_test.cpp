#include <doctest/doctest.h>

#include <string>
#include <thread>

#include "base/loop.hpp"

using namespace sallyport;
using namespace std::chrono_literals;

namespace {

class ManualTime final : public SteadySource {
public:
    SteadyTime steady_now() const override { return now_; }
    void advance_to(SteadyTime time) { now_ = time; }

private:
    SteadyTime now_{};
};

struct World {
    ManualTime time;
    Loop loop{time};
    int failures = 0;
    Scope scope{loop, [this](std::exception_ptr) { ++failures; }};

    void run_until(SteadyTime end) {
        loop.run_ready();
        while (loop.next_timer() && *loop.next_timer() <= end) {
            time.advance_to(*loop.next_timer());
            loop.run_ready();
        }
        time.advance_to(end);
    }
};

Task<int> answer() { co_return 42; }

Task<std::string> deep(int levels) {
    if (levels == 0) co_return std::string("bottom");
    std::string below = co_await deep(levels - 1);
    co_return below + "<";
}

Task<void> many_quick_children(int count, int& sum) {
    for (int i = 0; i < count; ++i) sum += co_await answer();
}

Task<void> sleep_and_note(Loop& loop, SteadyTime due, int id, std::vector<int>& order) {
    co_await loop.sleep_until(due);
    order.push_back(id);
}

Task<void> note(std::vector<int>& order, int id) {
    order.push_back(id);
    co_return;
}

Task<void> start_one_more(Loop& loop, Scope& scope, std::vector<int>& order) {
    order.push_back(1);
    scope.start(note(order, 2), Turn::first);
    co_await loop.yield(Turn::first);
    order.push_back(3);
}

Task<void> throws_after(Loop& loop, SteadyTime due) {
    co_await loop.sleep_until(due);
    throw Bug("planted");
}

Task<void> hold_permit(Loop& loop, Semaphore& permits, SteadyTime until, int& inside, int& most) {
    co_await permits.take();
    const Permit permit(permits);
    most = std::max(most, ++inside);
    co_await loop.sleep_until(until);
    --inside;
}

Task<void> count_wakes(Event& event, int& wakes) {
    for (;;) {
        co_await event.next();
        ++wakes;
    }
}

Task<void> take_answer(OneShot<std::string>& shot, std::string& out) {
    out = co_await shot.answer();
}

Task<void> wait_until(Event& event, SteadyTime due, std::vector<bool>& set) {
    set.push_back(co_await event.next_until(due));
}

struct Sentinel {
    explicit Sentinel(int& destroyed) : destroyed_(destroyed) {}
    Sentinel(const Sentinel&) = delete;
    Sentinel& operator=(const Sentinel&) = delete;
    ~Sentinel() { ++destroyed_; }
    int& destroyed_;
};
Task<void> inner_wait(Event& event, int& destroyed) {
    const Sentinel sentinel(destroyed);
    co_await event.next();
}
Task<void> outer_wait(Event& event, int& destroyed) {
    const Sentinel sentinel(destroyed);
    co_await inner_wait(event, destroyed);
}

}  // namespace

TEST_CASE("what asks for the first turn runs before all that was ready, in its own order") {
    World world;
    std::vector<int> order;
    for (const int id : {3, 4}) world.scope.start(note(order, id));
    for (const int id : {1, 2}) world.scope.start(note(order, id), Turn::first);

    world.loop.run_ready();

    CHECK(order == std::vector{1, 2, 3, 4});
}

TEST_CASE("whoever yields first lets nobody in between but those who asked for it as well") {
    World world;
    std::vector<int> order;
    world.scope.start(note(order, 9));
    world.scope.start(start_one_more(world.loop, world.scope, order), Turn::first);

    world.loop.run_ready();

    CHECK(order == std::vector{1, 2, 3, 9});
}

TEST_CASE("a task gives its value to the one who awaits it, at any depth") {
    World world;
    int sum = 0;
    std::string text;
    struct Run {
        static Task<void> it(std::string& out) { out = co_await deep(50); }
    };

    world.scope.start(many_quick_children(1'000'000, sum));
    world.scope.start(Run::it(text));
    world.loop.run_ready();

    CHECK(sum == 42'000'000);
    CHECK(text == "bottom" + std::string(50, '<'));
    CHECK(world.scope.running() == 0);
}

TEST_CASE(
    "timers fire in the order of their times, equal ones in the order in which they were set") {
    World world;
    std::vector<int> order;
    const SteadyTime zero{};

    world.scope.start(sleep_and_note(world.loop, zero + 2s, 1, order));
    world.scope.start(sleep_and_note(world.loop, zero + 1s, 2, order));
    world.scope.start(sleep_and_note(world.loop, zero + 2s, 3, order));
    world.run_until(zero + 3s);

    CHECK(order == std::vector<int>{2, 1, 3});
}

TEST_CASE("a bug ends its own task and no other") {
    World world;
    std::vector<int> order;

    world.scope.start(throws_after(world.loop, SteadyTime{} + 1s));
    world.scope.start(sleep_and_note(world.loop, SteadyTime{} + 2s, 7, order));
    world.run_until(SteadyTime{} + 3s);

    CHECK(world.failures == 1);
    CHECK(order == std::vector<int>{7});
}

TEST_CASE("a semaphore never lets more in than it has permits, also when holders are destroyed") {
    World world;
    Semaphore permits(world.loop, 2);
    int inside = 0;
    int most = 0;
    {
        Scope doomed(world.loop, [](std::exception_ptr) {});
        for (int i = 0; i < 5; ++i) {
            doomed.start(hold_permit(world.loop, permits, SteadyTime{} + 10s, inside, most));
        }
        world.loop.run_ready();
        CHECK(inside == 2);
    }
    CHECK(permits.free() == 2);

    inside = 0;
    for (int i = 0; i < 5; ++i) {
        world.scope.start(hold_permit(world.loop, permits, SteadyTime{} + 20s, inside, most));
    }
    world.run_until(SteadyTime{} + 100s);
    CHECK(most == 2);
    CHECK(permits.free() == 2);
}

TEST_CASE("an event set before anyone waits is not lost, and many sets are one") {
    World world;
    Event event(world.loop);
    int wakes = 0;
    event.set();
    event.set();
    Scope scope(world.loop, [](std::exception_ptr) {});  // goes before the event

    scope.start(count_wakes(event, wakes));
    world.loop.run_ready();
    CHECK(wakes == 1);

    event.set();
    event.set();
    world.loop.run_ready();
    CHECK(wakes == 2);
}

TEST_CASE("waiting for an event ends with the event or at its time, whichever comes first") {
    World world;
    Event event(world.loop);
    std::vector<bool> set;
    Scope scope(world.loop, [](std::exception_ptr) {});

    scope.start(wait_until(event, SteadyTime{} + 5s, set));
    world.run_until(SteadyTime{} + 6s);
    CHECK(set == std::vector<bool>{false});

    scope.start(wait_until(event, SteadyTime{} + 10s, set));
    world.loop.run_ready();
    event.set();
    world.loop.run_ready();
    CHECK(set == std::vector<bool>{false, true});
    CHECK_FALSE(world.loop.next_timer());
    CHECK_FALSE(event.is_set());

    // Destroyed while waiting: neither the event nor the loop remembers it.
    {
        Scope doomed(world.loop, [](std::exception_ptr) {});
        doomed.start(wait_until(event, SteadyTime{} + 20s, set));
        world.loop.run_ready();
    }
    event.set();
    world.run_until(SteadyTime{} + 30s);
    CHECK(set.size() == 2);
}

TEST_CASE(
    "destroying a scope destroys every frame of its suspended tasks, innermost first or not") {
    World world;
    Event event(world.loop);
    int destroyed = 0;
    {
        Scope doomed(world.loop, [](std::exception_ptr) {});
        for (int i = 0; i < 1000; ++i) doomed.start(outer_wait(event, destroyed));
        world.loop.run_ready();
        event.set();  // one of them is in the ready queue when the end comes
        CHECK(destroyed == 0);
    }
    CHECK(destroyed == 2000);
    CHECK_FALSE(world.loop.run_ready());
}

TEST_CASE(
    "an answer from another thread resumes the waiter; one for a destroyed waiter is dropped") {
    World world;
    OneShot<std::string> shot(world.loop);
    std::string out;
    world.scope.start(take_answer(shot, out));
    world.loop.run_ready();

    std::thread([replier = shot.replier()] { replier.reply("late"); }).join();
    world.loop.run_ready();
    CHECK(out == "late");

    std::string never;
    auto dropped = std::make_unique<OneShot<std::string>>(world.loop);
    const auto replier = dropped->replier();
    {
        Scope doomed(world.loop, [](std::exception_ptr) {});
        doomed.start(take_answer(*dropped, never));
        world.loop.run_ready();
    }
    dropped.reset();
    replier.reply("nobody");
    world.loop.run_ready();
    CHECK(never.empty());
}

TEST_CASE("a stopped loop returns from run, and other threads may post and stop") {
    class RealTime final : public SteadySource {
    public:
        SteadyTime steady_now() const override { return std::chrono::steady_clock::now(); }
    };
    RealTime time;
    Loop loop(time);
    int posted = 0;

    std::thread other([&] {
        for (int i = 0; i < 1000; ++i) loop.post([&posted] { ++posted; });
        loop.post([&loop] { loop.stop(); });
    });
    loop.run();
    other.join();

    CHECK(posted == 1000);
}
