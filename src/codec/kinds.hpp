#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.hpp"
#include "model/account.hpp"
#include "model/grant.hpp"
#include "model/policy.hpp"
#include "model/record.hpp"

/// Objects of group `sallyport.dev` as the API server keeps them (`crds/`), and
/// the model's values.
///
/// Decoding is strict and total: any JSON gives a value or one `invalid` error, never an exception,
/// and the error names every problem at once as `field: value and limit`, joined by "; ". Unknown
/// fields are the API server's to refuse. What the schema would have defaulted is defaulted here as
/// well.
///
/// Parts that this version does not support decode into the `unsupported`
/// lists, so that the object's status can say so; they are not problems of form.
///
/// Encoding writes only fields that the CRDs have, and cuts texts and lists to the CRDs' limits: a
/// status that is too long must not be one that cannot be written.
namespace sallyport::codec {

inline constexpr std::string_view group_version = "sallyport.dev/v1alpha1";

Result<CloudAccount> decode_account(const nlohmann::json& object);
Result<JitPolicy> decode_policy(const nlohmann::json& object);
/// `sources` stay as written: the decision refuses them, with their place and the policy's limits.
Result<AccessGrant> decode_grant(const nlohmann::json& object);
Result<AccessRecord> decode_record(const nlohmann::json& object);
Result<AccessLedger> decode_ledger(const nlohmann::json& object);

/// The stamp annotation's JSON; nullopt when it is not exactly an identity: then nobody is
/// verified.
std::optional<Identity> decode_stamp(std::string_view annotation);
std::string encode_stamp(const Identity& identity);

/// `metadata` alone, of any object.
Result<ObjectMeta> decode_meta(const nlohmann::json& object);

/// What an earlier process told, of a whole `status` object; nullopt: nothing that can be read.
std::optional<GrantStatus> decode_grant_status(const nlohmann::json& status);

// Whole `status` objects. Empty fields are left out.
nlohmann::json encode_status(const AccountStatus& status);
nlohmann::json encode_status(const PolicyStatus& status);
nlohmann::json encode_status(const GrantStatus& status);

nlohmann::json encode_record_spec(const AccessRecord& record);
nlohmann::json encode_record_status(const AccessRecord& record);
nlohmann::json encode_ledger_spec(const AccessLedger& ledger);
/// apiVersion, kind, metadata (name, namespace, and resourceVersion where set) and spec.
nlohmann::json encode_record(const AccessRecord& record);
nlohmann::json encode_ledger(const AccessLedger& ledger);

}  // namespace sallyport::codec
