#pragma once

#include <map>
#include <string>

#include "sim/monitor.hpp"
#include "sim/schema_verdict.hpp"
#include "sim/schema_walk.hpp"

/// Runs operations (S8): a converged world, what somebody writes into it, and what must be true of
/// it then. Each gives what is wrong, or an empty text.
namespace sallyport::sim {

/// A world with what it begins with; watched by all invariants.
struct OperatedWorld {
    /// null: there is none.
    OperatedWorld(const json& account, const json& policy);
    OperatedWorld(const OperatedWorld&) = delete;
    OperatedWorld& operator=(const OperatedWorld&) = delete;

    /// Until nothing has been written for more than a sweep, and what is in trouble has been so for
    /// long enough to say it. False: it does not become quiet.
    bool rest();
    /// Alice asks for an hour, from an address of her own for each name.
    void ask_for(const std::string& grant);
    /// What can be compared: no times, no numbers within a band, no uids.
    json outcome(const std::string& grant);
    /// The account and the policy as they are; null: not there.
    json account();
    json policy();
    /// What went wrong beside that: an invariant, a bug, an error in the log, a status that does
    /// not speak of what is there or has no reason.
    std::string complaint();

    std::string account_name = "prod";
    std::string policy_name = "web-ssh";
    World world;
    Monitor monitor;
};

/// Of outcomes: `seen` has come to what `expected` is, but for what may stay; `former`:
/// the lockdown rules that there were on the way.
std::string compare_outcomes(json seen, json expected, json former);
/// What becomes of a grant that was open when its policy or account was changed, by what the same
/// grant gets in a world that began with the change.
std::string judge_open_grant(const json& now, const json& of_fresh);
/// A world that nobody changes, with grants a, b and c asked for one after the other.
struct UndisturbedWorld {
    json of_a, of_b, of_c;
    std::string wrong;
};
const UndisturbedWorld& undisturbed_world();
/// Runs until it rests; what is wrong then.
std::string settle(OperatedWorld& at, const char* when);

/// A rule without what may differ: its name, mark and number within a band.
json comparable_rule(const std::string& nsg, const json& properties, const json& account);
/// Of an object, by its kind and name.
std::string path_of(const json& object);
/// An hour for web01, port 22, from an address of its own for each name.
json grant_of(const std::string& name);
/// The object of a kind that operations change.
json base_of(const std::string& kind);
/// Written by admin, as kubectl replaces an object or as a tool patches it, by the operation's
/// name. `base`: what was written last.
http::Response carry_in(World& world, const WalkedKind& kind, const Operation& operation,
                        const json& base);
/// The spec that a server has to store, and whether it may be there in place of `old` (null: none).
SchemaVerdict expected_verdict(const WalkedKind& kind, const Operation& operation, const json& old,
                               json& object);
/// The same for a grant that alice asks for.
SchemaVerdict request_verdict(const WalkedKind& kind, const Operation& operation, json& object);
/// Whether the answer says that, and names each place; empty: it does.
std::string judge_answer(const http::Response& answer, const SchemaVerdict& verdict);

/// What must come of an accepted change of an account or policy: `changed` is to be as `fresh`, and
/// once it is taken back as one that was never changed.
std::string run_change(const WalkedKind& kind, const Operation& operation, std::string& told);
/// The same for a grant that is created as the operation says.
std::string run_request(const WalkedKind& kind, const Operation& operation, std::string& told);

/// What must stay as it was where nothing may change: all objects beside their heartbeat, and the
/// cloud's rules.
json everything_of(World& world);

}  // namespace sallyport::sim
