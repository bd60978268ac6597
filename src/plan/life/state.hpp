#pragma once

#include <optional>
#include <string>

#include "plan/life/claims.hpp"

/// One row of the table in docs/kinds/accessgrant.md, and the status that is written for it.
namespace sallyport::life {

struct State {
    Truth ready = Truth::unknown;
    std::string reason = {};       ///< of Ready; and the phase
    std::string reconciling = {};  ///< reason; empty: the condition is absent
    bool stalled = false;          ///< with Ready's reason and message
    Truth active = Truth::no;
    std::string message = {};
    /// While the same state lasts the message stays as it was first published: it holds an error's
    /// wording, a moment's finding or an ordering that may vary without anything having changed.
    bool keeps_message = false;
    bool session_may_persist = false;
};

State state_of(const access::Waiting& waiting);
State state_of(const access::Refused& refused);
/// Of a grant with a record that is still owed access.
State state_while_owed(const View& view, const Wanted& wanted);
/// Of one whose access is over and not proven closed, or found open again after that.
State state_while_closing(const View& view, const Ending& over, Timestamp now);
/// Of one that is proven closed.
State state_when_closed(const View& view, const Ending& over);

/// From when on a closing that is not proven is an alarm; nullopt: it has not been seen before.
std::optional<Timestamp> overdue_from(const View& view, const Ending& over);

/// The whole status for a state. What did not change since it was published stays as it was, proof
/// sentences and transition times included.
GrantStatus status_of(const View& view, const State& state, Timestamp now);
/// Events for the step from what was published to this status.
std::vector<Note> notes_for(const GrantStatus& published, const GrantStatus& status,
                            const State& state);

const Condition* find_condition(const GrantStatus& status, std::string_view type);

}  // namespace sallyport::life
