#include "tidy/source.hpp"

#include <doctest/doctest.h>

namespace sallyport::tidy {

TEST_CASE("comments and literals are blanked and every line keeps its number") {
    struct Row {
        const char* why;
        const char* text;
        const char* without_comments;
        const char* without_both;
    };
    const Row rows[] = {
        {"a line comment", "a // b\nc", "a     \nc", "a     \nc"},
        {"a block comment over lines", "a /* b\nc */ d", "a     \n     d", "a     \n     d"},
        {"a comment mark in a string", R"(f("//") g)", R"(f("//") g)", R"(f("  ") g)"},
        {"an escaped quote", R"("a\"b" c)", R"("a\"b" c)", R"("    " c)"},
        {"a quote character", R"('"' a "b")", R"('"' a "b")", R"(' ' a " ")"},
        {"digits in groups", "1'000 a // b", "1'000 a     ", "1'000 a     "},
        {"a raw string with quotes", "R\"x(a \" // )\")x\" b", "R\"x(a \" // )\")x\" b",
         "R\"x(         )x\" b"},
        {"a string in a comment", "// \"a\nb", "     \nb", "     \nb"},
    };
    for (const Row& row : rows) {
        CAPTURE(row.why);

        CHECK(blanked(row.text, Blank::comments) == row.without_comments);
        CHECK(blanked(row.text, Blank::comments_and_literals) == row.without_both);
    }
}

TEST_CASE("includes are read with their line and their kind, but not from comments") {
    const auto found =
        includes_of("#include \"base/a.hpp\"\n// #include \"b.hpp\"\n#  include <c>\n");

    REQUIRE(found.size() == 2);
    CHECK(found[0].name == "base/a.hpp");
    CHECK_FALSE(found[0].system);
    CHECK(found[1].name == "c");
    CHECK(found[1].line == 3);
    CHECK(found[1].system);
}

TEST_CASE("a word is found only where it stands alone") {
    CHECK(words_in("new renew new_ x.new;", "new").size() == 2);
    CHECK(words_in("", "new").empty());
}

TEST_CASE("a rule is set aside by a reason, not by a mention") {
    CHECK(is_excused("a  // tidy: clock because it is the clock itself", 1, "clock"));
    CHECK(is_excused("// tidy: clock because it is the clock itself\na", 2, "clock"));
    CHECK_FALSE(is_excused("// tidy: clock because it is the clock itself\n\na", 3, "clock"));
    CHECK_FALSE(is_excused("a  // tidy: clock", 1, "clock"));
    CHECK_FALSE(is_excused("a  // tidy: clock because no", 1, "clock"));
    CHECK_FALSE(is_excused("a  // tidy: sleep because it is another rule", 1, "clock"));
}

TEST_CASE("a file belongs to its folder of src, or to tests or controller") {
    CHECK(folder_of("src/plan/nsg/plan.hpp") == "plan");
    CHECK(folder_of("tests/plan/plan_test.cpp") == "tests");
    CHECK(folder_of("controller/main.cpp") == "controller");
    CHECK(folder_of("docs/a.md").empty());
}

}  // namespace sallyport::tidy
