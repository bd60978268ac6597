#pragma once

#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "apiserver/memory_store.hpp"
#include "apiserver/server.hpp"
#include "base/time.hpp"

namespace sallyport::apiserver {

using Json = nlohmann::json;

struct Answer {
    int status = 0;
    Json body = {};
    std::string text = {};
    std::vector<std::string> warnings = {};
    std::string reason() const { return body.is_object() ? body.value("reason", "") : ""; }
    std::string message() const { return body.is_object() ? body.value("message", "") : ""; }
};

/// What a request may carry beside method, path and body.
struct With {
    std::string token = "t-admin";
    std::string content_type = "application/json";
    std::string accept = "application/json";
};

/// A control plane in memory with one identity for each role, at a clock that tests move.
class World {
public:
    explicit World(std::size_t history_max = 20'000);

    Answer call(const std::string& method, const std::string& target, const Json& body = nullptr,
                const With& with = {});
    Answer get(const std::string& target, const With& with = {}) {
        return call("GET", target, nullptr, with);
    }
    Answer post(const std::string& target, const Json& body, const With& with = {}) {
        return call("POST", target, body, with);
    }
    Answer merge(const std::string& target, const Json& patch, With with = {}) {
        with.content_type = "application/merge-patch+json";
        return call("PATCH", target, patch, with);
    }
    Answer remove(const std::string& target, const With& with = {}) {
        return call("DELETE", target, nullptr, with);
    }
    /// Opens a watch; `lines` takes what it has now.
    std::unique_ptr<http::Stream> watch(const std::string& target, const With& with = {});
    std::vector<Json> lines(http::Stream& stream);

    /// A new server over the same store, as after a crash.
    void restart();
    void advance(seconds by) { now += by; }

    Timestamp now;
    MemoryStore store;

private:
    void start();
    std::size_t history_max_;
    unsigned random_ = 1;
    std::unique_ptr<ApiServer> server_;
};

inline constexpr const char* grants =
    "/apis/sallyport.dev/v1alpha1/namespaces/payments/accessgrants";
inline constexpr const char* policies =
    "/apis/sallyport.dev/v1alpha1/namespaces/payments/jitpolicies";
inline constexpr const char* records =
    "/apis/sallyport.dev/v1alpha1/namespaces/sallyport-system/accessrecords";
inline const With controller{.token = "t-controller"};
inline const With alice{.token = "t-alice"};
inline const With carol{.token = "t-carol"};

Json grant(const std::string& name, const Json& spec = Json::object());
Json policy(const std::string& name, const Json& spec = Json::object());
Json record(const std::string& name);
Json account(const std::string& name);

std::string tokens_text();

}  // namespace sallyport::apiserver
