#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <shared_mutex>
#include <string>
#include <utility>
#include <vector>

#include "apiserver/entry.hpp"

namespace sallyport::apiserver {

/// One change, in the order of versions.
struct Change {
    std::uint64_t version = 0;
    EntryPtr before = {};  ///< null: it was created
    EntryPtr now = {};     ///< of a removed object: its last state, with the version of its removal
    bool removed = false;
};

/// Everything the server answers from: all objects, and the last changes for watches. Thread safe;
/// readers do not wait for a write that is being made durable, since it comes here only afterwards.
class Cache {
public:
    explicit Cache(std::size_t history_max) : history_max_(history_max) {}

    void load(std::vector<EntryPtr> entries, std::uint64_t version);
    /// Takes over what was made durable and wakes the watches it concerns.
    void apply(std::vector<Change> changes);

    std::uint64_t version() const;
    EntryPtr find(const ResourceType& type, const std::string& ns, const std::string& name) const;

    struct Scope {
        const ResourceType* type = nullptr;
        std::string ns = {};                             ///< empty: all namespaces
        std::pair<std::string, std::string> after = {};  ///< only keys behind this one
    };
    struct Listing {
        std::vector<EntryPtr> entries = {};
        std::uint64_t version = 0;
        std::size_t remaining =
            0;  ///< that `keep` was not asked about, because `limit` was reached
    };
    /// Up to `limit` (0: all) entries that `keep` wants, in order of namespace and name.
    Listing list(const Scope& scope, std::size_t limit,
                 const std::function<bool(const Entry&)>& keep) const;

    /// Changes of `type` after `version`, oldest first, at most `limit`, and the version up to
    /// which they are complete. Nothing: that far back is not kept any more.
    struct News {
        std::vector<Change> changes = {};
        std::uint64_t version = 0;
    };
    std::optional<News> since(std::uint64_t version, const ResourceType& type,
                              std::size_t limit) const;

    /// Calls `wake` after each change of `type` until the token is destroyed. Any thread.
    class Interest {
    public:
        Interest(std::weak_ptr<Cache> cache, std::uint64_t id)
            : cache_(std::move(cache)), id_(id) {}
        Interest(const Interest&) = delete;
        Interest& operator=(const Interest&) = delete;
        ~Interest();

    private:
        std::weak_ptr<Cache> cache_;
        std::uint64_t id_;
    };
    static std::unique_ptr<Interest> interest(const std::shared_ptr<Cache>& cache,
                                              const ResourceType& type, std::function<void()> wake);

private:
    using Objects = std::map<std::pair<std::string, std::string>, EntryPtr>;

    mutable std::shared_mutex mutex_;  // guards all below
    std::size_t history_max_;
    std::map<const ResourceType*, Objects> objects_;
    std::deque<Change> history_;
    std::uint64_t history_floor_ = 0;  ///< changes up to here are forgotten
    std::uint64_t version_ = 0;

    struct Listener {
        const ResourceType* type;
        std::shared_ptr<const std::function<void()>> wake;
    };
    std::map<std::uint64_t, Listener> listeners_;
    std::uint64_t next_listener_ = 1;
};

}  // namespace sallyport::apiserver
