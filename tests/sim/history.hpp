#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "base/loop.hpp"
#include "base/time.hpp"

/// What a monitor has seen of a world: the cloud's rules and what they let through, the objects of
/// the API server, and since when. Nothing in it comes from the engine's memory.
namespace sallyport::sim {

using nlohmann::json;

/// A rule that carries our prefix.
struct SeenRule {
    std::string nsg;
    std::string name;
    bool allows = false;
    bool of_grant = false;  ///< by its mark; else a policy's, or unmarked
    std::string uid = {};   ///< of the grant or policy in its mark
    std::optional<Timestamp> mark_end = {};
    json properties = {};
    std::string state = {};  ///< provisioningState
    SteadyTime since{};      ///< it has been there, or as it is, since then
    bool by_others = false;  ///< who made it what it is was not the operator
};

/// A grant by its uid: the object as it was last seen, and its record.
struct SeenGrant {
    std::string name = {};
    json object = {};  ///< stays when the object has gone
    bool exists = false;
    json record = {};                     ///< null: there is none
    std::optional<SteadyTime> over = {};  ///< ended before its time, by an act of somebody
    std::string over_by = {};
    bool was_held = false;
    bool released = false;                     ///< was held, and is not any more
    std::optional<SteadyTime> read_live = {};  ///< the operator's newest read of this object alone
    std::optional<SteadyTime> removal_sent =
        {};                ///< the operator asked for the end of a rule of it
    bool reached = false;  ///< every source of it reaches every port of it
    bool reached_once = false;
    bool had_rules = false;                   ///< there was a rule with its mark
    std::optional<SteadyTime> recorded = {};  ///< its record has been there since then
    /// When its record first said that it was opened: somebody else had written since the operator
    /// had read each group, or Azure or the API server was not well. nullopt: it does not say so.
    std::optional<bool> excused_as_opened = {};
    std::optional<SteadyTime> cut_since = {};  ///< reached once, and not any more
    SteadyTime meddled{};  ///< when somebody else last changed or removed a rule of it
};

/// An opening write of the operator, in the moment in which it is handed over.
struct Opening {
    std::string nsg;
    std::string rule;
    std::string uid;
    int priority = 0;
    json properties = {};
    /// What stands under its name in the cloud lets in all of it, and as early, in this moment.
    bool narrows = false;
};

/// `SeenGrant::over_by` of a grant that stands without its policy.
inline constexpr const char* without_policy = "without its policy";

struct History {
    Timestamp now{};
    SteadyTime steady{};
    std::map<std::string, SeenRule> rules = {};      ///< by `nsg/name`
    std::map<std::string, SeenGrant> grants = {};    ///< by uid
    std::map<std::string, json> records = {};        ///< by name, as they are
    std::map<std::string, json> first_records = {};  ///< by name, as they were first
    std::map<std::string, Timestamp> least_ends =
        {};                                     ///< by record: the earliest `end` it ever had
    std::map<std::string, json> policies = {};  ///< by name
    std::map<std::string, json> accounts = {};  ///< by name
    std::uint64_t head_seq = 0;                 ///< of account prod's ledger
    std::string journal = {};                   ///< its text; filled for openings only
    std::string foreign = {};                   ///< rules of others as they are
    std::string foreign_expected = {};          ///< as their owners left them
    std::map<std::string, std::set<std::string>> addresses = {};  ///< of machines, by name
    std::vector<std::string> strangers_in = {};  ///< who has no grant and gets to a port
    SteadyTime strangers_since{};
    std::map<std::string, SteadyTime> removals_sent = {};  ///< by `nsg/name`, the operator's newest
    std::map<std::string, SteadyTime> puts_sent = {};      ///< the same of what writes
    std::size_t writes_of_minute = 0;                      ///< the operator's, Events apart
    std::string stale_write = {};      ///< on a version older than one of its own; empty: none
    std::string early_try = {};        ///< a write that left before Azure wanted it; empty: none
    std::string tried_together = {};   ///< writes that are tried again together; empty: none
    std::string wrong_deletion = {};   ///< of an object that another one was meant by; empty: none
    std::string lost_lockdown = {};    ///< that its policy said to keep; empty: none
    std::string closed_unproven = {};  ///< a grant that a record called closed; empty: none
    std::map<std::string, int> put_back = {};  ///< by rule: after somebody had taken it away
    std::map<std::string, SteadyTime> excepted_in =
        {};                                   ///< by machine: when who is excepted got in
    std::set<std::string> excepted_out = {};  ///< machines where who is excepted does not any more
    bool denied_above = false;                ///< a deny of others stands before all grants
    std::map<std::string, SteadyTime> wrong_since = {};  ///< by complaint: how long it has been so

    SteadyTime others_wrote{};    ///< somebody else changed a rule
    SteadyTime denied_until{};    ///< when a deny of others last stood before all grants
    SteadyTime machines_moved{};  ///< somebody changed an interface of a machine
    SteadyTime policy_edited{};   ///< somebody changed a policy that was there
    SteadyTime azure_heals{};     ///< Azure or the way there is disturbed until then
    SteadyTime kube_heals{};      ///< the same of the API server
    SteadyTime watches_heal{};    ///< of what it tells without being asked
    SteadyTime
        start_heals{};  ///< what the API server did to the calls that a start needs for closing
    std::optional<SteadyTime> running_since = {};  ///< nullopt: no process runs
    std::chrono::seconds clock_apart{0};           ///< operator's clock minus everybody's
    SteadyTime clock_set{};                        ///< the operator's, by somebody
    SteadyTime time_told{};     ///< its newest request that the API server has answered left then
    double overdue_metric = 0;  ///< sallyport_overdue_grants

    const SeenGrant* grant(const std::string& uid) const {
        const auto it = grants.find(uid);
        return it == grants.end() ? nullptr : &it->second;
    }
    /// The end that its record names now; nullopt: it has no record.
    std::optional<Timestamp> end_of(const SeenGrant& grant) const;
    /// Since when it must not let anybody in: its end, or what ended it earlier; nullopt: it may.
    std::optional<SteadyTime> due_since(const SeenGrant& grant) const;
    /// `since` in wall time on the steady scale.
    SteadyTime steady_at(Timestamp time) const { return steady - (now - time); }
};

}  // namespace sallyport::sim
