#include "apiserver/sqlite_store.hpp"

#include <doctest/doctest.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <filesystem>
#include <fstream>
#include <thread>

#include "apiserver/identity.hpp"
#include "apiserver/rules.hpp"
#include "apiserver/world.hpp"

using namespace sallyport;
using namespace sallyport::apiserver;

namespace {

/// A directory of its own, gone at the end.
class Directory {
public:
    Directory() {
        std::string name = (std::filesystem::temp_directory_path() / "sallyport-XXXXXX").string();
        REQUIRE(mkdtemp(name.data()) != nullptr);
        path = name;
    }
    ~Directory() { std::filesystem::remove_all(path); }
    std::string path;
};

std::vector<StoredChange> one(const std::string& name, const std::string& text) {
    return {{{"accessgrants.sallyport.dev", "payments", name},
             std::make_shared<const std::string>(text)}};
}

std::unique_ptr<SqliteStore> opened(const std::string& dir, SqliteOptions options = {}) {
    Result<std::unique_ptr<SqliteStore>> store = SqliteStore::open(dir, options);
    if (!store) FAIL(store.error().message);
    return std::move(*store);
}

std::unique_ptr<ApiServer> served(Store& store) {
    Config config;
    config.tokens = tokens_text();
    config.random_bytes = [count = 0](std::size_t size) mutable {
        std::string bytes(size, 'x');
        for (char& byte : bytes) byte = static_cast<char>(++count * 7);
        return bytes;
    };
    Result<std::unique_ptr<ApiServer>> server =
        ApiServer::create(std::move(config), store, *parse_rfc3339("2026-11-21T09:00:00Z"));
    if (!server) FAIL(server.error().message);
    return std::move(*server);
}

http::Reply ask(ApiServer& server, const std::string& method, const std::string& target,
                const std::string& body = "", const std::string& type = "application/json") {
    http::Request request;
    request.method = method;
    request.target = target;
    request.body = body;
    request.headers = {{"Authorization", "Bearer t-admin"}, {"Content-Type", type}};
    return server.handle(request, *parse_rfc3339("2026-11-21T09:00:00Z"));
}

}  // namespace

TEST_CASE("what was committed is there after the process ended") {
    const Directory dir;
    {
        const auto store = opened(dir.path);
        REQUIRE(store->commit(one("a", "{\"x\":\"\\u0000\"}"), 7));
        REQUIRE(store->commit(one("b", "{}"), 8));
        REQUIRE(store->commit({{{"accessgrants.sallyport.dev", "payments", "b"}}}, 9));
    }

    const auto store = opened(dir.path);
    const Result<StoreContents> contents = store->load();

    REQUIRE(contents);
    CHECK(contents->version == 9);
    REQUIRE(contents->objects.size() == 1);
    CHECK(contents->objects[0].key.name == "a");
    CHECK(*contents->objects[0].text == "{\"x\":\"\\u0000\"}");
}

TEST_CASE("a second process on one data directory is refused, until the first has gone") {
    const Directory dir;
    auto first = opened(dir.path);

    const Result<std::unique_ptr<SqliteStore>> second = SqliteStore::open(dir.path);
    first.reset();
    const Result<std::unique_ptr<SqliteStore>> third = SqliteStore::open(dir.path);

    REQUIRE_FALSE(second);
    CHECK(second.error().kind == ErrorKind::denied);
    CHECK(second.error().message.find("another process uses the data directory") == 0);
    CHECK(third);
}

TEST_CASE("a torn or overwritten file is refused with its name and nothing is changed") {
    for (const bool cuts : {false, true}) {
        CAPTURE(cuts);
        const Directory dir;
        const std::string path = dir.path + "/control-plane.db";
        {
            const auto store = opened(dir.path);
            for (int i = 0; i < 50; ++i)
                REQUIRE(store->commit(one(std::to_string(i), std::string(3000, 'x')), 1));
        }
        const auto size = std::filesystem::file_size(path);
        if (cuts) {
            std::filesystem::resize_file(path, size / 2);
        } else {
            std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
            file.seekp(8192);
            file << std::string(20000, '\xff');
        }

        const Result<std::unique_ptr<SqliteStore>> store = SqliteStore::open(dir.path);

        REQUIRE_FALSE(store);
        CHECK(store.error().kind == ErrorKind::invalid);
        CHECK(store.error().message.find(path + " is damaged") != std::string::npos);
        CHECK(std::filesystem::file_size(path) == (cuts ? size / 2 : size));
    }
}

