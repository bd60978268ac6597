#include "sim/invariants_calls.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace sallyport::sim {

using namespace std::chrono_literals;

namespace {

/// Four grants that open and end at once take a third of it.
constexpr std::size_t writes_a_minute_max = 240;

/// By watches that work, and what is to be looked up for it.
constexpr auto heard_within = 1500ms;

}  // namespace

/// I11, in trouble as well: who is refused asks again later, not at once.
Complaint writes_are_few(const History& h) {
    if (h.writes_of_minute <= writes_a_minute_max) return std::nullopt;
    return fmt::format("{} writes within a minute", h.writes_of_minute);
}

/// I11. What a process has written, and was answered, no watch that lags undoes for it.
Complaint own_writes_are_known(const History& h) {
    return h.stale_write.empty() ? std::nullopt : std::optional(h.stale_write);
}

/// When the removal of its rules is to leave; nullopt: not yet.
std::optional<SteadyTime> closing_due(const History& h, const SeenGrant& grant) {
    if (grant.over) return *grant.over + heard_within;
    const auto end = h.end_of(grant);
    if (!end || h.now < *end) return std::nullopt;
    // Wall clocks show whole seconds; those of the worlds begin with one.
    return std::chrono::floor<std::chrono::seconds>(h.steady) - (h.now - *end);
}

/// I7 and I1. A closing waits for nothing: when all is well it leaves as its time comes, or as it
/// is heard that the grant was ended before.
Complaint closings_leave_at_once(const History& h) {
    const SteadyTime well =
        std::max({h.azure_heals, h.watches_heal, h.others_wrote, h.clock_set}) + 60s;
    if (h.steady < std::max(well, h.kube_heals) || !h.running_since || h.clock_apart != 0s)
        return std::nullopt;
    for (const auto& [path, rule] : h.rules) {
        const SeenGrant* grant = rule.allows ? h.grant(rule.uid) : nullptr;
        const auto due = grant ? closing_due(h, *grant) : std::nullopt;
        if (!due) continue;
        const auto sent = h.removals_sent.find(path);
        if (sent != h.removals_sent.end() && sent->second >= *due - 60s) continue;
        if (h.steady - std::max({*due, rule.since, *h.running_since + 10s}) < 500ms) continue;
        return fmt::format("the end of {} came {} s ago, and its removal has not left", path,
                           std::chrono::duration<double>(h.steady - *due).count());
    }
    return std::nullopt;
}

/// Groups are read one after the other: what somebody else did between two reads may keep apart
/// what each of them showed.
bool others_came_between(const History& h, const SeenGrant& grant) {
    const auto opened =
        parse_rfc3339(grant.record.at("/status/openedAt"_json_pointer).get<std::string>());
    if (!opened) return false;
    const SteadyTime told = std::chrono::floor<std::chrono::seconds>(h.steady) - (h.now - *opened);
    return h.others_wrote + 60s >= told;
}

/// P14: what a record calls opened was open, and by rules of its own.
Complaint opened_was_open(const History& h) {
    for (const auto& [uid, grant] : h.grants) {
        if (!grant.record.contains("/status/openedAt"_json_pointer)) continue;
        if (!grant.had_rules) return "grant " + grant.name + " is called opened without any rule";
        const bool excused =
            grant.excused_as_opened.value_or(true) && others_came_between(h, grant);
        if (!grant.reached_once && !excused)
            return "grant " + grant.name + " is called opened and never was";
    }
    return std::nullopt;
}

/// P14: what a record calls closed was closed.
Complaint closed_was_closed(const History& h) {
    return h.closed_unproven.empty() ? std::nullopt : std::optional(h.closed_unproven);
}

/// I11. Azure is left alone for as long as it asks.
Complaint azure_is_left_alone(const History& h) {
    return h.early_try.empty() ? std::nullopt : std::optional(h.early_try);
}

/// I11. What was refused at one moment is tried again at many, or it would be refused again.
Complaint tries_are_spread(const History& h) {
    return h.tried_together.empty() ? std::nullopt : std::optional(h.tried_together);
}

/// I15. A deletion takes the object that it means, and no other of its name.
Complaint deletions_mean_one(const History& h) {
    return h.wrong_deletion.empty() ? std::nullopt : std::optional(h.wrong_deletion);
}

