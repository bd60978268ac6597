#include "codec/yaml.hpp"

#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <random>
#include <sstream>

#include "support/printers.hpp"

using namespace sallyport;
using codec::parse_yaml;
using codec::parse_yaml_documents;
using nlohmann::json;

namespace {
std::string read_file(const std::filesystem::path& path) {
    std::ifstream in(path);
    std::ostringstream text;
    text << in.rdbuf();
    return text.str();
}
}  // namespace

TEST_CASE("YAML becomes the JSON that kubectl would send") {
    struct Row {
        const char* yaml;
        const char* expected;
    };
    for (const Row& row : {
             Row{"a: 1\nb: [x, 'y', \"z\"]\n", R"({"a":1,"b":["x","y","z"]})"},
             Row{"{a: true, b: False, c: ~, d: }", R"({"a":true,"b":false,"c":null,"d":null})"},
             Row{"port: \"22\"\nother: 22\n", R"({"other":22,"port":"22"})"},
             Row{"a: 'yes'\nb: \"010\"\n", R"({"a":"yes","b":"010"})"},
             Row{"a: 1.0\nb: 1e3\nc: 1.5\nd: -3\ne: +7\nf: .5",
                 R"({"a":1,"b":1000,"c":1.5,"d":-3,"e":7,"f":0.5})"},
             Row{"t: 2026-11-21T09:00:00Z\nu: 22:22\nv: 1.2.3\nw: 8000-8010\nx: 198.51.100.7/32",
                 R"({"t":"2026-11-21T09:00:00Z","u":"22:22","v":"1.2.3","w":"8000-8010",
                     "x":"198.51.100.7/32"})"},
             Row{"a: 18446744073709551615\nb: 99999999999999999999999",
                 R"({"a":18446744073709551615,"b":1e23})"},
             Row{"a: |\n  x\n  y\nb: >-\n  x\n  y\n", R"({"a":"x\ny\n","b":"x y"})"},
             Row{"base: &b {p: 1, q: 2}\nd: {<<: *b, q: 3}\n",
                 R"({"base":{"p":1,"q":2},"d":{"p":1,"q":3}})"},
             Row{"l: &l [1, 2]\nm: *l", R"({"l":[1,2],"m":[1,2]})"},
             Row{"!!str 1: !!str 2", R"({"1":"2"})"},
             Row{"1: a\ntrue: b", R"({"1":"a","true":"b"})"},
             Row{"# only a comment\n", "null"},
             Row{"\xEF\xBB\xBF"
                 "a: \xC3\xBC",
                 "{\"a\":\"\xC3\xBC\"}"},
         }) {
        CAPTURE(std::string(row.yaml));
        const auto parsed = parse_yaml(row.yaml);
        if (!parsed) FAIL(parsed.error().message);
        CHECK(*parsed == json::parse(row.expected));
    }
}

TEST_CASE("what YAML readers disagree about is refused with its line") {
    struct Row {
        const char* yaml;
        const char* message;
    };
    for (const Row& row : {
             Row{"a: 1\nb: 2\na: 3\n", "YAML line 3, column 1: the key \"a\" is given twice"},
             Row{"x:\n  revoked: yes\n",
                 "YAML line 2, column 12: `yes` is a boolean to some readers"},
             Row{"on: 1", "line 1, column 1: `on` is a boolean"},
             Row{"port: 010", "line 1, column 7: `010` is another number"},
             Row{"port: 0x1F", "`0x1F` is another number"},
             Row{"port: 1_000", "`1_000` is another number"},
             Row{"a: .inf", "no JSON form"},
             Row{"a: !!binary aGk=", "tag:yaml.org,2002:binary is not supported"},
             Row{"a: !custom {x: 1}", "!custom is not supported"},
             Row{"? [a, b]\n: 1", "a key must be a scalar"},
             Row{"a: \"x\nb: 1\n", "YAML"},
             Row{"a: 1\nreplicas 3\n", "YAML line 2"},
             Row{"- a\nb: 1\n", "YAML"},
             Row{"[x]y", "YAML"},
             Row{"a: \x01", "control characters"},
             Row{"a: &x [*x]", "contains itself"},
             Row{"a: *nowhere", "YAML line 1"},
             Row{"a: [1, 2", "YAML line"},
             Row{"a: {<<: 3}", "merge key"},
             Row{"a: \"\\N\"", "not UTF-8"},
         }) {
        CAPTURE(std::string(row.yaml));
        const auto parsed = parse_yaml(row.yaml);
        REQUIRE_FALSE(parsed);
        CHECK(parsed.error().kind == ErrorKind::invalid);
        CAPTURE(parsed.error().message);
        CHECK(parsed.error().message.find(row.message) != std::string::npos);
    }
}

