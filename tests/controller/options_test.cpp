#include "controller/options.hpp"

#include <doctest/doctest.h>

#include "controller/health.hpp"

using namespace sallyport;
using namespace sallyport::controller;

TEST_CASE("every problem of a command line is told at once, with what to do") {
    const auto parsed =
        parse_options({"--listen", "nowhere", "--owner-id", "XYZ", "--log-level", "loud"});

    REQUIRE_FALSE(parsed);
    const std::string& text = parsed.error().message;
    for (const char* part :
         {"--embedded is missing", "--data-dir is missing", "--token-file is missing",
          "--listen nowhere: give HOST:PORT", "--owner-id XYZ: give 8 characters",
          "--log-level loud: give debug, info, warn or error"}) {
        CAPTURE(part);
        CHECK(text.find(part) != std::string::npos);
    }
}

TEST_CASE("a complete command line gives its options, and the journal lies in the data directory") {
    const auto parsed = parse_options({"--embedded", "--data-dir", "d", "--token-file", "t",
                                       "--listen", "127.0.0.1:0", "--allow-custom-endpoint",
                                       "127.0.0.1", "--allow-custom-endpoint", "sim"});

    REQUIRE(parsed);
    CHECK_FALSE(parsed->print);
    CHECK(parsed->options.journal_dir == "d/journal");
    CHECK(parsed->options.allowed_custom_endpoints == std::vector<std::string>{"127.0.0.1", "sim"});
}

TEST_CASE(
    "help and version are texts to print; an unknown option is refused with a way to the list") {
    CHECK(parse_options({"--help"})->print->find("--data-dir") != std::string::npos);
    CHECK(parse_options({"--version"})->print->starts_with("sallyport-controller "));
    const auto unknown = parse_options({"--embeded"});
    REQUIRE_FALSE(unknown);
    CHECK(unknown.error().message.find("--help") != std::string::npos);
}

TEST_CASE("liveness is the loop's own pulse, readiness waits for the first look") {
    Health health;
    std::string trouble;
    HealthEndpoint endpoint(
        health, [] { return std::string("metric 1\n"); }, [&trouble] { return trouble; });
    const auto status = [&](const char* path, Timestamp now) {
        return endpoint.handle({.target = path}, now).response.status;
    };
    const Timestamp start = *parse_rfc3339("2026-11-21T09:00:00Z");

    health.beat(start, "the first list of AccessGrant");
    CHECK(status("/healthz", start) == 200);
    CHECK(status("/readyz", start) == 503);

    health.beat(start, "");
    CHECK(status("/readyz", start + seconds(30)) == 200);
    trouble = "nothing can be written: the disk is full";
    CHECK(endpoint.handle({.target = "/readyz"}, start).response.body ==
          "nothing can be written: the disk is full; nothing opens, closing goes on\n");
    CHECK(status("/readyz", start) == 503);
    CHECK(status("/healthz", start) == 200);
    trouble.clear();
    CHECK(status("/healthz", start + seconds(31)) == 500);
    CHECK(status("/readyz", start + seconds(31)) == 500);
    CHECK(endpoint.handle({.target = "/metrics"}, start).response.body == "metric 1\n");
    CHECK(status("/elsewhere", start) == 404);
}
