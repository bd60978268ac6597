#pragma once

#include <optional>
#include <string>
#include <vector>

#include "model/object.hpp"
#include "model/policy.hpp"

namespace sallyport {

struct RequestedPort {
    PortRange ports = PortRange::single(22);
    std::optional<Protocol> protocol = {};  ///< absent: as the policy's port says
    friend bool operator==(const RequestedPort&, const RequestedPort&) = default;
};
/// One line of `access`; `virtualMachines` × `ports` is expanded into lines of this form.
struct RequestedAccess {
    std::optional<std::string> machine = {};               ///< absent: every target of the policy
    std::optional<std::vector<RequestedPort>> ports = {};  ///< absent: every port of the policy
    friend bool operator==(const RequestedAccess&, const RequestedAccess&) = default;
};

struct AccessGrant {
    ObjectMeta meta;
    std::string policy = {};
    std::vector<RequestedAccess> access = {};  ///< empty: everything the policy has
    /// As written: what is not a network, or a wildcard, is refused by the decision with its place.
    std::vector<std::string> sources = {};
    std::optional<seconds> duration = {};
    std::optional<Timestamp> not_after = {};
    std::optional<Timestamp> not_before = {};
    std::string justification = {};
    std::string ticket = {};
    std::string request_id = {};
    bool revoked = false;
    std::optional<Identity> stamp = {};  ///< nullopt: missing or unreadable: unverified
    /// Parts of the spec that this version refuses, each as {reason, message}.
    std::vector<std::pair<std::string, std::string>> unsupported = {};
    friend bool operator==(const AccessGrant&, const AccessGrant&) = default;
};

struct SurfaceStatus {
    std::string id = {};
    std::string rule = {};
    std::optional<int> priority = {};
    std::string state = {};  ///< Opening, Open, Closing, Removed, Unknown, Failed
    std::string proof = {};
    std::string correlation_id = {};
    friend bool operator==(const SurfaceStatus&, const SurfaceStatus&) = default;
};
struct Connection {
    std::string machine = {};
    std::string port = {};
    std::string protocol = {};
    std::string connect_to = {};
    friend bool operator==(const Connection&, const Connection&) = default;
};

struct GrantStatus {
    std::int64_t observed_generation = -1;
    std::string phase = {};  ///< derived from the conditions, for the printer column
    std::string message = {};
    std::string requester = {};
    std::vector<std::string> approved_by = {};
    std::string request_digest = {};
    std::optional<Timestamp> opened_at = {};
    std::optional<Timestamp> expiration_time = {};
    std::optional<Timestamp> closed_at = {};
    std::vector<SurfaceStatus> surfaces = {};
    std::vector<Connection> connections = {};
    std::vector<Condition> conditions = {};
    friend bool operator==(const GrantStatus&, const GrantStatus&) = default;
};

}  // namespace sallyport
