#pragma once

#include <map>
#include <set>
#include <string>

#include "base/loop.hpp"
#include "http/message.hpp"
#include "support/in_process_transport.hpp"

namespace sallyport::sim {

/// What a process of the operator knows of the API server's objects because it wrote them itself:
/// each answer told it the version. A write that names an older one comes from a view that a
/// lagging watch, or a forgotten answer, has taken back.
class OwnWrites {
public:
    void sent(const http::Request& request, const support::Fate& fate, SteadyTime now);
    /// A server has answered; the operator hears of it at `heard`.
    void answered(const http::Request& request, const http::Response& response, SteadyTime heard);
    /// Another process acts.
    void forget() { known_.clear(), unheard_.clear(); }
    /// The first write on a version older than what was known; empty: there was none.
    const std::string& stale() const { return stale_; }

private:
    struct Known {
        std::string version;
        SteadyTime heard{};
    };
    std::map<std::string, Known> known_;  ///< by the object's path
    std::multiset<std::string> unheard_;  ///< targets whose next answer does not come through
    std::string stale_;
};

}  // namespace sallyport::sim
