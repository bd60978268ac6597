#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "http/message.hpp"

namespace sallyport::simulator {

/// What a role lets its holder do at a scope and below.
struct Permission {
    std::string scope;  ///< a full id; empty: everywhere
    std::vector<std::string> actions;
    std::vector<std::string> not_actions;
};

struct Principal {
    std::string name;
    std::string app_id;
    std::string object_id;
    std::string secret;
    std::vector<Permission> permissions;
};

/// Forbids actions to everybody but those excluded, whatever their roles.
struct DenyAssignment {
    std::string name;
    std::string scope;  ///< a full id
    std::vector<std::string> actions;
    std::vector<std::string> not_actions;
    std::vector<std::string> excluded;  ///< principal names
};

/// Entra ID: who is who, and which tokens are good. Tokens are shaped like JSON Web Tokens and
/// signed with a key made from the seed; nobody but the simulator can check them.
class Identity {
public:
    Identity(std::string tenant, std::vector<Principal> principals, std::string key,
             bool accept_any_token);

    /// `POST /{tenant}/oauth2/v2.0/token`.
    http::Response token(std::string_view tenant, const http::Request& request,
                         std::int64_t now_ms) const;
    /// Who sends this request, or the 401.
    std::variant<const Principal*, http::Response> who(const http::Request& request,
                                                       std::int64_t now_ms) const;

    const std::string& tenant() const { return tenant_; }
    const std::vector<Principal>& principals() const { return principals_; }

private:
    std::string sign(std::string_view text) const;
    http::Response refuse(int status, std::string_view error, int code, std::string_view text,
                          std::int64_t now_ms) const;

    std::string tenant_;
    std::vector<Principal> principals_;
    std::string key_;
    bool accept_any_token_;
    Principal anyone_;
};

/// `Microsoft.Network/*/read` and the like; without case, `*` stands for any text.
bool action_matches(std::string_view pattern, std::string_view action);
bool is_allowed(const Principal& principal, std::string_view action, std::string_view scope);
/// The permissions that hold at `scope`: those assigned at it or above.
std::vector<const Permission*> permissions_at(const Principal& principal, std::string_view scope);
const DenyAssignment* denied_by(const std::vector<DenyAssignment>& assignments,
                                const Principal& principal, std::string_view action,
                                std::string_view scope);

}  // namespace sallyport::simulator
