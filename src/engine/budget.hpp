#pragma once

#include <array>

#include "base/loop.hpp"
#include "engine/retry.hpp"
#include "ports/clock.hpp"
#include "ports/gateway.hpp"

namespace sallyport::engine {

enum class Call { read, write, remove };

/// Client-side token buckets for one subscription and principal, one for each kind of call: ARM's
/// own figures (250 reads at 25/s, 200 writes and 200 deletes at 10/s), corrected by
/// what the answers' headers say is left. Openings stop at a quarter left and never pass a waiting
/// closing; closings, their reads and polls go on.
class Budget final {
public:
    Budget(Loop& loop, Clock& clock);

    /// Suspends until the call may go out.
    Task<void> take(Call call, Urgency urgency);
    /// What ARM said is left; only ever lowers our own estimate.
    void learn(const Quota& quota);
    /// A 429 for this kind of call: nothing of it goes out before.
    void throttled(Call call, std::chrono::seconds retry_after);
    double left(Call call) const;

private:
    struct Bucket {
        double capacity;
        double per_second;
        double level;
        SteadyTime counted{};
        SteadyTime blocked_until{};
        int closings_waiting = 0;
    };
    Bucket& bucket(Call call) { return buckets_[static_cast<std::size_t>(call)]; }
    void refill(Bucket& bucket) const;
    SteadyTime ready_at(const Bucket& bucket, Urgency urgency) const;

    Loop& loop_;
    Clock& clock_;
    std::array<Bucket, 3> buckets_;
};

}  // namespace sallyport::engine
