#pragma once

#include <set>
#include <string>
#include <vector>

#include "plan/access/decide.hpp"

/// What a grant asks for, turned from names into ids, ranges and times. Shared by the checks of the
/// decision and by its result.
namespace sallyport::access {

/// The lines of a request; one that asks for everything has one line without machine and ports.
std::vector<RequestedAccess> lines_of(const AccessGrant& grant);
/// `spec.network.ports[1]`, or the line of `spec.network.access` when lines differ in their ports.
std::string port_field(const AccessGrant& grant, std::size_t line, std::size_t port);
std::string text_of(const RequestedPort& port);  ///< `22`, `53 Udp`

/// The policy's ports that the grant touches, as indexes.
std::set<std::size_t> touched_ports(const AccessGrant& grant, const JitPolicy& policy);
/// The policy's targets of that name, without case; all of them for nullopt.
std::vector<ResolvedTarget> targets_named(const std::optional<std::string>& machine,
                                          const std::vector<ResolvedTarget>& targets);

/// From when the time is counted that a grant asks for, so that an absolute end is judged the same
/// today and tomorrow: waiting must not turn a refusal into an opening.
Timestamp asked_from(const AccessGrant& grant);
/// The time that a grant asks for: `notAfter` less its start, `duration`, or the policy's default.
seconds asked_duration(const AccessGrant& grant, const JitPolicy& policy);

/// Requires a grant without problems (`Bug`): everything in it resolves.
ResolvedRequest resolve(const AccessGrant& grant, const JitPolicy& policy,
                        const std::vector<ResolvedTarget>& targets);

}  // namespace sallyport::access
