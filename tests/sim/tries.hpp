#pragma once

#include <map>
#include <optional>
#include <string>
#include <utility>

#include "base/loop.hpp"
#include "http/message.hpp"
#include "support/in_process_transport.hpp"

namespace sallyport::sim {

/// How a process of the operator tries its writes to Azure again: not before Azure wants it
/// (Retry-After), and not all of what was refused at one moment at one moment again.
class Tries {
public:
    /// A call leaves; `latency` is there and back.
    void sent(const http::Request& request, const support::Fate& fate, SteadyTime now,
              SteadyTime::duration latency);
    /// Another process acts, or this one stood still: all timers of it were due at once.
    void forget() { refused_.clear(), again_.clear(), rounds_.clear(); }
    /// The first write that left before Azure wanted it; empty: there was none.
    const std::string& early() const { return early_; }
    /// The first two writes that left together a third time after they were refused together.
    const std::string& together() const { return together_; }

private:
    struct Refused {
        SteadyTime at;
        std::optional<SteadyTime> not_before;
        std::string body;
    };
    struct Again {
        SteadyTime refused;
        SteadyTime at;
    };
    struct Rounds {
        int count = 0;
        SteadyTime last{};
    };
    void again(const std::string& call, SteadyTime refused, SteadyTime now);

    std::map<std::string, Refused> refused_;  ///< by the call: its last refusal
    std::map<std::string, Again> again_;      ///< by the call: when it was last tried again
    std::map<std::pair<std::string, std::string>, Rounds> rounds_;
    std::string early_;
    std::string together_;
};

}  // namespace sallyport::sim
