#pragma once

#include <map>

#include "apiserver/store.hpp"

namespace sallyport::apiserver {

/// For simulations and tests: outlives the server object, not the process.
class MemoryStore final : public Store {
public:
    Result<StoreContents> load() override;
    Result<void> commit(const std::vector<StoredChange>& changes, std::uint64_t version) override;

private:
    std::map<StoredKey, Text> objects_;
    std::uint64_t version_ = 0;
};

}  // namespace sallyport::apiserver
