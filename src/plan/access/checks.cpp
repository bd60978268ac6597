#include "plan/access/checks.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <set>

#include "base/check.hpp"
#include "base/text.hpp"
#include "plan/access/limits.hpp"
#include "plan/access/request.hpp"
#include "plan/access/ticket.hpp"
#include "plan/path/reach.hpp"

namespace sallyport::access {
namespace {

std::string all_of(const Problems& problems) {
    std::vector<std::string> messages;
    for (const Problem& problem : problems) messages.push_back(problem.message);
    return join(messages, "; ");
}

bool has_arrived_late(const Case& c) { return c.now >= c.grant.meta.created + arrival_allowance; }

/// What a source is when it is not a range somebody may name; nullopt: it is one.
std::optional<Problem> unusable(const std::string& field, const std::string& text) {
    const Prefix prefix = parse_prefix(text);
    const auto* range = std::get_if<Cidr>(&prefix);
    const bool wildcard = std::holds_alternative<AnyAddress>(prefix) ||
                          (range && range->prefix_length() == 0) ||
                          equals_ignoring_case(text, "internet");
    if (wildcard) {
        return Problem{
            "SourceWildcard",
            fmt::format("{} {} stands for everybody, which no grant may ask for, whatever its "
                        "policy says; name the addresses you come from, such as "
                        "198.51.100.7/32",
                        field, text)};
    }
    if (std::holds_alternative<ServiceTag>(prefix)) {
        return Problem{"SourceInvalid",
                       fmt::format("{} {} is a name, and a grant's sources are address "
                                   "ranges such as 198.51.100.7/32",
                                   field, text)};
    }
    const auto exact = Cidr::parse(text);
    if (exact) return std::nullopt;
    return Problem{"SourceInvalid", fmt::format("{} {}", field, exact.error().message)};
}

void check_width(const Case& c, const std::string& field, const Cidr& source, Problems& problems) {
    const SourceLimit& limit = c.policy->network.sources;
    const int widest = widest_of(limit, source.family());
    if (source.prefix_length() >= widest) return;
    problems.push_back(
        {"SourceTooWide", fmt::format("{} {} is wider than /{}, the widest that {} allows "
                                      "(spec.network.sources.widest); name a /{} or narrower",
                                      field, source.text(), widest, subject(*c.policy), widest)});
}

void check_within(const Case& c, const std::string& field, const Cidr& source, Problems& problems) {
    const AddressSet asked = AddressSet::of(source);
    const auto& own = c.policy->network.sources.within;
    if (!AddressSet::of(own).contains(asked)) {
        problems.push_back({"SourceNotAllowed",
                            fmt::format("{} {} is not inside {}, the sources that {} allows "
                                        "(spec.network.sources.within); come from one of them",
                                        field, source.text(), list_text(own), subject(*c.policy))});
        return;
    }
    for (const std::size_t i : touched_ports(c.grant, *c.policy)) {
        const PolicyPort& port = c.policy->network.ports[i];
        if (!port.sources || AddressSet::of(*port.sources).contains(asked)) continue;
        problems.push_back(
            {"SourceNotAllowed",
             fmt::format("{} {} is not inside {}, the sources that {} allows for port {} "
                         "(spec.network.ports[{}].sources); come from one of them or "
                         "leave that port out",
                         field, source.text(), list_text(*port.sources), subject(*c.policy),
                         port.ports, i)});
    }
}

std::string port_list(const JitPolicy& policy) {
    std::vector<std::string> texts;
    for (const PolicyPort& port : policy.network.ports) {
        texts.push_back(fmt::format("{} {}", port.ports, port.protocol));
    }
    return list_text(texts);
}

std::string target_list(const PolicyStanding& standing) {
    std::vector<std::string> texts;
    for (const ResolvedTarget& target : standing.targets) texts.emplace_back(target.id.name());
    return list_text(texts);
}

/// A machine without an address of any source's family can be reached by none of them.
void check_families(const Case& c, const ResolvedTarget& target, Problems& problems) {
    if (!c.view.topology || !*c.view.topology) return;
    const auto ways = path::ways_to(**c.view.topology, target.id);
    if (!ways || ways->empty() || c.grant.sources.empty()) return;
    for (const std::string& text : c.grant.sources) {
        if (unusable("", text)) return;  // told already
        const auto source = Cidr::parse(text);
        for (const path::Way& way : *ways) {
            if (way.destination.family == source->family()) return;
        }
    }
    problems.push_back(
        {"SourceFamily",
         fmt::format("spec.network.sources {} are all {}, and virtual machine {} has no "
                     "address of that family; name a source of the other",
                     list_text(c.grant.sources),
                     ways->front().destination.family == Family::v4 ? "IPv6" : "IPv4",
                     target.id.name())});
}

std::string duration_field(const AccessGrant& grant) {
    if (grant.not_after) {
        return fmt::format("spec.notAfter {} asks for", format_rfc3339(*grant.not_after));
    }
    return grant.duration ? "spec.duration"
                          : "spec.duration is not given, and the policy's default of";
}

/// For a grant none of whose ports is allowed: what no port would allow is told along with that.
void check_longest(const Case& c, seconds asked, Problems& problems) {
    const std::vector<PolicyPort>& ports = c.policy->network.ports;
    const auto longest = std::ranges::max_element(ports, {}, &PolicyPort::max_duration);
    if (longest == ports.end() || asked <= longest->max_duration) return;
    problems.push_back(
        {"DurationTooLong",
         fmt::format("{} {} is longer than {}, the longest that {} allows for any port "
                     "(spec.network.ports[{}].maxDuration); ask for {} or less",
                     duration_field(c.grant), format_duration(asked),
                     format_duration(longest->max_duration), subject(*c.policy),
                     longest - ports.begin(), format_duration(longest->max_duration))});
}

}  // namespace

void check_policy(const Case& c, Problems& problems) {
    if (!c.view.policy) return;
    const JitPolicy* policy = *c.view.policy;
    const std::string name = fmt::format("spec.policyRef.name {}", c.grant.policy);
    if (!policy) {
        if (!has_arrived_late(c)) return;
        problems.push_back(
            {"PolicyNotFound",
             fmt::format("{}: there is no JitPolicy of that name in namespace {}; create "
                         "it or name another",
                         name, c.grant.meta.key.ns)});
    } else if (policy->meta.deleted) {
        problems.push_back(
            {"PolicyDeleted", fmt::format("{}: {} is being deleted and grants nothing any "
                                          "more; name another",
                                          name, subject(*policy))});
    }
}

void check_account(const Case& c, Problems& problems) {
    if (!c.policy || !c.view.account) return;
    const CloudAccount* account = *c.view.account;
    if (!account) {
        if (!has_arrived_late(c)) return;
        problems.push_back(
            {"AccountNotFound",
             fmt::format("spec.policyRef.name {}: its spec.accountRef names CloudAccount "
                         "{}, which does not exist; the policy's author has to name "
                         "another",
                         c.grant.policy, c.policy->account)});
    } else if (account->meta.deleted) {
        problems.push_back(
            {"AccountDeleted", fmt::format("spec.policyRef.name {}: {} is being deleted, "
                                           "and nothing opens through it any more",
                                           c.grant.policy, subject(*account))});
    }
}

void check_ceiling(const Case& c, Problems& problems) {
    if (!c.policy || !c.standing || c.standing->problems.empty()) return;
    problems.push_back(
        {"PolicyInvalid",
         fmt::format("spec.policyRef.name {}: {} grants nothing while it is invalid: {}; "
                     "its author has to change it",
                     c.grant.policy, subject(*c.policy), all_of(c.standing->problems))});
}

void check_identity(const Case& c, Problems& problems) {
    if (c.grant.stamp && !c.grant.stamp->user.empty()) return;
    problems.push_back(
        {"IdentityUnverified",
         fmt::format("metadata.annotations[{}] is missing or unreadable, so nobody knows "
                     "who asks; create the grant again through this API server, which "
                     "writes it",
                     stamp_annotation)});
}

void check_requester(const Case& c, Problems& problems) {
    if (!c.policy || !c.grant.stamp) return;
    const Identity& who = *c.grant.stamp;
    const auto& users = c.policy->allowed_users;
    const auto& groups = c.policy->allowed_groups;
    const bool by_name = std::ranges::find(users, who.user) != users.end();
    const bool by_group = std::ranges::any_of(who.groups, [&](const std::string& group) {
        return std::ranges::find(groups, group) != groups.end();
    });
    if (by_name || by_group) return;
    problems.push_back(
        {"RequesterNotAllowed",
         fmt::format("requester {} (groups: {}) is not among those that {} allows "
                     "(spec.request.allowed; users: {}; groups: {}); have one of them ask, or the "
                     "policy's owner add you",
                     who.user, list_text(who.groups), subject(*c.policy), list_text(users),
                     list_text(groups))});
}

void check_justification(const Case& c, Problems& problems) {
    if (!c.policy) return;
    if (c.policy->justification_required && trimmed(c.grant.justification).empty()) {
        problems.push_back({"JustificationRequired",
                            fmt::format("spec.justification is empty, and {} asks for one "
                                        "(spec.request.justification: Required); say why",
                                        subject(*c.policy))});
    }
    const std::string& pattern = c.policy->ticket_pattern;
    if (pattern.empty() || pattern_problem(pattern))
        return;  // a bad pattern is the policy's problem
    if (c.grant.ticket.empty()) {
        problems.push_back({"TicketRequired",
                            fmt::format("spec.ticket is empty, and {} asks for one that matches {} "
                                        "(spec.request.ticket.pattern); name it",
                                        subject(*c.policy), pattern)});
    } else if (!ticket_matches(c.grant.ticket, pattern)) {
        problems.push_back(
            {"TicketMismatch",
             fmt::format("spec.ticket {} does not match {} as a whole, the pattern of {} "
                         "(spec.request.ticket.pattern)",
                         c.grant.ticket, pattern, subject(*c.policy))});
    }
}

void check_sources(const Case& c, Problems& problems) {
    if (c.grant.sources.empty()) {
        problems.push_back({"SourceInvalid",
                            "spec.network.sources is empty; name the addresses you "
                            "come from, such as 198.51.100.7/32"});
    }
    for (std::size_t i = 0; i < c.grant.sources.size(); ++i) {
        const std::string field = fmt::format("spec.network.sources[{}]", i);
        if (auto problem = unusable(field, c.grant.sources[i])) {
            problems.push_back(*std::move(problem));
            continue;
        }
        if (!c.policy) continue;
        const auto source = Cidr::parse(c.grant.sources[i]);
        check(source.has_value(), "a usable source parses");
        check_width(c, field, *source, problems);
        check_within(c, field, *source, problems);
    }
}

void check_ports(const Case& c, Problems& problems) {
    if (!c.policy) return;
    const std::vector<RequestedAccess> lines = lines_of(c.grant);
    for (std::size_t line = 0; line < lines.size(); ++line) {
        if (!lines[line].ports) continue;
        for (std::size_t i = 0; i < lines[line].ports->size(); ++i) {
            const RequestedPort& asked = (*lines[line].ports)[i];
            if (!find_ports(asked, c.policy->network.ports).ports.empty()) continue;
            Problem problem{"PortNotAllowed",
                            fmt::format("{} {} is not covered by {}, the ports that {} allows "
                                        "(spec.network.ports); ask for some of these",
                                        port_field(c.grant, line, i), text_of(asked),
                                        port_list(*c.policy), subject(*c.policy))};
            // `virtualMachines` × `ports` says the same once for each machine.
            if (std::ranges::find(problems, problem) == problems.end()) {
                problems.push_back(std::move(problem));
            }
        }
    }
}

void check_targets(const Case& c, Problems& problems) {
    if (!c.policy || !c.standing || c.standing->targets.empty()) return;
    std::set<std::string> seen;
    for (const RequestedAccess& line : lines_of(c.grant)) {
        if (line.machine && !seen.insert(lower(*line.machine)).second) continue;
        const auto found = targets_named(line.machine, c.standing->targets);
        if (found.empty()) {
            problems.push_back(
                {"TargetNotAllowed",
                 fmt::format("spec.network.virtualMachines {} is not among {}, the targets "
                             "of {} (spec.network.targets); name one of them",
                             *line.machine, target_list(*c.standing), subject(*c.policy))});
        } else if (line.machine && found.size() > 1) {
            problems.push_back(
                {"TargetAmbiguous",
                 fmt::format("spec.network.virtualMachines {} names {} machines of {}: {} "
                             "and {}; ask for a policy that has only one of them",
                             *line.machine, found.size(), subject(*c.policy), found[0].id.text(),
                             found[1].id.text())});
        }
        for (const ResolvedTarget& target : found) check_families(c, target, problems);
    }
}

void check_duration(const Case& c, Problems& problems) {
    const AccessGrant& grant = c.grant;
    if (grant.duration && grant.not_after) {
        problems.push_back(
            {"DurationInvalid",
             fmt::format("spec.duration {} and spec.notAfter {} are both given; give one",
                         format_duration(*grant.duration), format_rfc3339(*grant.not_after))});
        return;
    }
    if (grant.not_after && grant.not_before && *grant.not_before >= *grant.not_after) {
        problems.push_back(
            {"DurationInvalid",
             fmt::format("spec.notBefore {} is not before spec.notAfter "
                         "{}",
                         format_rfc3339(*grant.not_before), format_rfc3339(*grant.not_after))});
        return;
    }
    if (grant.meta.is_gitops_owned() && !grant.not_after) {
        problems.push_back(
            {"NotAfterRequired",
             "spec.notAfter is missing, and a grant that Flux or Argo CD applies needs an "
             "absolute end: its tool would ask for the same duration again and again; give one"});
    }
    if (!c.policy) return;
    const seconds asked = asked_duration(grant, *c.policy);
    if (asked < grant_duration_min) {
        problems.push_back(
            {"DurationTooShort",
             fmt::format("{0} {1} is shorter than {2}, the shortest network grant; ask for {2} or "
                         "more",
                         duration_field(grant), format_duration(std::max(asked, seconds{0})),
                         format_duration(grant_duration_min))});
    }
    const std::set<std::size_t> touched = touched_ports(grant, *c.policy);
    if (touched.empty()) check_longest(c, asked, problems);
    for (const std::size_t i : touched) {
        const PolicyPort& port = c.policy->network.ports[i];
        if (asked <= port.max_duration) continue;
        const std::string longest = format_duration(port.max_duration);
        problems.push_back(
            {"DurationTooLong",
             fmt::format("{} {} is longer than {}, the longest that {} allows for port {} "
                         "(spec.network.ports[{}].maxDuration); ask for {} or less, or "
                         "leave that port out",
                         duration_field(grant), format_duration(asked), longest, subject(*c.policy),
                         port.ports, i, longest)});
    }
}

void check_unsupported(const Case& c, Problems& problems) {
    for (const auto& [reason, message] : c.grant.unsupported) problems.push_back({reason, message});
}

void check_limits(const Case& c, Problems& problems) {
    if (!c.policy || !c.policy->max_active_per_requester || !c.view.active_of_requester) return;
    const int most = *c.policy->max_active_per_requester;
    const int active = *c.view.active_of_requester;
    if (active < most) return;
    problems.push_back(
        {"TooManyActive", fmt::format("requester {} has {} open grants of {}, and it allows {} "
                                      "(spec.request.maxActivePerRequester); end one of them first",
                                      c.grant.stamp ? c.grant.stamp->user : "unknown", active,
                                      subject(*c.policy), most)});
}

}  // namespace sallyport::access
