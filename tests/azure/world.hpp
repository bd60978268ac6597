#pragma once

#include <doctest/doctest.h>

#include <fstream>
#include <memory>
#include <sstream>
#include <string>

#include <nlohmann/json.hpp>

#include "azure/gateway.hpp"
#include "simulator/simulator.hpp"
#include "support/in_process_transport.hpp"
#include "support/recording_ports.hpp"
#include "support/simulated_time.hpp"

namespace sallyport::azure {

using Json = nlohmann::json;
using support::Fate;

inline constexpr const char* origin = "https://azure.test";
inline constexpr const char* secret = "sallyport-secret";
inline constexpr const char* subscription = "22222222-2222-2222-2222-222222222222";

/// A gateway to azure-sim with the estate of `examples/`.
class ArmWorld : public support::SimulatedWorld {
public:
    ArmWorld() : SimulatedWorld(*parse_rfc3339("2026-11-21T09:00:00Z")) {
        declare_metrics(metrics);
        std::ifstream file(SOURCE_ROOT "/examples/estate.yaml");
        std::stringstream estate;
        estate << file.rdbuf();
        simulator::Simulator::Options options;
        options.estate = estate.str();
        options.elapsed = [this] {
            return std::chrono::duration_cast<std::chrono::milliseconds>(
                loop.steady_now().time_since_epoch());
        };
        auto made = simulator::Simulator::create(std::move(options));
        if (!made) FAIL(made.error().message);
        simulator = *std::move(made);
        network.serve(origin, *simulator);
        gateway = open(secret);
    }

    static AzureAccount account() {
        AzureAccount account;
        account.cloud = AzureCloud::custom;
        account.resource_manager = origin;
        account.authority = origin;
        account.tenant_id = "11111111-1111-1111-1111-111111111111";
        account.subscription_id = subscription;
        account.client_id = "33333333-3333-3333-3333-333333333333";
        account.client_secret_name = "azure-prod";
        return account;
    }
    std::unique_ptr<Gateway> open(const char* with_secret) {
        auto opened = gateways.open(account(), Secret(with_secret), "");
        if (!opened) FAIL(opened.error().message);
        return *std::move(opened);
    }

    Json sim(const std::string& method, const std::string& path, const Json& body = nullptr) {
        http::Request request{.method = method, .target = "/_sim/" + path};
        request.headers.set("Host", "azure.test");
        if (!body.is_null()) request.body = body.dump();
        const http::Reply reply = simulator->handle(request, clock.now());
        CAPTURE(reply.response.body);
        REQUIRE(reply.response.status < 300);
        return Json::parse(reply.response.body, nullptr, false);
    }
    /// A fault on the next request whose method and path match.
    void fault(const std::string& method, const std::string& path, const Json& effect) {
        sim("POST", "faults",
            {{"match", {{"method", method}, {"path", path}}}, {"effect", effect}, {"times", 1}});
    }
    /// Polls to the end, as a lane does.
    Result<OperationState> follow(const AcceptedWrite& write) {
        for (int i = 0; i < 100; ++i) {
            Result<OperationState> state = finish(gateway->poll(write.operation_url));
            if (!state || state->status != OperationStatus::running) return state;
            run_for(state->retry_after.value_or(seconds(1)));
        }
        return unavailable("the operation does not end");
    }

    std::unique_ptr<simulator::Simulator> simulator;
    support::InProcessNetwork network{loop, clock};
    support::RecordingLog log;
    support::RecordingMetrics metrics;
    support::SeededRandom random{7};
    ArmGateways gateways{World{loop, clock, random, log, metrics}, network, {"azure.test"}};
    std::unique_ptr<Gateway> gateway;
};

inline NsgId nsg(const std::string& name) {
    const std::string group =
        std::string("/subscriptions/") + subscription + "/resourceGroups/rg-web";
    return NsgId::parse(group + "/providers/Microsoft.Network/networkSecurityGroups/" + name)
        .value();
}

inline SecurityRule a_rule(const std::string& name, int priority) {
    SecurityRule rule{.name = name, .description = "a rule of a test", .priority = priority};
    rule.source.prefixes = {parse_prefix("198.51.100.7/32")};
    rule.destination.prefixes = {parse_prefix("10.1.1.4/32")};
    rule.destination_ports = {PortRange::single(22)};
    return rule;
}

inline const ArmScope whole{.subscription = subscription};
inline const ArmScope rg_web{.subscription = subscription, .resource_group = "rg-web"};
inline constexpr const char* rule_path = ".*/securityRules/[^/]*";

}  // namespace sallyport::azure
