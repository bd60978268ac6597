#include <algorithm>

#include "base/digest.hpp"
#include "base/text.hpp"
#include "base/time.hpp"
#include "simulator/core.hpp"

namespace sallyport::simulator {

namespace {

/// unverified: how long Azure keeps them; "about a day".
constexpr std::int64_t operation_kept_ms = 24LL * 3600 * 1000;

/// .NET ticks, as the recorded URLs carry in `t`.
std::string ticks(std::int64_t now_ms) {
    return std::to_string(now_ms * 10'000 + 621'355'968'000'000'000LL);
}

std::string signature(const Core& core, std::string_view path, std::string_view api_version,
                      std::string_view t) {
    return hex(sha256(core.signing_key + "|" + lower(path) + "|" + std::string(api_version) + "|" +
                      std::string(t)));
}

/// The signed, opaque form that recordings show: `&t=…&c=…&s=…&h=…`.
std::string poll_url(const Core& core, const Call& call, const std::string& path) {
    const std::string t = ticks(core.now_ms);
    const std::string s = signature(core, path, call.api_version, t);
    return call.base + path + "?api-version=" + call.api_version + "&t=" + t +
           "&c=azure-sim&s=" + s + "&h=" + hex(sha256(s)).substr(0, 32);
}

std::string operations_path(const Operation& operation, const char* word) {
    return "/subscriptions/" + operation.subscription + "/providers/" + operation.provider +
           "/locations/" + operation.location + "/" + word + "/" + operation.id;
}

bool is_genuine(const Core& core, const http::Target& target) {
    const std::string t = target.query("t").value_or("");
    const std::string s = target.query("s").value_or("");
    return target.query("c") == "azure-sim" &&
           s == signature(core, target.path(), target.query("api-version").value_or(""), t) &&
           target.query("h") == hex(sha256(s)).substr(0, 32);
}

std::string status_body(const Operation& operation) {
    std::string body;
    if (operation.provider == "Microsoft.Compute") {
        const auto time = [](std::int64_t ms) {
            return json_text(format_rfc3339(Timestamp(std::chrono::seconds(ms / 1000))));
        };
        body = "{\"startTime\":" + time(operation.started_ms);
        if (operation.ended_ms > 0) body += ",\"endTime\":" + time(operation.ended_ms);
        body +=
            ",\"status\":" + json_text(operation.status) + ",\"name\":" + json_text(operation.id);
    } else {
        body = "{\"status\":" + json_text(operation.status);
    }
    if (!operation.code.empty()) {
        body += R"(,"error":{"code":)" + json_text(operation.code) + R"(,"message":)" +
                json_text(operation.message) + R"(,"details":[)" + operation.details + "]}";
    }
    return body + "}";
}

http::Response result_of(const Operation& operation) {
    http::Response response;
    if (operation.status == "InProgress") {
        response.status = 202;
        response.headers.add("Retry-After", "1");
    } else if (operation.status == "Succeeded") {
        // Recorded: 200 without a body for a deleted group.
        response.status = operation.provider.empty() ? 200 : 204;
    } else {
        // unverified: the status with which a failed operation's result answers.
        response = arm_error(409, operation.code, operation.message);
    }
    return response;
}

}  // namespace

void Core::advance(std::int64_t to_ms) {
    while (!agenda.empty() && agenda.begin()->first <= to_ms) {
        auto due = agenda.extract(agenda.begin());
        now_ms = std::max(now_ms, due.key());
        due.mapped()();
    }
    now_ms = std::max(now_ms, to_ms);
}

void Core::learn_tags() {
    // Names that Azure documents for rules; addresses only where the estate gives them.
    tags = {"virtualnetwork",
            "internet",
            "azureloadbalancer",
            "azurecloud",
            "azuretrafficmanager",
            "gatewaymanager",
            "storage",
            "sql",
            "azuremonitor",
            "azureactivedirectory",
            "azurekeyvault",
            "azureplatformdns",
            "azureplatformimds",
            "azureplatformlkm",
            "appservice",
            "azurebackup"};
    for (const auto& [name, prefixes] : world.service_tags) tags.insert(lower(name));
}

std::string start_operation(Core& core, const Call& call, const Start& start, Finish finish) {
    Operation operation;
    operation.id = core.random.guid();
    operation.subscription = call.path.subscription;
    operation.provider = start.provider;
    operation.location = start.location;
    operation.principal = call.principal ? call.principal->app_id : std::string();
    operation.api_version = call.api_version;
    operation.started_ms = core.now_ms;
    const std::string id = operation.id;
    core.operations.emplace(id, std::move(operation));

    const OperationEnd end = call.effect.operation.value_or(OperationEnd{});
    if (end.kind == OperationEnd::Kind::never_ends) return id;
    const auto conclude = [&core, id, end, finish = std::move(finish)] {
        const auto it = core.operations.find(id);
        if (it == core.operations.end() || it->second.status != "InProgress") {
            finish(core, false);
            return;
        }
        switch (end.kind) {
            case OperationEnd::Kind::fails:
                end_operation(core, id, "Failed",
                              end.code.empty() ? "InternalServerError" : end.code,
                              end.message.empty() ? "An error occurred." : end.message);
                break;
            case OperationEnd::Kind::is_canceled:
                end_operation(core, id, "Canceled", end.code.empty() ? "Canceled" : end.code,
                              end.message.empty() ? "Operation was canceled." : end.message);
                break;
            case OperationEnd::Kind::succeeds:
            case OperationEnd::Kind::never_ends: end_operation(core, id, "Succeeded", {}, {});
        }
        finish(core, end.kind == OperationEnd::Kind::succeeds);
        core.at(core.now_ms + operation_kept_ms, [&core, id] { core.operations.erase(id); });
    };
    core.at(core.now_ms + end.takes_ms.value_or(start.takes_ms), conclude);
    return id;
}

void end_operation(Core& core, const std::string& id, std::string_view status, std::string code,
                   std::string message) {
    const auto it = core.operations.find(id);
    if (it == core.operations.end() || it->second.status != "InProgress") return;
    it->second.status = status;
    it->second.code = std::move(code);
    it->second.message = std::move(message);
    it->second.ended_ms = core.now_ms;
}

void add_operation_headers(Core& core, const Call& call, const std::string& id,
                           http::Response& response, bool location) {
    const Operation& operation = core.operations.at(id);
    if (operation.provider.empty()) {  // a resource group: ARM's own, Location only (recorded)
        response.headers.add("Location", poll_url(core, call,
                                                  "/subscriptions/" + operation.subscription +
                                                      "/operationresults/" + id));
        return;
    }
    response.headers.add("Azure-AsyncNotification", "Enabled");
    response.headers.add("Azure-AsyncOperation",
                         poll_url(core, call, operations_path(operation, "operations")));
    if (location) {
        response.headers.add("Location",
                             poll_url(core, call, operations_path(operation, "operationResults")));
    }
}

void add_retry_after(const Call& call, http::Response& response, int seconds) {
    // The recordings of these api-versions carry none, those of all others do. Whether Azure left
    // it out or the recorder did cannot be told from them.
    for (const char* without : {"2025-05-01", "2025-04-01", "2021-04-01"}) {
        if (call.api_version == without) return;
    }
    response.headers.add("Retry-After", std::to_string(seconds));
}

bool is_poll(const http::Target& target) {
    const auto& s = target.segments();
    if (s.size() < 4) return false;
    const std::string word = lower(s[s.size() - 2]);
    return word == "operations" || word == "operationresults";
}

http::Response poll(Core& core, const http::Request& request, const http::Target& target) {
    if (request.method != "GET") return arm_error(405, "MethodNotAllowed", "Only GET is allowed.");
    const auto& s = target.segments();
    if (!is_genuine(core, target)) {
        // unverified: how Azure refuses a poll URL that was altered.
        return gateway_error(403, "InvalidOperationUrl",
                             "The signature of the operation URL is not valid.");
    }
    const auto it = core.operations.find(s.back());
    if (it == core.operations.end()) {
        // unverified: code of an operation that was forgotten.
        return arm_error(404, "OperationNotFound",
                         "The operation '" + s.back() + "' was not found.");
    }
    const Operation& operation = it->second;
    if (equals_ignoring_case(s[s.size() - 2], "operationresults")) return result_of(operation);
    http::Response response = json_response(200, status_body(operation));
    if (operation.status == "InProgress") response.headers.add("Retry-After", "1");
    return response;
}

}  // namespace sallyport::simulator
