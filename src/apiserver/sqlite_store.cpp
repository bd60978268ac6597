#include "apiserver/sqlite_store.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sqlite3.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

namespace sallyport::apiserver {

namespace {

constexpr int schema_version = 1;
constexpr std::uint64_t page_size = 4096;

struct CloseDatabase {
    void operator()(sqlite3* database) const { sqlite3_close_v2(database); }
};
struct FinalizeStatement {
    void operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }
};
using Database = std::unique_ptr<sqlite3, CloseDatabase>;
using Statement = std::unique_ptr<sqlite3_stmt, FinalizeStatement>;

/// Held open for the life of the store; the kernel lets go of the lock however the process ends.
class DirectoryLock {
public:
    static Result<DirectoryLock> take(const std::string& dir) {
        const std::string path = dir + "/lock";
        DirectoryLock lock;
        lock.file_ = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        if (lock.file_ < 0)
            return unavailable(fmt::format("{} cannot be opened: {}", path, std::strerror(errno)));
        if (::flock(lock.file_, LOCK_EX | LOCK_NB) == 0) return lock;
        if (errno != EWOULDBLOCK)
            return unavailable(fmt::format("{} cannot be locked: {}", path, std::strerror(errno)));
        return Error{
            ErrorKind::denied,
            fmt::format("another process uses the data directory {}: one controller owns it "
                        "at a time",
                        dir)};
    }
    DirectoryLock(DirectoryLock&& other) noexcept : file_(std::exchange(other.file_, -1)) {}
    DirectoryLock& operator=(DirectoryLock&&) = delete;
    ~DirectoryLock() {
        if (file_ >= 0) ::close(file_);
    }

private:
    DirectoryLock() = default;
    int file_ = -1;
};

Error sqlite_error(sqlite3* database, const std::string& path) {
    const int code = sqlite3_errcode(database);
    Error error = unavailable(fmt::format("{}: {}", path, sqlite3_errmsg(database)));
    if (code == SQLITE_FULL) error.code = "DiskFull";
    if (code == SQLITE_CORRUPT || code == SQLITE_NOTADB) {
        error.kind = ErrorKind::invalid;
        error.message = fmt::format(
            "the store {} is damaged ({}): nothing was changed. Restore the file from a backup; or "
            "move "
            "it away to start empty: then close what is open by hand first, since grants that are "
            "still "
            "in Git would open again",
            path, sqlite3_errmsg(database));
    }
    return error;
}

Result<Statement> prepare(sqlite3* database, const std::string& path, const char* sql) {
    sqlite3_stmt* statement = nullptr;
    if (sqlite3_prepare_v2(database, sql, -1, &statement, nullptr) != SQLITE_OK)
        return sqlite_error(database, path);
    return Statement(statement);
}

Result<void> run(sqlite3* database, const std::string& path, const std::string& sql) {
    if (sqlite3_exec(database, sql.c_str(), nullptr, nullptr, nullptr) != SQLITE_OK)
        return sqlite_error(database, path);
    return {};
}

std::string column(sqlite3_stmt* statement, int index) {
    const void* bytes = sqlite3_column_blob(statement, index);
    const int size = sqlite3_column_bytes(statement, index);
    if (!bytes || size <= 0) return {};
    return std::string(static_cast<const char*>(bytes), static_cast<std::size_t>(size));
}

void bind(sqlite3_stmt* statement, int index, const std::string& text) {
    // The texts outlive the step.
    sqlite3_bind_text(statement, index, text.data(), static_cast<int>(text.size()), SQLITE_STATIC);
}

}  // namespace

class SqliteStore::Impl {
public:
    Impl(std::string path, DirectoryLock lock, Database database)
        : path_(std::move(path)), lock_(std::move(lock)), database_(std::move(database)) {}

    Result<void> prepare_database(const SqliteOptions& options);
    Result<StoreContents> load();
    Result<void> commit(const std::vector<StoredChange>& changes, std::uint64_t version);
    bool is_blank() const { return blank_; }

private:
    Result<void> check_integrity();
    Result<void> check_version();
    Result<void> write(const std::vector<StoredChange>& changes, std::uint64_t version);
    Result<void> step(sqlite3_stmt* statement);
    Result<void> check_in_place() const;

    std::string path_;
    DirectoryLock lock_;
    Database database_;
    Statement put_;
    Statement drop_;
    Statement set_version_;
    bool blank_ = false;
    struct stat file_ {};  ///< which file it was at the start
};

