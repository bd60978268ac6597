#include "azure/gateway.hpp"

#include <algorithm>
#include <iterator>
#include <set>

#include <fmt/format.h>

#include "azure/paths.hpp"
#include "base/mutant.hpp"
#include "base/text.hpp"
#include "codec/arm.hpp"
#include "codec/item_splitter.hpp"

namespace sallyport::azure {

namespace {

constexpr std::size_t slice = 32UL * 1024;  ///< of a page, between two yields: well under 2 ms
constexpr int pages_max = 10'000;

OperationStatus status_of(codec::ArmOperationStatus status) {
    switch (status) {
        case codec::ArmOperationStatus::running: return OperationStatus::running;
        case codec::ArmOperationStatus::succeeded: return OperationStatus::succeeded;
        case codec::ArmOperationStatus::failed: return OperationStatus::failed;
        case codec::ArmOperationStatus::canceled: return OperationStatus::canceled;
    }
    throw Bug("an operation status out of range");
}

/// The state of a resource as an operation's: what is asked when there is no URL of an operation.
OperationStatus status_of_resource(std::string_view provisioning_state) {
    if (equals_ignoring_case(provisioning_state, "Succeeded")) return OperationStatus::succeeded;
    if (equals_ignoring_case(provisioning_state, "Failed")) return OperationStatus::failed;
    if (equals_ignoring_case(provisioning_state, "Canceled")) return OperationStatus::canceled;
    return OperationStatus::running;
}

Error ended_badly(std::string what, std::string_view state, std::string correlation_id) {
    return {.kind = ErrorKind::unavailable,
            .message = fmt::format("{}: its provisioning state is {}", what, state),
            .reason = "SurfaceFailed",
            .correlation_id = std::move(correlation_id)};
}

template <class T>
std::string next_link_of(const codec::Page<T>& page) {
    return page.next_link;
}
std::string next_link_of(const ServiceTagList&) { return {}; }  // all of it is one answer

/// 404 of a DELETE: is it the rule that is not there (done), or what it should be on?
bool is_about_rule(const Error& error) {
    if (planted("nsg-404-for-rule-404")) return true;
    return lower(error.message).find("/securityrules/") != std::string::npos;
}

}  // namespace

ArmGateway::ArmGateway(World world, std::unique_ptr<http::Transport> transport, Endpoints endpoints,
                       Credential credential)
    : world_(world),
      transport_(std::move(transport)),
      tokens_(world.loop, world.clock, *transport_, std::move(credential)),
      client_(world.clock, world.random, world.metrics, *transport_, tokens_,
              std::move(endpoints.resource_manager)) {}

Task<Result<std::string>> ArmGateway::split_page(std::string body, std::string member,
                                                 std::vector<std::string>& items) {
    codec::ItemSplitter splitter(std::move(member),
                                 [&items](std::string_view item) { items.emplace_back(item); });
    for (std::size_t at = 0; at < body.size(); at += slice) {
        Result<void> fed = splitter.feed(std::string_view(body).substr(at, slice));
        if (!fed) co_return std::move(fed).error();
        co_await world_.loop.yield();
    }
    if (!splitter.complete()) co_return unavailable("a page is not a whole JSON object");
    co_return splitter.rest();
}

template <class Page>
Task<Result<std::vector<Page>>> ArmGateway::list(Query query,
                                                 Result<Page> (*decode)(std::string_view body)) {
    std::vector<Page> all;
    const std::string correlation = client_.new_id();
    std::string target = query.target;
    std::set<std::string> asked;
    for (int pages = 0; pages < pages_max; ++pages) {
        if (!asked.insert(target).second)
            co_return unavailable(query.what + ": a page leads back to one that was read");
        ArmClient::Call call{.target = target, .correlation_id = correlation};
        Result<http::Response> answer = co_await client_.send(std::move(call));
        if (!answer) co_return std::move(answer).error().context(query.what);
        std::vector<std::string> items;
        const Result<std::string> around =
            co_await split_page(std::move(answer->body), query.items, items);
        if (!around) co_return Error(around.error()).context(query.what);
        Result<Page> frame = decode(*around);
        if (!frame) co_return std::move(frame).error().context(query.what);
        const std::string next = next_link_of(*frame);
        std::vector<Error> unreadable;
        for (const std::string& item : items) {
            Result<Page> one = decode(fmt::format(R"({{"{}":[{}]}})", query.items, item));
            if (one) {
                all.push_back(*std::move(one));
            } else {
                unreadable.push_back(std::move(one).error());
            }
            co_await world_.loop.yield();
        }
        Result<void> readable = check_readable(query, unreadable);
        if (!readable) co_return std::move(readable).error();
        if (next.empty()) co_return all;
        Result<std::string> following = client_.target_of(next);
        if (!following) co_return std::move(following).error().context(query.what);
        target = *std::move(following);
    }
    co_return unavailable(query.what + ": its pages do not end");
}

template <class T, class Page>
Task<Result<std::vector<T>>> ArmGateway::list_values(
    Query query, Result<Page> (*decode)(std::string_view body)) {
    Result<std::vector<Page>> pages = co_await list<Page>(std::move(query), decode);
    if (!pages) co_return std::move(pages).error();
    std::vector<T> all;
    for (Page& page : *pages) std::ranges::move(page.values, std::back_inserter(all));
    co_return all;
}

Result<void> ArmGateway::check_readable(const Query& query,
                                        const std::vector<Error>& unreadable) const {
    for (const Error& error : unreadable) {
        world_.log.warn("azure.item_undecodable",
                        {{"list", query.what}, {"message", error.message}});
    }
    if (unreadable.empty()) return {};
    Error error =
        unavailable(fmt::format("{}: {} of its items cannot be read, such as: {}", query.what,
                                unreadable.size(), unreadable.front().message));
    error.code = "UndecodableItem";
    return error;
}

Task<Result<std::vector<NsgState>>> ArmGateway::list_nsgs(ArmScope scope) {
    const SteadyTime sent = world_.clock.steady_now();
    Query query{.what = "list network security groups",
                .target = network_target(scope, "networkSecurityGroups")};
    Result<std::vector<NsgState>> states =
        co_await list_values<NsgState>(std::move(query), codec::decode_nsgs);
    // The first request's time holds for all pages: a later one would claim more than is known.
    if (states) {
        for (NsgState& state : *states) state.read_sent = sent;
    }
    co_return states;
}

Task<Result<std::vector<Nic>>> ArmGateway::list_nics(ArmScope scope) {
    Query query{.what = "list network interfaces",
                .target = network_target(scope, "networkInterfaces")};
    return list_values<Nic>(std::move(query), codec::decode_nics);
}

Task<Result<std::vector<VirtualNetwork>>> ArmGateway::list_networks(ArmScope scope) {
    Query query{.what = "list virtual networks",
                .target = network_target(scope, "virtualNetworks")};
    return list_values<VirtualNetwork>(std::move(query), codec::decode_networks);
}

Task<Result<std::vector<VirtualMachine>>> ArmGateway::list_machines(ArmScope scope) {
    Query query{.what = "list virtual machines",
                .target = compute_target(scope, "virtualMachines")};
    return list_values<VirtualMachine>(std::move(query), codec::decode_machines);
}

Task<Result<ServiceTagList>> ArmGateway::service_tags(std::string subscription,
                                                      std::string location) {
    Query query{.what = "list service tags of " + location,
                .target = service_tags_target(subscription, location),
                .items = "values"};
    Result<std::vector<ServiceTagList>> parts =
        co_await list<ServiceTagList>(std::move(query), codec::decode_service_tags);
    if (!parts) co_return std::move(parts).error();
    ServiceTagList tags;
    for (ServiceTagList& part : *parts) tags.merge(part);
    co_return tags;
}

Task<Result<std::vector<Permission>>> ArmGateway::permissions(ArmScope scope) {
    Query query{.what = "list permissions", .target = permissions_target(scope)};
    auto read =
        co_await list_values<codec::ArmPermission>(std::move(query), codec::decode_permissions);
    if (!read) co_return std::move(read).error();
    std::vector<Permission> all;
    for (codec::ArmPermission& each : *read)
        all.push_back({std::move(each.actions), std::move(each.not_actions)});
    co_return all;
}

Task<Result<std::vector<ManagementLock>>> ArmGateway::locks(ArmScope scope) {
    Query query{.what = "list locks", .target = locks_target(scope)};
    auto read = co_await list_values<codec::ArmLock>(std::move(query), codec::decode_locks);
    if (!read) co_return std::move(read).error();
    std::vector<ManagementLock> all;
    for (codec::ArmLock& each : *read) all.push_back({std::move(each.id), each.read_only});
    co_return all;
}

Task<Result<std::vector<DenyAssignment>>> ArmGateway::deny_assignments(ArmScope scope) {
    Query query{.what = "list deny assignments", .target = deny_assignments_target(scope)};
    auto read = co_await list_values<codec::ArmDenyAssignment>(std::move(query),
                                                               codec::decode_deny_assignments);
    if (!read) co_return std::move(read).error();
    std::vector<DenyAssignment> all;
    for (codec::ArmDenyAssignment& each : *read) {
        // An exception of one permission is none of another's: one entry for each.
        for (codec::ArmPermission& denied : each.denied) {
            all.push_back({each.id, {std::move(denied.actions), std::move(denied.not_actions)}});
        }
    }
    co_return all;
}

Task<Result<NsgState>> ArmGateway::read(NsgId nsg) {
    const std::string what = fmt::format("read nsg {}", nsg.name());
    const SteadyTime sent = world_.clock.steady_now();
    ArmClient::Call call{.target = nsg_target(nsg)};
    const Result<http::Response> answer = co_await client_.send(std::move(call));
    if (!answer && answer.error().kind == ErrorKind::not_found && planted("nsg-404-for-rule-404"))
        co_return NsgState{.id = nsg, .read_sent = sent};
    if (!answer) co_return Error(answer.error()).context(what);
    Result<NsgState> state = codec::decode_nsg(answer->body);
    if (!state) co_return std::move(state).error().context(what);
    state->read_sent = sent;
    co_return state;
}

AcceptedWrite ArmGateway::accepted(const http::Response& answer) const {
    std::string_view url = answer.headers.value_or("Azure-AsyncOperation", "");
    if (url.empty() && answer.status == 202) url = answer.headers.value_or("Location", "");
    return {.operation_url = std::string(url),
            .correlation_id = ArmClient::correlation_of(answer.headers),
            .retry_after = client_.retry_after_of(answer.headers)};
}

Task<Result<AcceptedWrite>> ArmGateway::put_rule(NsgId nsg, SecurityRule rule,
                                                 Departure departure) {
    const std::string what = fmt::format("put rule {} on nsg {}", rule.name, nsg.name());
    ArmClient::Call call{.method = "PUT",
                         .target = rule_target(nsg, rule.name),
                         .body = codec::encode_rule(rule),
                         .request_id = std::move(departure.request_id),
                         .may_resend = false,
                         .last_look = std::move(departure.last_look)};
    const std::string target = call.target;
    const Result<http::Response> answer = co_await client_.send(std::move(call));
    if (!answer) co_return Error(answer.error()).context(what);
    AcceptedWrite write = accepted(*answer);
    const Result<SecurityRule> stored = codec::decode_rule(answer->body);
    if (stored) write.stored = *stored;
    if (!write.operation_url.empty()) co_return write;
    const OperationStatus status =
        stored ? status_of_resource(stored->provisioning_state) : OperationStatus::running;
    if (status == OperationStatus::failed || status == OperationStatus::canceled) {
        co_return ended_badly(what, stored->provisioning_state, write.correlation_id);
    }
    // Under way, but without a URL to ask: the rule itself tells when it is done.
    if (status == OperationStatus::running) write.operation_url = client_.origin() + target;
    co_return write;
}

Task<Result<AcceptedWrite>> ArmGateway::delete_rule(NsgId nsg, std::string rule,
                                                    Departure departure) {
    const std::string what = fmt::format("delete rule {} of nsg {}", rule, nsg.name());
    ArmClient::Call call{.method = "DELETE",
                         .target = rule_target(nsg, rule),
                         .request_id = std::move(departure.request_id),
                         .last_look = std::move(departure.last_look)};
    const Result<http::Response> answer = co_await client_.send(std::move(call));
    if (answer) co_return accepted(*answer);
    const Error& error = answer.error();
    if (error.kind == ErrorKind::not_found && is_about_rule(error)) {
        co_return AcceptedWrite{.correlation_id = error.correlation_id};
    }
    co_return Error(error).context(what);
}

Task<void> ArmGateway::prepare(int writes) { return client_.prepare(writes); }

Task<Result<OperationState>> ArmGateway::poll(std::string operation_url) {
    const std::string what = "poll operation";
    Result<std::string> target = client_.target_of(operation_url);
    if (!target) co_return std::move(target).error().context(what);
    ArmClient::Call call{.target = *std::move(target)};
    const Result<http::Response> answer = co_await client_.send(std::move(call));
    if (!answer) co_return Error(answer.error()).context(what);
    OperationState state{.retry_after = client_.retry_after_of(answer->headers)};
    if (answer->status == 202) co_return state;
    const std::string correlation = ArmClient::correlation_of(answer->headers);
    Result<codec::ArmOperation> operation = codec::decode_operation(answer->body, correlation);
    if (operation) {
        state.status = status_of(operation->status);
        state.error = std::move(operation->error);
        co_return state;
    }
    // No operation: a `Location` that answers as the call itself would have, or the rule.
    state.status = OperationStatus::succeeded;
    if (answer->body.empty()) co_return state;
    const Result<SecurityRule> rule = codec::decode_rule(answer->body);
    if (!rule) co_return std::move(operation).error().context(what);
    state.status = status_of_resource(rule->provisioning_state);
    if (state.status == OperationStatus::failed || state.status == OperationStatus::canceled) {
        state.error = ended_badly(what, rule->provisioning_state, correlation);
    }
    co_return state;
}

Result<std::unique_ptr<Gateway>> ArmGateways::open(const AzureAccount& account, Secret secret,
                                                   std::string ca_pem) {
    Result<Endpoints> endpoints = endpoints_of(account, allowed_);
    if (!endpoints) return std::move(endpoints).error();
    Credential credential{.authority = endpoints->authority,
                          .tenant_id = account.tenant_id,
                          .client_id = account.client_id,
                          .scope = endpoints->scope,
                          .secret = std::move(secret),
                          .secret_name = account.client_secret_name};
    std::unique_ptr<http::Transport> transport = network_.transport({.ca_pem = std::move(ca_pem)});
    return std::unique_ptr<Gateway>(std::make_unique<ArmGateway>(
        world_, std::move(transport), *std::move(endpoints), std::move(credential)));
}

}  // namespace sallyport::azure
