#include "sim/tries.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "sim/world.hpp"

namespace sallyport::sim {
namespace {

/// Pauses are jittered to the millisecond over half a second and more: that two are alike once or
/// twice happens, three times in a row does not.
constexpr int rounds_max = 3;

bool is_write(const http::Request& request) {
    return request.origin == azure_origin && request.method != "GET" && request.method != "POST";
}

}  // namespace

void Tries::sent(const http::Request& request, const support::Fate& fate, SteadyTime now,
                 SteadyTime::duration latency) {
    if (!is_write(request)) return;
    const std::string call = describe_call(request);
    if (const auto before = refused_.find(call); before != refused_.end()) {
        const Refused& refused = before->second;
        if (refused.not_before && now < *refused.not_before && refused.body == request.body &&
            early_.empty())
            early_ = fmt::format("{} leaves {:.3f} s before Azure wants it", call,
                                 std::chrono::duration<double>(*refused.not_before - now).count());
        if (!refused.not_before) again(call, refused.at, now);
        refused_.erase(before);
    }
    using Way = support::Fate::Way;
    if (fate.way == Way::refused) {
        refused_[call] = {now, std::nullopt, request.body};
        return;
    }
    if (!fate.instead || fate.way != Way::delivered) return;
    const http::Response& answer = *fate.instead;
    if (const auto wish = answer.headers.find("Retry-After")) {
        seconds::rep pause = 0;  // a date means another moment to a clock that is off
        const auto [end, wrong] = std::from_chars(wish->data(), wish->data() + wish->size(), pause);
        if (wrong == std::errc() && end == wish->data() + wish->size())
            refused_[call] = {now, now + latency + fate.delay + seconds(pause), request.body};
    } else if (answer.status >= 500) {
        refused_[call] = {now, std::nullopt, request.body};
    }
}

void Tries::again(const std::string& call, SteadyTime refused, SteadyTime now) {
    for (const auto& [other, tried] : again_) {
        if (other == call || tried.at != now || tried.refused != refused) continue;
        Rounds& rounds = rounds_[std::minmax(call, other)];
        rounds.count = rounds.last == refused ? rounds.count + 1 : 1;
        rounds.last = now;
        if (rounds.count >= rounds_max && together_.empty())
            together_ = fmt::format(
                "{} and {} were refused together {} times, and left together "
                "each time again",
                call, other, rounds.count);
    }
    again_[call] = {refused, now};
}

}  // namespace sallyport::sim
