#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "http/message.hpp"
#include "simulator/behaviour.hpp"
#include "simulator/errors.hpp"
#include "simulator/faults.hpp"
#include "simulator/identity.hpp"
#include "simulator/json.hpp"
#include "simulator/path.hpp"
#include "simulator/random.hpp"
#include "simulator/throttle.hpp"
#include "simulator/world.hpp"

namespace sallyport::simulator {

/// One ARM request on its way through: what it asks, who asks, and what faults do to it.
struct Call {
    const http::Request& request;
    const http::Target& target;
    ArmPath path;
    std::string api_version;
    std::string base;  ///< `https://host:port`, from the request; absolute URLs start with it
    Json body;         ///< null when the request has none
    const Principal* principal = nullptr;
    Effect effect;  ///< of the fault that matches; all off when none does

    bool is(std::string_view method) const { return request.method == method; }
    /// What a PUT expects to find: `If-Match`, or an `etag` member of the body.
    std::string expected_etag() const;
};

/// A long-running operation.
struct Operation {
    std::string id;
    std::string subscription, provider, location, principal, api_version;
    std::string status = "InProgress";
    std::string code, message, details;  ///< of a failure; details is JSON text or empty
    std::int64_t started_ms = 0;
    std::int64_t ended_ms = 0;
    bool has_result_body = false;
};

/// The state behind every answer, and the few things that all parts of the API need. One request at
/// a time; `Simulator` holds the lock.
struct Core {
    Core(Behaviour behaviour_in, Identity identity_in, std::uint64_t seed)
        : behaviour(behaviour_in),
          identity(std::move(identity_in)),
          throttle(behaviour.limits),
          random(seed) {}

    Behaviour behaviour;
    World world;
    Identity identity;
    std::vector<DenyAssignment> deny_assignments;
    Throttle throttle;
    Faults faults;
    Random random;
    std::string signing_key;
    std::int64_t now_ms = 0;
    std::uint64_t writes = 0;

    /// Runs everything that is due up to `to_ms`, in order of time, and leaves the clock there.
    void advance(std::int64_t to_ms);
    void at(std::int64_t time_ms, std::function<void()> action) {
        agenda.emplace(time_ms, std::move(action));
    }
    std::multimap<std::int64_t, std::function<void()>> agenda;

    std::unordered_map<std::string, Operation> operations;

    std::string new_etag() { return "W/\"" + random.guid() + "\""; }
    /// The service tags that rules may name; `learn_tags` after the world's list changed.
    TagNames tags;
    void learn_tags();
};

/// What happens when an operation ends; `succeeded` is false after a failure or cancellation.
using Finish = std::function<void(Core&, bool succeeded)>;

struct Start {
    std::string provider = "Microsoft.Network";
    std::string location;
    std::int64_t takes_ms = 0;
};
/// Starts an operation; its end comes with the clock, or as the call's fault says.
std::string start_operation(Core& core, const Call& call, const Start& start, Finish finish);
/// Ends one that is under way; nothing when it has ended.
void end_operation(Core& core, const std::string& id, std::string_view status, std::string code,
                   std::string message);
/// `Azure-AsyncOperation` and its notification header; with `location` the `Location` too.
void add_operation_headers(Core& core, const Call& call, const std::string& id,
                           http::Response& response, bool location);
/// `Retry-After`, unless the recordings of that api-version have none.
void add_retry_after(const Call& call, http::Response& response, int seconds);
/// `…/operations/{id}`, `…/operationResults/{id}` and `/subscriptions/S/operationresults/{id}`.
http::Response poll(Core& core, const http::Request& request, const http::Target& target);
bool is_poll(const http::Target& target);

/// A list answer: `items` have keys in ascending order; `render` is called for one page only.
struct PageItem {
    std::string key;
    const void* what;
};
http::Response page(Core& core, const Call& call, const std::vector<PageItem>& items,
                    const std::function<std::string(const void*)>& render);

// The API by kinds of resource. Each answers every method that its paths allow, once the caller,
// the subscription and the group were found to be in order.
http::Response answer_resource_group(Core& core, Call& call);
http::Response answer_nsg(Core& core, Call& call);
http::Response answer_rule(Core& core, Call& call);
http::Response answer_default_rule(Core& core, Call& call);
http::Response answer_resource(Core& core, Call& call);
http::Response answer_subnet(Core& core, Call& call);
http::Response answer_sub_list(Core& core,
                               Call& call);  ///< peerings, ipConfigurations, instanceView
http::Response answer_service_tags(Core& core, Call& call);
http::Response answer_locks(Core& core, Call& call);
http::Response answer_permissions(Core& core, Call& call);
http::Response answer_deny_assignments(Core& core, Call& call);

http::Response method_not_allowed(const Call& call);
http::Response precondition_failed(const Call& call, const std::string& etag,
                                   const std::string& id);
http::Response name_required(const Call& call);

/// ARM's JSON of an NSG and of a rule.
std::string nsg_json(Core& core, const Nsg& nsg);
std::string rule_json(const Nsg& nsg, const Rule& rule);
std::string resource_json(Core& core, const Resource& resource, std::string_view api_version);
std::string group_json(const Group& group);
std::string subscription_json(const Core& core, const Subscription& subscription);
std::string lock_json(const Lock& lock);

/// The canonical name of a type: `Microsoft.Network/networkSecurityGroups/securityRules`; empty
/// when the simulator does not know it.
std::string known_type(std::string_view type_key);
/// Everything ARM checks, then the kind's own answer. For the server and for loading an estate.
http::Response answer_arm(Core& core, Call& call);

}  // namespace sallyport::simulator
