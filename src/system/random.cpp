#include "system/random.hpp"

#include <sys/random.h>

#include <cerrno>

#include "base/check.hpp"

namespace sallyport::system {

namespace {

void fill(void* data, std::size_t size) {
    auto* at = static_cast<char*>(data);
    while (size > 0) {
        const ssize_t got = getrandom(at, size, 0);
        if (got < 0 && errno == EINTR) continue;
        check(got > 0, "the kernel gives random bytes");
        at += got;
        size -= static_cast<std::size_t>(got);
    }
}

}  // namespace

std::uint64_t SystemRandom::next() {
    std::uint64_t number = 0;
    fill(&number, sizeof number);
    return number;
}

std::string SystemRandom::bytes(std::size_t size) {
    std::string bytes(size, '\0');
    fill(bytes.data(), size);
    return bytes;
}

}  // namespace sallyport::system
