#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/result.hpp"

namespace sallyport::apiserver {

/// An object's text as it is answered; shared by store, cache, history and answers under way.
using Text = std::shared_ptr<const std::string>;

/// `resource` is plural and group (`accessgrants.sallyport.dev`); `ns` is empty for cluster-scoped
/// ones.
struct StoredKey {
    std::string resource;
    std::string ns;
    std::string name;
    friend bool operator==(const StoredKey&, const StoredKey&) = default;
    friend auto operator<=>(const StoredKey&, const StoredKey&) = default;
};

struct StoredObject {
    StoredKey key;
    Text text;
};

/// One write; without a text the object is removed.
struct StoredChange {
    StoredKey key;
    Text text = {};
};

struct StoreContents {
    std::vector<StoredObject> objects = {};
    std::uint64_t version = 0;  ///< the newest resourceVersion ever given out
};

/// Where objects outlive the server. One writer: the server serialises its calls.
class Store {
public:
    virtual ~Store() = default;
    virtual Result<StoreContents> load() = 0;
    /// All of `changes` or none, durable when it returns. Fails with `unavailable` and nothing
    /// written; code `DiskFull` when there is no room. Later calls may succeed again.
    virtual Result<void> commit(const std::vector<StoredChange>& changes,
                                std::uint64_t version) = 0;
};

}  // namespace sallyport::apiserver
