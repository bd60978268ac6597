#include "plan/life/state.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "base/mutant.hpp"
#include "base/text.hpp"

namespace sallyport::life {
namespace {

constexpr seconds alert_after_default{30};

std::string sources_text(const AccessRecord& record) {
    if (record.request.access.empty()) return "nowhere";
    std::vector<std::string> sources;
    for (const Cidr& source : record.request.access.front().sources)
        sources.push_back(source.text());
    return join(sources, ", ");
}

std::string targets_text(const AccessRecord& record) {
    std::vector<std::string> texts;
    for (const ResolvedAccess& access : record.request.access) {
        std::vector<std::string> ports;
        for (const ResolvedPort& port : access.ports) {
            ports.push_back(fmt::format("{} {}", port.ports, port.protocol));
        }
        texts.push_back(fmt::format("{} ({})", access.target.id.name(), join(ports, ", ")));
    }
    return join(texts, ", ");
}

bool is_taken(const nsg::GrantVerdict::Rule& rule) {
    return rule.state == nsg::RuleState::missing || rule.state == nsg::RuleState::differs;
}

/// The first rule that is not as it should be: `rule sp-… on nsg-web is missing`.
std::optional<std::string> drifted(const View& view) {
    for (const LaneReport& lane : view.lanes) {
        if (!lane.verdict) continue;
        for (const auto& rule : lane.verdict->rules) {
            if (!is_taken(rule)) continue;
            return fmt::format(
                "rule {} on {} {}", rule.name, lane.nsg.name(),
                rule.state == nsg::RuleState::missing ? "is missing" : "was changed");
        }
        if (!lane.verdict->left.empty()) {
            return fmt::format("rule {} on {} should not be there", lane.verdict->left.front(),
                               lane.nsg.name());
        }
    }
    return std::nullopt;
}

const LaneReport* failing_lane(const View& view) {
    const auto found = std::ranges::find_if(
        view.lanes, [](const LaneReport& lane) { return lane.last_error.has_value(); });
    return found == view.lanes.end() ? nullptr : &*found;
}

std::string reason_of(const Error& error) {
    if (!error.reason.empty()) return bare(error.reason);
    switch (error.kind) {
        case ErrorKind::invalid: return "Invalid";
        case ErrorKind::denied: return "Denied";
        case ErrorKind::not_found: return "NotFound";
        case ErrorKind::conflict: return "SurfaceBusy";
        case ErrorKind::throttled: return "Throttled";
        case ErrorKind::unavailable: return "Unavailable";
    }
    return "Unavailable";
}

State retrying(std::string reason, std::string message, Truth active) {
    return {.reason = reason,
            .reconciling = reason,
            .active = active,
            .message = std::move(message),
            .keeps_message = true};
}

/// No number left in its band, an NSG that is full: the lane's finding says which.
std::optional<State> unplaceable(const View& view, Truth active) {
    for (const LaneReport& lane : view.lanes) {
        if (!lane.verdict) continue;
        const bool stuck = std::ranges::any_of(lane.verdict->rules, [](const auto& rule) {
            return rule.state == nsg::RuleState::unplaceable;
        });
        if (!stuck) continue;
        if (lane.findings.empty()) {
            return retrying("BandFull", fmt::format("{} has no room for its rule", lane.nsg.name()),
                            active);
        }
        const nsg::Finding& finding = lane.findings.front();
        return retrying(bare(finding.reason),
                        fmt::format("{}: {}", lane.nsg.name(), finding.message), active);
    }
    return std::nullopt;
}

std::optional<State> obstructed(const View& view, const Wanted& wanted, Truth active) {
    if (wanted.obstacle)
        return retrying(bare(wanted.obstacle->reason), wanted.obstacle->message, active);
    if (const LaneReport* lane = failing_lane(view)) {
        return retrying(reason_of(*lane->last_error),
                        fmt::format("{}: {}; it will be tried again", lane->nsg.name(),
                                    lane->last_error->message),
                        active);
    }
    if (!view.proof.blocked_by.empty()) {
        return retrying(
            "Blocked",
            fmt::format("Blocked by {}: that rule is met first and denies what this grant "
                        "allows",
                        join(view.proof.blocked_by, ", ")),
            active);
    }
    if (auto state = unplaceable(view, active)) return *std::move(state);
    return std::nullopt;
}

State opening(const View& view, const Wanted& wanted) {
    const AccessRecord& record = *view.record;
    if (auto state = obstructed(view, wanted, Truth::unknown)) return *std::move(state);
    return {.reason = "Opening",
            .reconciling = "Opening",
            .active = Truth::unknown,
            .message = fmt::format("being opened from {} to {}; not proven yet",
                                   sources_text(record), targets_text(record))};
}

State open(const View& view) {
    std::string message = fmt::format("open from {} to {} until {}", sources_text(*view.record),
                                      targets_text(*view.record), format_rfc3339(end_now(view)));
    if (!view.proof.foreign_denies.empty()) {
        message += fmt::format("; it overrides {}", join(view.proof.foreign_denies, ", "));
    }
    return {
        .ready = Truth::yes, .reason = "Open", .active = Truth::yes, .message = std::move(message)};
}

State repairing(const View& view, const Wanted& wanted, const std::string& what) {
    // Still reaching although a rule is not as it should be: it was widened, or doubled by another.
    const Truth active = view.proof.open == Truth::yes ? Truth::yes : Truth::unknown;
    State state{.ready = Truth::yes,
                .reason = "Open",
                .reconciling = view.proof.moved ? "TargetMoved" : "DriftRepair",
                .active = active,
                .message = fmt::format("{}; it is being put back", what),
                .keeps_message = true};
    if (auto stuck = obstructed(view, wanted, active)) return *std::move(stuck);
    return state;
}

bool was_published_open(const View& view) {
    const Condition* ready = find_condition(view.published, "Ready");
    return ready && ready->reason == "Open";
}

bool flushes_everywhere(const View& view) {
    return !view.lanes.empty() && std::ranges::all_of(view.lanes, &LaneReport::flushes);
}

std::string failure_text(const View& view) {
    for (const LaneReport& lane : view.lanes) {
        if (!lane.closing_failing || !lane.last_error) continue;
        return fmt::format("{}: {}", lane.nsg.name(), lane.last_error->message);
    }
    if (!view.proof.unread.empty()) {
        return fmt::format("{} cannot be read", join(view.proof.unread, ", "));
    }
    return "its rules are still there";
}

}  // namespace

State state_of(const access::Waiting& waiting) {
    State state{.reason = bare(waiting.reason), .message = waiting.message};
    if (waiting.at_rest) {
        state.ready = Truth::yes;
    } else {
        state.reconciling = state.reason;
        state.keeps_message = true;
    }
    return state;
}

State state_of(const access::Refused& refused) {
    std::vector<std::string> messages;
    for (const access::Problem& problem : refused.problems) messages.push_back(problem.message);
    return {.ready = refused.ended ? Truth::yes : Truth::no,
            .reason = bare(refused.problems.front().reason),
            .stalled = !refused.ended,
            .message = join(messages, "; ")};
}

State state_while_owed(const View& view, const Wanted& wanted) {
    if (!view.record->opened_at) return opening(view, wanted);
    if (planted("trust-the-status") && was_published_open(view)) return open(view);
    const auto drift = drifted(view);
    switch (view.proof.open) {
        case Truth::yes: return drift ? repairing(view, wanted, *drift) : open(view);
        case Truth::no:
            if (drift) return repairing(view, wanted, *drift);
            if (auto state = obstructed(view, wanted, Truth::no)) return *std::move(state);
            return retrying("Verifying", "its rules are there, and it is not proven open",
                            Truth::no);
        case Truth::unknown: break;
    }
    // A read that is on its way is no news.
    if ((view.settling || !view.lanes_settled) && was_published_open(view)) return open(view);
    if (drift) return repairing(view, wanted, *drift);
    if (auto state = obstructed(view, wanted, Truth::unknown)) return *std::move(state);
    return retrying("Unread",
                    view.proof.unread.empty()
                        ? std::string("whether it is open is not known now")
                        : fmt::format("whether it is open is not known: {} cannot be read now",
                                      join(view.proof.unread, ", ")),
                    Truth::unknown);
}

std::optional<Timestamp> overdue_from(const View& view, const Ending& over) {
    const auto& account = view.asked.account;
    const seconds bound = account && *account ? (*account)->alert_after : alert_after_default;
    if (!view.record->closed()) return over.at + bound;
    // What lands late is late since it was seen, not since the grant's end.
    const Condition* ready = find_condition(view.published, "Ready");
    if (ready && ready->reason == "CloseFailing") return over.at;
    const Condition* late = find_condition(view.published, "Reconciling");
    if (!late || late->reason != "LateOpen") return std::nullopt;
    return late->changed + bound;
}

State state_while_closing(const View& view, const Ending& over, Timestamp now) {
    const bool refused = std::ranges::any_of(view.lanes, &LaneReport::closing_failing);
    const auto alarm = overdue_from(view, over);
    const bool overdue = alarm && now >= *alarm && !view.settling;
    State state{.reason = "Closing",
                .reconciling = "Closing",
                .active = Truth::yes,
                .message = fmt::format("being closed: {}", over.message),
                .keeps_message = true,
                .session_may_persist = view.record->opened_at && !flushes_everywhere(view)};
    if (view.record->closed()) {
        state.reconciling = "LateOpen";
        state.message =
            "a write that was thought lost has landed after the closing; it is being removed";
    }
    if (!refused && !overdue) return state;
    state.ready = Truth::no;
    state.reason = "CloseFailing";
    state.reconciling.clear();
    state.stalled = true;
    state.message =
        fmt::format("access that is over ({}) cannot be closed: {}; it is tried again without end",
                    over.reason, failure_text(view));
    return state;
}

State state_when_closed(const View& view, const Ending& over) {
    const AccessRecord& record = *view.record;
    // The only end that somebody should look into: it never worked.
    const bool failed = over.reason == "OpeningTimedOut";
    State state{.ready = failed ? Truth::no : Truth::yes,
                .reason = bare(over.reason),
                .stalled = failed,
                .message = fmt::format("{}; its rules are proven gone", over.message),
                .keeps_message = true};
    if (!record.opened_at) return state;
    if (!view.proof.still_open_by.empty()) {
        state.message +=
            fmt::format("; StillOpenBy({}): another grant still lets some of its sources in",
                        join(view.proof.still_open_by, ", "));
    }
    // Lanes forget it once it is closed: what was published then stays.
    const Condition* ready = find_condition(view.published, "Ready");
    const bool told = find_condition(view.published, "SessionMayPersist") != nullptr;
    const bool published = ready && ready->reason == state.reason;
    state.session_may_persist = told || (!published && !flushes_everywhere(view));
    return state;
}

}  // namespace sallyport::life
