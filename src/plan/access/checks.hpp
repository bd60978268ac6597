#pragma once

#include <optional>
#include <vector>

#include "plan/access/decide.hpp"

/// The chain of checks, one function each. A check appends what it finds wrong and never
/// throws; what cannot be judged yet is left to the waits. They look at one `Case` and at nothing
/// else.
namespace sallyport::access {

struct Case {
    const AccessGrant& grant;
    const GrantView& view;
    const JitPolicy* policy;         ///< null: unknown, missing, or going
    const CloudAccount* account;     ///< null: as above
    const PolicyStanding* standing;  ///< null: not judged yet
    Timestamp now;
};
using Problems = std::vector<Problem>;

void check_policy(const Case& c, Problems& problems);
void check_account(const Case& c, Problems& problems);
void check_ceiling(const Case& c, Problems& problems);
void check_identity(const Case& c, Problems& problems);
void check_requester(const Case& c, Problems& problems);
void check_justification(const Case& c, Problems& problems);
void check_sources(const Case& c, Problems& problems);
void check_ports(const Case& c, Problems& problems);
void check_targets(const Case& c, Problems& problems);
void check_duration(const Case& c, Problems& problems);
void check_unsupported(const Case& c, Problems& problems);
void check_limits(const Case& c, Problems& problems);

}  // namespace sallyport::access
