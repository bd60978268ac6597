#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <utility>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include "codec/arm.hpp"
#include "plan/nsg/world.hpp"
#include "simulator/simulator.hpp"

/// An in-process azure-sim that is asked as Azure is, with a clock that only the test moves.
namespace sallyport::sim {

using nlohmann::json;
using testing::Random;

/// Where tests are optimised they run at full size. Elsewhere, as under the sanitizers, what they
/// do takes ten times as long, and a tenth must do.
#ifdef __OPTIMIZE__
inline constexpr bool at_full_size = true;
#else
inline constexpr bool at_full_size = false;
#endif

inline constexpr const char* subscription = "/subscriptions/00000000-0000-0000-0000-000000000000";
inline const std::string group = std::string(subscription) + "/resourceGroups/rg";

inline std::string network_id(const std::string& type, const std::string& name) {
    return group + "/providers/Microsoft.Network/" + type + "/" + name;
}
inline std::string machine_id(const std::string& name) {
    return group + "/providers/Microsoft.Compute/virtualMachines/" + name;
}

class Azure {
public:
    explicit Azure(std::string estate) {
        simulator::Simulator::Options options;
        options.estate = std::move(estate);
        options.accept_any_token = true;
        auto made = simulator::Simulator::create(std::move(options));
        if (!made) FAIL(made.error().message);
        simulator_ = std::move(made).value();
    }

    http::Response send(const std::string& method, std::string target, std::string body = {}) {
        if (!target.starts_with("/_sim/") && target.find("api-version=") == std::string::npos) {
            const bool compute = target.find("/Microsoft.Compute/") != std::string::npos;
            target += std::string("?api-version=") + (compute ? "2024-03-01" : "2024-01-01");
        }
        http::Request request{method, {}, std::move(target), {}, std::move(body)};
        request.headers.add("Authorization", "Bearer x.y.z");
        request.headers.add("Host", "arm.test");
        return simulator_->handle(request, start_).response;
    }

    std::string get(const std::string& target) {
        http::Response response = send("GET", target);
        REQUIRE_MESSAGE(response.status == 200, target, " ", response.body);
        return std::move(response.body);
    }

    /// The NSG has these rules and no others, once `settle` was called.
    void put_nsg(const std::string& name, const json& rules) {
        const json body = {{"location", "westeurope"}, {"properties", {{"securityRules", rules}}}};
        const auto answer = send("PUT", network_id("networkSecurityGroups", name), body.dump());
        REQUIRE_MESSAGE(answer.status / 100 == 2, answer.body, " to ", body.dump());
    }

    /// Operations end, and rate limits are forgotten.
    void settle() { simulator_->advance(std::chrono::seconds(30)); }
    void advance(std::chrono::milliseconds by) { simulator_->advance(by); }

    /// What a sweep learns.
    Topology topology() {
        const auto list = [&](const char* provider, const char* type) {
            return get(fmt::format("{}/providers/{}/{}", subscription, provider, type));
        };
        auto machines = codec::decode_machines(list("Microsoft.Compute", "virtualMachines"));
        auto nics = codec::decode_nics(list("Microsoft.Network", "networkInterfaces"));
        auto networks = codec::decode_networks(list("Microsoft.Network", "virtualNetworks"));
        auto tags = codec::decode_service_tags(
            list("Microsoft.Network", "locations/westeurope/serviceTags"));
        REQUIRE((machines && nics && networks && tags));
        return {.machines = std::move(machines->values),
                .nics = std::move(nics->values),
                .networks = std::move(networks->values),
                .service_tags = *std::move(tags)};
    }

private:
    std::unique_ptr<simulator::Simulator> simulator_;
    Timestamp start_ = *parse_rfc3339("2026-11-21T09:00:00Z");
};

}  // namespace sallyport::sim
