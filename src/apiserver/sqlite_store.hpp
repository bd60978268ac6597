#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "apiserver/store.hpp"

namespace sallyport::apiserver {

struct SqliteOptions {
    /// The file may not grow beyond this many bytes; 0: the disk is the limit.
    std::uint64_t size_max = 0;
};

/// Objects in one SQLite file, `<dir>/control-plane.db`: write-ahead log, every commit synced to
/// disk before it returns. The directory is made when missing, for its user only, and belongs to
/// one process: a second one is refused for as long as the first lives, however it ends.
class SqliteStore final : public Store {
public:
    /// Refused: `denied` when another process has the directory; `invalid` for a file that is torn,
    /// damaged or of a newer version, saying which file and what to do; `unavailable` when it
    /// cannot be opened.
    static Result<std::unique_ptr<SqliteStore>> open(const std::string& dir,
                                                     SqliteOptions options = {});
    ~SqliteStore() override;

    /// Nothing was ever committed to it: it is new, or its files were lost.
    bool is_blank() const;

    Result<StoreContents> load() override;
    /// `unavailable` also when the file was moved or deleted meanwhile: nothing is written then.
    Result<void> commit(const std::vector<StoredChange>& changes, std::uint64_t version) override;

private:
    class Impl;
    std::unique_ptr<Impl> impl_;

public:
    explicit SqliteStore(std::unique_ptr<Impl> impl);  ///< for `open`
};

}  // namespace sallyport::apiserver
