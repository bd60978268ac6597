#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "model/arm_id.hpp"
#include "model/grant.hpp"
#include "model/mark.hpp"
#include "model/object.hpp"

namespace sallyport {

/// One machine of a resolved request: the ARM id and the `vmId` behind it at the decision.
struct ResolvedTarget {
    VmId id;
    std::string vm_id = {};
    friend bool operator==(const ResolvedTarget&, const ResolvedTarget&) = default;
};
struct ResolvedPort {
    PortRange ports = PortRange::single(22);
    Protocol protocol = Protocol::tcp;  ///< tcp, udp or any
    friend bool operator==(const ResolvedPort&, const ResolvedPort&) = default;
    friend auto operator<=>(const ResolvedPort&, const ResolvedPort&) = default;
};
/// Which ports on which machine; sources hold for all of them.
struct ResolvedAccess {
    ResolvedTarget target;
    std::vector<ResolvedPort> ports = {};  ///< sorted
    std::vector<Cidr> sources = {};  ///< sorted; a port's own narrower list is checked, not merged
    friend bool operator==(const ResolvedAccess&, const ResolvedAccess&) = default;
};

/// What was asked, after names became ids: the content that is approved, recorded and opened.
struct ResolvedRequest {
    std::string policy_uid = {};
    std::vector<ResolvedAccess> access = {};  ///< sorted by target
    std::optional<seconds> duration = {};     ///< exactly one of duration and not_after
    std::optional<Timestamp> not_after = {};
    std::optional<Timestamp> not_before = {};
    friend bool operator==(const ResolvedRequest&, const ResolvedRequest&) = default;
};
/// `sha256:<64 hex digits>` over a canonical text; equal requests have equal digests in every
/// version of schema 1.
std::string digest(const ResolvedRequest& request);

/// A cloud write of ours whose end may be unknown (`writes[]`).
enum class WriteEffect { opens, closes, neutral };
std::string_view to_text(WriteEffect effect);
struct WriteRecord {
    std::string client_request_id = {};
    WriteEffect effect = WriteEffect::opens;
    Timestamp started{};
    std::string operation_url = {};
    std::optional<Timestamp> ended = {};
    std::string outcome = {};  ///< Succeeded, Failed, Unknown, NotSent; empty while it runs
    friend bool operator==(const WriteRecord&, const WriteRecord&) = default;
};

/// One rule of a grant on one NSG.
struct RecordedRule {
    NsgId nsg;
    std::string content = {};  ///< content key: which of the grant's wanted rules this is
    int n = 0;
    std::string name = {};
    std::optional<int> priority = {};
    int openings = 0;  ///< opening writes so far, repairs included
    int repairs = 0;
    std::vector<WriteRecord> writes = {};
    std::string proof = {};
    friend bool operator==(const RecordedRule&, const RecordedRule&) = default;
};

/// The lock and tombstone of a grant. Creating it is the right to open; its spec never changes.
struct AccessRecord {
    ObjectMeta meta;
    // spec
    int schema_version = 1;
    std::string owner = {};
    ObjectKey grant = {};
    std::string grant_uid = {};
    std::int64_t grant_generation = 0;
    std::string request_id = {};
    ObjectKey policy = {};
    std::string policy_uid = {};
    std::int64_t policy_generation = 0;
    std::string account = {};
    std::string account_uid = {};
    std::int64_t account_generation = 0;
    std::string request_digest = {};
    ResolvedRequest request = {};
    Identity requester = {};
    std::string identity_source = {};  ///< `stamp`
    std::vector<std::string> approvals = {};
    Timestamp decided_at{};
    ClockStarts clock_starts = ClockStarts::when_open;
    Timestamp latest_end{};
    std::uint64_t journal_seq = 0;  ///< the journal's at the opening; stands in the marks

    // status
    std::optional<Timestamp> end = {};         ///< written once, then may only move earlier
    std::optional<Timestamp> opening_at = {};  ///< the first opening write was about to be sent
    std::optional<Timestamp> opened_at = {};   ///< proven open
    std::optional<Timestamp> closed_at = {};   ///< proven closed
    std::string end_reason = {};               ///< Expired, Revoked, Deleted, OpeningTimedOut …
    std::vector<RecordedRule> rules = {};

    /// The end that counts: `end` where set, else the latest.
    Timestamp effective_end() const { return end ? std::min(*end, latest_end) : latest_end; }
    bool closed() const { return closed_at.has_value(); }
    friend bool operator==(const AccessRecord&, const AccessRecord&) = default;
};

/// Lower-case unpadded base32 of SHA-256 over owner, kind, namespace, name and requestId joined by
/// NUL; the spec is not part of it.
std::string record_name(const Owner& owner, const ObjectKey& grant, std::string_view request_id);

/// The newest link of an account's journal.
struct LedgerHead {
    std::uint64_t seq = 0;
    std::string hash = {};  ///< of entry `seq`; empty before the first
    friend bool operator==(const LedgerHead&, const LedgerHead&) = default;
};
struct AccessLedger {
    ObjectMeta meta;  ///< named after the account
    LedgerHead head = {};
    friend bool operator==(const AccessLedger&, const AccessLedger&) = default;
};

}  // namespace sallyport
