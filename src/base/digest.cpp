#include "base/digest.hpp"

#include <openssl/evp.h>

#include <cstdint>
#include <memory>

#include "base/check.hpp"

namespace sallyport {
namespace {

struct FreeDigest {
    void operator()(EVP_MD* kind) const { EVP_MD_free(kind); }
};
using Kind = std::unique_ptr<EVP_MD, FreeDigest>;

/// Looked up once: OpenSSL 3 needs longer to find an algorithm than to digest a short text.
const EVP_MD* sha1_kind() {
    static const Kind kind(EVP_MD_fetch(nullptr, "SHA1", nullptr));
    return kind.get();
}
const EVP_MD* sha256_kind() {
    static const Kind kind(EVP_MD_fetch(nullptr, "SHA256", nullptr));
    return kind.get();
}

std::string digest(std::string_view bytes, const EVP_MD* kind) {
    check(kind != nullptr, "OpenSSL has the digest");
    std::string out(static_cast<std::size_t>(EVP_MD_get_size(kind)), '\0');
    unsigned written = 0;
    const int done =
        EVP_Digest(bytes.data(), bytes.size(), reinterpret_cast<unsigned char*>(out.data()),
                   &written, kind, nullptr);
    check(done == 1 && written == out.size(), "OpenSSL computes a digest");
    return out;
}

std::string uuid_text(std::string_view bytes) {
    std::string text = hex(bytes);
    for (const std::size_t dash : {8UL, 13UL, 18UL, 23UL}) text.insert(dash, 1, '-');
    return text;
}

std::string with_version(std::string bytes, unsigned version) {
    const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(bytes[i]); };
    bytes[6] = static_cast<char>((byte(6) & 0x0FU) | (version << 4U));
    bytes[8] = static_cast<char>((byte(8) & 0x3FU) | 0x80U);
    return bytes;
}

int hex_value(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

}  // namespace

std::string sha256(std::string_view bytes) { return digest(bytes, sha256_kind()); }

std::string hex(std::string_view bytes) {
    std::string out;
    out.reserve(bytes.size() * 2);
    constexpr std::string_view digits = "0123456789abcdef";
    for (const char c : bytes) {
        const auto byte = static_cast<unsigned char>(c);
        out += digits[byte >> 4U];
        out += digits[byte & 15U];
    }
    return out;
}

std::string base32_lower(std::string_view bytes) {
    constexpr std::string_view alphabet = "abcdefghijklmnopqrstuvwxyz234567";
    std::string out;
    std::uint32_t buffer = 0;
    int bits = 0;
    for (const char c : bytes) {
        buffer = (buffer << 8U) | static_cast<unsigned char>(c);
        for (bits += 8; bits >= 5; bits -= 5) out += alphabet[(buffer >> (bits - 5)) & 31U];
    }
    if (bits > 0) out += alphabet[(buffer << (5 - bits)) & 31U];
    return out;
}

std::string base64(std::string_view bytes) {
    std::string out(4 * ((bytes.size() + 2) / 3) + 1, '\0');
    const int written = EVP_EncodeBlock(reinterpret_cast<unsigned char*>(out.data()),
                                        reinterpret_cast<const unsigned char*>(bytes.data()),
                                        static_cast<int>(bytes.size()));
    out.resize(static_cast<std::size_t>(written));
    return out;
}

std::string uuid_v5(std::string_view namespace_uuid, std::string_view name) {
    std::string input;
    for (std::size_t i = 0; i < namespace_uuid.size();) {
        if (namespace_uuid[i] == '-') {
            ++i;
            continue;
        }
        check(i + 1 < namespace_uuid.size(), "a UUID has whole bytes");
        const int high = hex_value(namespace_uuid[i]);
        const int low = hex_value(namespace_uuid[i + 1]);
        check(high >= 0 && low >= 0, "a UUID has hexadecimal digits only");
        input += static_cast<char>(high * 16 + low);
        i += 2;
    }
    check(input.size() == 16, "a UUID has 16 bytes");
    input += name;
    return uuid_text(with_version(digest(input, sha1_kind()).substr(0, 16), 5));
}

std::string uuid_v4_of(std::string_view sixteen_bytes) {
    check(sixteen_bytes.size() == 16, "a UUID has 16 bytes");
    return uuid_text(with_version(std::string(sixteen_bytes), 4));
}

}  // namespace sallyport