TEST_CASE("while its file is moved away a store takes no change, and goes on when it is back") {
    const Directory dir;
    const auto store = opened(dir.path);
    REQUIRE(store->commit(one("a", "{}"), 1));

    std::filesystem::rename(dir.path, dir.path + "-moved");
    const Result<void> refused = store->commit(one("b", "{}"), 2);
    std::filesystem::rename(dir.path + "-moved", dir.path);

    REQUIRE_FALSE(refused);
    CHECK(refused.error().message.find("was moved or deleted") != std::string::npos);
    CHECK(store->commit(one("c", "{}"), 2));
    CHECK(store->load()->objects.size() == 2);
}

TEST_CASE("a store that nothing was committed to says so, also when its files were lost") {
    const Directory dir;
    CHECK(opened(dir.path)->is_blank());
    REQUIRE(opened(dir.path)->commit(one("a", "{}"), 1));
    CHECK_FALSE(opened(dir.path)->is_blank());

    std::filesystem::resize_file(dir.path + "/control-plane.db", 0);
    CHECK(opened(dir.path)->is_blank());
}

TEST_CASE("a file that is no database is refused") {
    const Directory dir;
    std::ofstream(dir.path + "/control-plane.db") << std::string(5000, 'x');

    const Result<std::unique_ptr<SqliteStore>> store = SqliteStore::open(dir.path);

    REQUIRE_FALSE(store);
    CHECK(store.error().message.find("is damaged") != std::string::npos);
}

TEST_CASE("the file and its directory are readable by their user only") {
    const Directory dir;
    const std::string inner = dir.path + "/data";
    const auto store = opened(inner);
    REQUIRE(store->commit(one("a", "{}"), 1));

    for (const char* name : {"", "/control-plane.db", "/control-plane.db-wal", "/lock"}) {
        CAPTURE(name);
        struct stat about {};
        REQUIRE(stat((inner + name).c_str(), &about) == 0);
        CHECK((about.st_mode & 077) == 0);
    }
}

