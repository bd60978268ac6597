#include <doctest/doctest.h>

#include <fstream>
#include <iterator>
#include <map>

#include "apiserver/world.hpp"
#include "codec/yaml.hpp"

using namespace sallyport;
using namespace sallyport::apiserver;

namespace {

const std::map<std::string, std::string> aliases = {
    {"grants", grants},
    {"policies", policies},
    {"records", records},
    {"ledgers", "/apis/sallyport.dev/v1alpha1/namespaces/sallyport-system/accessledgers"},
    {"accounts", "/apis/sallyport.dev/v1alpha1/cloudaccounts"},
    {"namespaces", "/api/v1/namespaces"},
    {"secrets", "/api/v1/namespaces/payments/secrets"},
    {"configmaps", "/api/v1/namespaces/payments/configmaps"},
    {"events", "/api/v1/namespaces/payments/events"},
    {"leases", "/apis/coordination.k8s.io/v1/namespaces/payments/leases"},
};

std::string expanded(const std::string& path) {
    const std::size_t end = std::min(path.find_first_of("/?"), path.size());
    const auto found = aliases.find(path.substr(0, end));
    return found == aliases.end() ? path : found->second + path.substr(end);
}

Json object_of(const std::string& builder) {
    if (builder == "grant") return grant("a");
    if (builder == "policy") return policy("p");
    if (builder == "record") return record("r");
    REQUIRE(builder == "account");
    return account("prod");
}

/// `$version` in a body stands for the version that a step kept.
void put_version(Json& body, const std::string& version) {
    if (body.is_structured()) {
        for (Json& member : body) put_version(member, version);
    } else if (body == "$version") {
        body = version;
    }
}

Json body_of(const Json& step) {
    if (step.contains("patch")) return step.at("patch");
    if (step.contains("body")) return step.at("body");
    if (!step.contains("object")) return nullptr;
    Json object = object_of(step.at("object").get<std::string>());
    object.merge_patch(step.value("with", Json::object()));
    return object;
}

With with_of(const Json& step, const std::string& method) {
    With with;
    const std::string who = step.value("as", "admin");
    with.token = who == "none" ? "" : "t-" + who;
    const std::string type = step.value("type", method == "PATCH" ? "merge" : "application/json");
    with.content_type = type == "merge"  ? "application/merge-patch+json"
                        : type == "json" ? "application/json-patch+json"
                                         : type;
    return with;
}

void judge(const Json& step, const Answer& answer) {
    CHECK(answer.status == step.at("status").get<int>());
    if (step.contains("reason")) CHECK(answer.reason() == step.at("reason").get<std::string>());
    if (step.contains("message"))
        CHECK(answer.message().find(step.at("message").get<std::string>()) != std::string::npos);
    if (step.contains("warning")) {
        const std::string warning = answer.warnings.empty() ? "" : answer.warnings.front();
        CHECK(warning == step.at("warning").get<std::string>());
    }
    const Json expectations = step.value("has", Json::object());
    for (const auto& [place, value] : expectations.items()) {
        CAPTURE(place);
        const Json::json_pointer pointer(place);
        const Json found = answer.body.contains(pointer) ? answer.body.at(pointer) : Json();
        CHECK(found == value);
    }
}

void run(const Json& steps) {
    World world;
    std::string version;
    int number = 0;
    for (const Json& step : steps) {
        ++number;
        const std::string action = step.at("do").get<std::string>();
        const std::size_t space = action.find(' ');
        const std::string method = action.substr(0, space);
        Json body = body_of(step);
        put_version(body, version);

        const Answer answer =
            world.call(method, expanded(action.substr(space + 1)), body, with_of(step, method));

        CAPTURE(number);
        CAPTURE(answer.text);
        judge(step, answer);
        if (step.contains("keep"))
            version = answer.body.at("metadata").at("resourceVersion").get<std::string>();
    }
}

}  // namespace

TEST_CASE("the server answers every case of the conformance list as an API server does") {
    std::ifstream file(TEST_DATA_DIR "/apiserver/conformance.yaml");
    const std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
    const Result<Json> cases = codec::parse_yaml(text);
    if (!cases) FAIL(cases.error().message);
    REQUIRE(cases->size() > 50);

    for (const Json& one : *cases) {
        const std::string name = one.at("name").get<std::string>();
        CAPTURE(name);
        run(one.at("steps"));
    }
}
