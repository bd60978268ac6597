#pragma once

#include <string>

#include "base/result.hpp"
#include "base/task.hpp"

namespace sallyport {

struct FileEnd {
    std::string bytes = {};
    std::size_t file_size = 0;
};

/// Durable files. A write is durable when it has returned a value: file and directory entry are
/// synced. A failed append leaves what was durable before; a torn tail is possible and is the
/// reader's to find.
class Files {
public:
    virtual ~Files() = default;
    /// The last bytes of the file, at most so many; `not_found` if it does not exist.
    virtual Task<Result<FileEnd>> read_end(std::string path, std::size_t at_most) = 0;
    virtual Task<Result<void>> append(std::string path, std::string bytes) = 0;
    /// Replaces the whole file or nothing.
    virtual Task<Result<void>> replace(std::string path, std::string bytes) = 0;
    /// Cuts the file to its first `size` bytes.
    virtual Task<Result<void>> truncate(std::string path, std::size_t size) = 0;
};

}  // namespace sallyport
