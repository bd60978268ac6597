#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "model/account.hpp"
#include "model/mark.hpp"
#include "model/object.hpp"
#include "model/policy.hpp"
#include "model/record.hpp"
#include "plan/nsg/plan.hpp"
#include "plan/path/reach.hpp"

namespace sallyport::path {

/// The newest reads of the NSGs of one account. An NSG that is missing here was not read: Unknown.
/// A null pointer: it is known not to exist any more; rules on it are gone, ways through it are
/// Unknown.
using Observations = std::map<NsgId, const NsgState*>;

/// What is true of a grant now, and the read that shows it.
struct GrantProof {
    Truth open = Truth::unknown;  ///< all its sources reach all its targets and ports
    /// None of its rules is on any NSG where one was or could be. A tombstone counts as gone.
    Truth gone = Truth::unknown;
    std::string sentence = {};  ///< "proven by the read of nsg-web at 2026-11-21T09:00:12Z"
    /// `<nsg>/<rule>` of foreign denies that match some of its traffic: those in front of its rules
    /// (or of any number it could get), and those that are not a catch-all, wherever they
    /// stand.
    std::vector<std::string> blocked_by = {};
    std::vector<std::string> foreign_denies = {};
    /// Other grants of ours (`namespace/name` from the mark) that still let some of its sources in.
    std::vector<std::string> still_open_by = {};
    /// Addresses changed since the record: its rules name other destinations (`TargetMoved`), and
    /// what is wanted now was not recorded yet.
    bool moved = false;
    std::vector<std::string> unread = {};  ///< NSGs whose read is missing or too old
    bool no_nsg = false;  ///< a target's way has no NSG at all: everything is open there
    friend bool operator==(const GrantProof&, const GrantProof&) = default;
};

struct GrantQuestion {
    const ResolvedRequest& request;
    const std::vector<RecordedRule>& rules;  ///< what was ever written for it
    std::string_view uid;
    /// NSGs whose reads must have been sent at or after this: the end of the last write there.
    std::map<NsgId, SteadyTime> not_before = {};
    int grants_from = Bands{}.grants.from;  ///< the lowest number that a new rule of it could get
};
GrantProof judge(const GrantQuestion& question, const Topology& topology,
                 const Observations& observed, const Owner& owner);

enum class PortState { closed, shadowed, unknown };
struct PortVerdict {
    std::string machine;
    PortRange ports = PortRange::single(22);
    Protocol protocol = Protocol::tcp;
    PortState state = PortState::unknown;
    std::vector<std::string> by = {};  ///< `<nsg>/<rule>`: what may let others in
    std::string sentence = {};
    friend bool operator==(const PortVerdict&, const PortVerdict&) = default;
};
/// What rules of ours may let in, by NSG and by the uid in their marks: what open grants want that
/// have not ended, and the policy's exceptions.
using Accepted = std::map<NsgId, std::map<std::string, std::vector<nsg::RuleContent>>>;

struct PolicyQuestion {
    const std::vector<VmId>& machines;
    const std::vector<PolicyPort>& ports;
    const Lockdown& lockdown;
    const Accepted& accepted;
};
/// A policy's port is Closed if nothing but its grants and exceptions reaches it: with the accepted
/// rules of ours left out, no source that counts (all, or all but VNet and load balancer for
/// `against: Internet`) gets through any way. A rule is accepted by its mark and by what it says:
/// it lets in no more than one content that is accepted of that uid on that NSG.
std::vector<PortVerdict> judge(const PolicyQuestion& question, const Topology& topology,
                               const Observations& observed, const Owner& owner);

}  // namespace sallyport::path
