#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "sim/schema_walk.hpp"

/// Sequences of operations (S8): several edits of accounts, policies and grants, one after the
/// other, some while the loop is in the middle of what the former asked for.
namespace sallyport::sim {

/// What somebody does, as data: it can be done whatever has come of those before it.
struct SequenceStep {
    enum class What {
        edit,    ///< one property of what is there, or made anew with it
        base,    ///< all as it was in the beginning
        ask,     ///< alice creates a grant
        remove,  ///< somebody deletes it
        restart  ///< the operator's process ends and another begins
    };
    What what = What::edit;
    std::string kind = {};
    std::string name = {};   ///< of the object
    std::string value = {};  ///< the edit's name: `minimum`; empty: nothing is edited
    Edit edit = {};
    /// How long nobody does anything afterwards; nullopt: until all rests.
    std::optional<std::chrono::milliseconds> then = {};

    std::string text() const;
};
using Sequence = std::vector<SequenceStep>;

inline constexpr std::size_t sequence_steps_max = 10;

/// Two to ten steps.
Sequence draw_sequence(std::uint64_t seed);
/// A kind of crds/ by its name.
const WalkedKind& kind_named(const std::string& name);
/// Two hours for web01, port 22, from an address of its own for each name.
json sequence_grant(const std::string& name);

/// What a run has shown.
struct SequenceResult {
    std::string wrong = {};  ///< empty: nothing
    std::string told = {};   ///< the timeline, when something is
    int accepted = 0;
    int refused = 0;
    int compared = 0;  ///< with a world that began with what was accepted last
};
/// Oracles: the invariants after each step; where all rests, statuses that speak of what is there
/// and lockdowns that nobody asks for told; in the end a world that began with the last accepted
/// objects; and once all is set back the world before.
SequenceResult run_sequence(const Sequence& sequence);

}  // namespace sallyport::sim
