#pragma once

#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>

#include "base/loop.hpp"

namespace sallyport::engine {

/// Keys that want to be looked at. Requests for one key merge and the earliest time wins; a key
/// that is being looked at stays pending until that look has ended. Nothing says why a key is here,
/// so nobody can come to depend on it. Urgent keys come before the others; within each, first come,
/// first served.
class KeyQueue final {
public:
    enum class Priority { urgent, normal };

    explicit KeyQueue(Loop& loop) : loop_(loop), available_(loop, 0) {}

    void add(const std::string& key, Priority priority = Priority::normal);
    /// Not before `due`; ignored when the key is queued already or due earlier.
    void add_at(const std::string& key, SteadyTime due);
    /// Suspends until a key is ready; it counts as running until `done`.
    Task<std::string> next();
    void done(const std::string& key);

    std::size_t waiting() const { return ready_.size(); }
    bool idle() const { return ready_.empty() && running_.empty(); }
    /// Drives the timed keys; start it once, in the scope that owns the workers.
    Task<void> run_timers();

private:
    void make_ready(const std::string& key, Priority priority);

    Loop& loop_;
    Semaphore available_;
    std::deque<std::string> urgent_;
    std::deque<std::string> normal_;
    std::set<std::string> ready_;
    std::map<std::string, bool> running_;  ///< true: wanted again
    std::map<std::string, SteadyTime> due_;
    std::set<std::pair<SteadyTime, std::string>> timers_;
    Event timer_changed_{loop_};
};

}  // namespace sallyport::engine
