// Real answers of management.azure.com (tests/data/recordings), through the decoders.
#include <doctest/doctest.h>

#include <map>
#include <nlohmann/json.hpp>
#include <optional>

#include "base/text.hpp"
#include "codec/arm.hpp"
#include "codec/yaml.hpp"
#include "support/golden.hpp"
#include "support/printers.hpp"

using namespace sallyport;
using namespace sallyport::codec;
using nlohmann::json;

namespace {

struct Interaction {
    std::string method;
    std::string path;  ///< without host and query
    std::string sent;
    int status = 0;
    std::string body;
    std::string retry_after;
};

std::vector<Interaction> recorded() {
    std::vector<Interaction> out;
    for (const auto& entry :
         std::filesystem::recursive_directory_iterator(TEST_DATA_DIR "/recordings")) {
        if (entry.path().extension() != ".yaml") continue;
        CAPTURE(entry.path().string());
        const auto cassette = parse_yaml(test::read_file(entry.path()));
        if (!cassette) FAIL(cassette.error().message);
        for (const json& one : cassette->at("interactions")) {
            const json& request = one.at("request");
            const json& response = one.at("response");
            const std::string url = request.at("url");
            const std::string path = url.substr(url.find('/', 8));
            Interaction found{request.at("method"),       path.substr(0, path.find('?')),
                              request.value("body", ""),  response.at("code"),
                              response.value("body", ""), ""};
            const json headers = response.value("headers", json::object());
            if (headers.contains("Retry-After")) found.retry_after = headers["Retry-After"][0];
            out.push_back(std::move(found));
        }
    }
    return out;
}

bool is_of(const Interaction& one, const char* type) {
    const auto id = ArmId::parse(one.path);
    return id && id->is_type(type) && one.status < 300 && !one.body.empty() &&
           one.method != "DELETE";
}

std::string page_of(const std::string& body) { return R"({"value":[)" + body + "]}"; }

}  // namespace

TEST_CASE("recorded groups, rules, interfaces, networks and machines are read") {
    std::map<std::string, int> read;
    for (const Interaction& one : recorded()) {
        CAPTURE(one.method);
        CAPTURE(one.path);
        const auto expect = [&](const char* what, auto decoded) {
            if (!decoded) FAIL_CHECK(decoded.error().message);
            ++read[what];
            return decoded ? std::optional(*std::move(decoded)) : std::nullopt;
        };
        if (is_of(one, arm_types::nsg)) {
            const auto state = expect("nsg", decode_nsg(one.body));
            REQUIRE(state);
            CHECK(state->default_rules.size() == 6);
            CHECK(state->default_rules[0].name == "AllowVnetInBound");
            CHECK(equals_ignoring_case(state->id.text(), one.path));
        }
        if (is_of(one, arm_types::nic)) expect("nic", decode_nics(page_of(one.body)));
        if (is_of(one, arm_types::vnet)) expect("network", decode_networks(page_of(one.body)));
        if (is_of(one, arm_types::vm)) expect("machine", decode_machines(page_of(one.body)));
        if (one.status == 200 && one.method == "GET" &&
            one.path.ends_with("/networkSecurityGroups")) {
            expect("list", decode_nsgs(one.body));
        }
        if (is_of(one, "Microsoft.Network/networkSecurityGroups/securityRules")) {
            const auto rule = expect("rule", decode_rule(one.body));
            REQUIRE(rule);
            if (one.method != "PUT") continue;
            // What was sent, read as if it had been answered, and what our own encoder would have
            // sent.
            json sent = json::parse(one.sent);
            sent["name"] = rule->name;
            const auto wanted = decode_rule(sent.dump());
            REQUIRE(wanted);
            CHECK(difference(*wanted, *rule) == "");
            json ours = json::parse(encode_rule(*rule));
            ours["name"] = rule->name;
            CHECK(difference(*decode_rule(ours.dump()), *rule) == "");
            ++read["rule put"];
        }
    }
    for (const char* what : {"nsg", "nic", "network", "machine", "list", "rule", "rule put"}) {
        CAPTURE(std::string(what));
        CHECK(read[what] > 0);
    }
}

TEST_CASE("recorded refusals have the kind that says what to do next") {
    std::map<int, int> seen;
    for (const Interaction& one : recorded()) {
        if (one.status < 400) continue;
        CAPTURE(one.method);
        CAPTURE(one.path);
        CAPTURE(one.body);
        const Error error =
            decode_error({.status = one.status, .body = one.body, .retry_after = one.retry_after});
        ++seen[one.status];
        CHECK_FALSE(error.code.empty());
        const std::string_view kind = to_text(error.kind);
        if (one.status == 404) CHECK(kind == "not_found");
        if (one.status == 412) CHECK(kind == "conflict");
        if (one.status >= 500) CHECK(kind == "unavailable");
        if (one.status == 429) {
            CHECK(kind == "conflict");
            CHECK(error.reason == "SurfaceBusy");
        }
    }
    CHECK(seen[404] > 0);
    CHECK(seen[412] > 0);
}

TEST_CASE("recorded operations end") {
    std::map<ArmOperationStatus, int> seen;
    for (const Interaction& one : recorded()) {
        const bool polls = one.path.find("/operations/") != std::string::npos && one.status == 200;
        if (!polls) continue;
        CAPTURE(one.body);
        const auto operation = decode_operation(one.body);
        REQUIRE(operation);
        ++seen[operation->status];
    }
    CHECK(seen[ArmOperationStatus::succeeded] > 0);
}
