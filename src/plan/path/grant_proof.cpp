#include <algorithm>

#include "base/text.hpp"
#include "plan/nsg/content.hpp"
#include "plan/path/hops.hpp"
#include "plan/path/wanted.hpp"

namespace sallyport::path {
namespace {

/// A rule of this grant by its name, whatever its description says now. Nearly all rules are of
/// others, which is told at a glance.
bool is_of(const SecurityRule& rule, const Owner& owner, std::string_view uuid) {
    if (!equals_ignoring_case(RuleName::uuid_in(rule.name), uuid)) return false;
    const auto name = RuleName::parse(rule.name);
    return name && name->owner == owner.text() && name->uuid == uuid &&
           ownership(rule, owner) != Ownership::other_owner;
}

bool is_foreign(const SecurityRule& rule, const Owner& owner) {
    const Ownership whose = ownership(rule, owner);
    return whose != Ownership::ours && whose != Ownership::ours_unmarked;
}

/// Judges one grant; each step adds to the proof.
class GrantJudge {
public:
    GrantJudge(const GrantQuestion& question, const Topology& topology,
               const Observations& observed, const Owner& owner)
        : question_(question),
          topology_(topology),
          observed_(observed),
          owner_(owner),
          uuid_(rule_uuid(question.uid)) {
        for (const auto& [id, state] : observed_) {
            if (state == nullptr) continue;
            for (const auto* list : {&state->rules, &state->former}) {
                for (const SecurityRule& rule : *list) {
                    if (is_of(rule, owner_, uuid_)) own_[id].push_back(&rule);
                }
            }
        }
        for (const auto& [id, rules] : own_) {
            for (const SecurityRule* rule : rules) own_names_[id].push_back(lower(rule->name));
        }
    }

    GrantProof judge() {
        judge_open();
        judge_gone();
        proof_.moved = moved();
        proof_.blocked_by.assign(blocked_by_.begin(), blocked_by_.end());
        proof_.foreign_denies.assign(foreign_denies_.begin(), foreign_denies_.end());
        proof_.still_open_by.assign(still_open_by_.begin(), still_open_by_.end());
        proof_.unread.assign(unread_.begin(), unread_.end());
        proof_.sentence = sentence();
        return std::move(proof_);
    }

private:
    void judge_open() {
        bool all = !question_.request.access.empty();
        for (const ResolvedAccess& access : question_.request.access) {
            auto ways = ways_to(topology_, access.target.id);
            if (!ways) {
                if (ways.error().kind != ErrorKind::not_found) topology_unknown_ = true;
                problem_ = ways.error().message;
                all = false;
                continue;
            }
            bool any_way = false;
            for (const Way& way : *ways) {
                const AddressSet sources =
                    AddressSet::of(access.sources).only(way.destination.family);
                if (sources.empty()) continue;
                any_way = true;
                all = judge_way(way, access, sources) && all;
            }
            if (!any_way)
                problem_ =
                    fmt::format("no source can reach an address of {}", access.target.id.name());
            all = all && any_way;
        }
        const bool unknown =
            topology_unknown_ || !unread_.empty() || (!all && perhaps_ && !surely_not_);
        proof_.open = all ? Truth::yes : unknown ? Truth::unknown : Truth::no;
    }

    /// Whether all sources surely pass to all ports of this way.
    bool judge_way(const Way& way, const ResolvedAccess& access, const AddressSet& sources) {
        if (way.nsgs.empty()) {
            proof_.no_nsg = true;
            return true;
        }
        nsgs_.insert(way.nsgs.begin(), way.nsgs.end());
        const auto hops = hops_of(way, observed_, question_.not_before, unread_);
        if (!hops) return false;
        bool all = true;
        for (const ResolvedPort& port : access.ports) {
            for (const Protocol protocol : protocols_of(port.protocol)) {
                const Traffic traffic{sources, protocol, port.ports};
                const Passage passage = along(way, *hops, topology_, traffic);
                const bool open = passage.surely.contains(sources);
                if (!open) (passage.possibly.contains(sources) ? perhaps_ : surely_not_) = true;
                all = all && open;
                look_for_denies(way, *hops, traffic);
                look_for_others(way, *hops, traffic);
            }
        }
        return all;
    }

    /// Foreign denies that match the traffic, whether or not a rule of the grant is there yet.
    void look_for_denies(const Way& way, const std::vector<const NsgState*>& hops,
                         const Traffic& traffic) {
        for (const NsgState* hop : hops) {
            for (const SecurityRule& rule : hop->rules) {
                if (rule.access != Access::deny || rule.direction != Direction::inbound) continue;
                if (!is_foreign(rule, owner_)) continue;
                if (!matches(rule, *hop, way, traffic)) continue;
                if (!is_catch_all(rule, traffic)) foreign_denies_.insert(label(hop->id, rule.name));
                if (rule.priority < place_on(hop->id))
                    blocked_by_.insert(label(hop->id, rule.name));
            }
        }
    }

    /// Whether the rule, taken by itself, may decide about some of the traffic.
    bool matches(const SecurityRule& rule, const NsgState& hop, const Way& way,
                 const Traffic& traffic) const {
        const NsgState alone{.id = hop.id, .rules = {rule}};
        return !through(alone, topology_, way, traffic).denies.empty();
    }

