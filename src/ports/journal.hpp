#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "base/task.hpp"
#include "base/time.hpp"

namespace sallyport {

/// One link of an account's journal: a decision or a cloud write.
struct JournalEntry {
    int version = 1;
    std::uint64_t seq = 0;
    std::string prev_hash = {};
    std::string writer = {};
    Timestamp time{};
    std::string account = {};
    std::string record = {};
    /// A fixed list: `grant.decided`, `.opened`, `.shortened`, `.ended`, `.closed`; `rule.opening`,
    /// `.rewriting` (about to be written); `.written`, `.removed`, `.tombstoned` (how that ended).
    std::string event = {};
    std::string detail = {};  ///< what happened, for people and searches; no secrets
    std::string hash = {};
    friend bool operator==(const JournalEntry&, const JournalEntry&) = default;
};

/// The entry's own link: over every field but `hash`, `prev_hash` included.
std::string chain_hash(const JournalEntry& entry);

/// The append-only stream. An entry that `append` returned for is durable.
class Journal {
public:
    virtual ~Journal() = default;
    /// Appends and syncs all of `entries`, in order, or fails; a failure may leave a torn tail,
    /// which `tail` cuts off.
    virtual Task<Result<void>> append(std::string account, std::vector<JournalEntry> entries) = 0;
    /// The newest valid entry of an account's stream, after cutting a torn tail; an entry with seq
    /// 0 and no hash when there is none. `invalid` when the stream itself is broken: the entry is
    /// named.
    virtual Task<Result<JournalEntry>> tail(std::string account) = 0;
    /// False: entries cannot be read back (a log only); a head beyond the stream then proves
    /// nothing.
    virtual bool readable() const = 0;
};

}  // namespace sallyport
