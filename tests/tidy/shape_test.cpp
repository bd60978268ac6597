#include "tidy/shape.hpp"

#include <fmt/format.h>

#include "tidy/planted.hpp"

namespace sallyport::tidy {
namespace {

std::string lines(int count, const char* line = "    f();\n") {
    std::string text;
    for (int n = 0; n < count; ++n) text += line;
    return text;
}

}  // namespace

TEST_CASE("function bodies are told from classes, namespaces, tables and blocks") {
    struct Row {
        const char* why;
        const char* text;
        int functions;
    };
    const Row rows[] = {
        {"a free function", "int f(int x) {\n return x;\n}\n", 1},
        {"a method in a class in a namespace",
         "namespace a {\nclass B final : public C {\n int f() const { return 1; }\n};\n}\n", 1},
        {"a constructor with braced members", "A::A(int x) : a_{x}, b_{} {\n f();\n}\n", 1},
        {"a table", "const int rows[] = {\n {1}, {2},\n};\n", 0},
        {"blocks and lambdas belong to their function",
         "void f() {\n if (x) { g([] { h(); }); }\n for (;;) {}\n}\n", 1},
        {"a template of a class", "template <class T>\nstruct A<T(int)> {\n int x{1};\n};\n", 0},
        {"a template of a function", "template <class T>\n requires(A<T>)\nvoid f(T t) {\n}\n", 1},
        {"a test case", "TEST_CASE(\"a { rule\") {\n CHECK(true);\n}\n", 1},
        {"an operator", "bool operator<(const A& a, const A& b) {\n return a.x < b.x;\n}\n", 1},
        {"a trailing return type", "auto f() -> std::vector<int> {\n return {1};\n}\n", 1},
        {"an argument in braces at the top", "const A a = f({1, 2});\nvoid g() {}\n", 1},
        {"an enum", "enum class A { a, b };\n", 0},
        {"unbalanced braces of the preprocessor", "#define A {\nvoid f() {}\nvoid g() {}\n", 2},
        {"a declaration only", "void f();\nclass A;\n", 0},
    };
    for (const Row& row : rows) {
        CAPTURE(row.why);

        CHECK(static_cast<int>(functions_of(row.text).size()) == row.functions);
    }
}

TEST_CASE("a function is as long as its body, from brace to brace") {
    const auto found = functions_of("\nvoid f(int a,\n       int b) {\n    g();\n}\n");

    REQUIRE(found.size() == 1);
    CHECK(found[0].first_line == 2);
    CHECK(found[0].open_line == 3);
    CHECK(found[0].lines() == 3);
}

TEST_CASE("a function longer than a screen is found, unless it says why") {
    const std::string fits = "void f() {\n" + lines(function_lines_max - 2) + "}\n";
    const std::string longer = "void f() {\n" + lines(function_lines_max - 1) + "}\n";
    const std::string reason = "// tidy: long because it is one table\n";

    expect(check_function_lengths, {"fits", {"src/base/a.cpp", fits}, 0});
    expect(check_function_lengths, {"one line more", {"src/base/a.cpp", "\n" + longer}, 2});
    expect(check_function_lengths, {"in a test", {"tests/base/a.cpp", longer}, 1});
    expect(check_function_lengths, {"a reason above", {"src/base/a.cpp", reason + longer}, 0});
    expect(check_function_lengths,
           {"another's reason", {"src/base/a.cpp", reason + "int x;\nint y;\n\n\n" + longer}, 6});
    expect(check_function_lengths,
           {"a method", {"src/base/a.hpp", "class A {\n" + longer + "};\n"}, 2});
}

TEST_CASE("a file longer than 500 lines is found, unless its top says why") {
    const std::string text = lines(file_lines_max + 1, "// x\n");

    const auto found = [](const std::string& path, const std::string& content) {
        return check_file_lengths({{path, content}}).size();
    };
    CHECK(found("src/base/a.cpp", text) == 1);
    CHECK(found("tests/demo/demo.py", text) == 1);
    CHECK(found("docs/a.md", text) == 0);
    CHECK(found("src/base/a.cpp", lines(file_lines_max, "// x\n")) == 0);
    CHECK(found("src/base/a.cpp", "// tidy: long because it is one table\n" + text) == 0);
    CHECK(found("src/base/a.cpp", text + "// tidy: long because it is one table\n") == 1);
}

TEST_CASE("a line wider than 100 columns is found; columns are not bytes") {
    const std::string wide(columns_max + 1, 'x');
    std::string dashes;
    for (int n = 0; n < columns_max; ++n) dashes += "\u2013";

    expect(check_columns, {"code", {"src/base/a.cpp", "\n" + wide + "\n"}, 2});
    expect(check_columns, {"a comment", {"src/base/a.cpp", "//" + wide + "\n"}, 1});
    expect(check_columns, {"a script", {"tests/a.py", wide + "\n"}, 1});
    expect(check_columns, {"a page", {"docs/a.md", wide + "\n"}, 0});
    expect(check_columns, {"wide characters", {"src/base/a.cpp", dashes + "\n"}, 0});
    expect(check_columns, {"a raw string", {"src/base/a.cpp", "R\"(\n" + wide + "\n)\"\n"}, 0});
}

TEST_CASE("blanks at the end, tabs and missing line breaks are found") {
    expect(check_blanks, {"a blank", {"docs/a.md", "a\nb \n"}, 2});
    expect(check_blanks, {"CRLF", {"docs/a.md", "a\r\n"}, 1});
    expect(check_blanks, {"a tab in C++", {"src/base/a.cpp", "\tf();\n"}, 1});
    expect(check_blanks, {"a tab in a Makefile", {"Makefile", "\tf\n"}, 0});
    expect(check_blanks, {"no line break", {"docs/a.md", "a\nb"}, 2});
    expect(check_blanks, {"clean", {"src/base/a.cpp", "f();\n"}, 0});
}

}  // namespace sallyport::tidy
