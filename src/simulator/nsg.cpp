#include "simulator/nsg.hpp"

#include <algorithm>
#include <memory>

namespace sallyport::simulator {

namespace {

/// Reads that lag are served from this many remembered changes per NSG.
constexpr std::size_t history_max = 2000;

}  // namespace

void append_text(std::string& into, std::string_view text) {
    const bool plain = std::ranges::all_of(
        text, [](char c) { return c >= ' ' && c <= '~' && c != '"' && c != '\\'; });
    if (plain) {
        into += '"';
        into += text;
        into += '"';
    } else {
        into += json_text(text);
    }
}

void remember(Core& core, Nsg& nsg, const std::string& key) {
    const auto it = nsg.rules.find(key);
    nsg.history.push_back({core.now_ms, key,
                           it == nsg.rules.end() ? std::nullopt : std::optional(it->second),
                           nsg.etag});
    if (nsg.history.size() > history_max) nsg.history.pop_front();
}

Nsg as_it_was(const Core& core, const Nsg& nsg, std::int64_t ago_ms) {
    Nsg past = nsg;
    for (auto it = nsg.history.rbegin(); it != nsg.history.rend(); ++it) {
        if (it->at_ms <= core.now_ms - ago_ms) break;
        if (it->before) {
            past.rules[it->rule] = *it->before;
        } else {
            past.rules.erase(it->rule);
        }
        past.etag = it->etag_before;
    }
    return past;
}

http::Response rules_conflict(const std::string& wanted, const std::string& other) {
    return arm_error(400, "SecurityRuleConflict",
                     "Security rule " + wanted + " conflicts with rule " + other +
                         ". Rules cannot have the same Priority and Direction. To learn more, see "
                         "aka.ms/nsgrules.",
                     R"(,"details":[])");
}

std::optional<http::Response> refuse_parallel(Core& core, const Call& call, Nsg& nsg) {
    if (nsg.in_flight.empty()) return std::nullopt;
    const std::string other = nsg.in_flight.back();
    switch (core.behaviour.parallel_writes) {
        case ParallelWrites::allow: return std::nullopt;
        case ParallelWrites::conflict:
            return arm_error(409, "AnotherOperationInProgress",
                             "Another operation on this or dependent resource is in progress. To "
                             "retrieve status of the operation use uri: " +
                                 call.base + "/subscriptions/" + call.path.subscription +
                                 "/providers/Microsoft.Network/locations/" + nsg.location +
                                 "/operations/" + other + "?api-version=" + call.api_version + ".",
                             R"(,"details":[])");
        case ParallelWrites::retryable: {
            http::Response response = arm_error(
                429, "RetryableError", "A retryable error occurred.",
                R"(,"details":[{"code":"ReferencedResourceNotProvisioned","message":)" +
                    json_text(
                        "Cannot proceed with operation because resource " + nsg.id +
                        " is not in Succeeded state. Resource is in Updating state and the last "
                        "operation that updated/is updating the resource is "
                        "PutSecurityRuleOperation.") +
                    "}]");
            response.headers.add("X-Ms-Failure-Cause", "service");
            return response;
        }
        case ParallelWrites::supersede:
            for (const std::string& id : nsg.in_flight) {
                core.operations.at(id).details =
                    R"({"code":"CanceledAndSupersededDueToAnotherOperation","message":)" +
                    json_text("Operation PutSecurityRuleOperation (" + id +
                              ") was canceled and superseded by operation InternalOperation.") +
                    "}";
                end_operation(core, id, "Canceled", "Canceled", "Operation was canceled.");
            }
            return std::nullopt;
    }
    return std::nullopt;
}

std::optional<http::Response> if_match_fails(const Call& call, const Nsg& nsg) {
    const std::string given = call.expected_etag();
    if (given.empty() || given == "*" || given == nsg.etag) return std::nullopt;
    return precondition_failed(call, nsg.etag, nsg.id);
}

std::string start_on(Core& core, const Call& call, Nsg& nsg, NsgWrite write) {
    auto own_id = std::make_shared<std::string>();
    const std::string id = start_operation(
        core, call, {.location = nsg.location, .takes_ms = core.behaviour.operation_ms},
        [key = nsg.id, own_id, write = std::move(write)](Core& at_end, bool succeeded) {
            Nsg* live = at_end.world.nsg_by_id(key);
            if (!live) return;
            std::erase(live->in_flight, *own_id);
            write.finish(at_end, *live, succeeded);
            if (write.etag_moves) live->etag = at_end.new_etag();
            if (live->in_flight.empty() && live->state == "Updating") live->state = "Succeeded";
        });
    *own_id = id;
    nsg.in_flight.push_back(id);
    return id;
}

}  // namespace sallyport::simulator