Result<void> SqliteStore::Impl::prepare_database(const SqliteOptions& options) {
    // EXCLUSIVE: nobody else has the file, and the log needs no shared memory.
    for (const char* pragma : {"PRAGMA locking_mode=EXCLUSIVE", "PRAGMA journal_mode=WAL",
                               "PRAGMA synchronous=FULL", "PRAGMA journal_size_limit=67108864"}) {
        if (Result<void> done = run(database_.get(), path_, pragma); !done) return done;
    }
    if (Result<void> done = check_integrity(); !done) return done;
    if (Result<void> done = check_version(); !done) return done;
    const std::string schema = fmt::format(
        "CREATE TABLE IF NOT EXISTS objects(resource TEXT NOT NULL, ns TEXT NOT NULL, name TEXT "
        "NOT "
        "NULL, body TEXT NOT NULL, PRIMARY KEY(resource, ns, name)) WITHOUT ROWID;"
        "CREATE TABLE IF NOT EXISTS newest(id INTEGER PRIMARY KEY CHECK(id = 1), version INTEGER "
        "NOT "
        "NULL);"
        "INSERT OR IGNORE INTO newest VALUES(1, 0);"
        "PRAGMA user_version={};",
        schema_version);
    if (Result<void> done = run(database_.get(), path_, schema); !done) return done;
    Result<Statement> newest = prepare(database_.get(), path_, "SELECT version FROM newest");
    if (!newest) return std::move(newest).error();
    if (sqlite3_step(newest->get()) != SQLITE_ROW) return sqlite_error(database_.get(), path_);
    blank_ = sqlite3_column_int64(newest->get(), 0) == 0;
    if (::stat(path_.c_str(), &file_) != 0)
        return unavailable(fmt::format("{} cannot be read: {}", path_, std::strerror(errno)));
    newest->reset();
    if (options.size_max > 0) {
        const std::string limit =
            fmt::format("PRAGMA max_page_count={}", options.size_max / page_size);
        if (Result<void> done = run(database_.get(), path_, limit); !done) return done;
    }
    for (const auto& [place, sql] :
         {std::pair(&put_,
                    "INSERT INTO objects VALUES(?1, ?2, ?3, ?4) ON CONFLICT DO UPDATE SET body = "
                    "excluded.body"),
          std::pair(&drop_, "DELETE FROM objects WHERE resource = ?1 AND ns = ?2 AND name = ?3"),
          std::pair(&set_version_, "UPDATE newest SET version = ?1 WHERE id = 1")}) {
        Result<Statement> prepared = prepare(database_.get(), path_, sql);
        if (!prepared) return std::move(prepared).error();
        *place = std::move(*prepared);
    }
    return {};
}

Result<void> SqliteStore::Impl::check_integrity() {
    Result<Statement> check = prepare(database_.get(), path_, "PRAGMA integrity_check(1)");
    if (!check) return std::move(check).error();
    const int code = sqlite3_step(check->get());
    const std::string verdict = code == SQLITE_ROW ? column(check->get(), 0) : "";
    if (verdict == "ok") return {};
    if (code != SQLITE_ROW) return sqlite_error(database_.get(), path_);
    return invalid(
        fmt::format("the store {} is damaged ({}): nothing was changed. Restore the file from a "
                    "backup; or move it "
                    "away to start empty: then close what is open by hand first, since grants that "
                    "are still in Git "
                    "would open again",
                    path_, verdict));
}

Result<void> SqliteStore::Impl::check_version() {
    Result<Statement> asked = prepare(database_.get(), path_, "PRAGMA user_version");
    if (!asked) return std::move(asked).error();
    if (sqlite3_step(asked->get()) != SQLITE_ROW) return sqlite_error(database_.get(), path_);
    const int version = sqlite3_column_int(asked->get(), 0);
    if (version <= schema_version) return {};
    return invalid(
        fmt::format("the store {} was written by a newer program (version {}, this one knows {})",
                    path_, version, schema_version));
}

Result<StoreContents> SqliteStore::Impl::load() {
    StoreContents contents;
    Result<Statement> newest = prepare(database_.get(), path_, "SELECT version FROM newest");
    if (!newest) return std::move(newest).error();
    if (sqlite3_step(newest->get()) != SQLITE_ROW) return sqlite_error(database_.get(), path_);
    contents.version = static_cast<std::uint64_t>(sqlite3_column_int64(newest->get(), 0));

    Result<Statement> all =
        prepare(database_.get(), path_, "SELECT resource, ns, name, body FROM objects");
    if (!all) return std::move(all).error();
    int code = sqlite3_step(all->get());
    for (; code == SQLITE_ROW; code = sqlite3_step(all->get())) {
        contents.objects.push_back(
            {{column(all->get(), 0), column(all->get(), 1), column(all->get(), 2)},
             std::make_shared<const std::string>(column(all->get(), 3))});
    }
    if (code != SQLITE_DONE) return sqlite_error(database_.get(), path_);
    return contents;
}

