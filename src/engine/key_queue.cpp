#include "engine/key_queue.hpp"

#include <algorithm>

namespace sallyport::engine {

void KeyQueue::make_ready(const std::string& key, Priority priority) {
    if (const auto due = due_.find(key); due != due_.end()) {
        timers_.erase({due->second, key});
        due_.erase(due);
    }
    if (const auto running = running_.find(key); running != running_.end()) {
        running->second = true;
        return;
    }
    const bool queued = !ready_.insert(key).second;
    if (queued && priority == Priority::normal) return;
    if (queued) {
        const auto place = std::find(normal_.begin(), normal_.end(), key);
        if (place == normal_.end()) return;
        normal_.erase(place);
        urgent_.push_back(key);
        return;
    }
    (priority == Priority::urgent ? urgent_ : normal_).push_back(key);
    available_.give();
}

void KeyQueue::add(const std::string& key, Priority priority) { make_ready(key, priority); }

void KeyQueue::add_at(const std::string& key, SteadyTime due) {
    if (ready_.contains(key)) return;
    const auto it = due_.find(key);
    if (it != due_.end()) {
        if (it->second <= due) return;
        timers_.erase({it->second, key});
        it->second = due;
    } else {
        due_.emplace(key, due);
    }
    timers_.emplace(due, key);
    timer_changed_.set();
}

Task<std::string> KeyQueue::next() {
    co_await available_.take();
    std::deque<std::string>& from = urgent_.empty() ? normal_ : urgent_;
    check(!from.empty(), "a permit stands for a queued key");
    std::string key = std::move(from.front());
    from.pop_front();
    ready_.erase(key);
    running_.emplace(key, false);
    co_return key;
}

void KeyQueue::done(const std::string& key) {
    const auto it = running_.find(key);
    check(it != running_.end(), "only a running key is done");
    const bool again = it->second;
    running_.erase(it);
    if (again) make_ready(key, Priority::normal);
}

Task<void> KeyQueue::run_timers() {
    for (;;) {
        if (timers_.empty()) {
            co_await timer_changed_.next();
            continue;
        }
        const SteadyTime now = loop_.steady_now();
        const auto [due, key] = *timers_.begin();
        if (due > now) {
            co_await timer_changed_.next_until(due);
            continue;
        }
        make_ready(key, Priority::normal);
    }
}

}  // namespace sallyport::engine
