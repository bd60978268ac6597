#include "apiserver/cache.hpp"

#include <algorithm>
#include <mutex>

namespace sallyport::apiserver {

void Cache::load(std::vector<EntryPtr> entries, std::uint64_t version) {
    const std::unique_lock lock(mutex_);
    for (EntryPtr& entry : entries) {
        auto key = std::pair(entry->ns, entry->name);
        objects_[entry->type].insert_or_assign(std::move(key), std::move(entry));
    }
    version_ = version;
    history_floor_ = version;
}

void Cache::apply(std::vector<Change> changes) {
    std::vector<std::shared_ptr<const std::function<void()>>> wakes;
    {
        const std::unique_lock lock(mutex_);
        for (Change& change : changes) {
            Objects& objects = objects_[change.now->type];
            const auto key = std::pair(change.now->ns, change.now->name);
            if (change.removed) {
                objects.erase(key);
            } else {
                objects.insert_or_assign(key, change.now);
            }
            version_ = change.version;
            for (const auto& [id, listener] : listeners_) {
                if (listener.type == change.now->type) wakes.push_back(listener.wake);
            }
            history_.push_back(std::move(change));
        }
        while (history_.size() > history_max_) {
            history_floor_ = history_.front().version;
            history_.pop_front();
        }
    }
    // Outside the lock: a woken server may read at once.
    for (const auto& wake : wakes) (*wake)();
}

std::uint64_t Cache::version() const {
    const std::shared_lock lock(mutex_);
    return version_;
}

EntryPtr Cache::find(const ResourceType& type, const std::string& ns,
                     const std::string& name) const {
    const std::shared_lock lock(mutex_);
    const auto objects = objects_.find(&type);
    if (objects == objects_.end()) return nullptr;
    const auto found = objects->second.find({ns, name});
    return found == objects->second.end() ? nullptr : found->second;
}

Cache::Listing Cache::list(const Scope& scope, std::size_t limit,
                           const std::function<bool(const Entry&)>& keep) const {
    Listing listing;
    const std::shared_lock lock(mutex_);
    listing.version = version_;
    const auto objects = objects_.find(scope.type);
    if (objects == objects_.end()) return listing;

    const Objects& all = objects->second;
    auto place =
        scope.after.second.empty() ? all.lower_bound({scope.ns, ""}) : all.upper_bound(scope.after);
    for (; place != all.end(); ++place) {
        if (!scope.ns.empty() && place->first.first != scope.ns) break;
        if (limit > 0 && listing.entries.size() == limit) {
            ++listing.remaining;
            continue;
        }
        if (keep(*place->second)) listing.entries.push_back(place->second);
    }
    return listing;
}

std::optional<Cache::News> Cache::since(std::uint64_t version, const ResourceType& type,
                                        std::size_t limit) const {
    const std::shared_lock lock(mutex_);
    if (version < history_floor_) return std::nullopt;
    News news;
    news.version = version_;
    auto place = std::upper_bound(
        history_.begin(), history_.end(), version,
        [](std::uint64_t wanted, const Change& change) { return wanted < change.version; });
    for (; place != history_.end(); ++place) {
        if (place->now->type != &type) continue;
        if (news.changes.size() == limit) {
            news.version = news.changes.back().version;
            break;
        }
        news.changes.push_back(*place);
    }
    return news;
}

std::unique_ptr<Cache::Interest> Cache::interest(const std::shared_ptr<Cache>& cache,
                                                 const ResourceType& type,
                                                 std::function<void()> wake) {
    const std::unique_lock lock(cache->mutex_);
    const std::uint64_t id = cache->next_listener_++;
    cache->listeners_.emplace(
        id, Listener{&type, std::make_shared<const std::function<void()>>(std::move(wake))});
    return std::make_unique<Interest>(cache, id);
}

Cache::Interest::~Interest() {
    if (const std::shared_ptr<Cache> cache = cache_.lock()) {
        const std::unique_lock lock(cache->mutex_);
        cache->listeners_.erase(id_);
    }
}

}  // namespace sallyport::apiserver
