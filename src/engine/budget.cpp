#include "engine/budget.hpp"

#include <algorithm>

namespace sallyport::engine {
namespace {

constexpr double reserve_for_closings = 0.25;

/// Counts a waiting closing also when its frame is destroyed.
class Waiting final {
public:
    explicit Waiting(int& count) : count_(count) { ++count_; }
    Waiting(const Waiting&) = delete;
    Waiting& operator=(const Waiting&) = delete;
    ~Waiting() { --count_; }

private:
    int& count_;
};

}  // namespace

Budget::Budget(Loop& loop, Clock& clock)
    : loop_(loop),
      clock_(clock),
      buckets_{Bucket{250, 25, 250}, Bucket{200, 10, 200}, Bucket{200, 10, 200}} {
    for (Bucket& each : buckets_) each.counted = clock.steady_now();
}

void Budget::refill(Bucket& bucket) const {
    const SteadyTime now = clock_.steady_now();
    const double passed = std::chrono::duration<double>(now - bucket.counted).count();
    bucket.level = std::min(bucket.capacity, bucket.level + passed * bucket.per_second);
    bucket.counted = now;
}

SteadyTime Budget::ready_at(const Bucket& bucket, Urgency urgency) const {
    const double needed =
        urgency == Urgency::closing ? 1.0 : 1.0 + bucket.capacity * reserve_for_closings;
    const double missing = std::max(0.0, needed - bucket.level);
    const auto wait = std::chrono::duration_cast<SteadyTime::duration>(
        std::chrono::duration<double>(missing / bucket.per_second));
    return std::max(bucket.blocked_until, bucket.counted + wait);
}

Task<void> Budget::take(Call call, Urgency urgency) {
    Bucket& mine = bucket(call);
    std::optional<Waiting> waiting;
    for (;;) {
        refill(mine);
        const SteadyTime now = clock_.steady_now();
        const SteadyTime ready = ready_at(mine, urgency);
        const bool behind_closings = urgency != Urgency::closing && mine.closings_waiting > 0;
        if (ready <= now && !behind_closings) break;
        if (urgency == Urgency::closing && !waiting) waiting.emplace(mine.closings_waiting);
        // A hair later than computed, so that rounding cannot make this spin.
        const SteadyTime again = std::max(ready, now) + std::chrono::milliseconds(1);
        co_await loop_.sleep_until(again);
    }
    mine.level -= 1;
}

void Budget::learn(const Quota& quota) {
    const auto lower = [&](Call call, const std::optional<int>& left) {
        if (!left) return;
        Bucket& mine = bucket(call);
        refill(mine);
        mine.level = std::min(mine.level, static_cast<double>(*left));
    };
    lower(Call::read, quota.reads);
    lower(Call::write, quota.writes);
    lower(Call::remove, quota.deletes);
}

void Budget::throttled(Call call, std::chrono::seconds retry_after) {
    Bucket& mine = bucket(call);
    mine.blocked_until = std::max(mine.blocked_until, clock_.steady_now() + retry_after);
}

double Budget::left(Call call) const {
    return std::max(0.0, buckets_[static_cast<std::size_t>(call)].level);
}

}  // namespace sallyport::engine
