#include "engine/deadlines.hpp"

#include <algorithm>

namespace sallyport::engine {

void Deadlines::set(const std::string& uid, Timestamp end) {
    const auto it = ends_.find(uid);
    if (it != ends_.end()) {
        if (it->second == end) return;
        waiting_.erase({it->second, uid});
        fired_.erase({it->second, uid});
        it->second = end;
    } else {
        ends_.emplace(uid, end);
    }
    waiting_.emplace(end, uid);
}

void Deadlines::clear(const std::string& uid) {
    const auto it = ends_.find(uid);
    if (it == ends_.end()) return;
    waiting_.erase({it->second, uid});
    fired_.erase({it->second, uid});
    ends_.erase(it);
}

std::optional<Timestamp> Deadlines::next() const {
    if (waiting_.empty()) return std::nullopt;
    return waiting_.begin()->first;
}

std::vector<std::string> Deadlines::take_due(Timestamp now) {
    // The clock went back: what was fired too early fires again at its time.
    while (!fired_.empty() && fired_.rbegin()->first > now) {
        waiting_.insert(fired_.extract(std::prev(fired_.end())));
    }
    std::vector<std::string> due;
    while (!waiting_.empty() && waiting_.begin()->first <= now) {
        due.push_back(waiting_.begin()->second);
        fired_.insert(waiting_.extract(waiting_.begin()));
    }
    return due;
}

std::vector<std::string> Deadlines::between(Timestamp now, Timestamp until) const {
    std::vector<std::string> uids;
    for (auto it = waiting_.lower_bound({now + seconds(1), std::string()});
         it != waiting_.end() && it->first <= until; ++it) {
        uids.push_back(it->second);
    }
    return uids;
}

seconds Deadlines::oldest_overdue(Timestamp now) const {
    Timestamp oldest = now;
    if (!fired_.empty()) oldest = std::min(oldest, fired_.begin()->first);
    if (!waiting_.empty()) oldest = std::min(oldest, waiting_.begin()->first);
    return now - oldest;
}

std::size_t Deadlines::overdue(Timestamp now) const {
    const auto before = [&](const std::set<Entry>& entries) {
        return static_cast<std::size_t>(
            std::distance(entries.begin(), entries.lower_bound({now, std::string()})));
    };
    return before(fired_) + before(waiting_);
}

}  // namespace sallyport::engine
