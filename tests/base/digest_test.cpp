#include <doctest/doctest.h>

#include "base/digest.hpp"
#include "base/text.hpp"

using namespace sallyport;

TEST_CASE("digests and their texts agree with published vectors") {
    // FIPS 180-2, RFC 4648 section 10, RFC 4122 appendix B (corrected by the errata).
    CHECK(hex(sha256("abc")) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    CHECK(base32_lower("foobar") == "mzxw6ytboi");
    CHECK(base32_lower("f") == "my");
    CHECK(base64("foob") == "Zm9vYg==");
    CHECK(uuid_v5("6ba7b810-9dad-11d1-80b4-00c04fd430c8", "www.example.com") ==
          "2ed6657d-e927-568b-95e1-2665a8aea6a2");
    CHECK(uuid_v4_of(std::string(16, '\xff')) == "ffffffff-ffff-4fff-bfff-ffffffffffff");
}

TEST_CASE("percent encoding round-trips any bytes") {
    CHECK(percent_encoded("a b/ü") == "a%20b%2F%C3%BC");
    CHECK(percent_decoded("a%20b%2F%C3%BC") == "a b/ü");
    CHECK(percent_decoded("100%") == "100%");
    CHECK(percent_decoded("a+b", true) == "a b");
}