TEST_CASE("on a full disk a write changes nothing and says so, reads go on, and room heals it") {
    const Directory dir;
    const auto store = opened(dir.path, {.size_max = 200'000});
    const auto server = served(*store);
    const std::string path = "/api/v1/namespaces/default/configmaps";
    const auto config_map = [](const std::string& name, std::size_t size) {
        return Json({{"apiVersion", "v1"},
                     {"kind", "ConfigMap"},
                     {"metadata", {{"name", name}}},
                     {"data", {{"x", std::string(size, 'x')}}}})
            .dump();
    };
    REQUIRE(ask(*server, "POST", path, config_map("fits", 60'000)).response.status == 201);
    const std::uint64_t version = server->version();

    const http::Reply refused = ask(*server, "POST", path, config_map("large", 500'000));

    CHECK(refused.response.status == 507);
    CHECK(Json::parse(refused.response.body)["message"] ==
          "nothing was written: the disk of the embedded control plane is full");
    CHECK(server->version() == version);
    // What is smaller still fits.
    CHECK(ask(*server, "GET", "/readyz").response.status == 200);
    CHECK(server->version() == version);
    CHECK(ask(*server, "GET", path + "/large").response.status == 404);
    CHECK(ask(*server, "GET", path + "/fits").response.status == 200);
    CHECK(ask(*server, "DELETE", path + "/fits").response.status == 200);
    CHECK(ask(*server, "POST", path, config_map("small", 60'000)).response.status == 201);
}

TEST_CASE("a server that can write nothing is not ready, says why, and hears when it can again") {
    struct Disk final : Store {
        MemoryStore inner;
        bool full = false;
        Result<StoreContents> load() override { return inner.load(); }
        Result<void> commit(const std::vector<StoredChange>& changes,
                            std::uint64_t version) override {
            if (full) return Error{ErrorKind::unavailable, "no room", "", "DiskFull"};
            return inner.commit(changes, version);
        }
    } store;
    const auto server = served(store);
    const auto ready = [&server] { return ask(*server, "GET", "/readyz").response; };
    const auto write = [&server] {
        const Json made = {
            {"apiVersion", "v1"}, {"kind", "Namespace"}, {"metadata", {{"name", "a"}}}};
        return ask(*server, "POST", "/api/v1/namespaces", made.dump()).response.status;
    };

    store.full = true;
    CHECK(ready().status == 200);  // nobody has tried
    CHECK(write() == 507);
    CHECK(ready().status == 500);
    CHECK(ready().body == "nothing can be written: the disk of the embedded control plane is full");
    CHECK(ask(*server, "GET", "/livez").response.status == 200);
    store.full = false;
    CHECK(ready().body == "ok");
    CHECK(write() == 201);
}

TEST_CASE("a server that starts again has the same namespaces, versions and objects") {
    const Directory dir;
    std::string namespaces;
    {
        const auto store = opened(dir.path);
        const auto server = served(*store);
        namespaces = ask(*server, "GET", "/api/v1/namespaces").response.body;
    }

    const auto store = opened(dir.path);
    const auto server = served(*store);

    CHECK(ask(*server, "GET", "/api/v1/namespaces").response.body == namespaces);
}

TEST_CASE("reads, writes and watches run side by side, and no write is lost") {
    MemoryStore store;
    const auto server = served(store);
    const std::string path = "/api/v1/namespaces/default/configmaps";
    const Timestamp now = *parse_rfc3339("2026-11-21T09:00:00Z");
    http::Reply watch = ask(*server, "GET", path + "?watch=true");
    REQUIRE(watch.stream);
    std::atomic<int> wakes = 0;
    watch.stream->on_more([&wakes] { ++wakes; });

    std::array<std::thread, 4> threads;
    for (std::size_t t = 0; t < threads.size(); ++t) {
        threads[t] = std::thread([&server, &path, t] {
            for (int i = 0; i < 50; ++i) {
                const std::string name = "c" + std::to_string(t) + "-" + std::to_string(i);
                ask(*server, "POST", path,
                    Json({{"apiVersion", "v1"},
                          {"kind", "ConfigMap"},
                          {"metadata", {{"name", name}}}})
                        .dump());
                ask(*server, "GET", path + "?limit=10");
                ask(*server, "GET", path + "?watch=true").stream->take(Timestamp{});
            }
        });
    }
    for (std::thread& thread : threads) thread.join();

    const Json list = Json::parse(ask(*server, "GET", path).response.body);
    CHECK(list["items"].size() == 200);
    CHECK(wakes == 200);
    std::size_t lines = 0;
    for (http::Stream::Chunk chunk = watch.stream->take(now); !chunk.bytes.empty();
         chunk = watch.stream->take(now))
        lines += static_cast<std::size_t>(std::count(chunk.bytes.begin(), chunk.bytes.end(), '\n'));
    CHECK(lines == 200);
}

TEST_CASE("a token file names each problem by its line and never shows a token") {
    const std::array<std::pair<const char*, const char*>, 5> rows = {
        {{"a,b\n", "line 1: needs token,user,uid"},
         {"# x\n\nsecret,,u\n", "line 3: token and user must not be empty"},
         {"secret,a,1\nsecret,b,2\n", "line 2: the token is given twice"},
         {"secret,a,1,\"x\n", "line 1: a quote is not closed"},
         {"secret,a,1,x,y\n", "line 1: needs token,user,uid"}}};
    for (const auto& [text, message] : rows) {
        CAPTURE(text);
        const Result<TokenTable> table = TokenTable::parse(text);
        REQUIRE_FALSE(table);
        CHECK(table.error().message.find(message) != std::string::npos);
        CHECK(table.error().message.find("secret") == std::string::npos);
    }
}

TEST_CASE("a token is found as a bearer token, with its groups") {
    const Result<TokenTable> table = TokenTable::parse("t,alice,u-2,\"a, b\"\r\n");
    REQUIRE(table);

    const std::optional<Identity> alice = table->find("bearer t");

    REQUIRE(alice);
    CHECK(alice->user == "alice");
    CHECK(alice->groups == std::vector<std::string>{"a", "b", "system:authenticated"});
    CHECK_FALSE(table->find("Bearer x"));
    CHECK_FALSE(table->find("Basic t"));
    CHECK_FALSE(table->find(""));
}

TEST_CASE("a token file that others can read is refused") {
    const Directory dir;
    const std::string path = dir.path + "/tokens.csv";
    std::ofstream(path) << "t,alice,u\n";
    ::chmod(path.c_str(), 0640);

    const Result<std::string> refused = read_token_file(path);
    ::chmod(path.c_str(), 0600);
    const Result<std::string> read = read_token_file(path);

    REQUIRE_FALSE(refused);
    CHECK(refused.error().message.find("chmod 600") != std::string::npos);
    REQUIRE(read);
    CHECK(*read == "t,alice,u\n");
    CHECK_FALSE(read_token_file(dir.path + "/none"));
}

TEST_CASE("a rule of a CRD without a twin stops the start, and every twin has its rule") {
    std::vector<std::string> crds = shipped_crds();
    const std::string rule = "self.from <= self.to";
    std::string all;
    for (const std::string& text : crds) all += text;
    for (const Twin& twin : twins()) {
        CAPTURE(twin.rule);
        CHECK(all.find(twin.rule) != std::string::npos);
    }
    for (std::string& text : crds) {
        if (const std::size_t place = text.find(rule); place != std::string::npos)
            text.replace(place, rule.size(), "self.from < self.to");
    }

    const Result<Resources> resources = Resources::read(crds);

    REQUIRE_FALSE(resources);
    CHECK(resources.error().message.find("the rule \"self.from < self.to\" has no twin") !=
          std::string::npos);
}
