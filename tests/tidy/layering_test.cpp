#include "tidy/layering.hpp"

#include "tidy/planted.hpp"

namespace sallyport::tidy {
namespace {

const std::vector<File>& neighbours() {
    static const std::vector<File> files = {
        {"src/base/time.hpp", ""},       {"src/model/grant.hpp", ""},
        {"src/engine/lane.hpp", ""},     {"src/serve/server.hpp", ""},
        {"src/azure/gateway.hpp", ""},   {"tests/support/printers.hpp", ""},
        {"src/simulator/estate.hpp", ""}};
    return files;
}

}  // namespace

TEST_CASE("a wrong include edge is found, and named") {
    const Planted rows[] = {
        {"upwards", {"src/model/a.cpp", "\n#include \"engine/lane.hpp\"\n"}, 2},
        {"sideways", {"src/engine/a.cpp", "#include \"azure/gateway.hpp\"\n"}, 1},
        {"in a header too", {"src/engine/a.hpp", "#include \"azure/gateway.hpp\"\n"}, 1},
        {"the simulator shares nothing with azure",
         {"src/simulator/a.cpp", "#include \"azure/gateway.hpp\"\n"},
         1},
        {"serve is for the simulator's main alone",
         {"src/simulator/a.cpp", "#include \"serve/server.hpp\"\n"},
         1},
        {"the main itself", {"src/simulator/main.cpp", "#include \"serve/server.hpp\"\n"}, 0},
        {"test support in a library",
         {"src/model/a.cpp", "#include \"support/printers.hpp\"\n"},
         1},
        {"test support in the process",
         {"controller/main.cpp", "#include \"support/printers.hpp\"\n"},
         1},
        {"no folder in front", {"src/model/a.cpp", "#include \"grant.hpp\"\n"}, 1},
        {"a folder without a row", {"src/misc/a.cpp", ""}, 0 + -1},
        {"downwards", {"src/engine/a.cpp", "#include \"model/grant.hpp\"\n"}, 0},
        {"its own folder", {"src/engine/a.cpp", "#include \"engine/lane.hpp\"\n"}, 0},
        {"the process knows all", {"controller/main.cpp", "#include \"azure/gateway.hpp\"\n"}, 0},
        {"tests know all", {"tests/sim/a.cpp", "#include \"azure/gateway.hpp\"\n"}, 0},
        {"a comment is no include", {"src/model/a.cpp", "// #include \"engine/lane.hpp\"\n"}, 0},
    };
    for (const Planted& row : rows) {
        Planted planted = row;
        if (planted.at == -1) {
            CAPTURE(planted.why);
            CHECK(check_include_edges({planted.file}).size() == 1);
            continue;
        }
        expect(check_include_edges, planted, neighbours());
    }
    std::vector<File> files = neighbours();
    files.push_back({"src/model/a.cpp", "#include \"engine/lane.hpp\"\n"});
    CHECK(check_include_edges(files).front().text() ==
          "src/model/a.cpp:1: model -> engine: model may not include \"engine/lane.hpp\" [edge]");
}

TEST_CASE("a library's header is found where it may not be seen") {
    const Planted rows[] = {
        {"cpprest outside http", {"src/azure/a.cpp", "#include <cpprest/http_client.h>\n"}, 1},
        {"cpprest in a header of http",
         {"src/http/a.hpp", "#include <cpprest/http_client.h>\n"},
         1},
        {"cpprest in a source of http",
         {"src/http/a.cpp", "#include <cpprest/http_client.h>\n"},
         0},
        {"its task library", {"src/engine/a.cpp", "#include <pplx/pplxtasks.h>\n"}, 1},
        {"Beast in http", {"src/http/a.cpp", "#include <boost/beast/core.hpp>\n"}, 1},
        {"Beast in a header of serve", {"src/serve/a.hpp", "#include <boost/beast/core.hpp>\n"}, 1},
        {"Beast in a source of serve", {"src/serve/a.cpp", "#include <boost/beast/core.hpp>\n"}, 0},
        {"OpenSSL in base", {"src/base/a.cpp", "#include <openssl/evp.h>\n"}, 1},
        {"OpenSSL in base/digest", {"src/base/digest.cpp", "#include <openssl/evp.h>\n"}, 0},
        {"OpenSSL in serve", {"src/serve/a.cpp", "#include <openssl/ssl.h>\n"}, 0},
        {"JSON in the core", {"src/plan/a.cpp", "#include <nlohmann/json.hpp>\n"}, 1},
        {"JSON in the codec", {"src/codec/a.cpp", "#include <nlohmann/json.hpp>\n"}, 0},
        {"doctest in a library", {"src/model/a.cpp", "#include <doctest/doctest.h>\n"}, 1},
        {"SQLite outside the API server", {"src/kube/a.cpp", "#include <sqlite3.h>\n"}, 1},
        {"a library nobody chose", {"src/base/a.cpp", "#include <absl/strings/cord.h>\n"}, 1},
        {"the standard library", {"src/base/a.cpp", "#include <vector>\n"}, 0},
        {"the system", {"src/system/a.cpp", "#include <sys/stat.h>\n#include <unistd.h>\n"}, 0},
    };
    for (const Planted& row : rows) expect(check_third_party, row);
}

TEST_CASE("a link that the include table does not allow is found") {
    const auto cmake = [](const char* call) { return File{"CMakeLists.txt", call}; };
    const Planted rows[] = {
        {"upwards", cmake("\nsallyport_library(model USES engine base)\n"), 2},
        {"over two lines", cmake("sallyport_library(azure USES http\n  kube THIRD_PARTY x)\n"), 1},
        {"as the table says", cmake("sallyport_library(plan USES model base)\n"), 0},
        {"libraries of others are not ours", cmake("sallyport_library(base THIRD_PARTY kube::x)\n"),
         0},
    };
    for (const Planted& row : rows) expect(check_links, row);
    CHECK(check_links({}).size() == 1);
}

TEST_CASE("a file that nobody includes or builds is found") {
    const std::vector<File> cmake = {
        {"CMakeLists.txt", "sallyport_library(base)\nadd_executable(a src/simulator/main.cpp)"},
        {"tests/CMakeLists.txt", "sallyport_test(base USES base)\nsupport/main.cpp"}};
    const auto count = [&](std::vector<File> files) {
        files.insert(files.end(), cmake.begin(), cmake.end());
        return check_dead_files(files).size();
    };

    CHECK(count({{"src/base/a.hpp", ""}}) == 1);
    CHECK(count({{"src/base/a.hpp", ""}, {"src/base/a.cpp", "#include \"base/a.hpp\""}}) == 1);
    CHECK(count({{"src/base/a.hpp", ""}, {"src/base/b.cpp", "#include \"base/a.hpp\""}}) == 0);
    CHECK(count({{"src/base/a.hpp", "// tidy: dead because it is a stub"}}) == 0);
    CHECK(count({{"src/misc/a.cpp", ""}}) == 1);
    CHECK(count({{"src/other/main.cpp", ""}}) == 1);
    CHECK(count({{"src/simulator/main.cpp", ""}}) == 0);
    CHECK(count({{"tests/base/x/a_test.cpp", ""}, {"tests/support/main.cpp", ""}}) == 0);
    CHECK(count({{"tests/nowhere/a_test.cpp", ""}}) == 1);
    CHECK(count({{"tests/tools/x_main.cpp", ""}}) == 1);
    CHECK(count({{"tests/tools/x_main.cpp", ""}, {"tests/e2e/x.cmake", "tools/x_main.cpp"}}) == 0);
    CHECK(count({{"controller/health.cpp", ""}}) == 1);
    CHECK(count({{"controller/health.cpp", ""}, {"controller/CMakeLists.txt", "health.cpp"}}) == 0);
    CHECK(count({{"tests/support/fake.cpp", ""}}) == 1);
}

}  // namespace sallyport::tidy
