#include "serve/certificates.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <openssl/bn.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <memory>
#include <optional>
#include <sstream>

#include "base/releaser.hpp"
#include "base/text.hpp"

namespace sallyport::serve {

namespace {

using Bio = std::unique_ptr<BIO, Releaser<BIO_free>>;
using Key = std::unique_ptr<EVP_PKEY, Releaser<EVP_PKEY_free>>;
using Cert = std::unique_ptr<X509, Releaser<X509_free>>;
using Extension = std::unique_ptr<X509_EXTENSION, Releaser<X509_EXTENSION_free>>;
using Octets = std::unique_ptr<ASN1_OCTET_STRING, Releaser<ASN1_OCTET_STRING_free>>;
using Number = std::unique_ptr<BIGNUM, Releaser<BN_free>>;

constexpr seconds day{24 * 3600};
constexpr seconds ca_lifetime = 3650 * day;
constexpr seconds leaf_lifetime = 365 * day;
constexpr seconds renew_before = 30 * day;
constexpr seconds clock_skew{3600};

struct Pair {
    Cert cert;
    Key key;
};

// --- files
// -----------------------------------------------------------------------------------------

std::optional<std::string> read_file(const std::string& path) {
    std::ifstream in(path, std::ios::binary);
    if (!in) return std::nullopt;
    std::ostringstream text;
    text << in.rdbuf();
    return text.str();
}

Error cannot_write(const std::string& path) {
    return unavailable(fmt::format("write {}: {}", path, lower(std::strerror(errno))));
}

/// By way of a second file, so that a crash leaves the old one or the new one.
Result<void> write_file(const std::string& path, const std::string& text, mode_t mode) {
    const std::string fresh = path + ".new";
    unlink(fresh.c_str());
    const int file = open(fresh.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    if (file < 0) return cannot_write(fresh);
    const ssize_t written = write(file, text.data(), text.size());
    const bool whole = written == static_cast<ssize_t>(text.size()) && fsync(file) == 0;
    if (close(file) != 0 || !whole) return cannot_write(fresh);
    if (rename(fresh.c_str(), path.c_str()) != 0) return cannot_write(path);
    return {};
}

// --- PEM
// -------------------------------------------------------------------------------------------

std::string text_of(BIO* bio) {
    char* data = nullptr;
    const long size = BIO_get_mem_data(bio, &data);
    return {data, static_cast<std::size_t>(size)};
}

std::string pem_of(X509* cert) {
    const Bio bio(BIO_new(BIO_s_mem()));
    check(PEM_write_bio_X509(bio.get(), cert) == 1, "a certificate can be written to memory");
    return text_of(bio.get());
}

std::string pem_of(EVP_PKEY* key) {
    const Bio bio(BIO_new(BIO_s_mem()));
    check(PEM_write_bio_PrivateKey(bio.get(), key, nullptr, nullptr, 0, nullptr, nullptr) == 1,
          "a key can be written to memory");
    return text_of(bio.get());
}

Bio memory(const std::string& text) {
    return Bio(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

std::optional<Pair> load(const std::string& cert_path, const std::string& key_path) {
    const auto cert_pem = read_file(cert_path);
    const auto key_pem = read_file(key_path);
    if (!cert_pem || !key_pem) return std::nullopt;
    Pair pair{Cert(PEM_read_bio_X509(memory(*cert_pem).get(), nullptr, nullptr, nullptr)),
              Key(PEM_read_bio_PrivateKey(memory(*key_pem).get(), nullptr, nullptr, nullptr))};
    if (!pair.cert || !pair.key || X509_check_private_key(pair.cert.get(), pair.key.get()) != 1) {
        return std::nullopt;
    }
    return pair;
}

Result<void> save(const Pair& pair, const std::string& cert_path, const std::string& key_path) {
    // The key first: a crash in between leaves a pair that does not fit, and that is made anew.
    if (auto saved = write_file(key_path, pem_of(pair.key.get()), 0600); !saved) return saved;
    return write_file(cert_path, pem_of(pair.cert.get()), 0644);
}

// --- certificates
// ----------------------------------------------------------------------------------

Timestamp end_of(const X509* cert) {
    std::tm parts{};
    check(ASN1_TIME_to_tm(X509_get0_notAfter(cert), &parts) == 1, "a certificate's end is a time");
    const std::chrono::year_month_day date{
        std::chrono::year(parts.tm_year + 1900),
        std::chrono::month(static_cast<unsigned>(parts.tm_mon + 1)),
        std::chrono::day(static_cast<unsigned>(parts.tm_mday))};
    return std::chrono::sys_days(date) + std::chrono::hours(parts.tm_hour) +
           std::chrono::minutes(parts.tm_min) + seconds(parts.tm_sec);
}

bool begun(const X509* cert, Timestamp now) {
    std::time_t at = now.time_since_epoch().count();
    return X509_cmp_time(X509_get0_notBefore(cert), &at) < 0;
}

bool is_address(const std::string& name) { return Octets(a2i_IPADDRESS(name.c_str())) != nullptr; }

std::vector<std::string> all_names(const std::vector<std::string>& given) {
    std::vector<std::string> names = {"localhost", "127.0.0.1", "::1"};
    for (const std::string& name : given) {
        if (std::ranges::find(names, name) == names.end()) names.push_back(name);
    }
    return names;
}

bool covers(X509* cert, const std::string& name) {
    if (is_address(name)) return X509_check_ip_asc(cert, name.c_str(), 0) == 1;
    return X509_check_host(cert, name.data(), name.size(), X509_CHECK_FLAG_NEVER_CHECK_SUBJECT,
                           nullptr) == 1;
}

void add_extension(X509* cert, X509* issuer, int kind, const std::string& value) {
    X509V3_CTX context;
    X509V3_set_ctx_nodb(&context);
    X509V3_set_ctx(&context, issuer, cert, nullptr, nullptr, 0);
    const Extension extension(X509V3_EXT_conf_nid(nullptr, &context, kind, value.c_str()));
    check(extension && X509_add_ext(cert, extension.get(), -1) == 1,
          "a certificate extension can be made");
}

/// A key, and a certificate for it without extensions and signature.
Pair draft(const std::string& organisation, const std::string& common_name, Timestamp now,
           seconds lifetime) {
    Pair pair{Cert(X509_new()), Key(EVP_EC_gen("P-256"))};
    check(pair.cert && pair.key, "a key can be made");
    X509* cert = pair.cert.get();
    X509_set_version(cert, X509_VERSION_3);
    std::array<unsigned char, 16> serial{};
    check(RAND_bytes(serial.data(), static_cast<int>(serial.size())) == 1, "there is randomness");
    serial[0] =
        static_cast<unsigned char>((serial[0] & 0x3fU) | 0x40U);  // positive, and never short
    const Number number(BN_bin2bn(serial.data(), static_cast<int>(serial.size()), nullptr));
    check(BN_to_ASN1_INTEGER(number.get(), X509_get_serialNumber(cert)) != nullptr,
          "a serial is a number");
    const std::time_t begin = (now - clock_skew).time_since_epoch().count();
    const std::time_t end = (now + lifetime).time_since_epoch().count();
    check(ASN1_TIME_set(X509_getm_notBefore(cert), begin) &&
              ASN1_TIME_set(X509_getm_notAfter(cert), end),
          "a certificate's times can be set");
    X509_NAME* subject = X509_get_subject_name(cert);
    const auto add = [&](const char* field, const std::string& text) {
        const auto* bytes = reinterpret_cast<const unsigned char*>(text.data());
        check(X509_NAME_add_entry_by_txt(subject, field, MBSTRING_UTF8, bytes,
                                         static_cast<int>(text.size()), -1, 0) == 1,
              "a name fits into a certificate");
    };
    add("O", organisation);
    add("CN", common_name);
    check(X509_set_pubkey(cert, pair.key.get()) == 1, "a certificate takes its key");
    return pair;
}

void sign(X509* cert, EVP_PKEY* key) {
    check(X509_sign(cert, key, EVP_sha256()) > 0, "a certificate can be signed");
}

Pair make_authority(const std::string& organisation, Timestamp now) {
    Pair ca = draft(organisation, organisation + " local authority", now, ca_lifetime);
    X509* cert = ca.cert.get();
    X509_set_issuer_name(cert, X509_get_subject_name(cert));
    add_extension(cert, cert, NID_basic_constraints, "critical,CA:TRUE,pathlen:0");
    add_extension(cert, cert, NID_key_usage, "critical,keyCertSign,cRLSign");
    add_extension(cert, cert, NID_subject_key_identifier, "hash");
    sign(cert, ca.key.get());
    return ca;
}

/// Fields as Go, OpenSSL 3 and Python's strict mode want them: SAN, both key identifiers,
/// serverAuth.
Pair make_leaf(const Pair& ca, const std::string& organisation,
               const std::vector<std::string>& names, Timestamp now) {
    Pair leaf = draft(organisation, "localhost", now, leaf_lifetime);
    X509* cert = leaf.cert.get();
    X509_set_issuer_name(cert, X509_get_subject_name(ca.cert.get()));
    std::vector<std::string> alternatives;
    for (const std::string& name : names)
        alternatives.push_back((is_address(name) ? "IP:" : "DNS:") + name);
    add_extension(cert, ca.cert.get(), NID_basic_constraints, "critical,CA:FALSE");
    add_extension(cert, ca.cert.get(), NID_key_usage, "critical,digitalSignature");
    add_extension(cert, ca.cert.get(), NID_ext_key_usage, "serverAuth");
    add_extension(cert, ca.cert.get(), NID_subject_key_identifier, "hash");
    add_extension(cert, ca.cert.get(), NID_authority_key_identifier, "keyid:always");
    add_extension(cert, ca.cert.get(), NID_subject_alt_name, join(alternatives, ","));
    sign(cert, ca.key.get());
    return leaf;
}

bool usable(const Pair& pair, Timestamp now) {
    return begun(pair.cert.get(), now) && end_of(pair.cert.get()) > now + renew_before;
}

bool is_name(const std::string& name) {
    return !name.empty() && name.size() <= 253 && std::ranges::all_of(name, [](char c) {
        return (lower(c) >= 'a' && lower(c) <= 'z') || (c >= '0' && c <= '9') || c == '.' ||
               c == '-' || c == ':' || c == '*';
    });
}

}  // namespace

Result<Certificates> load_or_make_certificates(const CertificateRequest& request, Timestamp now) {
    for (const std::string& name : request.names) {
        if (!is_name(name))
            return invalid(fmt::format("\"{}\" is neither a DNS name nor an address", name));
    }
    const std::string& directory = request.directory;
    if (mkdir(directory.c_str(), 0700) != 0 && errno != EEXIST) return cannot_write(directory);
    const std::string ca_path = directory + "/ca.pem";
    const std::string ca_key_path = directory + "/ca-key.pem";
    const std::string leaf_path = directory + "/server.pem";
    const std::string leaf_key_path = directory + "/server-key.pem";

    std::optional<Pair> ca = load(ca_path, ca_key_path);
    if (!ca || !usable(*ca, now)) {
        ca = make_authority(request.organisation, now);
        if (auto saved = save(*ca, ca_path, ca_key_path); !saved) return std::move(saved).error();
    }
    const std::vector<std::string> names = all_names(request.names);
    std::optional<Pair> leaf = load(leaf_path, leaf_key_path);
    const bool stays = leaf && usable(*leaf, now) &&
                       X509_verify(leaf->cert.get(), ca->key.get()) == 1 &&
                       std::ranges::all_of(
                           names, [&](const auto& name) { return covers(leaf->cert.get(), name); });
    if (!stays) {
        leaf = make_leaf(*ca, request.organisation, names, now);
        if (auto saved = save(*leaf, leaf_path, leaf_key_path); !saved)
            return std::move(saved).error();
    }
    return Certificates{.ca_pem = pem_of(ca->cert.get()),
                        .identity = {.chain_pem = pem_of(leaf->cert.get()),
                                     .key_pem = Secret(pem_of(leaf->key.get()))},
                        .expires_at = end_of(leaf->cert.get())};
}

}  // namespace sallyport::serve
