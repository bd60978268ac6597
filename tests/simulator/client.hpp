#pragma once

#include <chrono>
#include <memory>
#include <string>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include "simulator/simulator.hpp"

/// A client of an in-process azure-sim with a clock in the test's hand.
namespace sallyport::simulator {

using nlohmann::json;

struct Answer {
    int status = 0;
    http::Headers headers;
    std::string text;
    http::Reply reply;

    json body() const { return json::parse(text, nullptr, false); }
    std::string code() const { return body().value("/error/code"_json_pointer, ""); }
    std::string message() const { return body().value("/error/message"_json_pointer, ""); }
    std::string header(std::string_view name) const {
        return std::string(headers.value_or(name, ""));
    }
    bool has(std::string_view name) const { return headers.find(name).has_value(); }
};

struct Client {
    static constexpr const char* sub = "/subscriptions/00000000-0000-0000-0000-000000000000";

    explicit Client(std::string estate = {}, std::uint64_t seed = 1) {
        Simulator::Options options;
        options.estate = std::move(estate);
        options.seed = seed;
        options.accept_any_token = true;
        options.elapsed = [time = time_] { return *time; };
        options.traffic = [lines = traffic_](std::string_view line) {
            *lines += std::string(line) + "\n";
        };
        auto made = Simulator::create(std::move(options));
        if (!made) FAIL(made.error().message);
        simulator = std::move(made).value();
    }

    Answer send(const std::string& method, const std::string& target, const json& body = {},
                http::Headers headers = {}) {
        http::Request request{
            method, {}, target, std::move(headers), body.is_null() ? "" : body.dump()};
        if (!request.headers.find("Authorization"))
            request.headers.add("Authorization", "Bearer " + token);
        request.headers.add("Host", "arm.test");
        return send(request);
    }
    Answer send(const http::Request& request) {
        Answer answer;
        answer.reply = simulator->handle(request, start);
        answer.status = answer.reply.response.status;
        answer.headers = answer.reply.response.headers;
        answer.text = answer.reply.response.body;
        return answer;
    }
    /// Azure's verbs on a path below the empty estate's subscription.
    Answer get(const std::string& path) { return send("GET", arm(path)); }
    Answer put(const std::string& path, const json& body) { return send("PUT", arm(path), body); }
    Answer remove(const std::string& path) { return send("DELETE", arm(path)); }
    Answer sim(const std::string& path) { return send("GET", "/_sim/" + path); }
    Answer post_sim(const std::string& path, const json& body) {
        return send("POST", "/_sim/" + path, body);
    }
    /// The poll URL of an answer, without the host.
    Answer follow(const Answer& answer, const char* header = "Azure-AsyncOperation") {
        const std::string url = answer.header(header);
        REQUIRE(url.starts_with("https://arm.test/"));
        return send("GET", url.substr(std::string("https://arm.test").size()));
    }

    void wait(std::chrono::milliseconds time) { *time_ += time; }
    void settle() { wait(std::chrono::milliseconds(1000)); }

    static std::string arm(const std::string& path) {
        if (path.find("api-version=") != std::string::npos)
            return path.starts_with("/") ? path : std::string(sub) + "/" + path;
        const std::string full = path.starts_with("/") ? path : std::string(sub) + "/" + path;
        return full + (full.find('?') == std::string::npos ? "?" : "&") + "api-version=2024-01-01";
    }

    /// Group rg with the NSG `web`, ready.
    void has_nsg() {
        REQUIRE(put("resourceGroups/rg", {{"location", "westeurope"}}).status == 201);
        REQUIRE(put(nsg, {{"location", "westeurope"}}).status == 201);
        settle();
    }
    static json rule(int priority, const char* access = "Allow") {
        return {{"properties",
                 {{"protocol", "Tcp"},
                  {"access", access},
                  {"direction", "Inbound"},
                  {"priority", priority},
                  {"sourceAddressPrefix", "198.51.100.7/32"},
                  {"sourcePortRange", "*"},
                  {"destinationAddressPrefix", "10.0.0.4"},
                  {"destinationPortRange", "22"}}}};
    }
    static std::string rule_path(const std::string& name) {
        return std::string(nsg) + "/securityRules/" + name;
    }

    static constexpr const char* nsg =
        "resourceGroups/rg/providers/Microsoft.Network/networkSecurityGroups/web";

    std::unique_ptr<Simulator> simulator;
    Timestamp start = *parse_rfc3339("2026-11-21T09:00:00Z");
    std::string token = "x.y.z";
    const std::string& traffic() const { return *traffic_; }

private:
    std::shared_ptr<std::chrono::milliseconds> time_ =
        std::make_shared<std::chrono::milliseconds>(0);
    std::shared_ptr<std::string> traffic_ = std::make_shared<std::string>();
};

}  // namespace sallyport::simulator
