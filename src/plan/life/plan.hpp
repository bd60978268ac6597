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

/// A grant's life: from the view of one grant to what should be stored, claimed, published, and
/// when to look again. Pure.
namespace sallyport::life {

/// What a lane says of one grant's rules on one NSG after its newest plan.
struct LaneReport {
    NsgId nsg;
    std::optional<nsg::GrantVerdict> verdict = {};
    bool closing_failing = false;          ///< a due closing was refused or keeps failing
    std::optional<Error> last_error = {};  ///< of this grant's newest write there, if it failed
    std::string correlation_id = {};
    bool delete_locked = false;
    bool flushes = false;  ///< `flushConnection` of the NSG as read: ends cut live sessions there
    std::vector<nsg::Finding> findings = {};
};

/// One grant, one record, or both. They belong together when the record's grant uid is the grant's;
/// a record of another uid under the same key is told to the grant as `AlreadyUsed`, and has a life
/// of its own: give it a view without a grant (and `grant_known` true) to close it.
struct View {
    /// What the decision looks at; `asked.grant` null: the object does not exist (if
    /// `grant_known`). `asked.record` is what stands under the grant's record name, perhaps another
    /// uid's. Without a grant, `asked.policy` and the rest are the record's.
    access::GrantView asked = {};
    bool grant_known = false;
    /// The record of *this* uid, with what is known of its writes; null: none (if `record_known`).
    /// One of another uid has a life of its own: a view without a grant closes it.
    const AccessRecord* record = nullptr;
    bool record_known = false;
    /// True: this process created the record, so a write begun for it stands in its `writes`, or is
    /// told by `lanes_settled`, or has ended. False: what an earlier process began before
    /// `opened_at` may be in flight though nothing says so.
    bool followed = false;
    /// This process has seen its end come and began to close; a clock that was set back since then
    /// does not undo that.
    bool was_due = false;

    /// Judged over the record's request; meaningless without a record.
    path::GrantProof proof = {};
    /// Wall time at which the oldest of the reads that `proof` stands on was sent, rounded down.
    std::optional<Timestamp> proof_read = {};
    std::vector<LaneReport> lanes = {};  ///< of every NSG where the grant has, had or wants rules
    bool lanes_settled = true;           ///< no write of this grant is under way or still unread
    /// Since the start not everything has been read that is about to be, or a lane is about to plan
    /// what it was told: what was published of a grant that is owed stays as it is.
    bool settling = false;
    /// For a look ahead of the first opening (foreign denies); null: no look.
    const path::Observations* observed = nullptr;
    GrantStatus published = {};  ///< the last status seen or published
    Owner owner;
};

/// What changes in a record's status; safe to apply twice, and on top of a newer version.
struct RecordChange {
    std::optional<Timestamp> end = {};         ///< only ever moves the record's end earlier
    std::optional<Timestamp> opening_at = {};  ///< this and the next three: kept where already set
    std::optional<Timestamp> opened_at = {};
    std::optional<Timestamp> closed_at = {};
    std::string end_reason = {};
    /// Rules as lanes saw them, merged by NSG and name: writes that are not listed are added,
    /// counts and listed writes are left alone.
    std::vector<RecordedRule> rules = {};
    void apply_to(AccessRecord& record) const;
    friend bool operator==(const RecordChange&, const RecordChange&) = default;
};

// Steps on the API server, in the order in which they must happen; each waits for the one before to
// be observed, not merely sent: a plan holds at most the next one or independent ones.
struct TakeHold {
    friend bool operator==(const TakeHold&, const TakeHold&) = default;
};
/// The decision is final: journal it, then create the record (`journal_seq` is filled in on the
/// way). Until `opened_at` is set the record itself is the intent of every opening write; later
/// ones add themselves to it first.
struct CreateRecord {
    AccessRecord record;
    friend bool operator==(const CreateRecord&, const CreateRecord&) = default;
};
/// `event` and `detail` are for the journal: `grant.opened`, `grant.ended`, `grant.closed`.
struct UpdateRecord {
    RecordChange change;
    std::string event;
    std::string detail;
    friend bool operator==(const UpdateRecord&, const UpdateRecord&) = default;
};
struct ReleaseHold {
    friend bool operator==(const ReleaseHold&, const ReleaseHold&) = default;
};
struct DeleteGrantObject {
    friend bool operator==(const DeleteGrantObject&, const DeleteGrantObject&) = default;
};
/// Retention is over: a grant that had `notAfter`, 24 h after it. Others are kept until tombstones
/// exist.
struct DropRecord {
    friend bool operator==(const DropRecord&, const DropRecord&) = default;
};
using StoreStep =
    std::variant<TakeHold, CreateRecord, UpdateRecord, ReleaseHold, DeleteGrantObject, DropRecord>;

/// A Kubernetes Event; on transitions only.
struct Note {
    bool warning = false;
    std::string reason;
    std::string note;
    friend bool operator==(const Note&, const Note&) = default;
};

struct Plan {
    std::vector<StoreStep> steps = {};
    /// What lanes are to be told: a claim for every NSG on which the grant has or may have rules.
    /// With the topology unread, claims of the recorded rules with `wanted_known` false.
    std::map<NsgId, nsg::GrantClaim> claims = {};
    bool claims_known = true;  ///< false: nothing can be said now; lanes keep what they were told
    /// The deadline heap's entry; set until closing is verified.
    std::optional<Timestamp> end = {};
    bool closing = false;  ///< due or early: lanes with claims are to be woken now
    /// The proof that is waited for stands on reads sent at or after this: when that time has come
    /// and `proof_read` is older, have the NSGs of the claims read.
    std::optional<Timestamp> read_since = {};
    /// nullopt: nothing to publish, or not worth a write yet.
    std::optional<GrantStatus> status = {};
    std::optional<Timestamp> next = {};  ///< when time alone changes the answer
    std::vector<Note> notes = {};
    friend bool operator==(const Plan&, const Plan&) = default;
};

/// Pure. Quiet: with its steps done and its status published, the same view gives no steps, the
/// same status and no notes.
Plan plan(const View& view, Timestamp now);

/// The end that counts, also before the record's `end` is written (`WhenApproved` counts from the
/// decision).
Timestamp end_of(const AccessRecord& record);
/// Whether anything of it may still be on a surface or on its way there, as the record alone tells:
/// such a record needs claims and proofs, any other can be forgotten by lanes and heap.
bool is_live(const AccessRecord& record);

/// The opening allowance: 5 min without a firewall on the path.
inline constexpr seconds opening_allowance{5 * 60};
/// A write whose end is unknown is in flight this long.
inline constexpr seconds in_flight_limit{15 * 60};

}  // namespace sallyport::life
