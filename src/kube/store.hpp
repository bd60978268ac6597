#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "base/loop.hpp"
#include "kube/client.hpp"
#include "kube/events.hpp"
#include "kube/reflector.hpp"
#include "kube/replica.hpp"
#include "ports/store.hpp"

namespace sallyport::kube {

/// The store over a Kubernetes API server, or over the embedded control plane, which to this code
/// is one.
///
/// Reads: one reflector per kind. Writes: creates, RFC 7386 patches and deletes only; no
/// server-side apply, no strategic merge.
///
/// **Own writes show in the cache at once**, before the watch tells them: an answer is put in when
/// its resourceVersion is newer than the cached object's and than all that the watch has told
/// (`Replica` says why both). So a task that has put a hold on finds it on in its next look, and
/// patches are based on the newest version. The engine must not rely on it: an answer can be lost.
///
/// Conflicts: `create_record`, `update_record` and `advance_ledger` hand them on, since what they
/// write was decided on what they are based on. `set_hold` and `publish_*` read live and try again,
/// up to `tries_max` times: they change only what is ours.
class KubeStore final : public Store {
public:
    static constexpr int tries_max = 5;

    struct Options {
        Connection connection;
        std::string instance = {};  ///< who we are in Events: host name and process
    };

    /// `transport` and what `world` refers to outlive the store.
    KubeStore(World world, http::Transport& transport, Options options);
    ~KubeStore() override;

    /// Starts the reflectors in `scope`, which goes before the store.
    void start(Scope& scope);

    bool synced(Kind kind) const override;
    const CloudAccount* account(std::string_view name) const override;
    const JitPolicy* policy(const ObjectKey& key) const override;
    const AccessGrant* grant(const ObjectKey& key) const override;
    const AccessRecord* record(std::string_view name) const override;
    const AccessLedger* ledger(std::string_view account) const override;
    void each_account(const std::function<void(const CloudAccount&)>& visit) const override;
    void each_policy(const std::function<void(const JitPolicy&)>& visit) const override;
    void each_grant(const std::function<void(const AccessGrant&)>& visit) const override;
    void each_record(const std::function<void(const AccessRecord&)>& visit) const override;
    std::optional<Undecodable> undecodable(const ObjectRef& ref) const override;
    void each_undecodable(const std::function<void(const ObjectRef&)>& visit) const override;
    void on_change(std::function<void(const ObjectRef&)> notify) override;
    std::optional<GrantStatus> grant_status(const ObjectKey& key,
                                            std::string_view uid) const override;
    std::optional<std::int64_t> told_generation(const ObjectRef& ref,
                                                std::string_view uid) const override;
    std::optional<seconds> clock_offset() const override { return client_.clock_offset(); }

    Task<Result<std::optional<AccessGrant>>> read_grant(ObjectKey key) override;
    Task<Result<std::optional<AccessRecord>>> read_record(std::string name) override;
    Task<Result<Secret>> read_secret(std::string name, std::string key) override;
    Task<Result<std::string>> read_config_map(std::string name, std::string key) override;

    Task<Result<AccessRecord>> create_record(AccessRecord record) override;
    Task<Result<AccessRecord>> update_record(AccessRecord record) override;
    Task<Result<void>> delete_record(std::string name, std::string uid) override;
    Task<Result<AccessLedger>> advance_ledger(AccessLedger ledger) override;
    Task<Result<void>> set_hold(ObjectRef ref, std::string uid, bool held) override;
    Task<Result<void>> publish_grant(ObjectKey key, std::string uid, GrantStatus status) override;
    Task<Result<void>> publish_policy(ObjectKey key, std::string uid, PolicyStatus status) override;
    Task<Result<void>> publish_account(std::string name, std::string uid,
                                       AccountStatus status) override;
    Task<Result<void>> delete_grant(ObjectKey key, std::string uid) override;
    Task<void> notify(Notice notice) override;

private:
    /// A status that the server stored otherwise than it was sent (it drops members that its schema
    /// does not know): the same again would change nothing, and must not be sent for ever.
    struct Refused {
        std::string sent = {};
        std::string stored = {};
    };

    Replica& replica(Kind kind);
    const Replica& replica(Kind kind) const;
    /// Reads an object, lets the cache see it, and gives its JSON.
    Task<Result<nlohmann::json>> read_live(ObjectRef ref);
    /// Takes an answer's body for the cache and gives it as JSON.
    Result<nlohmann::json> take_answer(Kind kind, const std::string& body);
    Task<Result<ObjectMeta>> meta_for_hold(ObjectRef ref, bool live);
    Task<Result<void>> publish(ObjectRef ref, std::string uid, nlohmann::json wanted);
    void note_stored(ObjectRef ref, const nlohmann::json& wanted, const nlohmann::json& stored);
    Task<Result<StatusBase>> base_for_publish(ObjectRef ref, bool live);
    Task<Result<void>> remove(ObjectRef ref, std::string uid);

    World world_;
    Client client_;
    EventWriter events_;
    Table<CloudAccount> accounts_;
    Table<JitPolicy> policies_;
    Table<AccessGrant> grants_;
    Table<AccessRecord> records_;
    Table<AccessLedger> ledgers_;
    std::vector<std::unique_ptr<Reflector>> reflectors_;
    std::map<ObjectRef, Refused> refused_;  ///< as a rule empty
    std::vector<std::function<void(const ObjectRef&)>> listeners_;
};

}  // namespace sallyport::kube
