#include <algorithm>

#include "base/text.hpp"
#include "plan/nsg/effect.hpp"
#include "plan/path/hops.hpp"

namespace sallyport::path {
namespace {

/// Whether the rule lets in no more than one of these contents would.
bool is_within(const SecurityRule& rule, const std::vector<nsg::RuleContent>& contents) {
    return std::ranges::any_of(contents, [&](const nsg::RuleContent& content) {
        const SecurityRule widest{.name = rule.name,
                                  .protocol = content.protocol,
                                  .source = content.source,
                                  .destination = content.destination,
                                  .destination_ports = content.ports};
        return content.access == Access::allow && nsg::covers(widest, rule);
    });
}

/// Folded names of the rules of ours that may let in what they let in.
std::map<NsgId, std::vector<std::string>> accepted_rules(const Accepted& accepted,
                                                         const Observations& observed,
                                                         const Owner& owner) {
    std::map<NsgId, std::vector<std::string>> names;
    for (const auto& [id, by_uid] : accepted) {
        const auto read = observed.find(id);
        if (read == observed.end() || read->second == nullptr) continue;
        const auto is_accepted = [&](const SecurityRule& rule) {
            if (rule.access != Access::allow || ownership(rule, owner) != Ownership::ours)
                return false;
            const auto contents = by_uid.find(Mark::parse(rule.description)->uid);
            return contents != by_uid.end() && is_within(rule, contents->second);
        };
        for (const SecurityRule& rule : read->second->rules) {
            // Left out by name, and so only if all that may be in force under it is accepted.
            const bool all =
                is_accepted(rule) &&
                std::ranges::all_of(read->second->former, [&](const auto& older) {
                    return !equals_ignoring_case(older.name, rule.name) || is_accepted(older);
                });
            if (all) names[id].push_back(lower(rule.name));
        }
    }
    return names;
}

/// Rules that let others in, with their numbers, apart by what is to be done about them.
struct Openers {
    std::set<std::string> names;  ///< of all of these, without numbers
    std::set<std::string> theirs;
    std::set<std::string> ours;      ///< of ended grants, of other policies, or changed by somebody
    std::set<std::string> defaults;  ///< Azure's own, which a lockdown stands in front of
    std::set<std::string> none;      ///< where no rule decides

    void add_none(const std::string& where) {
        names.insert(where);
        none.insert(where);
    }
};

std::string in_words(const Openers& openers, const Lockdown& lockdown) {
    std::vector<std::string> parts;
    if (!openers.none.empty()) parts.push_back(listed(openers.none));
    if (!openers.theirs.empty()) {
        std::string part = listed(openers.theirs) + ": have the owner remove what is too much";
        if (lockdown.mode == LockdownMode::deny &&
            lockdown.precedence == Precedence::below_existing)
            part += ", or set spec.network.lockdown.precedence: AboveExisting";
        parts.push_back(std::move(part));
    }
    if (!openers.defaults.empty()) {
        const char* const remedy =
            lockdown.mode == LockdownMode::none ? ": spec.network.lockdown.mode: Deny closes that"
            : lockdown.against == LockdownAgainst::internet
                ? " until the lockdown is in place; where a route table or a gateway may widen the "
                  "tag VirtualNetwork, only spec.network.lockdown.against: Any closes that"
                : " until the lockdown is in place";
        parts.push_back(listed(openers.defaults) + remedy);
    }
    if (!openers.ours.empty())
        parts.push_back(listed(openers.ours) +
                        ", of ours: for a grant that has ended or is another policy's, or changed "
                        "by somebody");
    return join(parts, "; by ");
}

class PortJudge {
public:
    PortJudge(const PolicyQuestion& question, const Topology& topology,
              const Observations& observed, const Owner& owner)
        : question_(question),
          topology_(topology),
          observed_(observed),
          owner_(owner),
          accepted_(accepted_rules(question.accepted, observed, owner)) {}

