#include <openssl/crypto.h>

// What OpenSSL keeps for a thread goes when the thread ends, unless its clean-up at exit was first.
// cpprestsdk ends its threads at exit as well, and after that: the search for leaks would find
// an error queue and random generators of each thread that has spoken TLS.
namespace {
[[maybe_unused]] const int no_cleanup_before_threads_end =
    OPENSSL_init_crypto(OPENSSL_INIT_NO_ATEXIT, nullptr);
}  // namespace
