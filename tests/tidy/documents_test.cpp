#include "tidy/documents.hpp"

#include "tidy/planted.hpp"

namespace sallyport::tidy {

TEST_CASE("a reason that its page does not know is found") {
    const std::vector<File> page = {{"docs/reasons.md", "| `SourceTooWide` | wider |\n"}};
    const Planted rows[] = {
        {"not there", {"src/plan/a.cpp", "\nreturn {\"SourceTooNarrow\", x};\n"}, 2},
        {"in the engine", {"src/engine/a.cpp", "reason = \"PolicyLost\";\n"}, 1},
        {"there", {"src/plan/a.cpp", "return {\"SourceTooWide\", x};\n"}, 0},
        {"a part of a word is not the word", {"src/plan/a.cpp", "f(\"SourceToo\");\n"}, 1},
        {"a sentence", {"src/plan/a.cpp", "f(\"The Source is too wide\");\n"}, 0},
        {"one word", {"src/plan/a.cpp", "f(\"Open\");\n"}, 0},
        {"in a comment", {"src/plan/a.cpp", "// \"NotAReason\"\n"}, 0},
        {"elsewhere", {"src/azure/a.cpp", "f(\"NotAReason\");\n"}, 0},
        {"excused",
         {"src/plan/a.cpp", "f(\"NotAReason\");  // tidy: reason because it is Azure's word\n"},
         0},
    };
    for (const Planted& row : rows) expect(check_reasons, row, page);
}

TEST_CASE("a metric that its page does not know is found") {
    const std::vector<File> page = {{"docs/operations.md", "| `sallyport_a_total` | a |\n"}};

    expect(check_metrics, {"there", {"src/engine/a.cpp", "x = \"sallyport_a_total\";\n"}, 0}, page);
    expect(check_metrics, {"not there", {"src/engine/a.cpp", "x = \"sallyport_b_total\";\n"}, 1},
           page);
    expect(check_metrics,
           {"by client-go's name", {"src/kube/a.cpp", "x = \"rest_client_a_total\";\n"}, 1}, page);
    expect(check_metrics, {"a part", {"controller/a.cpp", "x = \"sallyport_a\";\n"}, 1}, page);
}

TEST_CASE("a field of a CRD that its kind's page does not name is found") {
    const File crd = {"crds/things.yaml",
                      "spec:\n"
                      "  names: {singular: thing}\n"
                      "  versions:\n"
                      "  - schema:\n"
                      "      openAPIV3Schema:\n"
                      "        properties:\n"
                      "          spec:\n"
                      "            properties:\n"
                      "              sources: {type: array, items: {properties: {cidr: {}}}}\n"
                      "          status: {properties: {phase: {}, conditions: {items: {properties: "
                      "{lastTransitionTime: {}}}}}}\n"};
    const auto missing = [&](const char* page) {
        return check_fields({crd, {"docs/kinds/thing.md", page}}).size();
    };

    CHECK(missing("`sources[].cidr`, `phase`, `conditions`") == 0);
    CHECK(missing("`sources[]`, `phase`, `conditions`") == 1);
    CHECK(missing("") == 4);
    CHECK(check_fields({{"crds/broken.yaml", "a: [\n"}}).size() == 1);
}

}  // namespace sallyport::tidy
