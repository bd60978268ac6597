#include "sim/own_writes.hpp"

#include <fmt/format.h>

#include "kube/versions.hpp"
#include "sim/world.hpp"

namespace sallyport::sim {
namespace {

/// Nobody else patches as the operator does: with the version that it builds on.
bool is_tracked(const http::Request& request) {
    return request.origin == kube_origin && request.method == "PATCH" &&
           request.target.find("/leases/") == std::string::npos &&
           request.target.find("/events/") == std::string::npos;
}

std::string object_of(const http::Request& request) {
    std::string path(http::Target(request.target).path());
    if (path.ends_with("/status")) path.erase(path.size() - std::string_view("/status").size());
    return path;
}

/// The first in the text: metadata come before all else that has one.
std::string version_in(const std::string& body) {
    constexpr std::string_view name = "\"resourceVersion\":\"";
    const std::size_t at = body.find(name);
    if (at == body.npos) return {};
    const std::size_t from = at + name.size();
    return body.substr(from, body.find('"', from) - from);
}

}  // namespace

void OwnWrites::sent(const http::Request& request, const support::Fate& fate, SteadyTime now) {
    if (!is_tracked(request)) return;
    const std::string version = version_in(request.body);
    const auto known = known_.find(object_of(request));
    if (known != known_.end() && now >= known->second.heard && !version.empty() &&
        kube::is_newer(known->second.version, version) && stale_.empty())
        stale_ = fmt::format("{} is written on version {}, and the operator was told of {}",
                             describe_call(request), version, known->second.version);
    using Way = support::Fate::Way;
    const bool handled = !fate.instead && fate.way != Way::refused && fate.way != Way::swallowed;
    const bool comes_back =
        fate.way == Way::delivered && fate.delay == std::chrono::milliseconds(0) && !fate.change;
    if (handled && !comes_back) unheard_.insert(request.target);
}

void OwnWrites::answered(const http::Request& request, const http::Response& response,
                         SteadyTime heard) {
    if (!is_tracked(request)) return;
    if (const auto unheard = unheard_.find(request.target); unheard != unheard_.end()) {
        unheard_.erase(unheard);
        return;
    }
    const std::string version = version_in(response.body);
    if (response.status != 200 || version.empty()) return;
    const auto has = [&](const char* member) {
        return response.body.find(member) != std::string::npos;
    };
    if (has("\"deletionTimestamp\":") && !has("\"finalizers\":[")) {
        known_.erase(object_of(request));  // it is gone: no write on it can do anything
        return;
    }
    Known& known = known_[object_of(request)];
    if (known.version.empty() || kube::is_newer(version, known.version)) known = {version, heard};
}

}  // namespace sallyport::sim
