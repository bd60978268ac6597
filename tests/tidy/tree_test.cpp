// The repository itself against every rule. What each rule refuses is shown by planted violations
// in the other tests of this folder.
#include "tidy/tree.hpp"

#include <doctest/doctest.h>

#include "tidy/documents.hpp"
#include "tidy/habits.hpp"
#include "tidy/layering.hpp"
#include "tidy/shape.hpp"

namespace sallyport::tidy {
namespace {

const std::vector<File>& repository() {
    static const std::vector<File> files = read_tree(SOURCE_ROOT);
    return files;
}

void none(const Findings& findings) {
    for (const Finding& finding : findings) FAIL_CHECK(finding.text());
}

}  // namespace

TEST_CASE("the tree that is checked is the whole repository") {
    int sources = 0;
    int headers = 0;
    bool readme = false;
    for (const File& file : repository()) {
        sources += is_cpp(file) && !is_header(file) ? 1 : 0;
        headers += is_header(file) ? 1 : 0;
        readme = readme || file.path == "Makefile";
    }

    CHECK(sources > 10);
    CHECK(headers > 20);
    CHECK(readme);
}

TEST_CASE("a folder includes lower floors only, and of those what its row names") {
    none(check_include_edges(repository()));
}
TEST_CASE("a library is linked against no more than its folder may include") {
    none(check_links(repository()));
}
TEST_CASE("third-party headers stay where their folder may see them") {
    none(check_third_party(repository()));
}
TEST_CASE("the clock, the terminal and sleeping have one home or none") {
    none(check_banned(repository()));
}
TEST_CASE("no header says using namespace") { none(check_using_namespace(repository())); }
TEST_CASE("nothing is made with new or ended with delete") { none(check_new_delete(repository())); }
TEST_CASE("no file names a path of one machine") { none(check_machine_paths(repository())); }
TEST_CASE("no file names the host of a registry") { none(check_registry_hosts(repository())); }
TEST_CASE("a function fits on a screen, or says why not") {
    none(check_function_lengths(repository()));
}
TEST_CASE("every header is included and every source is built") {
    none(check_dead_files(repository()));
}
TEST_CASE("a file has at most 500 lines, or says why not") {
    none(check_file_lengths(repository()));
}
TEST_CASE("no line is wider than 100 columns") { none(check_columns(repository())); }
TEST_CASE("every reason that is given is explained") { none(check_reasons(repository())); }
TEST_CASE("every metric is explained") { none(check_metrics(repository())); }
TEST_CASE("every field of a kind stands on its page") { none(check_fields(repository())); }
TEST_CASE("lines end where their text ends") { none(check_blanks(repository())); }

}  // namespace sallyport::tidy