    PortVerdict judge(const VmId& machine, const Result<std::vector<Way>>& ways,
                      const PolicyPort& port) {
        std::set<std::string> unread;
        Openers openers;
        std::set<NsgId> nsgs;
        for (const Way& way : ways ? *ways : std::vector<Way>()) {
            if (way.nsgs.empty()) {
                openers.add_none(fmt::format("no network security group at {}", way.destination));
                continue;
            }
            nsgs.insert(way.nsgs.begin(), way.nsgs.end());
            const auto hops = hops_of(way, observed_, {}, unread);
            if (!hops) continue;
            for (const Protocol protocol : protocols_of(port.protocol)) {
                shadows(way, *hops, {counted_sources(way), protocol, port.ports}, openers);
            }
        }
        PortVerdict verdict{.machine = std::string(machine.name()),
                            .ports = port.ports,
                            .protocol = port.protocol,
                            .by = {openers.names.begin(), openers.names.end()}};
        const bool known = ways && unread.empty();
        verdict.state = !openers.names.empty() ? PortState::shadowed
                        : known                ? PortState::closed
                                               : PortState::unknown;
        const std::string what =
            fmt::format("{} {} of {}", to_text(port.protocol), port.ports, machine.name());
        if (!openers.names.empty()) {
            verdict.sentence =
                fmt::format("{} is left open by {}", what, in_words(openers, question_.lockdown));
        } else if (!ways) {
            verdict.sentence = fmt::format("{} is not known: {}", what, ways.error().message);
        } else if (!unread.empty()) {
            verdict.sentence = fmt::format("{} is not known: {} not read", what, listed(unread));
        } else {
            verdict.sentence = fmt::format("{} is closed, proven by {}", what,
                                           reads_in_words(nsgs, observed_, topology_));
        }
        return verdict;
    }

private:
    /// Sources that must not get through: all of the family, or all but the virtual network and the
    /// load balancer.
    AddressSet counted_sources(const Way& way) const {
        AddressSet all = AddressSet::all(way.destination.family);
        const bool any = question_.lockdown.mode == LockdownMode::none ||
                         question_.lockdown.against == LockdownAgainst::any;
        if (any) return all;
        const Peer inside{
            .prefixes = {ServiceTag{"virtualnetwork"}, ServiceTag{"azureloadbalancer"}}};
        return all - resolve(inside, topology_, way).surely;
    }

    /// Adds the rules that may let a counted source through, apart from those that may.
    void shadows(const Way& way, const std::vector<const NsgState*>& hops, const Traffic& traffic,
                 Openers& openers) const {
        const Passage passage = along(way, hops, topology_, traffic, accepted_);
        if (passage.possibly.empty()) return;
        bool named = false;
        for (const Passage::By& allow : passage.allows) {
            if (!allow.sources.intersects(passage.possibly)) continue;
            note(allow, openers);
            named = true;
        }
        // A read without Azure's default rules does not say what becomes of unmatched traffic.
        if (!named) openers.add_none(fmt::format("{}/(no rule decides)", hops.front()->id.name()));
    }

    /// By the rule that was read under that name.
    void note(const Passage::By& allow, Openers& openers) const {
        const std::string name = label(allow.nsg, allow.rule);
        openers.names.insert(name);
        const NsgState& read = *observed_.at(allow.nsg);
        const SecurityRule* rule = read.find(allow.rule);
        if (rule == nullptr) {
            const bool is_default =
                std::ranges::any_of(read.default_rules, [&](const SecurityRule& one) {
                    return equals_ignoring_case(one.name, allow.rule);
                });
            (is_default ? openers.defaults : openers.theirs).insert(name);
            return;
        }
        const bool ours = ownership(*rule, owner_) == Ownership::ours;
        (ours ? openers.ours : openers.theirs)
            .insert(fmt::format("{} (priority {})", name, rule->priority));
    }

    const PolicyQuestion& question_;
    const Topology& topology_;
    const Observations& observed_;
    const Owner& owner_;
    std::map<NsgId, std::vector<std::string>> accepted_;
};

}  // namespace

std::vector<PortVerdict> judge(const PolicyQuestion& question, const Topology& topology,
                               const Observations& observed, const Owner& owner) {
    PortJudge port_judge(question, topology, observed, owner);
    std::vector<PortVerdict> verdicts;
    for (const VmId& machine : question.machines) {
        const auto ways = ways_to(topology, machine);
        for (const PolicyPort& port : question.ports) {
            verdicts.push_back(port_judge.judge(machine, ways, port));
        }
    }
    return verdicts;
}

}  // namespace sallyport::path
