#include "system/files.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <vector>

#include "base/text.hpp"

namespace sallyport::system {

namespace {

Error failure(std::string_view doing, const std::string& path, int number) {
    Error error =
        unavailable(fmt::format("{} {}: {}", doing, path, lower(strerrordesc_np(number))));
    if (number == ENOENT) error.kind = ErrorKind::not_found;
    if (number == EACCES || number == EPERM || number == EROFS) error.kind = ErrorKind::denied;
    if (number == ENOSPC || number == EDQUOT) error.reason = "DiskFull";
    return error;
}

class Descriptor final {
public:
    Descriptor(const std::string& path, int flags)
        : fd_(::open(path.c_str(), flags | O_CLOEXEC, 0600)) {}
    Descriptor(const Descriptor&) = delete;
    Descriptor& operator=(const Descriptor&) = delete;
    ~Descriptor() {
        if (fd_ >= 0) ::close(fd_);
    }
    explicit operator bool() const { return fd_ >= 0; }
    int operator*() const { return fd_; }

private:
    int fd_;
};

/// True, or false and errno.
bool write_all(int fd, std::string_view bytes) {
    while (!bytes.empty()) {
        const ssize_t written = ::write(fd, bytes.data(), bytes.size());
        if (written < 0 && errno == EINTR) continue;
        if (written < 0) return false;
        bytes.remove_prefix(static_cast<std::size_t>(written));
    }
    return true;
}

/// A new name is durable only when its directory is synced too.
Result<void> sync_directory_of(const std::string& path) {
    const std::size_t slash = path.rfind('/');
    const std::string directory = slash == path.npos ? "."
                                  : slash == 0       ? "/"
                                                     : path.substr(0, slash);
    const Descriptor opened(directory, O_RDONLY | O_DIRECTORY);
    if (!opened || fsync(*opened) != 0) return failure("sync", directory, errno);
    return {};
}

Result<FileEnd> read_end_now(const std::string& path, std::size_t at_most) {
    const Descriptor file(path, O_RDONLY);
    if (!file) return failure("read", path, errno);
    const off_t size = lseek(*file, 0, SEEK_END);
    if (size < 0) return failure("read", path, errno);
    FileEnd end{.file_size = static_cast<std::size_t>(size)};
    end.bytes.resize(std::min(at_most, end.file_size));
    std::size_t filled = 0;
    while (filled < end.bytes.size()) {
        const std::size_t at = end.file_size - end.bytes.size() + filled;
        const ssize_t got = pread(*file, end.bytes.data() + filled, end.bytes.size() - filled,
                                  static_cast<off_t>(at));
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return failure("read", path, errno);
        if (got == 0) return unavailable(fmt::format("read {}: it became shorter meanwhile", path));
        filled += static_cast<std::size_t>(got);
    }
    return end;
}

Result<void> append_now(const std::string& path, const std::string& bytes) {
    const Descriptor file(path, O_WRONLY | O_APPEND | O_CREAT);
    if (!file) return failure("append to", path, errno);
    const off_t before = lseek(*file, 0, SEEK_END);
    if (!write_all(*file, bytes) || fdatasync(*file) != 0) {
        const int number = errno;
        // Only tidiness: a reader finds and drops a torn tail anyway.
        if (ftruncate(*file, before) != 0) return failure("append to (and cut back)", path, number);
        return failure("append to", path, number);
    }
    if (before == 0) return sync_directory_of(path);
    return {};
}

Result<void> replace_now(const std::string& path, const std::string& bytes) {
    const std::string fresh = path + ".new";
    {
        const Descriptor file(fresh, O_WRONLY | O_CREAT | O_TRUNC);
        if (!file || !write_all(*file, bytes) || fsync(*file) != 0) {
            const int number = errno;
            unlink(fresh.c_str());
            return failure("replace", path, number);
        }
    }
    if (rename(fresh.c_str(), path.c_str()) != 0) return failure("replace", path, errno);
    return sync_directory_of(path);
}

Result<void> truncate_now(const std::string& path, std::size_t size) {
    const Descriptor file(path, O_WRONLY);
    if (!file) return failure("truncate", path, errno);
    struct stat facts {};
    if (fstat(*file, &facts) != 0) return failure("truncate", path, errno);
    if (static_cast<std::size_t>(facts.st_size) <= size) return {};
    if (ftruncate(*file, static_cast<off_t>(size)) != 0 || fsync(*file) != 0) {
        return failure("truncate", path, errno);
    }
    return {};
}

}  // namespace

DiskFiles::DiskFiles(Loop& loop) : loop_(loop), thread_([this] { run(); }) {}

DiskFiles::~DiskFiles() {
    {
        const std::lock_guard lock(mutex_);
        stopping_ = true;
    }
    wake_.notify_one();
    thread_.join();
}

void DiskFiles::hand_over(Work work) {
    {
        const std::lock_guard lock(mutex_);
        work_.push_back(std::move(work));
    }
    wake_.notify_one();
}

void DiskFiles::run() {
    for (;;) {
        std::vector<Append> appends;
        std::function<void()> other;
        {
            std::unique_lock lock(mutex_);
            wake_.wait(lock, [this] { return stopping_ || !work_.empty(); });
            if (work_.empty()) return;
            while (!work_.empty()) {
                auto* append = std::get_if<Append>(&work_.front());
                if (append == nullptr || (!appends.empty() && append->path != appends.front().path))
                    break;
                appends.push_back(std::move(*append));
                work_.pop_front();
            }
            if (appends.empty()) {
                other = std::move(*std::get_if<std::function<void()>>(&work_.front()));
                work_.pop_front();
            }
        }
        if (other) {
            other();
            continue;
        }
        std::string bytes;
        for (const Append& append : appends) bytes += append.bytes;
        const Result<void> done = append_now(appends.front().path, bytes);
        for (const Append& append : appends) append.done.reply(done);
    }
}

Task<Result<FileEnd>> DiskFiles::read_end(std::string path, std::size_t at_most) {
    OneShot<Result<FileEnd>> shot(loop_);
    hand_over([path, at_most, done = shot.replier()] { done.reply(read_end_now(path, at_most)); });
    co_return co_await shot.answer();
}

Task<Result<void>> DiskFiles::append(std::string path, std::string bytes) {
    OneShot<Result<void>> shot(loop_);
    Append work{.path = std::move(path), .bytes = std::move(bytes), .done = shot.replier()};
    hand_over(std::move(work));
    co_return co_await shot.answer();
}

Task<Result<void>> DiskFiles::replace(std::string path, std::string bytes) {
    OneShot<Result<void>> shot(loop_);
    hand_over([path, bytes, done = shot.replier()] { done.reply(replace_now(path, bytes)); });
    co_return co_await shot.answer();
}

Task<Result<void>> DiskFiles::truncate(std::string path, std::size_t size) {
    OneShot<Result<void>> shot(loop_);
    hand_over([path, size, done = shot.replier()] { done.reply(truncate_now(path, size)); });
    co_return co_await shot.answer();
}

}  // namespace sallyport::system
