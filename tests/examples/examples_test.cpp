// Whatever we show to users is taken by the control plane and understood by the codec: the files of
// examples/, and every YAML block of ours in the README and in docs/.
#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "apiserver/memory_store.hpp"
#include "apiserver/server.hpp"
#include "codec/kinds.hpp"
#include "codec/yaml.hpp"

namespace sallyport {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

struct Shown {
    std::string where;
    std::string yaml;
};

std::string read(const fs::path& path) {
    std::ifstream in(path);
    return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

std::vector<fs::path> files_below(const char* folder, const char* suffix) {
    std::vector<fs::path> found;
    for (const auto& entry : fs::recursive_directory_iterator(fs::path(SOURCE_ROOT) / folder)) {
        if (entry.path().extension() == suffix) found.push_back(entry.path());
    }
    return found;
}

/// The text between ```yaml and ``` that begins with an object of ours.
void blocks_of(const fs::path& page, std::vector<Shown>& shown) {
    std::istringstream text(read(page));
    std::string block;
    bool inside = false;
    for (std::string line; std::getline(text, line);) {
        if (inside && line == "```") {
            if (block.starts_with("apiVersion: sallyport.dev")) shown.push_back({page, block});
            inside = false;
        } else if (inside) {
            block += line + "\n";
        } else if (line == "```yaml") {
            inside = true;
            block.clear();
        }
    }
}

std::vector<Shown> everything_shown() {
    std::vector<Shown> shown;
    for (const fs::path& file : files_below("examples", ".yaml")) {
        if (file.filename() != "estate.yaml") shown.push_back({file, read(file)});
    }
    for (const fs::path& page : files_below("docs", ".md")) blocks_of(page, shown);
    blocks_of(fs::path(SOURCE_ROOT) / "README.md", shown);
    return shown;
}

/// A control plane in memory with one administrator.
class Plane {
public:
    Plane() {
        apiserver::Config config;
        config.tokens = "t,admin,u,\"sallyport:admins\"\n";
        config.random_bytes = [this](std::size_t count) {
            return std::string(count, static_cast<char>(++drawn_));
        };
        auto made = apiserver::ApiServer::create(std::move(config), store_, now_);
        REQUIRE_MESSAGE(made.has_value(), (made ? "" : made.error().message));
        server_ = std::move(*made);
    }

    /// Creates it as `kubectl apply --validate=strict` would.
    http::Response create(const Json& object) {
        http::Request request;
        request.method = "POST";
        request.target = path_of(object) + "?fieldValidation=Strict";
        request.headers.set("Authorization", "Bearer t");
        request.headers.set("Content-Type", "application/json");
        request.body = object.dump();
        return server_->handle(request, now_).response;
    }

private:
    static std::string path_of(const Json& object) {
        const std::string version = object.at("apiVersion").get<std::string>();
        const std::string kind = object.at("kind").get<std::string>();
        const Json& metadata = object.at("metadata");
        std::string path = version == "v1" ? "/api/v1" : "/apis/" + version;
        if (metadata.contains("namespace")) {
            path += "/namespaces/" + metadata["namespace"].get<std::string>();
        }
        std::string plural =
            kind.ends_with('y') ? kind.substr(0, kind.size() - 1) + "ies" : kind + "s";
        for (char& c : plural) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
        return path + "/" + plural;
    }

    const Timestamp now_ = *parse_rfc3339("2026-11-21T09:00:00Z");
    unsigned drawn_ = 0;
    apiserver::MemoryStore store_;
    std::unique_ptr<apiserver::ApiServer> server_;
};

template <class T>
void understood(const Result<T>& decoded) {
    CHECK_MESSAGE(decoded.has_value(), (decoded ? "" : decoded.error().message));
}

}  // namespace

TEST_CASE("every example is taken by the control plane and understood") {
    const std::vector<Shown> shown = everything_shown();
    REQUIRE(shown.size() >= 8);
    for (const Shown& example : shown) {
        CAPTURE(example.where);
        const auto documents = codec::parse_yaml_documents(example.yaml);
        REQUIRE_MESSAGE(documents.has_value(), (documents ? "" : documents.error().message));
        Plane plane;
        const Json team = {
            {"apiVersion", "v1"}, {"kind", "Namespace"}, {"metadata", {{"name", "payments"}}}};
        if (documents->front().at("kind") != "Namespace") plane.create(team);
        for (const Json& object : *documents) {
            const http::Response answer = plane.create(object);

            // The operator's namespace is there from the first start.
            const bool there = answer.status == 409 && object.at("kind") == "Namespace";
            CHECK_MESSAGE((answer.status == 201 || there), answer.body);
            if (answer.status != 201) continue;
            const Json stored = Json::parse(answer.body);
            if (object.at("kind") == "CloudAccount") understood(codec::decode_account(stored));
            if (object.at("kind") == "JitPolicy") understood(codec::decode_policy(stored));
            if (object.at("kind") == "AccessGrant") understood(codec::decode_grant(stored));
        }
    }
}

TEST_CASE("every file of examples/ begins with a sentence that says what it is") {
    for (const fs::path& file : files_below("examples", ".yaml")) {
        CAPTURE(file);
        const std::string text = read(file);

        CHECK(text.starts_with("# "));
        const std::string first = text.substr(0, text.find('\n'));
        CHECK(first.size() > 30);
    }
}

}  // namespace sallyport
