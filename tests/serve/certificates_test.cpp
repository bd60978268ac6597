#include "serve/certificates.hpp"

#include <doctest/doctest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include "serve/handlers.hpp"
#include "support/temporary_directory.hpp"

using namespace sallyport;

namespace {

serve::Certificates certificates(const TemporaryDirectory& at, Timestamp now,
                                 std::vector<std::string> names = {}) {
    auto made = serve::load_or_make_certificates(
        {.directory = at.path() + "/tls", .names = std::move(names)}, now);
    return std::move(made).value();
}

mode_t mode_of(const std::string& path) {
    struct stat facts {};
    REQUIRE(stat(path.c_str(), &facts) == 0);
    return facts.st_mode & 0777U;
}

constexpr seconds day{86'400};

}  // namespace

TEST_CASE(
    "certificates are made once and then used again, with keys that only their owner may read") {
    const TemporaryDirectory at;

    const auto first = certificates(at, test_now);
    const auto second = certificates(at, test_now + 300 * day);

    CHECK(second.ca_pem == first.ca_pem);
    CHECK(second.identity.chain_pem == first.identity.chain_pem);
    CHECK(second.identity.key_pem == first.identity.key_pem);
    CHECK(first.expires_at == test_now + 365 * day);
    CHECK(mode_of(at.path() + "/tls/ca-key.pem") == 0600);
    CHECK(mode_of(at.path() + "/tls/server-key.pem") == 0600);
    CHECK(mode_of(at.path() + "/tls/ca.pem") == 0644);
}

TEST_CASE("a server certificate with 30 days left is made anew under the same authority") {
    const TemporaryDirectory at;

    const auto first = certificates(at, test_now);
    const auto second = certificates(at, test_now + 335 * day);

    CHECK(second.ca_pem == first.ca_pem);
    CHECK(second.identity.chain_pem != first.identity.chain_pem);
    CHECK(second.expires_at == test_now + 700 * day);
}

TEST_CASE(
    "an authority near its end, or from the future, is replaced together with what it signed") {
    const TemporaryDirectory at;

    const auto first = certificates(at, test_now);
    const auto later = certificates(at, test_now + 3640 * day);
    const auto earlier = certificates(at, test_now);

    CHECK(later.ca_pem != first.ca_pem);
    CHECK(earlier.ca_pem != later.ca_pem);
}

TEST_CASE("a new name gets a new server certificate, a known one does not") {
    const TemporaryDirectory at;

    const auto first = certificates(at, test_now);
    const auto named = certificates(at, test_now, {"sallyport.test", "192.0.2.7"});
    const auto fewer = certificates(at, test_now, {"localhost", "192.0.2.7"});

    CHECK(named.identity.chain_pem != first.identity.chain_pem);
    CHECK(fewer.identity.chain_pem == named.identity.chain_pem);
    CHECK(named.ca_pem == first.ca_pem);
}

TEST_CASE("files that are damaged, missing or do not belong together are replaced") {
    struct Row {
        const char* file;
        const char* content;  // null: removed
        bool new_authority;
    };
    for (const Row& row : {Row{"ca.pem", "junk", true},
                           {"ca-key.pem", nullptr, true},
                           {"server.pem", "", false},
                           {"server-key.pem", nullptr, false}}) {
        CAPTURE(row.file);
        const TemporaryDirectory at;
        const auto first = certificates(at, test_now);
        const std::string path = at.path() + "/tls/" + row.file;
        if (row.content == nullptr) {
            std::filesystem::remove(path);
        } else {
            std::ofstream(path) << row.content;
        }

        const auto second = certificates(at, test_now);

        CHECK((second.ca_pem != first.ca_pem) == row.new_authority);
        CHECK(second.identity.chain_pem != first.identity.chain_pem);
        CHECK(certificates(at, test_now).identity.chain_pem == second.identity.chain_pem);
    }
}

TEST_CASE("names that are none, and directories that cannot be written, are refused") {
    const TemporaryDirectory at;

    const auto name =
        serve::load_or_make_certificates({.directory = at.path(), .names = {"a,DNS:b"}}, test_now);
    const auto place = serve::load_or_make_certificates({.directory = "/proc/no/such"}, test_now);

    REQUIRE_FALSE(name.has_value());
    CHECK(name.error().kind == ErrorKind::invalid);
    REQUIRE_FALSE(place.has_value());
    CHECK(place.error().kind == ErrorKind::unavailable);
}

TEST_CASE("a server refuses a key that is not its certificate's, at start and at renewal") {
    const TemporaryDirectory at;
    const TemporaryDirectory other;
    const auto good = certificates(at, test_now).identity;
    const serve::ServerIdentity bad{.chain_pem = good.chain_pem,
                                    .key_pem = certificates(other, test_now).identity.key_pem};
    FunctionHandler handler([](const http::Request&) { return reply_text(""); });
    const auto now = [] { return test_now; };

    const auto started = serve::Server::start({.identity = bad}, handler, now);
    REQUIRE_FALSE(started.has_value());
    CHECK(started.error().kind == ErrorKind::invalid);

    const auto server = serve_on_loopback(handler, {.identity = good});
    CHECK_FALSE(server->renew(bad).has_value());
    CHECK(server->renew(certificates(other, test_now).identity).has_value());
}