TEST_CASE("size, depth and expanded aliases are bounded") {
    const codec::YamlLimits limits{.bytes = 2000, .nodes = 100, .depth = 10};
    CHECK(parse_yaml(std::string(10, '[') + std::string(10, ']'), limits));
    CHECK_FALSE(parse_yaml(std::string(11, '[') + std::string(11, ']'), limits));
    CHECK_FALSE(parse_yaml(std::string(2001, ' '), limits));
    CHECK_FALSE(parse_yaml(std::string(100'000, '[')));

    std::string bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n";
    for (int i = 1; i < 9; ++i) {
        bomb += fmt::format(
            "a{0}: &a{0} [*a{1}, *a{1}, *a{1}, *a{1}, *a{1}, *a{1}, *a{1}, *a{1}, *a{1}, *a{1}]\n",
            i, i - 1);
    }
    const auto refused = parse_yaml(bomb);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().message.find("too many values") != std::string::npos);

    std::string tower = "a0: &a0 [x]\n";
    for (int i = 1; i < 12; ++i) tower += fmt::format("a{0}: &a{0} [*a{1}]\n", i, i - 1);
    const auto deep = parse_yaml(tower, limits);
    REQUIRE_FALSE(deep);
    CHECK(deep.error().message.find("nested too deeply") != std::string::npos);
}

TEST_CASE("a file has documents between lines of ---, and lines count from its start") {
    const auto documents =
        parse_yaml_documents("# head\n---\na: 1\n--- # second\n\n---\nb: |\n  ---\n");
    REQUIRE(documents);
    CHECK(*documents == std::vector<json>{{{"a", 1}}, {{"b", "---\n"}}});
    CHECK(parse_yaml_documents("")->empty());
    CHECK(parse_yaml_documents("---")->empty());
    CHECK(parse_yaml_documents("a: 1")->size() == 1);

    const auto refused = parse_yaml_documents("a: 1\n---\nb: 1\nb: 2\n");
    REQUIRE_FALSE(refused);
    CHECK(refused.error().message == "YAML line 4, column 1: the key \"b\" is given twice");
}

TEST_CASE("every CRD file is read") {
    int files = 0;
    for (const auto& entry : std::filesystem::directory_iterator(SOURCE_ROOT "/crds")) {
        CAPTURE(entry.path().string());
        const auto documents = parse_yaml_documents(read_file(entry.path()));
        if (!documents) FAIL(documents.error().message);
        REQUIRE(documents->size() == 1);
        CHECK((*documents)[0]["kind"] == "CustomResourceDefinition");
        ++files;
    }
    CHECK(files >= 5);
}

TEST_CASE("no mutation of a manifest crashes the reader") {
    const std::string original = read_file(SOURCE_ROOT "/crds/accessledgers.yaml");
    int accepted = 0;
    for (unsigned seed = 0; seed < 400; ++seed) {
        CAPTURE(seed);
        std::mt19937 random(seed);
        std::string text = original;
        for (int i = 0; i < 3; ++i) {
            const std::size_t at = random() % text.size();
            switch (random() % 3) {
                case 0: text[at] = static_cast<char>(random() % 256); break;
                case 1: text.erase(at, random() % 40); break;
                default: text.insert(at, text.substr(random() % text.size(), random() % 40)); break;
            }
        }
        const auto parsed = parse_yaml(text);
        if (parsed) {
            ++accepted;
            CHECK_FALSE(parsed->dump().empty());
        } else {
            CHECK(parsed.error().message.starts_with("YAML"));
        }
    }
    CHECK(accepted > 0);
}
