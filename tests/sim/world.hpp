#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "apiserver/memory_store.hpp"
#include "apiserver/server.hpp"
#include "azure/gateway.hpp"
#include "engine/engine.hpp"
#include "kube/lease.hpp"
#include "kube/store.hpp"
#include "simulator/simulator.hpp"
#include "support/in_process_transport.hpp"
#include "support/memory_world.hpp"
#include "support/simulated_time.hpp"
#include "telemetry/file_journal.hpp"

/// The whole system in one process and in simulated time: the shipped engine, planner, codecs,
/// adapters, the embedded control plane and azure-sim, without a socket. What a test may do to it,
/// a cloud, a user or a power cut may do too.
namespace sallyport::sim {

using nlohmann::json;

inline constexpr const char* kube_origin = "https://kube.test:6443";
inline constexpr const char* azure_origin = "https://azure.test:10443";
inline constexpr const char* start_of_time = "2026-11-21T09:00:00Z";

/// One process of the operator: everything that a `kill -9` takes with it.
struct Operator {
    /// With an `identity` it is one of several, and leads by the Lease.
    Operator(support::SimulatedWorld& time, Clock& clock, http::Network& network,
             support::MemoryFiles& files, support::KeptLog& log, support::KeptMetrics& metrics,
             std::uint64_t seed, const Owner& owner, const std::string& identity = {});

    support::SeededRandom random;
    std::unique_ptr<http::Transport> kube_transport;
    kube::KubeStore store;
    azure::ArmGateways gateways;
    telemetry::FileJournal journal;
    SoleLeader sole_leader;
    std::unique_ptr<kube::Client> lease_client;
    std::unique_ptr<kube::Lease> lease;
    engine::Engine engine;
    Scope scope;  ///< the reflectors; goes first
};

/// How requests look from outside: `kube PATCH …/accessgrants/a`, `azure DELETE …/securityRules/x`.
std::string describe_call(const http::Request& request);

/// Somebody who is told of all that happens in a world, in the moment in which it happens.
class Witness {
public:
    virtual ~Witness() = default;
    /// A process of the operator hands this over; `fate` is what will become of it.
    virtual void sent(const http::Request& request, const support::Fate& fate) = 0;
    /// A server has answered the operator; the answer has not travelled back yet.
    virtual void handled(const http::Request& request, const http::Response& response) = 0;
    /// Somebody else wrote: a user, a tool, a saboteur.
    virtual void outside(const std::string& who, const http::Request& request,
                         const http::Response& response) = 0;
    /// Everything that was due in this moment of simulated time has happened.
    virtual void step() = 0;
};

struct World {
    explicit World(std::uint64_t seed = 1, std::string estate = small_estate());
    ~World();

    // The operator.
    void start_operator();
    std::unique_ptr<Operator> make_operator(http::Network& way, const std::string& identity = {});
    void crash() { process.reset(); }
    /// Who acts: the only process, or the one of several that leads; nullptr: nobody.
    const Operator* acting() const { return who_acts ? who_acts() : process.get(); }

    // Time.
    void run_for(std::chrono::nanoseconds span) {
        run_until([] { return false; }, span);
    }
    /// Until `done`, at most `at_most`; true if it came about.
    bool run_until(const std::function<bool()>& done,
                   std::chrono::nanoseconds at_most = std::chrono::seconds(60)) {
        if (!witness) return time.run_until(done, at_most);
        const auto seen = [this, &done] {
            witness->step();
            return done();
        };
        return time.run_until(seen, at_most);
    }
    Timestamp now() const { return time.clock.now(); }
    /// The wall clocks of everybody are set `by` forward or back.
    void jump(std::chrono::seconds by) {
        time.clock.jump(by);
        operators_clock.jump(by);
    }

    // The API server, as a user sees it.
    json apply(const json& object);  ///< creates or merge-patches, as admin
    json create_as(const std::string& who, const json& object);  ///< the answer, whatever it is
    json get(const std::string& path);                           ///< null when it is not there
    void remove(const std::string& path);
    http::Response request(const std::string& who, std::string method, std::string target,
                           std::string body = {}, std::string content_type = "application/json");
    json grant(const std::string& name) {
        return get("/apis/sallyport.dev/v1alpha1/namespaces/payments/accessgrants/" + name);
    }
    std::string phase(const std::string& name);
    json policy(const std::string& name) {
        return get("/apis/sallyport.dev/v1alpha1/namespaces/payments/jitpolicies/" + name);
    }
    std::vector<json> records();

    // Azure, as its judge and a saboteur see it.
    bool reaches(const std::string& source, const std::string& vm, int port = 22);
    /// Names of rules with our prefix on every NSG; with `grants_only`, without lockdowns and
    /// exceptions.
    std::vector<std::string> our_rules(bool grants_only = true);
    /// All rules that are not ours, as text without etag and provisioning state.
    std::string foreign_rules();
    http::Response azure(std::string method, std::string target, const json& body = nullptr);
    json azure_state();

    /// What happened, for a failing test: objects' states, the last log lines and calls.
    std::string story();

    /// Account, namespace, secret and policy; nothing is open yet.
    void set_up(const json& policy_changes = json::object());

    static std::string small_estate();
    static json account();
    static json a_policy();
    /// 198.51.100.7 to web01, port 22.
    static json a_grant(const std::string& name, const std::string& duration = "10m");

    support::SimulatedWorld time;
    support::SimulatedClock operators_clock;  ///< the machine's that the operator runs on
    support::InProcessNetwork network;
    support::MemoryFiles files;
    support::KeptLog log;
    support::KeptMetrics metrics;
    apiserver::MemoryStore disk;
    support::SeededRandom server_random;
    std::unique_ptr<apiserver::ApiServer> api;
    std::unique_ptr<http::Handler> dated_api;
    std::unique_ptr<simulator::Simulator> cloud;
    std::unique_ptr<Operator> process;
    std::uint64_t seed;
    int processes = 0;
    /// Calls of the operator (not of users), in order; see `describe_call`.
    std::vector<std::string> calls;
    /// Decides on each call of the operator, after it was written down; default: it arrives.
    std::function<support::Fate(const http::Request&)> fate = {};
    /// Told when a server has answered the operator, before the answer travels back.
    std::function<void(const http::Request&, const http::Response&)> after_reply = {};
    std::function<const Operator*()> who_acts = {};  ///< where there are several
    Witness* witness = nullptr;                      ///< outlives its place here
    /// How far the API server's clock is ahead of everybody else's.
    seconds api_clock_ahead{0};
    std::string azure_token;
    /// Of grants, as they were read since the API server's last write; scripts ask all the time.
    std::map<std::string, std::string> phases_read;
};

}  // namespace sallyport::sim
