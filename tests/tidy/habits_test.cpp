#include "tidy/habits.hpp"

#include "tidy/planted.hpp"

namespace sallyport::tidy {

TEST_CASE("a banned call is found outside its home") {
    const Planted rows[] = {
        {"the wall clock",
         {"src/engine/a.cpp", "\nauto n = std::chrono::system_clock::now();\n"},
         2},
        {"the wall clock in a test", {"tests/engine/a.cpp", "auto n = system_clock::now();\n"}, 1},
        {"the wall clock at home", {"src/system/a.cpp", "auto n = system_clock::now();\n"}, 0},
        {"in a comment", {"src/engine/a.cpp", "// never system_clock::now()\n"}, 0},
        {"in a string", {"src/engine/a.cpp", "f(\"system_clock::now\");\n"}, 0},
        {"with a reason",
         {"src/engine/a.cpp", "// tidy: clock because it seeds the test\nsystem_clock::now();\n"},
         0},
        {"the terminal", {"src/engine/a.cpp", "std::cout << 1;\n"}, 1},
        {"the terminal in a test", {"tests/engine/a.cpp", "std::cout << 1;\n"}, 1},
        {"the terminal in a main", {"controller/main.cpp", "std::cout << 1;\n"}, 0},
        {"the terminal in the command line tool", {"src/cli/a.cpp", "std::cout << 1;\n"}, 0},
        {"sleeping in a test", {"tests/serve/a.cpp", "std::this_thread::sleep_for(1s);\n"}, 1},
        {"sleeping until", {"tests/serve/a.cpp", "std::this_thread::sleep_until(t);\n"}, 1},
        {"sleeping the old way", {"tests/serve/a.cpp", "usleep(1);\n"}, 1},
        {"a task of the loop may sleep",
         {"tests/base/a.cpp", "co_await loop.sleep_until(t);\n"},
         0},
        {"a default capture", {"src/engine/a.cpp", "auto f = [=] { g(); };\n"}, 1},
        {"a default capture and more", {"src/engine/a.cpp", "auto f = [=, &x] { g(); };\n"}, 1},
        {"captures by name", {"src/engine/a.cpp", "auto f = [x, &y] { g(); };\n"}, 0},
    };
    for (const Planted& row : rows) expect(check_banned, row);
}

TEST_CASE("using namespace is found in headers") {
    const Planted rows[] = {
        {"in a header", {"src/base/a.hpp", "\nusing namespace std;\n"}, 2},
        {"with more blanks", {"src/base/a.hpp", "using  namespace std;\n"}, 1},
        {"in a source", {"src/base/a.cpp", "using namespace std;\n"}, 0},
        {"an alias", {"src/base/a.hpp", "namespace fs = std::filesystem;\n"}, 0},
    };
    for (const Planted& row : rows) expect(check_using_namespace, row);
}

TEST_CASE("new and delete expressions are found") {
    const Planted rows[] = {
        {"new", {"src/base/a.cpp", "auto* x = new X();\n"}, 1},
        {"new in an argument", {"tests/base/a.cpp", "\nstd::unique_ptr<X>(new X);\n"}, 2},
        {"delete", {"src/base/a.cpp", "delete x;\n"}, 1},
        {"delete of an array", {"src/base/a.cpp", "delete[] x;\n"}, 1},
        {"a deleted function", {"src/base/a.hpp", "X(const X&) = delete;\n"}, 0},
        {"an operator",
         {"src/base/a.hpp", "void operator delete(void*);\nvoid* operator new(unsigned long);\n"},
         0},
        {"a word in a name", {"src/base/a.cpp", "renew(new_rule, delete_it);\n"}, 0},
    };
    for (const Planted& row : rows) expect(check_new_delete, row);
}

TEST_CASE("paths of a machine and hosts of registries are found in any text") {
    const std::string path = std::string("/ho") + "me/someone/x";
    const std::string host = std::string("https://py") + "pi.org/simple";

    expect(check_machine_paths, {"a path", {"docs/a.md", "\nsee " + path + "\n"}, 2});
    expect(check_machine_paths, {"no path", {"docs/a.md", "see docs/operations.md\n"}, 0});
    expect(check_registry_hosts, {"a host", {"Makefile", "x\ny\npip -i " + host + "\n"}, 3});
    expect(check_registry_hosts, {"no host", {"Makefile", "pip install x\n"}, 0});
}

}  // namespace sallyport::tidy
