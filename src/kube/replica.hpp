#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "base/result.hpp"
#include "kube/versions.hpp"
#include "ports/store.hpp"

namespace sallyport::kube {

/// What a publisher compares with and bases its patch on.
struct StatusBase {
    std::string uid = {};
    std::string version = {};
    std::string status = {};  ///< JSON; empty: there is none
};

/// One kind's cache as its reflector sees it: told of lists and watch events, in the server's
/// order.
///
/// Three sources write into it: lists, watch events, and answers to requests of our own. Versions
/// keep them in order. An event or answer no newer than what is there is dropped. An answer is
/// dropped also when it is no newer than what the watch has told (`followed`): the watch then knows
/// all that happened up to it, a deletion too, and an answer that comes late must not bring a
/// deleted object back.
class Replica {
public:
    using Notify = std::function<void(const ObjectRef&)>;
    explicit Replica(Kind kind) : kind_(kind) {}
    virtual ~Replica() = default;
    Replica(const Replica&) = delete;
    Replica& operator=(const Replica&) = delete;

    Kind kind() const { return kind_; }
    bool synced() const { return synced_; }
    /// The version up to which list and watch have told everything; empty before the first list.
    const std::string& followed() const { return followed_; }
    void set_notify(Notify notify) { notify_ = std::move(notify); }

    /// A list of state `version` begins. A version older than `followed` means that the server was
    /// put back to an earlier state: then the list replaces everything, whatever the versions say.
    /// Gives true in that case.
    bool begin_list(std::string version);
    /// An object as it is kept, read from its JSON.
    struct Object {
        ObjectMeta meta = {};
        virtual ~Object() = default;
    };
    using ObjectPtr = std::unique_ptr<const Object>;
    /// Reads one object; gives null when it has no name. Depends on nothing but its argument: any
    /// thread may call it, also when the replica is gone.
    using Reader = std::function<ObjectPtr(nlohmann::json&&)>;
    virtual Reader reader() const = 0;
    /// One object of the list.
    void list(ObjectPtr object);
    /// The list was whole: what it did not have is gone (unless it is newer than the list).
    void end_list();

    /// ADDED or MODIFIED.
    void put(nlohmann::json&& object);
    /// DELETED; the object's version is that of its deletion.
    void remove(const nlohmann::json& object);
    /// The object of this uid is gone, as the server answered to a request of ours. What lists and
    /// watches still tell of it is older.
    void gone(const ObjectKey& key, const std::string& uid);
    void bookmark(std::string version);
    /// What the server answered to a read or write of ours.
    void answer(nlohmann::json&& object);

    virtual std::optional<std::string> problem(const ObjectKey& key) const = 0;
    /// nullopt: no such object here, or its kind keeps no status.
    virtual std::optional<StatusBase> status_base(const ObjectKey& key) const = 0;
    virtual const ObjectMeta* meta(const ObjectKey& key) const = 0;
    virtual void each_undecoded(const std::function<void(const ObjectKey&)>& visit) const = 0;
    virtual std::size_t size() const = 0;

protected:
    virtual void store(ObjectPtr object) = 0;
    virtual void erase(const ObjectKey& key) = 0;
    virtual void each_key(
        const std::function<void(const ObjectKey&, const std::string& version)>& visit) const = 0;

private:
    bool is_news(const ObjectMeta& meta) const;
    void take(ObjectPtr object);
    void follow(const std::string& version);
    void changed(ObjectKey key) const;

    Kind kind_;
    bool synced_ = false;
    bool went_back_ = false;
    std::string followed_;
    std::string list_version_;
    std::set<ObjectKey> listed_;
    std::set<std::string> gone_;         ///< uids of which lists or watches may tell still
    std::set<std::string> gone_listed_;  ///< of those, what the list under way has
    Notify notify_;
};

/// The text under this name; empty where there is none.
std::string text_at(const nlohmann::json& object, const char* name);
/// The part of an object's metadata that every object has; an empty name when there is none.
ObjectMeta meta_of(const nlohmann::json& object);
/// The object's status as compact JSON; empty without one.
std::string status_of(const nlohmann::json& object);
/// Takes out what nobody here reads and what is often the larger half of an object.
void drop_ballast(nlohmann::json& object);

/// A typed cache of one kind. Objects are decoded once and their JSON is dropped, but for the
/// status text of kinds we publish to.
template <class T>
class Table final : public Replica {
public:
    using Decode = Result<T> (*)(const nlohmann::json&);
    enum class Status { dropped, kept };
    Table(Kind kind, Decode decode, Status status)
        : Replica(kind), decode_(decode), keep_(status) {}

    /// nullptr: absent or undecodable. Valid until the next suspension.
    const T* find(const ObjectKey& key) const {
        const auto it = entries_.find(key);
        return it == entries_.end() ? nullptr : std::get_if<T>(&it->second->object);
    }
    void each(const std::function<void(const T&)>& visit) const {
        for (const auto& [key, entry] : entries_) {
            if (const T* object = std::get_if<T>(&entry->object)) visit(*object);
        }
    }

    std::optional<std::string> problem(const ObjectKey& key) const override {
        const auto it = entries_.find(key);
        if (it == entries_.end()) return std::nullopt;
        const auto* undecoded = std::get_if<Undecoded>(&it->second->object);
        return undecoded ? std::optional(undecoded->message) : std::nullopt;
    }
    void each_undecoded(const std::function<void(const ObjectKey&)>& visit) const override {
        for (const auto& [key, entry] : entries_) {
            if (std::holds_alternative<Undecoded>(entry->object)) visit(key);
        }
    }
    std::optional<StatusBase> status_base(const ObjectKey& key) const override {
        const auto it = entries_.find(key);
        if (it == entries_.end() || keep_ == Status::dropped) return std::nullopt;
        const ObjectMeta& meta = it->second->meta;
        return StatusBase{
            .uid = meta.uid, .version = meta.resource_version, .status = it->second->status};
    }
    const ObjectMeta* meta(const ObjectKey& key) const override {
        const auto it = entries_.find(key);
        return it == entries_.end() ? nullptr : &it->second->meta;
    }
    std::size_t size() const override { return entries_.size(); }

    Reader reader() const override {
        return [decode = decode_, keep = keep_](nlohmann::json&& object) -> ObjectPtr {
            auto entry = std::make_unique<Entry>();
            entry->meta = meta_of(object);
            if (entry->meta.key.name.empty()) return nullptr;
            drop_ballast(object);
            if (keep == Status::kept) entry->status = status_of(object);
            Result<T> decoded = decode(object);
            if (decoded) {
                entry->object = *std::move(decoded);
            } else {
                entry->object = Undecoded{std::move(decoded).error().message};
            }
            return entry;
        };
    }

private:
    struct Undecoded {
        std::string message;
    };
    struct Entry final : Object {
        std::variant<Undecoded, T> object;
        std::string status;
    };

    void store(ObjectPtr object) override {
        const ObjectKey key = object->meta.key;
        entries_.insert_or_assign(
            key, std::unique_ptr<const Entry>(static_cast<const Entry*>(object.release())));
    }
    void erase(const ObjectKey& key) override { entries_.erase(key); }
    void each_key(
        const std::function<void(const ObjectKey&, const std::string&)>& visit) const override {
        for (const auto& [key, entry] : entries_) visit(key, entry->meta.resource_version);
    }

    Decode decode_;
    Status keep_;
    std::map<ObjectKey, std::unique_ptr<const Entry>> entries_;
};

}  // namespace sallyport::kube
