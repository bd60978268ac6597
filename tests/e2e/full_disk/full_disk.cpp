// Preloaded into a program (LD_PRELOAD), it plays a disk that is full: while the file that
// FULL_DISK names exists, nothing can be written to files in the folder that FULL_DISK_UNDER names.
// So a test needs neither a mount nor the right to make one.

#include <dlfcn.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace {

bool is_full(int file) {
    const int before = errno;
    const char* const flag = std::getenv("FULL_DISK");
    const char* const under = std::getenv("FULL_DISK_UNDER");
    bool full = false;
    if (flag && under && ::access(flag, F_OK) == 0) {
        char link[64];
        char path[PATH_MAX];
        std::snprintf(link, sizeof link, "/proc/self/fd/%d", file);
        const ssize_t size = ::readlink(link, path, sizeof path);
        const std::size_t length = std::strlen(under);
        full = size > 0 && static_cast<std::size_t>(size) >= length &&
               std::strncmp(path, under, length) == 0;
    }
    errno = full ? ENOSPC : before;
    return full;
}

template <class Function>
Function next(const char* name) {
    return reinterpret_cast<Function>(::dlsym(RTLD_NEXT, name));
}

}  // namespace

extern "C" {

ssize_t write(int file, const void* bytes, size_t count) {
    static const auto real = next<ssize_t (*)(int, const void*, size_t)>("write");
    return is_full(file) ? -1 : real(file, bytes, count);
}

ssize_t writev(int file, const iovec* parts, int count) {
    static const auto real = next<ssize_t (*)(int, const iovec*, int)>("writev");
    return is_full(file) ? -1 : real(file, parts, count);
}

ssize_t pwrite(int file, const void* bytes, size_t count, off_t at) {
    static const auto real = next<ssize_t (*)(int, const void*, size_t, off_t)>("pwrite");
    return is_full(file) ? -1 : real(file, bytes, count, at);
}

ssize_t pwrite64(int file, const void* bytes, size_t count, off64_t at) {
    static const auto real = next<ssize_t (*)(int, const void*, size_t, off64_t)>("pwrite64");
    return is_full(file) ? -1 : real(file, bytes, count, at);
}

}  // extern "C"
