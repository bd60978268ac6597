#include "apiserver/memory_store.hpp"

namespace sallyport::apiserver {

Result<StoreContents> MemoryStore::load() {
    StoreContents contents;
    contents.version = version_;
    for (const auto& [key, text] : objects_) contents.objects.push_back({key, text});
    return contents;
}

Result<void> MemoryStore::commit(const std::vector<StoredChange>& changes, std::uint64_t version) {
    for (const StoredChange& change : changes) {
        if (change.text) {
            objects_[change.key] = change.text;
        } else {
            objects_.erase(change.key);
        }
    }
    version_ = version;
    return {};
}

}  // namespace sallyport::apiserver
