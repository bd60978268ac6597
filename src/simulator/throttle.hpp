#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "http/message.hpp"

namespace sallyport::simulator {

enum class CallKind { read, write, remove };

struct Bucket {
    double capacity = 0;
    double per_second = 0;
};

/// Sizes of ARM's token buckets per subscription, principal and kind, and of the network provider's
/// per subscription. A capacity of 0 switches a bucket off.
struct Limits {
    Bucket reads{250, 25};
    Bucket writes{200, 10};
    Bucket deletes{200, 10};
    Bucket network_reads{10'000, 10'000.0 / 300};
    Bucket network_writes{1'000, 1'000.0 / 300};
    double global_factor = 15;  ///< a subscription's total over all principals
};

/// Token buckets that fill with the simulated clock.
class Throttle {
public:
    explicit Throttle(Limits limits) : limits_(limits) {}
    void limits(Limits limits) {
        limits_ = limits;
        levels_.clear();
    }

    struct Call {
        std::string subscription;
        std::string principal;
        CallKind kind = CallKind::read;
        bool network = false;
        std::int64_t now_ms = 0;
    };
    /// Nothing when the call may pass (it was counted), else the 429 to answer with.
    std::optional<http::Response> admit(const Call& call);
    /// The remaining-calls headers of an answer to a call that passed.
    void headers(const Call& call, http::Headers& headers) const;

private:
    struct Level {
        double tokens = 0;
        std::int64_t at_ms = 0;
    };
    Level& level(const std::string& key, const Bucket& bucket, std::int64_t now_ms);
    Bucket bucket(CallKind kind) const;

    Limits limits_;
    std::map<std::string, Level> levels_;
};

}  // namespace sallyport::simulator