    /// A deny of a whole family (or more) says "nothing but what is allowed", not "not these".
    static bool is_catch_all(const SecurityRule& rule, const Traffic& traffic) {
        return std::ranges::any_of(rule.source.prefixes, [&](const Prefix& prefix) {
            const auto* cidr = std::get_if<Cidr>(&prefix);
            return std::holds_alternative<AnyAddress>(prefix) ||
                   (cidr != nullptr && cidr->prefix_length() == 0 &&
                    AddressSet::of(*cidr).intersects(traffic.sources));
        });
    }

    /// Where the grant's rules stand on an NSG, or the best number that a new one could get.
    int place_on(const NsgId& nsg) const {
        const auto own = own_.find(nsg);
        if (own == own_.end()) return question_.grants_from;
        return std::ranges::max(own->second, {}, &SecurityRule::priority)->priority;
    }

    /// Other grants of ours that let some of the sources in by themselves.
    void look_for_others(const Way& way, const std::vector<const NsgState*>& hops,
                         const Traffic& traffic) {
        const Passage passage = along(way, hops, topology_, traffic, own_names_);
        if (passage.possibly.empty()) return;
        for (const Passage::By& by : passage.allows) {
            if (!by.sources.intersects(passage.possibly)) continue;
            const NsgState* hop = observed_.at(by.nsg);
            const SecurityRule* rule = hop->find(by.rule);
            if (rule == nullptr || ownership(*rule, owner_) != Ownership::ours) continue;
            const auto mark = Mark::parse(rule->description);
            if (mark->kind == MarkKind::grant) still_open_by_.insert(mark->subject);
        }
    }

    void judge_gone() {
        std::set<NsgId> places = nsgs_;
        for (const RecordedRule& rule : question_.rules) places.insert(rule.nsg);
        for (const auto& [id, time] : question_.not_before) places.insert(id);
        for (const auto& [id, rules] : own_) places.insert(id);
        bool all_read = !(topology_unknown_ && question_.rules.empty());
        for (const auto& [id, rules] : own_) all_read = knows_before(id, rules) && all_read;
        for (const NsgId& id : places) {
            const auto found = observed_.find(id);
            if (found == observed_.end()) {
                unread_.emplace(id.name());
                all_read = false;
                continue;
            }
            if (found->second == nullptr) continue;  // the NSG is gone, and its rules with it
            const auto after = question_.not_before.find(id);
            if (after != question_.not_before.end() && found->second->read_sent < after->second) {
                unread_.emplace(id.name());
                all_read = false;
            }
        }
        const bool there = std::ranges::any_of(own_, [](const auto& entry) {
            return std::ranges::any_of(
                entry.second, [](const SecurityRule* rule) { return !nsg::is_tombstone(*rule); });
        });
        nsgs_ = std::move(places);
        proof_.gone = there ? Truth::no : all_read ? Truth::yes : Truth::unknown;
    }

    /// Whether it is known what these rules said before their last write: a tombstone that is still
    /// being written buries nothing yet.
    bool knows_before(const NsgId& id, const std::vector<const SecurityRule*>& rules) {
        const NsgState& state = *observed_.at(id);
        bool known = true;
        for (const SecurityRule* rule : rules) {
            if (std::ranges::find(state.unsettled, rule->name) == state.unsettled.end()) continue;
            unread_.insert(as_before(state, rule->name));
            known = false;
        }
        return known;
    }

    /// A recorded rule is not wanted any more, and what is wanted in its place was not recorded
    /// yet.
    bool moved() const {
        const auto wanted = wanted_rules(question_.request, topology_);
        if (!wanted) return false;
        std::set<std::pair<NsgId, std::string>> now;
        for (const auto& [id, contents] : *wanted) {
            for (const nsg::RuleContent& content : contents)
                now.emplace(id, nsg::content_key(content));
        }
        std::set<std::pair<NsgId, std::string>> then;
        for (const RecordedRule& rule : question_.rules) then.emplace(rule.nsg, rule.content);
        return !std::ranges::includes(now, then) && !std::ranges::includes(then, now);
    }

    std::string sentence() const {
        if (topology_unknown_) return fmt::format("not known: {}", problem_);
        if (!unread_.empty())
            return fmt::format("not known: {} not read since the last write", listed(unread_));
        if (!problem_.empty()) return problem_;
        if (nsgs_.empty()) return "no network security group is on the way";
        std::string by = fmt::format("proven by {}", reads_in_words(nsgs_, observed_, topology_));
        if (blocked_by_.empty() || proof_.open == Truth::yes) return by;
        return fmt::format("blocked by {}; {}", listed(blocked_by_), by);
    }

    const GrantQuestion& question_;
    const Topology& topology_;
    const Observations& observed_;
    const Owner& owner_;
    std::string uuid_;
    std::map<NsgId, std::vector<const SecurityRule*>> own_;
    std::map<NsgId, std::vector<std::string>> own_names_;
    GrantProof proof_;
    std::set<NsgId> nsgs_;  ///< every NSG that was looked at
    std::set<std::string> blocked_by_;
    std::set<std::string> foreign_denies_;
    std::set<std::string> still_open_by_;
    std::set<std::string> unread_;
    std::string problem_;
    bool topology_unknown_ = false;
    bool perhaps_ = false;     ///< some sources may get through, but not surely
    bool surely_not_ = false;  ///< some source surely does not
};

}  // namespace

GrantProof judge(const GrantQuestion& question, const Topology& topology,
                 const Observations& observed, const Owner& owner) {
    return GrantJudge(question, topology, observed, owner).judge();
}

}  // namespace sallyport::path
