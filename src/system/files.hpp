#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <variant>

#include "base/loop.hpp"
#include "ports/files.hpp"

namespace sallyport::system {

/// Files on disk, read and synced by one thread, in the order of the calls; the loop never waits.
///
/// Appends to one file that wait together are written together and synced once. What was handed
/// over happens, also when the task that awaits it is destroyed; the destructor waits for it. New
/// files have mode 0600. A full disk (or quota) is `unavailable` with reason `DiskFull`; an append
/// that did not fit is cut off again as far as the disk lets us. A missing permission is `denied`.
class DiskFiles final : public Files {
public:
    explicit DiskFiles(Loop& loop);
    DiskFiles(const DiskFiles&) = delete;
    DiskFiles& operator=(const DiskFiles&) = delete;
    ~DiskFiles() override;

    Task<Result<FileEnd>> read_end(std::string path, std::size_t at_most) override;
    Task<Result<void>> append(std::string path, std::string bytes) override;
    Task<Result<void>> replace(std::string path, std::string bytes) override;
    Task<Result<void>> truncate(std::string path, std::size_t size) override;

private:
    using Done = OneShot<Result<void>>::Replier;
    struct Append {
        std::string path;
        std::string bytes;
        Done done;
    };
    using Work = std::variant<Append, std::function<void()>>;

    void run();
    void hand_over(Work work);

    Loop& loop_;
    std::mutex mutex_;  // guards the three below
    std::condition_variable wake_;
    std::deque<Work> work_;
    bool stopping_ = false;
    std::thread thread_;
};

}  // namespace sallyport::system
