#include "system/background.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <future>
#include <stdexcept>

#include "support/real_world.hpp"

using namespace sallyport;

namespace {

Task<void> count_up(Background& background, std::shared_ptr<std::atomic<int>> count, int& resumed) {
    std::function<void()> work = [count] { ++*count; };
    co_await background.run(std::move(work));
    ++resumed;
}

Task<void> all_of(Background& background, std::shared_ptr<std::atomic<int>> count, int times,
                  int& resumed) {
    for (int i = 0; i < times; ++i) co_await count_up(background, count, resumed);
}

Task<void> throwing(Background& background, std::string& caught) {
    std::function<void()> work = [] { throw std::runtime_error("not today"); };
    try {
        co_await background.run(std::move(work));
    } catch (const std::runtime_error& problem) {
        caught = problem.what();
    }
}

Task<void> wait_for(Background& background, std::shared_future<void> gate) {
    std::function<void()> work = [gate] { gate.wait(); };
    co_await background.run(std::move(work));
}

Task<void> tell_thread(Background& background, std::thread::id& id) {
    auto told = std::make_shared<std::thread::id>();
    std::function<void()> work = [told] { *told = std::this_thread::get_id(); };
    co_await background.run(std::move(work));
    id = *told;
}

}  // namespace

TEST_CASE("what is handed over runs on another thread, and its task goes on on the loop") {
    support::RealWorld world;
    system::Threads threads(world.loop, 2);
    const auto count = std::make_shared<std::atomic<int>>(0);
    int resumed = 0;
    std::thread::id id;

    world.finish(all_of(threads, count, 50, resumed));
    world.finish(tell_thread(threads, id));

    CHECK(*count == 50);
    CHECK(resumed == 50);
    CHECK(id != std::thread::id());
    CHECK(id != std::this_thread::get_id());
}

TEST_CASE("a bug in what is handed over comes out where it is awaited") {
    support::RealWorld world;
    system::Threads threads(world.loop, 1);
    std::string caught;

    world.finish(throwing(threads, caught));

    CHECK(caught == "not today");
}

TEST_CASE("what was handed over runs also when nobody awaits it any more") {
    support::RealWorld world;
    const auto count = std::make_shared<std::atomic<int>>(0);
    int resumed = 0;
    {
        system::Threads threads(world.loop, 1);
        Scope scope(world.loop, [](std::exception_ptr) {});
        std::promise<void> gate;  // until it opens, the only thread gets no further
        scope.start(wait_for(threads, gate.get_future().share()));
        for (int i = 0; i < 5; ++i) scope.start(count_up(threads, count, resumed));
        world.loop.run_ready();
        scope.cancel_all();
        gate.set_value();
    }
    world.loop.run_ready();

    CHECK(*count == 5);
    CHECK(resumed == 0);
}
