#pragma once

#include <doctest/doctest.h>

#include <memory>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "apiserver/memory_store.hpp"
#include "apiserver/server.hpp"
#include "kube/store.hpp"
#include "support/in_process_transport.hpp"
#include "support/recording_ports.hpp"
#include "support/simulated_time.hpp"

namespace sallyport::kube {

using Json = nlohmann::json;
using support::Fate;

inline constexpr const char* origin = "https://control-plane.test";
inline constexpr const char* token = "t-controller-very-secret";

/// The control plane as a server carries it: with a `Date`, whose clock may be off, and
/// replaceable.
class Front final : public http::Handler {
public:
    http::Reply handle(const http::Request& request, Timestamp now) override {
        http::Reply reply = server->handle(request, now);
        reply.response.headers.set("Date", format_http_date(now + ahead));
        return reply;
    }
    std::unique_ptr<apiserver::ApiServer> server;
    seconds ahead{0};
};

/// A store over a control plane in memory, and an admin beside it.
class KubeWorld : public support::SimulatedWorld {
public:
    explicit KubeWorld(std::size_t history_max = 20'000);

    /// Starts the reflectors and waits until all kinds are synced.
    void start();
    bool all_synced() const;
    /// Sets the server back to an empty store: another one under the same name.
    void replace_server();

    /// What somebody else does, at once and past the network.
    Json as_admin(const std::string& method, const std::string& target, const Json& body = nullptr,
                  int status = 0);
    Json read(const std::string& target) { return as_admin("GET", target); }
    Json create_grant(const std::string& name);
    Json create_policy(const std::string& name);
    Json create_account(const std::string& name);

    std::string uid_of(const Json& object) const {
        return object["metadata"]["uid"].get<std::string>();
    }
    double relists(std::string_view kind) const {
        return metrics.value("sallyport_reflector_relists_total", {kind});
    }

    apiserver::MemoryStore objects;
    Front front;
    support::InProcessNetwork network{loop, clock};
    support::RecordingLog log;
    support::RecordingMetrics metrics;
    support::SeededRandom random{7};
    std::unique_ptr<http::Transport> transport = network.transport({});
    std::unique_ptr<KubeStore> store;
    Scope reflectors{loop, [this](std::exception_ptr) { ++bugs; }};
    std::vector<ObjectRef> changes;  ///< what `on_change` told

private:
    void start_server();
    std::size_t history_max_;
    support::SeededRandom server_random_{11};
    std::unique_ptr<apiserver::MemoryStore> other_objects_;
};

inline const std::string grants = "/apis/sallyport.dev/v1alpha1/namespaces/payments/accessgrants";
inline const std::string policies = "/apis/sallyport.dev/v1alpha1/namespaces/payments/jitpolicies";
inline const std::string accounts = "/apis/sallyport.dev/v1alpha1/cloudaccounts";
inline const std::string records =
    "/apis/sallyport.dev/v1alpha1/namespaces/sallyport-system/accessrecords";
inline const std::string ledgers =
    "/apis/sallyport.dev/v1alpha1/namespaces/sallyport-system/accessledgers";

inline ObjectKey in_payments(std::string name) {
    return {.ns = "payments", .name = std::move(name)};
}
inline bool is_watch(const http::Request& request) {
    return request.target.find("watch=true") != request.target.npos;
}

/// A record as the engine makes one.
AccessRecord a_record(const std::string& name);

}  // namespace sallyport::kube
