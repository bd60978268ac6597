#pragma once

#include <map>
#include <vector>

#include "model/network.hpp"
#include "model/policy.hpp"
#include "model/record.hpp"
#include "plan/nsg/plan.hpp"

namespace sallyport::path {

using WantedByNsg = std::map<NsgId, std::vector<nsg::RuleContent>>;

/// The rules a request needs, on each NSG of its targets' ways: one per protocol, address family,
/// source set and (destinations, ports) pair; families never mix. A source of a family that a
/// target does not have makes no rule for it. `unavailable`: topology not known. `not_found`: a
/// target is gone. `NoNsgNoFirewall` (kind invalid): a way has no NSG at all.
Result<WantedByNsg> wanted_rules(const ResolvedRequest& request, const Topology& topology);

/// The same where ways without an NSG are left out: what may stay of it while a target has one.
Result<WantedByNsg> guarded_rules(const ResolvedRequest& request, const Topology& topology);

/// The lockdown a policy needs on every NSG of its machines' ways.
struct WantedLockdown {
    std::vector<nsg::RuleContent> denies = {};
    std::vector<nsg::RuleContent> exceptions = {};
};
Result<std::map<NsgId, WantedLockdown>> wanted_lockdown(const JitPolicy& policy,
                                                        const std::vector<VmId>& machines,
                                                        const Topology& topology);

}  // namespace sallyport::path
