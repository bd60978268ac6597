#include "azure/endpoint.hpp"

#include <doctest/doctest.h>

#include "azure/world.hpp"

using namespace sallyport;
using namespace sallyport::azure;

TEST_CASE("a URL is https with a plain host; the default port goes, path and query stay") {
    struct Row {
        const char* text;
        const char* origin;
        const char* target;
    };
    for (const Row& row : {Row{"https://Management.Azure.com/subscriptions/S?a=%2F&b",
                               "https://management.azure.com", "/subscriptions/S?a=%2F&b"},
                           Row{"https://host:443/x", "https://host", "/x"},
                           Row{"HTTPS://host:8443", "https://host:8443", "/"},
                           Row{"https://host?x=1", "https://host", "/?x=1"},
                           Row{"https://host/a#part", "https://host", "/a"},
                           Row{"https://[::1]:9/x", "https://[::1]:9", "/x"}}) {
        CAPTURE(row.text);
        const auto url = parse_url(row.text);
        REQUIRE(url);
        CHECK(url->origin == row.origin);
        CHECK(url->target == row.target);
    }
    for (const char* text : {"", "http://host/", "https://", "https:///x", "https://user@host/",
                             "https://ho st/", "https://host\\@other/", "https://host/a b",
                             "https://host/a\r\nX: y", "ftp://host", "https://h%6fst/"}) {
        CAPTURE(text);
        CHECK_FALSE(parse_url(text));
    }
}

TEST_CASE("known clouds have their own endpoints, whatever the account names") {
    AzureAccount account = ArmWorld::account();
    account.cloud = AzureCloud::azure_public;
    CHECK(endpoints_of(account, {})->resource_manager == "https://management.azure.com");
    CHECK(endpoints_of(account, {})->scope == "https://management.azure.com/.default");
    CHECK(endpoints_of(account, {})->authority == "https://login.microsoftonline.com");
    account.cloud = AzureCloud::us_government;
    CHECK(endpoints_of(account, {})->authority == "https://login.microsoftonline.us");
    account.cloud = AzureCloud::china;
    CHECK(endpoints_of(account, {})->resource_manager == "https://management.chinacloudapi.cn");
}

TEST_CASE("a custom endpoint needs its host in the list, https, and no path") {
    struct Row {
        const char* why;
        const char* manager;
        std::vector<std::string> allowed;
        bool ok;
    };
    for (const Row& row :
         {Row{"host allowed", "https://127.0.0.1:10443", {"127.0.0.1"}, true},
          Row{"host and port allowed", "https://127.0.0.1:10443", {"127.0.0.1:10443"}, true},
          Row{"without case", "https://Azure.Test", {"AZURE.test"}, true},
          Row{"a slash is no path", "https://azure.test/", {"azure.test"}, true},
          Row{"another port", "https://127.0.0.1:10443", {"127.0.0.1:1"}, false},
          Row{"none allowed", "https://azure.test", {}, false},
          Row{"a longer name", "https://azure.test.evil.example", {"azure.test"}, false},
          Row{"no https", "http://azure.test", {"azure.test"}, false},
          Row{"a path", "https://azure.test/x", {"azure.test"}, false}}) {
        CAPTURE(row.why);
        AzureAccount account = ArmWorld::account();
        account.resource_manager = row.manager;
        account.authority = row.manager;
        const auto endpoints = endpoints_of(account, row.allowed);
        CHECK(endpoints.has_value() == row.ok);
        if (!endpoints) CHECK(endpoints.error().kind == ErrorKind::invalid);
    }
}

TEST_CASE("an account whose endpoint is not allowed opens no gateway, and says how to allow it") {
    ArmWorld world;
    AzureAccount account = ArmWorld::account();
    account.authority = "https://elsewhere.test";

    const auto opened = world.gateways.open(account, Secret(secret), "");

    REQUIRE_FALSE(opened);
    CHECK(opened.error().kind == ErrorKind::invalid);
    CHECK(opened.error().reason == "EndpointNotAllowed");
    CHECK(opened.error().message.find("--allow-custom-endpoint=elsewhere.test") !=
          std::string::npos);
}
