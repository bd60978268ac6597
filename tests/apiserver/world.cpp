#include "apiserver/world.hpp"

#include <doctest/doctest.h>

#include <sstream>

namespace sallyport::apiserver {

std::string tokens_text() {
    return "# one identity for each role\n"
           "t-admin,admin,u-1,\"sallyport:admins\"\n"
           "t-alice,alice,u-2,\"sallyport:requesters,payments-oncall\"\n"
           "t-bob,bob,u-3,\"sallyport:approvers\"\n"
           "t-carol,carol,u-4,\"sallyport:auditors\"\n"
           "t-dave,dave,u-5,\"sallyport:policy-authors\"\n"
           "t-controller,system:serviceaccount:sallyport-system:sallyport-controller,u-6\n"
           "t-nobody,nobody,u-7\n";
}

World::World(std::size_t history_max)
    : now(*parse_rfc3339("2026-11-21T09:00:00Z")), history_max_(history_max) {
    start();
    const Answer made =
        post("/api/v1/namespaces",
             {{"apiVersion", "v1"}, {"kind", "Namespace"}, {"metadata", {{"name", "payments"}}}});
    REQUIRE(made.status == 201);
}

void World::start() {
    // Read once for all worlds: they are many, and it is what they spend their time on.
    static const std::shared_ptr<const Resources> resources = [] {
        Result<Resources> read = Resources::read(shipped_crds());
        if (!read) FAIL(read.error().message);
        return std::make_shared<const Resources>(std::move(*read));
    }();
    Config config;
    config.resources = resources;
    config.tokens = tokens_text();
    config.history_max = history_max_;
    config.random_bytes = [this](std::size_t count) {
        std::string bytes;
        while (bytes.size() < count) {
            random_ = random_ * 1664525U + 1013904223U;
            bytes += static_cast<char>(random_ >> 24U);
        }
        return bytes;
    };
    Result<std::unique_ptr<ApiServer>> made = ApiServer::create(std::move(config), store, now);
    if (!made) FAIL(made.error().message);
    server_ = std::move(*made);
}

void World::restart() {
    server_.reset();
    start();
}

Answer World::call(const std::string& method, const std::string& target, const Json& body,
                   const With& with) {
    http::Request request;
    request.method = method;
    request.target = target;
    if (!with.token.empty()) request.headers.set("Authorization", "Bearer " + with.token);
    request.headers.set("Accept", with.accept);
    if (!body.is_null()) {
        request.headers.set("Content-Type", with.content_type);
        request.body = body.is_string() ? body.get<std::string>() : body.dump();
    }
    const http::Reply reply = server_->handle(request, now);
    Answer answer;
    answer.status = reply.response.status;
    answer.text = reply.response.body;
    answer.body = Json::parse(reply.response.body, nullptr, false);
    for (const auto& [name, value] : reply.response.headers) {
        if (name == "Warning") answer.warnings.push_back(value);
    }
    return answer;
}

std::unique_ptr<http::Stream> World::watch(const std::string& target, const With& with) {
    http::Request request;
    request.target = target;
    request.headers.set("Authorization", "Bearer " + with.token);
    request.headers.set("Accept", with.accept);
    http::Reply reply = server_->handle(request, now);
    CAPTURE(reply.response.body);
    REQUIRE(reply.stream != nullptr);
    return std::move(reply.stream);
}

std::vector<Json> World::lines(http::Stream& stream) {
    std::string bytes;
    for (int i = 0; i < 1000; ++i) {
        const http::Stream::Chunk chunk = stream.take(now);
        bytes += chunk.bytes;
        if (chunk.bytes.empty() || chunk.ended) break;
    }
    std::vector<Json> list;
    std::istringstream text(bytes);
    for (std::string line; std::getline(text, line);) list.push_back(Json::parse(line));
    return list;
}

Json grant(const std::string& name, const Json& spec) {
    Json object = {{"apiVersion", "sallyport.dev/v1alpha1"},
                   {"kind", "AccessGrant"},
                   {"metadata", {{"name", name}, {"namespace", "payments"}}},
                   {"spec",
                    {{"policyRef", {{"name", "web-ssh"}}},
                     {"network", {{"sources", {"198.51.100.7/32"}}}},
                     {"justification", "restart of the payment worker"}}}};
    object["spec"].merge_patch(spec);
    return object;
}

Json policy(const std::string& name, const Json& spec) {
    Json object = {
        {"apiVersion", "sallyport.dev/v1alpha1"},
        {"kind", "JitPolicy"},
        {"metadata", {{"name", name}, {"namespace", "payments"}}},
        {"spec",
         {{"accountRef", {{"name", "prod"}}},
          {"network",
           {{"targets",
             Json::array({{{"virtualMachine", {{"resourceGroup", "rg-web"}, {"name", "web01"}}}}})},
            {"sources", {{"within", {"198.51.100.0/22"}}}}}},
          {"request", {{"allowed", {{"groups", {"payments-oncall"}}}}}}}}};
    object["spec"].merge_patch(spec);
    return object;
}

Json record(const std::string& name) {
    const Json about = {{"name", "x"}, {"uid", "u"}, {"generation", 1}};
    Json with_namespace = about;
    with_namespace["namespace"] = "payments";
    return {{"apiVersion", "sallyport.dev/v1alpha1"},
            {"kind", "AccessRecord"},
            {"metadata", {{"name", name}, {"namespace", "sallyport-system"}}},
            {"spec",
             {{"schemaVersion", 1},
              {"owner", "k7f2m3qa"},
              {"grant", with_namespace},
              {"policy", about},
              {"account", about},
              {"digest", "sha256:0"},
              {"request", {{"policyUid", "u"}, {"access", Json::array()}}},
              {"requester", {{"user", "alice"}}},
              {"decidedAt", "2026-11-21T09:00:00Z"},
              {"clockStarts", "WhenOpen"},
              {"latestEnd", "2026-11-21T11:05:00Z"}}}};
}

Json account(const std::string& name) {
    return {{"apiVersion", "sallyport.dev/v1alpha1"},
            {"kind", "CloudAccount"},
            {"metadata", {{"name", name}}},
            {"spec",
             {{"azure",
               {{"tenantId", "11111111-1111-1111-1111-111111111111"},
                {"subscriptionId", "22222222-2222-2222-2222-222222222222"},
                {"identity",
                 {{"clientSecret",
                   {{"clientId", "33333333-3333-3333-3333-333333333333"},
                    {"secretRef", {{"name", "azure"}}}}}}}}}}}};
}

}  // namespace sallyport::apiserver
