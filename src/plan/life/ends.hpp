#pragma once

#include <optional>
#include <string>

#include "plan/life/plan.hpp"

/// When a grant ends, and since when nothing of it can still land: arithmetic on
/// records.
namespace sallyport::life {

/// Retention of a record whose grant had `notAfter`, counted from there.
inline constexpr seconds record_retention{24 * 3600};
/// Of an ended grant whose policy is not there to say.
inline constexpr seconds grant_retention_default{168 * 3600};
inline constexpr int reopenings_max = 3;  // docs/kinds/jitpolicy.md, `drift.open`
/// A grant closed while a write may still land is read again so long after its closing.
inline constexpr seconds second_look{60};
inline constexpr seconds third_look{5 * 60};

/// The record of a decision made now: its spec; the status is empty.
AccessRecord record_of(const access::Authorised& decision, const access::GrantView& asked,
                       const Owner& owner, Timestamp now);
/// The end of a grant that is proven open now.
Timestamp end_when_open(const AccessRecord& record, Timestamp now);
/// Until then it must have been proven open.
Timestamp opening_deadline(const AccessRecord& record);

/// The last moment at which an opening write could leave before it was proven open.
Timestamp last_start(const AccessRecord& record);

/// Until when a write of it may land that is neither known to have ended nor followed by a lane.
/// nullopt: there is none. `followed` as in View.
std::optional<Timestamp> in_flight_until(const AccessRecord& record, bool followed);

/// Why and since when a grant's access is over.
struct Ending {
    Timestamp at{};
    std::string reason = {};   ///< `Expired`, `Revoked`, `RemovedBy(unknown)` …
    std::string message = {};  ///< a sentence without its time
    /// The reason can be read from the grant or the clock at any time; else it must be recorded, or
    /// a policy that is widened again would open what it had closed.
    bool lasts = true;
};
/// The end that counts now: the record's, an earlier `notAfter`, a maximum that became shorter.
Timestamp end_now(const View& view);
/// nullopt: the access is still owed. Requires a record.
std::optional<Ending> ending(const View& view, Timestamp now);

/// Its last putting back was refused, or nobody knows: a further try is the same putting back.
bool is_under_repair(const RecordedRule& rule);
/// Whether a rule that was taken away again is not to be put back any more.
/// `policy` null: not known, or gone; the default holds.
bool is_exhausted(const AccessRecord& record, const JitPolicy* policy, const NsgId& nsg,
                  std::string_view rule);

/// The condition reason in an end's reason: without what stands in parentheses.
std::string bare(const std::string& reason);

}  // namespace sallyport::life
