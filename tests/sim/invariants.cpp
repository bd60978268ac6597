#include "sim/invariants.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "base/text.hpp"
#include "model/address.hpp"
#include "model/port.hpp"
#include "sim/asked_access.hpp"
#include "sim/invariants_calls.hpp"

namespace sallyport::sim {

using namespace std::chrono_literals;

std::optional<Timestamp> History::end_of(const SeenGrant& grant) const {
    if (grant.record.is_null()) return std::nullopt;
    static const json::json_pointer places[] = {json::json_pointer("/spec/latestEnd"),
                                                json::json_pointer("/status/end"),
                                                json::json_pointer("/spec/request/notAfter")};
    std::optional<Timestamp> end;
    for (const json::json_pointer& place : places) {
        if (!grant.record.contains(place)) continue;
        const auto at = parse_rfc3339(grant.record.at(place).get_ref<const std::string&>());
        if (at) end = std::min(end.value_or(*at), *at);
    }
    return end;
}

std::optional<SteadyTime> History::due_since(const SeenGrant& grant) const {
    std::optional<SteadyTime> due = grant.over;
    if (const auto end = end_of(grant); end && now >= *end) {
        due = std::min(due.value_or(steady_at(*end)), steady_at(*end));
    }
    return due;
}

namespace {

std::string seconds_of(SteadyTime::duration span) {
    return fmt::format("{:.1f} s", std::chrono::duration<double>(span).count());
}

/// Our own rules that let a grant's sources in.
template <class Visit>
Complaint first_opening(const History& h, Visit&& visit) {
    for (const auto& [path, rule] : h.rules) {
        if (!rule.allows || !rule.of_grant) continue;
        if (Complaint wrong = visit(path, rule)) return wrong;
    }
    return std::nullopt;
}

std::optional<Cidr> network_of(const std::string& text) {
    if (const auto cidr = Cidr::parse(text)) return *cidr;
    const auto whole = Cidr::parse(text + (text.find(':') == text.npos ? "/32" : "/128"));
    return whole ? std::optional(*whole) : std::nullopt;
}

/// `name` and `names`: a rule has either.
std::vector<std::string> texts_of(const json& properties, const char* one, const char* many) {
    std::vector<std::string> all = properties.value(many, std::vector<std::string>());
    if (const std::string single = properties.value(one, ""); !single.empty())
        all.push_back(single);
    return all;
}

bool is_trouble(const History& h, SteadyTime::duration ago) {
    return h.steady < std::max({h.azure_heals, h.kube_heals, h.others_wrote}) + ago ||
           !h.running_since || h.steady < *h.running_since + ago;
}

/// I1. Promise 1. What lands or is changed after the end has the
/// sweep besides; a cloud that is disturbed has until it is healed.
Complaint bounded_access(const History& h) {
    return first_opening(h, [&](const std::string& path, const SeenRule& rule) -> Complaint {
        const SeenGrant* grant = h.grant(rule.uid);
        std::optional<SteadyTime> due = grant ? h.due_since(*grant) : std::nullopt;
        if (rule.mark_end && h.now >= *rule.mark_end)
            due = std::min(due.value_or(h.steady_at(*rule.mark_end)), h.steady_at(*rule.mark_end));
        if (!due || !h.running_since) return std::nullopt;
        // A process that could not list what there is knows of no end.
        SteadyTime from = std::max({*due, h.azure_heals, h.start_heals, *h.running_since + 2s});
        if (rule.since > *due) from = std::max(from, rule.since + bounds::sweep);
        // That it was ended early has to be heard first.
        if (grant && grant->over == due) from = std::max(from, h.watches_heal);
        const auto late = h.steady - from;
        if (late <= bounds::nsg + bounds::azure) return std::nullopt;
        return fmt::format("{} is there {} after the end of its grant ({} after all was well)",
                           path, seconds_of(h.steady - *due), seconds_of(late));
    });
}

/// I1, second half. Promise 1: overdue access raises a metric within 5 s.
Complaint overdue_is_told(const History& h) {
    if (!h.running_since || h.overdue_metric > 0 ||
        h.steady < std::max(*h.running_since + 30s, h.start_heals))
        return std::nullopt;
    return first_opening(h, [&](const std::string& path, const SeenRule& rule) -> Complaint {
        const SeenGrant* grant = h.grant(rule.uid);
        const auto end = grant ? h.end_of(*grant) : std::nullopt;
        if (!end || rule.by_others) return std::nullopt;
        // What was closed and came back is found by the next sweep.
        const bool closed = grant->record.contains("/status/closedAt"_json_pointer);
        // Nor does a clock that is put right tell of it in that same moment.
        const SteadyTime due = std::max(
            {h.steady_at(*end), closed ? std::max(rule.since, h.azure_heals) + 60s : SteadyTime{},
             h.clock_set});
        // A clock that is late, as far as clocks may differ, knows of the end so much later.
        const auto slack = std::clamp<std::chrono::seconds>(-h.clock_apart, 0s, 30s);
        const bool told_late = h.steady - due > 6s + slack;
        const bool opened = grant->record.contains("/status/end"_json_pointer) || h.now > *end + 6s;
        if (!told_late || !opened) return std::nullopt;
        return fmt::format("{} is overdue by {} and no metric says so", path,
                           seconds_of(h.steady - due));
    });
}

/// I2. Promise 2: just before an opening the grant is read live.
Complaint no_opening_after_the_end(const History& h, const Opening& opening) {
    const SeenGrant* grant = h.grant(opening.uid);
    if (!grant) return "an opening for a grant that never was leaves: " + opening.rule;
    const auto end = h.end_of(*grant);
    const auto slack = std::min<std::chrono::seconds>(std::max(-h.clock_apart, 0s), 30s);
    if (end && h.now >= *end + slack)
        return fmt::format("an opening of {} leaves after its end {}", opening.rule,
                           format_rfc3339(*end));
    // Of its policy the grant says nothing.
    const bool told_by_watch = grant->over_by == without_policy;
    if (grant->over && !told_by_watch && grant->read_live && *grant->over < *grant->read_live)
        return fmt::format("an opening of {} leaves although the operator has read that it is {}",
                           opening.rule, grant->over_by);
    if (!grant->over) return std::nullopt;
    // Where more gets in than the write leaves, it is no opening: it waits for no live read, and so
    // may leave while a watch tells nothing.
    const bool by_watch = opening.narrows || told_by_watch;
    const SteadyTime heard = by_watch ? std::max(*grant->over, h.watches_heal) : *grant->over;
    const auto old = h.steady - heard;
    if (old <= 5s) return std::nullopt;
    return fmt::format("an opening of {} leaves {} after it was {}; the grant was read live {} ago",
                       opening.rule, seconds_of(old), grant->over_by,
                       grant->read_live ? seconds_of(h.steady - *grant->read_live) : "never");
}

/// I3. Promise 3: all members but etag and provisioningState.
Complaint foreign_rules_stay(const History& h) {
    if (h.foreign == h.foreign_expected) return std::nullopt;
    return "rules of others have changed:\n" + h.foreign + "expected:\n" + h.foreign_expected;
}

Complaint outside_the_grant(const History& h, const SeenGrant& grant, const std::string& path,
                            const SeenRule& rule) {
    const json& spec = grant.object.at("spec").at("network");
    const json& rp = rule.properties;
    const auto wide = [&](const std::string& what, const std::string& value) {
        return fmt::format("{} is wider than grant {}: {} {}", path, grant.name, what, value);
    };
    for (const std::string& source : texts_of(rp, "sourceAddressPrefix", "sourceAddressPrefixes")) {
        const auto network = network_of(source);
        const bool inside =
            network && std::ranges::any_of(spec.at("sources"), [&](const json& allowed) {
                const auto outer = network_of(allowed.get<std::string>());
                return outer && outer->contains(*network);
            });
        if (!inside) return wide("source", source);
    }
    const std::vector<AskedAccess> asked = asked_access(h, grant.object);
    const auto asks = [&](const auto& matches) { return std::ranges::any_of(asked, matches); };
    for (const std::string& to :
         texts_of(rp, "destinationAddressPrefix", "destinationAddressPrefixes")) {
        const bool inside = asks([&](const AskedAccess& each) {
            return h.addresses.at(each.vm).contains(to.substr(0, to.find('/')));
        });
        if (!inside) return wide("destination", to);
    }
    for (const std::string& port : texts_of(rp, "destinationPortRange", "destinationPortRanges")) {
        const auto range = PortRange::parse(port);
        const bool inside = range && asks([&](const AskedAccess& each) {
                                return each.first <= range->first() && range->last() <= each.last;
                            });
        if (!inside) return wide("port", port);
    }
    const std::string protocol = rp.value("protocol", "");
    if (!asks([&](const AskedAccess& each) {
            return each.protocol == (protocol == "*" ? "Any" : protocol) || each.protocol == "Any";
        }))
        return wide("protocol", protocol);
    if (rp.value("direction", "") != "Inbound") return wide("direction", rp.value("direction", ""));
    const int priority = rp.value("priority", 0);
    if (priority < 200 || priority > 899) return wide("priority", std::to_string(priority));
    return std::nullopt;
}

/// I4. Promise 4. What somebody else widened has the sweep to be put back.
Complaint never_wider(const History& h) {
    return first_opening(h, [&](const std::string& path, const SeenRule& rule) -> Complaint {
        const SeenGrant* grant = h.grant(rule.uid);
        if (!grant) return std::nullopt;  // I10 complains
        Complaint wide = outside_the_grant(h, *grant, path, rule);
        const SteadyTime from =
            std::max({rule.since, h.azure_heals, h.kube_heals, h.running_since.value_or(h.steady)});
        const bool excused =
            rule.by_others && h.steady < from + bounds::sweep + bounds::nsg + bounds::azure;
        return excused ? std::nullopt : wide;
    });
}

/// I5. Promise 5.
Complaint ends_are_written_once(const History& h) {
    for (const auto& [name, record] : h.records) {
        const json& first = h.first_records.at(name);
        if (record.at("spec") != first.at("spec")) return "the spec of record " + name + " changed";
        const auto latest = parse_rfc3339(record.at("spec").at("latestEnd").get<std::string>());
        const auto end = parse_rfc3339(record.value("/status/end"_json_pointer, std::string()));
        const auto before = h.least_ends.find(name);
        if (before != h.least_ends.end() && (!end || *end > before->second))
            return fmt::format("the end of record {} grew, or went: it was {}", name,
                               format_rfc3339(before->second));
        if (end && latest && *end > *latest)
            return "the end of record " + name + " passes its latest";
    }
    return first_opening(h, [&](const std::string& path, const SeenRule& rule) -> Complaint {
        const SeenGrant* grant = h.grant(rule.uid);
        if (rule.by_others || !grant || grant->record.is_null()) return std::nullopt;
        const auto latest =
            parse_rfc3339(grant->record.at("spec").at("latestEnd").get<std::string>());
        if (rule.mark_end && latest && *rule.mark_end <= *latest) return std::nullopt;
        return path + " has a mark that ends after its record, or never";
    });
}

/// I6. Promise 6: what the operator has begun to close it does not open again.
Complaint at_most_once(const History& h, const Opening& opening) {
    const SeenGrant* grant = h.grant(opening.uid);
    if (!grant || !grant->removal_sent) return std::nullopt;
    // Nor was what a process took for nobody's, while no watch told it, the end of a grant.
    const bool ended =
        h.due_since(*grant) || grant->record.contains("/status/endReason"_json_pointer);
    if (!ended && *grant->removal_sent < h.watches_heal) return std::nullopt;
    // To the clock of another process, as late as clocks may be, the end has not come yet.
    const auto end = h.end_of(*grant);
    const auto slack = std::clamp<std::chrono::seconds>(-h.clock_apart, 0s, 30s);
    const bool of_another = h.running_since && *grant->removal_sent < *h.running_since;
    if (of_another && !grant->over && end && h.now < *end + slack) return std::nullopt;
    return fmt::format("{} is opened again {} after its closing began", opening.rule,
                       seconds_of(h.steady - *grant->removal_sent));
}

/// I7. Promise 7: a due close never waits behind an open.
Complaint closing_wins(const History& h, const Opening& opening) {
    if (is_trouble(h, 60s)) return std::nullopt;
    return first_opening(h, [&](const std::string& path, const SeenRule& rule) -> Complaint {
        const SeenGrant* grant = rule.nsg == opening.nsg ? h.grant(rule.uid) : nullptr;
        const auto due = grant ? h.due_since(*grant) : std::nullopt;
        if (!due || h.steady - *due < 2s || rule.since > *due) return std::nullopt;
        const auto sent = h.removals_sent.find(path);
        if (sent != h.removals_sent.end() && sent->second >= *due) return std::nullopt;
        return fmt::format("{} is opened while {}, over since {}, waits", opening.rule, path,
                           seconds_of(h.steady - *due));
    });
}

/// I8, and the second half of I12. Promises 8 and 12: what is owed stays open.
Complaint owed_access_stays(const History& h) {
    if (h.denied_above) return std::nullopt;  // others have the last word there
    for (const auto& [uid, grant] : h.grants) {
        const bool opened = grant.record.contains("/status/openedAt"_json_pointer);
        if (!opened || !grant.cut_since || h.due_since(grant)) continue;
        // Who asked may bring its end forward; the record follows.
        const auto asked_until = parse_rfc3339(grant.object.at("spec").value("notAfter", ""));
        if (asked_until && *asked_until <= h.now) continue;
        // Somebody may take it away, or a part of it, and it is put back within a sweep.
        const auto at_most = is_trouble(h, 92s) ? 92s : 0s;
        const SteadyTime from =
            std::max({*grant.cut_since, grant.meddled, h.denied_until, h.machines_moved,
                      h.azure_heals, h.kube_heals, h.running_since.value_or(h.steady)});
        if (h.steady - from > at_most)
            return fmt::format("grant {} is owed access and has none since {}", grant.name,
                               seconds_of(h.steady - *grant.cut_since));
    }
    return std::nullopt;
}

/// I9. Promise 9: released only after proof, and after all that may still land.
Complaint released_after_proof(const History& h) {
    return first_opening(h, [&](const std::string& path, const SeenRule& rule) -> Complaint {
        const SeenGrant* grant = h.grant(rule.uid);
        if (!grant || !grant->released || rule.by_others) return std::nullopt;
        return fmt::format("grant {} was released and {} is there", grant->name, path);
    });
}

/// I10. Promise 10: record and journal head are durable before the opening.
Complaint audit_first(const History& h, const Opening& opening) {
    const SeenGrant* grant = h.grant(opening.uid);
    if (!grant || grant->record.is_null()) return opening.rule + " opens without a record";
    const std::size_t at = h.journal.find("rule=" + opening.rule + " ");
    if (at == h.journal.npos) return opening.rule + " opens and the journal does not say so";
    // A line's number is its seq.
    const auto seq = 1 + std::count(h.journal.begin(),
                                    h.journal.begin() + static_cast<std::ptrdiff_t>(at), '\n');
    if (h.head_seq >= static_cast<std::uint64_t>(seq)) return std::nullopt;
    return fmt::format("{} opens with seq {} while the head is at {}", opening.rule, seq,
                       h.head_seq);
}

/// I15. A new object under an old name inherits nothing and loses nothing.
Complaint uids_decide(const History& h, const Opening& opening) {
    const SeenGrant* grant = h.grant(opening.uid);
    if (!grant || grant->record.is_null()) return std::nullopt;  // I10 complains
    const json& of = grant->record.at("spec").at("grant");
    if (of.at("uid") != opening.uid || of.at("name") != grant->name)
        return opening.rule + " stands on the record of another grant";
    for (const auto& [uid, other] : h.grants) {
        if (uid == opening.uid || other.name != grant->name || !other.exists) continue;
        if (grant->over && h.steady - *grant->over > 5s)
            return fmt::format("{} is opened though another object has the name {}", opening.rule,
                               grant->name);
    }
    return std::nullopt;
}

/// I16, for the rules of grants: without grants there are none.
Complaint nothing_leaks(const History& h) {
    if (is_trouble(h, bounds::sweep + bounds::nsg + bounds::azure)) return std::nullopt;
    return first_opening(h, [&](const std::string& path, const SeenRule& rule) -> Complaint {
        const SeenGrant* grant = h.grant(rule.uid);
        if (grant && grant->exists) return std::nullopt;
        const SteadyTime from =
            std::max(rule.since, grant ? grant->over.value_or(SteadyTime{}) : SteadyTime{});
        if (h.steady - from <= bounds::sweep + bounds::nsg + bounds::azure) return std::nullopt;
        return path + " is there and its grant is not";
    });
}

/// I17. Promise 13: what is not known does not open.
Complaint fails_closed(const History& h, const Opening& opening) {
    // What time it is, it learns with each answer of the API server.
    const bool knows = h.time_told > h.clock_set;
    // What leaves less open than there is may leave whatever time it is.
    if (knows && !opening.narrows && (h.clock_apart > 31s || h.clock_apart < -31s))
        return fmt::format("{} is opened with a clock that is {} s off", opening.rule,
                           h.clock_apart.count());
    const SeenGrant* grant = h.grant(opening.uid);
    if (!grant || grant->record.is_null()) return std::nullopt;
    const json& spec = grant->record.at("spec");
    const auto account = h.accounts.find(spec.at("account").at("name").get<std::string>());
    if (account == h.accounts.end()) return opening.rule + " is opened without an account";
    if (account->second.at("spec").value("mode", "Enforce") != "Enforce" &&
        h.steady > h.kube_heals + 5s)
        return opening.rule + " is opened by an account that does not enforce";
    return std::nullopt;
}

/// P14. Promise 14: what is called closed is closed. What somebody else opens, or lands
/// late, is seen by the next sweep.
Complaint closed_is_closed(const History& h) {
    for (const auto& [name, policy] : h.policies) {
        // One that goes takes its lockdown along, and tells so right after.
        const bool goes = policy.at("metadata").contains("deletionTimestamp");
        if (goes && h.steady - h.strangers_since < 5s) continue;
        for (const json& condition :
             policy.value("/status/conditions"_json_pointer, json::array())) {
            if (condition.at("type") != "Closed" || condition.at("status") != "True") continue;
            if (!h.strangers_in.empty() && !is_trouble(h, 92s))
                return fmt::format("policy {} says Closed and {} gets in", name,
                                   h.strangers_in.front());
        }
    }
    return first_opening(h, [&](const std::string& path, const SeenRule& rule) -> Complaint {
        const SeenGrant* grant = h.grant(rule.uid);
        static const std::set<std::string> at_rest = {
            "Expired", "Revoked", "Deleted", "PolicyDeleted", "EndedBeforeOpen", "OpeningTimedOut"};
        if (!grant || !grant->exists || is_trouble(h, 92s)) return std::nullopt;
        const std::string phase = grant->object.value("/status/phase"_json_pointer, "");
        if (!at_rest.contains(phase)) return std::nullopt;
        return fmt::format("grant {} says {} and {} is there", grant->name, phase, path);
    });
}

/// P14: what is called open is open.
Complaint open_is_open(const History& h) {
    for (const auto& [uid, grant] : h.grants) {
        if (!grant.exists || grant.reached || is_trouble(h, 92s)) continue;
        if (grant.object.value("/status/phase"_json_pointer, "") != "Open") continue;
        // Its status follows what happens to it.
        if (h.due_since(grant)) continue;
        return fmt::format("grant {} says Open and is not", grant.name);
    }
    return std::nullopt;
}

}  // namespace

bool lets_in_all_of(const SeenRule& rule, const json& properties) {
    const json& now = rule.properties;
    // What somebody else has asked for, and Azure is at, is about to be.
    const bool coming = rule.state == "Updating" && rule.by_others;
    if (!rule.allows || (rule.state != "Succeeded" && !coming)) return false;
    if (now.value("direction", "") != properties.value("direction", "")) return false;
    if (now.value("priority", 0) > properties.value("priority", 0)) return false;
    const std::string protocol = now.value("protocol", "");
    if (protocol != "*" && protocol != properties.value("protocol", "")) return false;
    const auto covers = [&](const char* one, const char* many) {
        const std::vector<std::string> outer = texts_of(now, one, many);
        return std::ranges::all_of(texts_of(properties, one, many), [&](const std::string& text) {
            return std::ranges::any_of(outer, [&](const std::string& wider) {
                const auto network = network_of(text);
                const auto around = network_of(wider);
                return wider == "*" || wider == text ||
                       (network && around && around->contains(*network));
            });
        });
    };
    return covers("sourceAddressPrefix", "sourceAddressPrefixes") &&
           covers("destinationAddressPrefix", "destinationAddressPrefixes") &&
           covers("destinationPortRange", "destinationPortRanges");
}

const std::vector<Invariant>& invariants() {
    static const std::vector<Invariant> all = {
        {.id = "I1", .title = "bounded access", .after_step = bounded_access},
        {.id = "I1", .title = "overdue access is told", .after_step = overdue_is_told},
        {.id = "I2", .title = "no opening after the end", .at_opening = no_opening_after_the_end},
        {.id = "I3", .title = "foreign rules stay", .after_step = foreign_rules_stay},
        {.id = "I4", .title = "never wider", .after_step = never_wider},
        {.id = "I5", .title = "ends are written once", .after_step = ends_are_written_once},
        {.id = "I6", .title = "at most once", .at_opening = at_most_once},
        {.id = "I7", .title = "closing wins", .at_opening = closing_wins},
        {.id = "I7", .title = "closings leave at once", .after_step = closings_leave_at_once},
        {.id = "I8", .title = "owed access stays", .after_step = owed_access_stays},
        {.id = "I9", .title = "released after proof", .after_step = released_after_proof},
        {.id = "I10", .title = "audit first", .at_landing = audit_first},
        {.id = "I11", .title = "writes are few", .after_step = writes_are_few},
        {.id = "I11", .title = "own writes are known", .after_step = own_writes_are_known},
        {.id = "I8", .title = "lockdowns stay", .after_step = lockdowns_stay},
        {.id = "I8", .title = "excepted access stays", .after_step = excepted_access_stays},
        {.id = "I11", .title = "Azure is left alone", .after_step = azure_is_left_alone},
        {.id = "I11", .title = "tries are spread", .after_step = tries_are_spread},
        {.id = "I12", .title = "owed access comes", .after_step = owed_access_comes},
        {.id = "I12", .title = "put back three times", .after_step = put_back_three_times},
        {.id = "I15", .title = "deletions mean one", .after_step = deletions_mean_one},
        {.id = "I15", .title = "uids decide", .at_opening = uids_decide},
        {.id = "I16", .title = "nothing leaks", .after_step = nothing_leaks},
        {.id = "I17", .title = "fails closed", .at_opening = fails_closed},
        {.id = "P14", .title = "closed is closed", .after_step = closed_is_closed},
        {.id = "P14", .title = "closed was closed", .after_step = closed_was_closed},
        {.id = "P14", .title = "open is open", .after_step = open_is_open},
        {.id = "P14", .title = "opened was open", .after_step = opened_was_open},
        {.id = "N", .title = "numbers are free", .at_opening = numbers_are_free},
    };
    return all;
}

}  // namespace sallyport::sim
