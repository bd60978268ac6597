#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "apiserver/cache.hpp"
#include "apiserver/decode.hpp"
#include "apiserver/resources.hpp"
#include "apiserver/status.hpp"
#include "apiserver/store.hpp"
#include "base/time.hpp"
#include "model/object.hpp"

namespace sallyport::apiserver {

using RandomBytes = std::function<std::string(std::size_t)>;

struct WriteRequest {
    const ResourceType& type;
    std::string ns = {};
    std::string name = {};         ///< empty on create
    std::string subresource = {};  ///< empty or `status`
    std::string_view body = {};
    std::string_view media_type = {};  ///< without parameters
    const Identity& identity;
    FieldValidation validation = FieldValidation::warn;
    bool dry_run = false;
    Timestamp now{};
};

struct Written {
    int status = 200;
    Text text = {};            ///< the object; null: `success` is the answer
    std::string success = {};  ///< a Status
    std::vector<std::string> warnings = {};
};

/// Creates, changes and removes objects. One write at a time; each is durable before it is answered
/// and before any read or watch shows it. Events older than an hour go with a newer one, looked for
/// once a minute.
class Writes {
public:
    Writes(const Resources& resources, std::shared_ptr<Cache> cache, Store& store,
           RandomBytes random_bytes);

    Outcome<Written> create(const WriteRequest& request);
    /// PUT.
    Outcome<Written> replace(const WriteRequest& request);
    Outcome<Written> patch(const WriteRequest& request);
    Outcome<Written> remove(const WriteRequest& request);

    /// Why nothing can be written now; empty: it can, as far as is known. While the last write
    /// failed this tries one that changes no object, so that it tells when there is room again.
    std::string trouble();

    /// The namespaces that exist on every server. Called once, before the first request.
    Result<void> create_first_namespaces(Timestamp now);

private:
    /// One object of a transaction. `before` is null for a new one.
    struct Draft {
        const ResourceType* type;
        std::shared_ptr<nlohmann::json> object;
        EntryPtr before = {};
        bool removed = false;
    };
    using Drafts = std::vector<Draft>;

    Outcome<nlohmann::json> candidate_of_patch(const WriteRequest& request,
                                               const nlohmann::json& old,
                                               std::vector<std::string>& problems) const;
    Outcome<bool> prepare_new(const WriteRequest& request, nlohmann::json& object) const;
    void give_identity(const WriteRequest& request, nlohmann::json& object) const;
    Outcome<bool> check_namespace(const WriteRequest& request, const std::string& name) const;
    Outcome<Written> update(const WriteRequest& request, const EntryPtr& entry,
                            const nlohmann::json& old, nlohmann::json candidate,
                            std::vector<std::string> warnings, bool replaces);
    Outcome<Written> store_update(const WriteRequest& request, const EntryPtr& entry,
                                  nlohmann::json object, std::vector<std::string> warnings);
    Outcome<Written> remove_namespace(const WriteRequest& request, const EntryPtr& entry,
                                      nlohmann::json object);
    void drop_content(const std::string& ns, Timestamp now, Drafts& drafts) const;
    void finish_namespace(const std::string& ns, Drafts& drafts) const;
    void drop_old_events(Timestamp now, Drafts& drafts);
    /// Gives versions, makes durable, shows. The text of the first draft.
    Outcome<Text> commit(Drafts drafts);
    Result<void> make_durable(const std::vector<StoredChange>& changes, std::uint64_t version);
    std::string new_uid() const;
    std::string name_suffix() const;

    const Resources& resources_;
    std::shared_ptr<Cache> cache_;
    Store& store_;
    RandomBytes random_bytes_;
    std::mutex mutex_;              // one writer
    std::string trouble_ = {};      ///< of the last write; guarded by the mutex
    std::uint64_t tries_ = 0;       ///< of `trouble`; guarded by the mutex
    Timestamp old_events_after_{};  ///< when to look for old events again; guarded by the mutex
};

}  // namespace sallyport::apiserver
