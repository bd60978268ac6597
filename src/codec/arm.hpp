#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "base/secret.hpp"
#include "base/time.hpp"
#include "model/network.hpp"
#include "model/rule.hpp"

/// Bodies of Azure Resource Manager and Entra ID, and the model's values.
///
/// Lenient: members that are not needed are ignored, missing ones have Azure's meaning (no
/// provisioningState is Succeeded), spelling is made canonical. Never generous where it would claim
/// more than was read: an NSG, address or reference that is there but cannot be read is an error of
/// the whole answer (`unavailable`), since leaving it out would say that it does not exist. Parts
/// of a *rule* that cannot be read become `Unreadable`, which proofs count against us both ways.
///
/// All functions take body text, survive anything, and never throw.
namespace sallyport::codec {

/// One page of a list. An empty page with a `next_link` is not the end.
template <class T>
struct Page {
    std::vector<T> values = {};
    std::string next_link = {};  ///< to be followed as it is; empty: this was the last page
};

/// What an identity may do, or what a deny assignment forbids.
struct ArmPermission {
    std::vector<std::string> actions = {};
    std::vector<std::string> not_actions = {};
    friend bool operator==(const ArmPermission&, const ArmPermission&) = default;
};
struct ArmLock {
    ArmId id;
    bool read_only = false;
    friend bool operator==(const ArmLock&, const ArmLock&) = default;
};
struct ArmDenyAssignment {
    std::string id = {};
    std::vector<ArmPermission> denied = {};
    friend bool operator==(const ArmDenyAssignment&, const ArmDenyAssignment&) = default;
};

/// `read_sent` of what is decoded is left for the caller, who knows.
Result<NsgState> decode_nsg(std::string_view body);
Result<SecurityRule> decode_rule(std::string_view body);
Result<Page<NsgState>> decode_nsgs(std::string_view body);
Result<Page<Nic>> decode_nics(std::string_view body);
Result<Page<VirtualNetwork>> decode_networks(std::string_view body);
Result<Page<VirtualMachine>> decode_machines(std::string_view body);
Result<Page<ArmPermission>> decode_permissions(std::string_view body);
Result<Page<ArmLock>> decode_locks(std::string_view body);
Result<Page<ArmDenyAssignment>> decode_deny_assignments(std::string_view body);
/// A tag with a prefix that cannot be read is left out: then it does not resolve.
Result<ServiceTagList> decode_service_tags(std::string_view body);

/// The body of a rule's PUT. One element is written in the singular, several in the plural; tags
/// and `*` stand alone, and a side has prefixes or groups, not both (`Bug` otherwise: no plan makes
/// such a rule).
std::string encode_rule(const SecurityRule& rule);

/// An answer that refused something. `now` is the answer's own `Date` where it has one.
struct ErrorAnswer {
    int status = 0;  ///< 0: an operation's error, which has no status of its own
    std::string_view body = {};
    std::string_view retry_after = {};  ///< the header: seconds or a date
    std::string_view correlation_id = {};
    Timestamp now{};
};
/// The kind comes from the status and from the codes, which are looked for in `details` as
/// well. `reason` is one of docs/reasons.md, with its argument where the answer tells:
/// `MissingPermission(action)`, `DenyAssignment(id)`, `PolicyDenied(assignment)`, `Locked(id)`,
/// `Throttled`, `SurfaceBusy`, `SurfaceFailed` (an operation that ended so for a reason we do not
/// know). `code` is the most telling code of the body. Bodies that are not ARM's are tolerated.
Error decode_error(const ErrorAnswer& answer);

enum class ArmOperationStatus { running, succeeded, failed, canceled };
struct ArmOperation {
    ArmOperationStatus status = ArmOperationStatus::running;
    std::optional<Error> error = {};  ///< when failed or canceled
};
/// The body of a poll of `Azure-AsyncOperation`: any word that is not terminal is
/// running.
Result<ArmOperation> decode_operation(std::string_view body, std::string_view correlation_id = {});

/// Whole seconds or an HTTP date; nullopt: neither. Never negative, at most an hour.
std::optional<seconds> parse_retry_after(std::string_view header, Timestamp now);

struct TokenAnswer {
    Secret token = {};
    seconds expires_in{0};
};
/// The token endpoint's 200; numbers may be texts.
Result<TokenAnswer> decode_token(std::string_view body);
/// Its refusals: `denied` with the AADSTS code, `throttled`, or `unavailable`.
Error decode_token_error(const ErrorAnswer& answer);

}  // namespace sallyport::codec