/// I8. A lockdown outlives its policy, unless the policy says `onDelete: Remove`.
Complaint lockdowns_stay(const History& h) {
    return h.lost_lockdown.empty() ? std::nullopt : std::optional(h.lost_lockdown);
}

/// What somebody takes away again and again is not fought over without end.
Complaint put_back_three_times(const History& h) {
    for (const auto& [rule, times] : h.put_back) {
        if (times > 3) return fmt::format("{} was put back {} times", rule, times);
    }
    return std::nullopt;
}

/// I8. Who is excepted from a lockdown gets in all the time, also while it is written.
Complaint excepted_access_stays(const History& h) {
    for (const std::string& machine : h.excepted_out) {
        const SteadyTime in = h.excepted_in.at(machine);
        // What somebody takes away is put back by whoever comes first.
        const bool excused = h.others_wrote + 92s > in || in < h.policy_edited + 100s ||
                             in < std::max(h.azure_heals, h.kube_heals) + 60s;
        const SteadyTime well =
            std::max({in, h.others_wrote, h.policy_edited, h.azure_heals, h.kube_heals});
        if (!excused || h.steady > well + 100s)
            return "who is excepted does not get to " + machine + " any more";
    }
    return std::nullopt;
}

/// Somebody has made an account of it that cannot work.
bool is_edited_and_fails(const History& h, const SeenGrant& grant) {
    const auto account =
        h.accounts.find(grant.record.at("spec").at("account").at("name").get<std::string>());
    if (account == h.accounts.end()) return true;
    if (account->second.at("metadata").value("generation", 1) == 1) return false;
    const json conditions = account->second.value("/status/conditions"_json_pointer, json::array());
    return std::ranges::none_of(conditions, [](const json& each) {
        return each.at("type") == "Ready" && each.at("status") == "True";
    });
}

/// I12, first half: what is decided opens, once all has been well for a while.
Complaint owed_access_comes(const History& h) {
    if (!h.running_since || h.clock_apart != 0s || h.denied_above) return std::nullopt;
    const SteadyTime well = std::max({h.azure_heals, h.kube_heals, h.others_wrote, h.clock_set,
                                      *h.running_since, h.policy_edited});
    for (const auto& [uid, grant] : h.grants) {
        if (!grant.exists || !grant.recorded || h.due_since(grant)) continue;
        if (grant.record.contains("/status/openedAt"_json_pointer)) continue;
        if (is_edited_and_fails(h, grant)) continue;
        // By a clock that was ahead its time to open had passed, and that it ended stays.
        const bool ended = grant.record.contains("/status/endReason"_json_pointer);
        if (ended && h.clock_set >= *grant.recorded) continue;
        const auto late = h.steady - std::max(well, *grant.recorded);
        // A process that has begun since waits for nothing that went wrong before.
        const SteadyTime healed = std::max(h.azure_heals, h.kube_heals);
        const bool fresh = healed > SteadyTime{} && *h.running_since > healed;
        if (late > (fresh ? 90s : 200s))
            return fmt::format("grant {} has not opened, and all has been well for {:.1f} s",
                               grant.name, std::chrono::duration<double>(late).count());
    }
    return std::nullopt;
}

/// Azure knows a number once. What this process has asked for stays taken until it has gone.
Complaint numbers_are_free(const History& h, const Opening& opening) {
    for (const auto& [path, rule] : h.rules) {
        const auto sent = h.puts_sent.find(path);
        const bool own = sent != h.puts_sent.end() && h.running_since &&
                         sent->second >= *h.running_since && !rule.by_others;
        if (!own || rule.nsg != opening.nsg || rule.name == opening.rule) continue;
        // What landed after its removal, or after its sender had given up, is known by the next
        // sweep; Azure refuses the number so long.
        const auto removal = h.removals_sent.find(path);
        const bool late = (removal != h.removals_sent.end() && rule.since >= removal->second) ||
                          rule.since >= sent->second + 30s;
        if (late && rule.allows && h.steady - rule.since < 60s) continue;
        if (rule.properties.value("priority", 0) != opening.priority) continue;
        return fmt::format("{} is to get {}, the number of {}", opening.rule, opening.priority,
                           path);
    }
    return std::nullopt;
}

}  // namespace sallyport::sim