Result<void> SqliteStore::Impl::step(sqlite3_stmt* statement) {
    const int code = sqlite3_step(statement);
    Result<void> result =
        code == SQLITE_DONE ? Result<void>() : Result<void>(sqlite_error(database_.get(), path_));
    sqlite3_reset(statement);
    sqlite3_clear_bindings(statement);
    return result;
}

Result<void> SqliteStore::Impl::write(const std::vector<StoredChange>& changes,
                                      std::uint64_t version) {
    if (Result<void> begun = run(database_.get(), path_, "BEGIN IMMEDIATE"); !begun) return begun;
    for (const StoredChange& change : changes) {
        sqlite3_stmt* statement = change.text ? put_.get() : drop_.get();
        bind(statement, 1, change.key.resource);
        bind(statement, 2, change.key.ns);
        bind(statement, 3, change.key.name);
        if (change.text) bind(statement, 4, *change.text);
        if (Result<void> done = step(statement); !done) return done;
    }
    sqlite3_bind_int64(set_version_.get(), 1, static_cast<sqlite3_int64>(version));
    if (Result<void> done = step(set_version_.get()); !done) return done;
    return run(database_.get(), path_, "COMMIT");
}

/// What is written to a file that lost its name is gone with the process.
Result<void> SqliteStore::Impl::check_in_place() const {
    struct stat now {};
    const bool there = ::stat(path_.c_str(), &now) == 0;
    if (there && now.st_ino == file_.st_ino && now.st_dev == file_.st_dev) return {};
    return unavailable(
        fmt::format("the store {} was moved or deleted while this program runs. Put its directory "
                    "back, or stop the program: what it wrote since is lost then",
                    path_));
}

Result<void> SqliteStore::Impl::commit(const std::vector<StoredChange>& changes,
                                       std::uint64_t version) {
    if (Result<void> there = check_in_place(); !there) return there;
    Result<void> written = write(changes, version);
    // SQLite may have rolled back by itself already.
    if (!written && !sqlite3_get_autocommit(database_.get())) {
        if (!run(database_.get(), path_, "ROLLBACK"))
            return std::move(written).error().context("the transaction could not be undone");
    }
    return written;
}

SqliteStore::SqliteStore(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
SqliteStore::~SqliteStore() = default;

Result<std::unique_ptr<SqliteStore>> SqliteStore::open(const std::string& dir,
                                                       SqliteOptions options) {
    std::error_code problem;
    if (!std::filesystem::is_directory(dir, problem)) {
        std::filesystem::create_directories(dir, problem);
        if (problem)
            return unavailable(
                fmt::format("the data directory {} cannot be made: {}", dir, problem.message()));
        ::chmod(dir.c_str(), 0700);
    }
    Result<DirectoryLock> lock = DirectoryLock::take(dir);
    if (!lock) return std::move(lock).error();

    const std::string path = dir + "/control-plane.db";
    // Made here first, so that Secrets in it and in its log are readable by their user only.
    const int made = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (made < 0)
        return unavailable(fmt::format("{} cannot be opened: {}", path, std::strerror(errno)));
    ::close(made);
    sqlite3* handle = nullptr;
    const int code = sqlite3_open_v2(path.c_str(), &handle,
                                     SQLITE_OPEN_READWRITE | SQLITE_OPEN_FULLMUTEX, nullptr);
    Database database(handle);
    if (code != SQLITE_OK) return sqlite_error(database.get(), path);
    auto impl = std::make_unique<Impl>(path, std::move(*lock), std::move(database));
    if (Result<void> ready = impl->prepare_database(options); !ready)
        return std::move(ready).error();
    return std::make_unique<SqliteStore>(std::move(impl));
}

bool SqliteStore::is_blank() const { return impl_->is_blank(); }

Result<StoreContents> SqliteStore::load() { return impl_->load(); }

Result<void> SqliteStore::commit(const std::vector<StoredChange>& changes, std::uint64_t version) {
    return impl_->commit(changes, version);
}

}  // namespace sallyport::apiserver
