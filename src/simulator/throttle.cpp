#include "simulator/throttle.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

#include "simulator/errors.hpp"

namespace sallyport::simulator {

namespace {

const char* word(CallKind kind) {
    switch (kind) {
        case CallKind::read: return "read";
        case CallKind::write: return "write";
        case CallKind::remove: return "delete";
    }
    return "";
}

std::string principal_key(const Throttle::Call& call) {
    return call.subscription + "|" + call.principal + "|" + word(call.kind);
}
std::string global_key(const Throttle::Call& call) {
    return call.subscription + "||" + word(call.kind);
}

}  // namespace

Bucket Throttle::bucket(CallKind kind) const {
    switch (kind) {
        case CallKind::read: return limits_.reads;
        case CallKind::write: return limits_.writes;
        case CallKind::remove: return limits_.deletes;
    }
    return {};
}

Throttle::Level& Throttle::level(const std::string& key, const Bucket& bucket,
                                 std::int64_t now_ms) {
    auto [it, fresh] = levels_.try_emplace(key, Level{bucket.capacity, now_ms});
    Level& level = it->second;
    const double passed = static_cast<double>(std::max<std::int64_t>(0, now_ms - level.at_ms));
    level.tokens = std::min(bucket.capacity, level.tokens + passed / 1000 * bucket.per_second);
    level.at_ms = now_ms;
    return level;
}

std::optional<http::Response> Throttle::admit(const Call& call) {
    struct Need {
        std::string key;
        Bucket bucket;
        bool provider;
    };
    const Bucket own = bucket(call.kind);
    std::vector<Need> needs = {
        {principal_key(call), own, false},
        {global_key(call),
         {own.capacity * limits_.global_factor, own.per_second * limits_.global_factor},
         false}};
    if (call.network) {
        const bool reads = call.kind == CallKind::read;
        needs.push_back({call.subscription + (reads ? "|network|read" : "|network|write"),
                         reads ? limits_.network_reads : limits_.network_writes, true});
    }
    std::erase_if(needs, [](const Need& need) { return need.bucket.capacity <= 0; });
    for (const Need& need : needs) {
        const Level& now = level(need.key, need.bucket, call.now_ms);
        if (now.tokens >= 1) continue;
        const auto wait = static_cast<long>(
            std::max(1.0, std::ceil((1 - now.tokens) / std::max(need.bucket.per_second, 1e-9))));
        // unverified: the provider's own code and wording; ARM's are verbatim from the field.
        http::Response refused =
            need.provider ? arm_error(429, "TooManyRequests",
                                      "The request is being throttled by Microsoft.Network.")
                          : gateway_error(429, "SubscriptionRequestsThrottled",
                                          std::string("Number of '") + word(call.kind) +
                                              "' requests for subscription '" + call.subscription +
                                              "' actor '" + call.principal +
                                              "' exceeded. Please try again after '" +
                                              std::to_string(wait) + "' seconds.");
        refused.headers.add("Retry-After", std::to_string(wait));
        return refused;
    }
    for (const Need& need : needs) level(need.key, need.bucket, call.now_ms).tokens -= 1;
    return std::nullopt;
}

void Throttle::headers(const Call& call, http::Headers& headers) const {
    const std::string kind = std::string(word(call.kind)) + "s";
    const auto put = [&](const std::string& name, const std::string& key) {
        const auto it = levels_.find(key);
        if (it == levels_.end()) return;
        headers.add("x-ms-ratelimit-remaining-subscription-" + name,
                    std::to_string(static_cast<long>(it->second.tokens)));
    };
    put(kind, principal_key(call));
    put("global-" + kind, global_key(call));
}

}  // namespace sallyport::simulator
