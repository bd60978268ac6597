#include "sim/scenes.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <regex>

#include "sim/monitor.hpp"

namespace sallyport::sim {

using namespace std::chrono_literals;

std::string grant_path(const std::string& name) {
    return "/apis/sallyport.dev/v1alpha1/namespaces/payments/accessgrants/" + name;
}

std::string rule_path(const std::string& nsg, const std::string& rule) {
    return fmt::format(
        "/subscriptions/22222222-2222-2222-2222-222222222222/resourceGroups/rg-web/providers/"
        "Microsoft.Network/networkSecurityGroups/{}/securityRules/{}?api-version=2024-01-01",
        nsg, rule);
}

void start_ready(World& world, const json& policy_changes) {
    world.set_up(policy_changes);
    world.start_operator();
    const auto ready = [&] {
        return world.policy("web-ssh").value("/status/phase"_json_pointer, "") == "Ready";
    };
    REQUIRE_TOLD(world, world.run_until(ready));
}

void ask(World& world, const json& grant) {
    const json answer = world.create_as("alice", grant);
    REQUIRE_MESSAGE(answer.value("kind", "") == "AccessGrant", answer.dump());
}

Timestamp open_grant(World& world, const std::string& name, const std::string& duration) {
    ask(world, World::a_grant(name, duration));
    REQUIRE_TOLD(world, world.run_until([&] { return world.phase(name) == "Open"; }, 30s));
    const json status = world.grant(name).at("status");
    return *parse_rfc3339(status.at("expirationTime").get<std::string>());
}

void tear_off(World& world, const std::string& grant) {
    world.request("controller", "PATCH", grant_path(grant), R"({"metadata":{"finalizers":null}})",
                  "application/merge-patch+json");
    world.request("admin", "DELETE", grant_path(grant));
}

void patch(World& world, const std::string& path, const json& change) {
    const http::Response answer =
        world.request("admin", "PATCH", path, change.dump(), "application/merge-patch+json");
    REQUIRE_MESSAGE(answer.status == 200, answer.body);
}

json condition(const json& object, const std::string& type) {
    for (const json& each : object.value("/status/conditions"_json_pointer, json::array())) {
        if (each.at("type") == type) return each;
    }
    return {};
}

json record_of(World& world, const std::string& grant) {
    json found;
    for (const json& record : world.records()) {
        if (record.at("spec").at("grant").at("name") != grant) continue;
        REQUIRE_TOLD(world, found.is_null());
        found = record;
    }
    REQUIRE_TOLD(world, !found.is_null());
    return found;
}

json a_rule(int priority, const std::string& access, const std::string& source, int port) {
    return {{"properties",
             {{"priority", priority},
              {"direction", "Inbound"},
              {"access", access},
              {"protocol", "Tcp"},
              {"sourceAddressPrefix", source},
              {"sourcePortRange", "*"},
              {"destinationAddressPrefix", "*"},
              {"destinationPortRange", std::to_string(port)}}}};
}

void put_rule(World& world, const std::string& nsg, const std::string& name, const json& rule) {
    const http::Response answer = world.azure("PUT", rule_path(nsg, name), rule);
    REQUIRE_MESSAGE(answer.status < 300, answer.body);
}

void delete_rule(World& world, const std::string& nsg, const std::string& name) {
    const http::Response answer = world.azure("DELETE", rule_path(nsg, name));
    REQUIRE_MESSAGE(answer.status < 300, answer.body);
}

json find_rule(World& world, const std::string& nsg_and_name) {
    const json state = world.azure_state();  // outlives the loop over its members
    for (const json& nsg : state.at("value")) {
        for (const json& rule : nsg.at("properties").at("securityRules")) {
            const std::string name =
                nsg.at("name").get<std::string>() + "/" + rule.at("name").get<std::string>();
            if (name == nsg_and_name) return rule;
        }
    }
    return {};
}

void set_fault(World& world, const json& fault) {
    const http::Response answer = world.azure("POST", "/_sim/faults", fault);
    REQUIRE_MESSAGE(answer.status < 300, answer.body);
}

void clear_faults(World& world) {
    const http::Response answer = world.azure("DELETE", "/_sim/faults");
    REQUIRE_MESSAGE(answer.status < 300, answer.body);
}

std::size_t count_calls(const World& world, std::size_t from, const std::string& verb,
                        const std::string& part) {
    const auto first = world.calls.begin() + static_cast<std::ptrdiff_t>(from);
    return static_cast<std::size_t>(std::count_if(first, world.calls.end(), [&](const auto& call) {
        return call.starts_with(verb) && call.find(part) != call.npos;
    }));
}

namespace {

/// A real API server refuses a status with any other reason.
void check_reasons(const json& object) {
    static const std::regex form("^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$");
    for (const json& each : object.value("/status/conditions"_json_pointer, json::array())) {
        CHECK_MESSAGE(std::regex_match(each.at("reason").get<std::string>(), form), each.dump());
    }
}

}  // namespace

void check_reasons(World& world) {
    const std::string api = "/apis/sallyport.dev/v1alpha1/";
    for (const char* kind : {"cloudaccounts", "jitpolicies", "accessgrants"}) {
        const json list = world.get(api + kind);
        REQUIRE_MESSAGE(list.contains("items"), list.dump());
        for (const json& object : list.at("items")) check_reasons(object);
    }
}

void check_clean(World& world, const std::string& foreign) {
    check_reasons(world);
    CHECK_TOLD(world, world.foreign_rules() == foreign);
    CHECK_TOLD(world, world.log.errors == 0);
    CHECK(world.time.bugs == 0);
    CHECK(world.network.handler_failures == 0);
}

void check_no_complaint(Monitor& monitor) {
    CHECK_MESSAGE(monitor.complaints().empty(), monitor.told());
}

void cut_off(World& world, const std::string& origin) {
    world.fate = [origin](const http::Request& request) {
        if (request.origin != origin) return support::Fate{};
        return support::Fate{.way = support::Fate::Way::refused};
    };
}

}  // namespace sallyport::sim
