#include "kube/replica.hpp"

#include <nlohmann/json.hpp>

#include "base/mutant.hpp"

namespace sallyport::kube {

namespace {

using Json = nlohmann::json;

}  // namespace

void drop_ballast(Json& object) {
    const auto metadata = object.find("metadata");
    if (metadata == object.end() || !metadata->is_object()) return;
    metadata->erase("managedFields");
    const auto annotations = metadata->find("annotations");
    if (annotations == metadata->end() || !annotations->is_object()) return;
    annotations->erase("kubectl.kubernetes.io/last-applied-configuration");
}

std::string text_at(const Json& object, const char* name) {
    if (!object.is_object()) return {};
    const auto it = object.find(name);
    return it != object.end() && it->is_string() ? it->get<std::string>() : std::string();
}

ObjectMeta meta_of(const Json& object) {
    ObjectMeta meta;
    if (!object.is_object()) return meta;
    const auto metadata = object.find("metadata");
    if (metadata == object.end() || !metadata->is_object()) return meta;
    meta.key = {.ns = text_at(*metadata, "namespace"), .name = text_at(*metadata, "name")};
    meta.uid = text_at(*metadata, "uid");
    meta.resource_version = text_at(*metadata, "resourceVersion");
    if (const auto deleted = parse_rfc3339(text_at(*metadata, "deletionTimestamp")))
        meta.deleted = *deleted;
    const auto generation = metadata->find("generation");
    if (generation != metadata->end() && generation->is_number_integer())
        meta.generation = generation->get<std::int64_t>();
    const auto finalizers = metadata->find("finalizers");
    if (finalizers != metadata->end() && finalizers->is_array()) {
        for (const Json& each : *finalizers) {
            if (each.is_string()) meta.finalizers.push_back(each.get<std::string>());
        }
    }
    return meta;
}

std::string status_of(const Json& object) {
    const auto it = object.find("status");
    return it == object.end() ? std::string() : it->dump();
}

bool Replica::begin_list(std::string version) {
    went_back_ = !followed_.empty() && is_newer(followed_, version);
    list_version_ = std::move(version);
    listed_.clear();
    gone_listed_.clear();
    return went_back_;
}

bool Replica::is_news(const ObjectMeta& meta) const {
    if (planted("older-event-wins")) return true;
    if (gone_.contains(meta.uid)) return false;
    const ObjectMeta* known = this->meta(meta.key);
    return known == nullptr || is_newer(meta.resource_version, known->resource_version);
}

void Replica::list(ObjectPtr object) {
    if (!object) return;
    const ObjectMeta& meta = object->meta;
    if (!went_back_ && gone_.contains(meta.uid)) {
        gone_listed_.insert(meta.uid);
        return;
    }
    listed_.insert(meta.key);
    const ObjectMeta* known = this->meta(meta.key);
    const bool differs = known == nullptr || known->resource_version != meta.resource_version;
    if (went_back_ ? differs : is_news(meta)) take(std::move(object));
}

void Replica::take(ObjectPtr object) {
    ObjectKey key = object->meta.key;
    store(std::move(object));
    changed(std::move(key));
}

void Replica::end_list() {
    std::vector<ObjectKey> gone;
    each_key([&](const ObjectKey& key, const std::string& version) {
        // Newer than the list: created meanwhile, by us; the watch will tell.
        const bool created_since =
            is_ordered(version) && is_newer(version, list_version_) && !went_back_;
        if (planted("deletion-missed-by-list")) return;
        if (!listed_.contains(key) && !created_since) gone.push_back(key);
    });
    for (ObjectKey& key : gone) {
        erase(key);
        changed(std::move(key));
    }
    listed_.clear();
    gone_ = std::exchange(gone_listed_, {});
    followed_ = std::exchange(list_version_, {});
    went_back_ = false;
    if (std::exchange(synced_, true)) return;
    changed({});
}

void Replica::put(Json&& object) {
    ObjectPtr read = reader()(std::move(object));
    if (!read) return;
    follow(read->meta.resource_version);
    if (is_news(read->meta)) take(std::move(read));
}

void Replica::gone(const ObjectKey& key, const std::string& uid) {
    const ObjectMeta* known = meta(key);
    if (known == nullptr || uid.empty() || known->uid != uid) return;
    gone_.insert(uid);
    erase(key);
    changed(key);
}

void Replica::remove(const Json& object) {
    ObjectMeta meta = meta_of(object);
    follow(meta.resource_version);
    gone_.erase(meta.uid);  // no event of it comes after this one
    const ObjectMeta* known = this->meta(meta.key);
    if (known == nullptr) return;
    // Made anew since, under the same name.
    if (is_ordered(known->resource_version) &&
        is_newer(known->resource_version, meta.resource_version))
        return;
    erase(meta.key);
    changed(std::move(meta.key));
}

void Replica::bookmark(std::string version) { follow(version); }

void Replica::answer(Json&& object) {
    ObjectPtr read = reader()(std::move(object));
    if (!read) return;
    const ObjectMeta& meta = read->meta;
    // The answer to taking off the last finalizer of a deleted object shows what is already gone.
    if (meta.deleted && meta.finalizers.empty()) return gone(meta.key, meta.uid);
    if (!is_ordered(meta.resource_version) || !is_newer(meta.resource_version, followed_)) return;
    if (followed_.empty() || !is_news(meta)) return;
    take(std::move(read));
}

void Replica::follow(const std::string& version) {
    if (!version.empty() && (followed_.empty() || is_newer(version, followed_)))
        followed_ = version;
}

void Replica::changed(ObjectKey key) const {
    if (notify_) notify_(ObjectRef{.kind = kind_, .key = std::move(key)});
}

}  // namespace sallyport::kube
