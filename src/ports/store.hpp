#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.hpp"
#include "base/secret.hpp"
#include "base/task.hpp"
#include "model/account.hpp"
#include "model/grant.hpp"
#include "model/policy.hpp"
#include "model/record.hpp"

namespace sallyport {

struct ObjectRef {
    Kind kind;
    ObjectKey key;
    friend bool operator==(const ObjectRef&, const ObjectRef&) = default;
    friend auto operator<=>(const ObjectRef&, const ObjectRef&) = default;
};

/// A Kubernetes Event about one object: `reason` is CamelCase, `note` a sentence (at most 1 kB).
struct Notice {
    ObjectRef about;
    std::string uid = {};
    bool warning = false;
    std::string reason = {};
    std::string note = {};
};

/// An object that exists and cannot be read.
struct Undecodable {
    std::string uid = {};
    std::int64_t generation = 0;
    std::string message = {};
};

/// The API server as the engine needs it: a cache that follows it, live reads, and the few writes.
///
/// Cache: filled by list and watch, one entry per object, decoded once. A pointer it hands out is
/// valid until the next suspension of the caller. `synced(kind)` is true once a whole list has been
/// read; before that, absence means nothing. An object that cannot be decoded stays in the cache as
/// `undecodable` and is reported there: it is not absent.
///
/// Writes: every one carries what it was based on (uid, resourceVersion) and is refused as
/// `conflict` when the object moved. The cache follows by watch, later; an own write's answer may
/// show in it before that, never an older state. A publisher never writes the same status twice.
class Store {
public:
    virtual ~Store() = default;

    // The cache.
    virtual bool synced(Kind kind) const = 0;
    virtual const CloudAccount* account(std::string_view name) const = 0;
    virtual const JitPolicy* policy(const ObjectKey& key) const = 0;
    virtual const AccessGrant* grant(const ObjectKey& key) const = 0;
    virtual const AccessRecord* record(std::string_view name) const = 0;
    virtual const AccessLedger* ledger(std::string_view account) const = 0;
    virtual void each_account(const std::function<void(const CloudAccount&)>& visit) const = 0;
    virtual void each_policy(const std::function<void(const JitPolicy&)>& visit) const = 0;
    virtual void each_grant(const std::function<void(const AccessGrant&)>& visit) const = 0;
    virtual void each_record(const std::function<void(const AccessRecord&)>& visit) const = 0;
    /// nullopt: it was read or is absent.
    virtual std::optional<Undecodable> undecodable(const ObjectRef& ref) const = 0;
    virtual void each_undecodable(const std::function<void(const ObjectRef&)>& visit) const = 0;
    /// Called on the loop whenever an object was added, changed or removed, and with an empty name
    /// when a kind became synced. A change only ever puts a key in a queue.
    virtual void on_change(std::function<void(const ObjectRef&)> notify) = 0;
    /// What was last told of the grant of this uid, perhaps by an earlier process; nullopt:
    /// nothing, or nothing that can be read.
    virtual std::optional<GrantStatus> grant_status(const ObjectKey& key,
                                                    std::string_view uid) const = 0;
    /// `status.observedGeneration` as it was last told of the object of this uid; nullopt: never.
    virtual std::optional<std::int64_t> told_generation(const ObjectRef& ref,
                                                        std::string_view uid) const = 0;
    /// Wall time of the server minus ours, from the newest `Date` header; nullopt: never heard.
    virtual std::optional<seconds> clock_offset() const = 0;

    // Live reads.
    /// The grant as the server has it now; nullopt: it does not exist.
    virtual Task<Result<std::optional<AccessGrant>>> read_grant(ObjectKey key) = 0;
    virtual Task<Result<std::optional<AccessRecord>>> read_record(std::string name) = 0;
    /// One key of a Secret in the operator's namespace.
    virtual Task<Result<Secret>> read_secret(std::string name, std::string key) = 0;
    virtual Task<Result<std::string>> read_config_map(std::string name, std::string key) = 0;

    // Writes.
    /// Creates the record; its status is empty then. `conflict` with code `AlreadyExists` when one
    /// of that name is there, whoever made it: read it and compare. Gives back what was stored.
    virtual Task<Result<AccessRecord>> create_record(AccessRecord record) = 0;
    /// Replaces the record's status, based on `record.meta.resource_version`. Gives back what was
    /// stored.
    virtual Task<Result<AccessRecord>> update_record(AccessRecord record) = 0;
    virtual Task<Result<void>> delete_record(std::string name, std::string uid) = 0;
    /// Compare-and-set of the head, based on `ledger.meta.resource_version`; created when that is
    /// empty.
    virtual Task<Result<AccessLedger>> advance_ledger(AccessLedger ledger) = 0;
    /// Puts the hold on (`held`) or takes it off, touching no other finalizer. Idempotent. Gives
    /// the object's new resourceVersion.
    virtual Task<Result<void>> set_hold(ObjectRef ref, std::string uid, bool held) = 0;
    /// Merge-patches what differs from the last status published or seen; nothing, when nothing
    /// does. `lastTransitionTime`s are kept where the condition's status did not change.
    virtual Task<Result<void>> publish_grant(ObjectKey key, std::string uid,
                                             GrantStatus status) = 0;
    virtual Task<Result<void>> publish_policy(ObjectKey key, std::string uid,
                                              PolicyStatus status) = 0;
    virtual Task<Result<void>> publish_account(std::string name, std::string uid,
                                               AccountStatus status) = 0;
    /// Deletes with a uid precondition. A missing object is success.
    virtual Task<Result<void>> delete_grant(ObjectKey key, std::string uid) = 0;
    /// Best effort: an Event that cannot be written is only logged.
    virtual Task<void> notify(Notice notice) = 0;
};

}  // namespace sallyport
