#pragma once

#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/known.hpp"
#include "model/grant.hpp"
#include "model/network.hpp"
#include "model/record.hpp"
#include "plan/access/decide.hpp"
#include "plan/nsg/plan.hpp"
#include "plan/path/proof.hpp"

/// A grant's life: from the view of one grant to what should be stored, claimed, published, and when to
/// look again. Pure.
namespace sallyport::life {

/// What a lane says of one grant's rules on one NSG after its newest plan.
struct LaneReport {
    NsgId nsg;
    std::optional<nsg::GrantVerdict> verdict = {};
    bool closing_failing = false;         ///< a due closing was refused or keeps failing
    std::optional<Error> last_error = {};  ///< of this grant's newest write there, if it failed
    std::string correlation_id = {};
    bool delete_locked = false;
    std::vector<nsg::Finding> findings = {};
};

struct View {
    /// What the decision looks at; `asked.grant` null: the object does not exist (if `grant_known`).
    /// `asked.record` is what stands under the grant's record name, perhaps another uid's.
    access::GrantView asked = {};
    bool grant_known = false;
    /// The record of *this* uid, with what is known of its writes; null: none (if `record_known`).
    const AccessRecord* record = nullptr;
    bool record_known = false;
    /// Judged over the record's request; meaningless without a record.
    path::GrantProof proof = {};
    std::vector<LaneReport> lanes = {};  ///< of every NSG where the grant has, had or wants rules
    bool lanes_settled = true;  ///< no write of this grant is under way or still unread
    GrantStatus published = {};  ///< the last status seen or published
    Owner owner;
};

// Steps on the API server, in the order in which they must happen; each waits for the one before to be
// observed, not merely sent: a plan holds at most the next one or independent ones.
struct TakeHold {};
/// The decision is final: journal it, then create the record (`journal_seq` is filled in on the way).
struct CreateRecord { AccessRecord record; };
/// Replace the record's status (end, opened_at, closed_at, end_reason, rules' proofs).
struct UpdateRecord { AccessRecord record; std::string event; std::string detail; };
struct ReleaseHold {};
struct DeleteGrantObject {};
struct DropRecord {};  ///< retention is over
using StoreStep = std::variant<TakeHold, CreateRecord, UpdateRecord, ReleaseHold, DeleteGrantObject, DropRecord>;

struct Plan {
    std::vector<StoreStep> steps = {};
    /// What lanes are to be told: a claim for every NSG on which the grant has or may have rules.
    /// With the topology unread, claims of the recorded rules with `wanted_known` false.
    std::map<NsgId, nsg::GrantClaim> claims = {};
    std::optional<Timestamp> end = {};   ///< the deadline heap's entry; set until closing is verified
    bool closing = false;                ///< due or early: lanes with claims are to be woken now
    std::optional<GrantStatus> status = {};  ///< nullopt: there is no object to publish to
    std::optional<Timestamp> next = {};  ///< when time alone changes the answer
    struct Note { bool warning; std::string reason; std::string note; };
    std::vector<Note> notes = {};  ///< Events, on transitions only
};

Plan plan(const View& view, Timestamp now);

/// The opening allowance: 5 min without a firewall on the path (DESIGN 5.5).
inline constexpr seconds opening_allowance{5 * 60};
/// A write whose end is unknown is in flight this long (DESIGN 6, Proof).
inline constexpr seconds in_flight_limit{15 * 60};

}  // namespace sallyport::life
