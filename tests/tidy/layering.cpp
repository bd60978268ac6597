#include "tidy/layering.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>
#include <set>

namespace sallyport::tidy {
namespace {

using Names = std::set<std::string, std::less<>>;

/// THE table: what each folder of src/ may include of ours. A folder includes lower floors only:
/// 0 base · 1 model · 2 ports, http · 3 plan, codec, serve · 4 the rest, side by side · 5
/// controller.
const std::map<std::string, Names, std::less<>>& floors() {
    static const std::map<std::string, Names, std::less<>> table = {
        {"base", {}},
        {"model", {"base"}},
        {"ports", {"model", "base"}},
        {"http", {"base"}},
        {"plan", {"model", "base"}},
        {"codec", {"model", "base"}},
        {"serve", {"http", "base"}},
        {"engine", {"plan", "ports", "model", "base"}},
        {"kube", {"ports", "codec", "http", "model", "base"}},
        {"azure", {"ports", "codec", "http", "model", "base"}},
        {"telemetry", {"ports", "model", "base"}},
        {"system", {"ports", "base"}},
        {"apiserver", {"codec", "http", "model", "base"}},
        {"simulator", {"http", "model", "base"}},  // and serve and system in its main
        {"cli", {"kube", "plan", "codec", "http", "model", "base"}},
    };
    return table;
}

bool may_include(std::string_view path, std::string_view from, std::string_view to) {
    if (from == to) return true;
    if (from == "tests") return true;
    if (from == "controller") return to != "tests";
    if (path == "src/simulator/main.cpp" && (to == "serve" || to == "system")) return true;
    const auto row = floors().find(from);
    return row != floors().end() && row->second.contains(to);
}

/// Where a third-party library may be seen.
struct Library {
    std::string name;
    std::vector<std::string> prefixes;
    std::vector<std::string> anywhere;      ///< folders, or paths of single files
    std::vector<std::string> sources_only;  ///< folders whose .cpp files may, but not their headers
};

const std::vector<Library>& libraries() {
    static const std::vector<Library> table = {
        {"fmt",
         {"fmt/"},
         {"base", "model", "ports", "http", "plan", "codec", "serve", "engine", "kube", "azure",
          "telemetry", "system", "apiserver", "simulator", "cli", "controller", "tests"},
         {}},
        {"nlohmann/json",
         {"nlohmann/"},
         {"codec", "kube", "azure", "telemetry", "apiserver", "simulator", "controller", "tests"},
         {}},
        {"yaml-cpp", {"yaml-cpp/"}, {"codec", "simulator", "tests"}, {}},
        {"simdjson", {"simdjson.h"}, {"codec", "tests"}, {}},
        {"spdlog", {"spdlog/"}, {"telemetry", "tests"}, {}},
        {"SQLite", {"sqlite3.h"}, {"apiserver", "tests"}, {}},
        {"CLI11", {"CLI/"}, {"cli", "controller", "src/simulator/main.cpp"}, {}},
        // For patterns that policy authors write; one file keeps it exchangeable.
        {"RE2", {"re2/"}, {"src/plan/access/ticket.cpp", "tests"}, {}},
        {"doctest", {"doctest/"}, {"tests"}, {}},
        // Its `U` macro breaks fmt wherever both are seen, and it is no longer maintained: it stays
        // behind http/transport.hpp.
        {"cpprestsdk", {"cpprest/", "pplx/"}, {}, {"http"}},
        // Beast takes seconds to compile. The TLS context that cpprestsdk hands out is Asio's.
        {"Boost.Beast", {"boost/beast"}, {"tests"}, {"serve"}},
        {"Boost", {"boost/"}, {"tests"}, {"serve", "http"}},
        {"OpenSSL", {"openssl/"}, {"src/base/digest.cpp", "tests"}, {"serve", "http"}},
    };
    return table;
}

const Library* library_of(std::string_view include) {
    for (const Library& library : libraries()) {
        for (const std::string& prefix : library.prefixes) {
            if (include.starts_with(prefix)) return &library;
        }
    }
    return nullptr;
}

bool may_see(const Library& library, const File& file) {
    const std::string folder = folder_of(file.path);
    const auto names = [&](const std::vector<std::string>& places) {
        return std::any_of(places.begin(), places.end(), [&](const std::string& place) {
            return place == folder || place == file.path;
        });
    };
    return names(library.anywhere) || (!is_header(file) && names(library.sources_only));
}

/// C++ and C headers have neither slash nor suffix, or are POSIX and Linux ones.
bool is_standard(std::string_view include) {
    static const Names posix = {"unistd.h",  "dlfcn.h",  "fcntl.h", "signal.h",
                                "poll.h",    "netdb.h",  "pwd.h",   "termios.h",
                                "pthread.h", "dirent.h", "malloc.h"};
    if (include.find('/') == std::string_view::npos && !include.ends_with(".h")) return true;
    for (const std::string_view prefix : {"sys/", "netinet/", "arpa/", "net/", "linux/"}) {
        if (include.starts_with(prefix)) return true;
    }
    return posix.contains(include);
}

const File* find(const std::vector<File>& files, std::string_view path) {
    const auto found =
        std::find_if(files.begin(), files.end(), [&](const File& f) { return f.path == path; });
    return found == files.end() ? nullptr : &*found;
}

/// The path that an include of ours names: `src/` holds the libraries, `tests/` the test support.
std::optional<std::string> resolved(const std::vector<File>& files, const std::string& include) {
    for (const char* root : {"src/", "tests/", ""}) {
        if (find(files, root + include) != nullptr) return root + include;
    }
    return std::nullopt;
}

/// The names in `function(first …)` calls of a CMake file.
Names first_arguments(std::string_view text, std::string_view function) {
    Names names;
    for (const std::size_t at : words_in(text, function)) {
        const std::string_view rest = text.substr(at + function.size());
        if (!rest.starts_with('(')) continue;
        names.emplace(rest.substr(1, rest.find_first_of(" \n)") - 1));
    }
    return names;
}

bool is_cmake(const File& file) {
    return file.path.ends_with("CMakeLists.txt") || file.path.ends_with(".cmake");
}

/// By name in some CMake file (from its own folder, or from that of the including one), or as one
/// of a folder that is globbed.
bool is_built(const std::vector<File>& files, const File& file) {
    const std::size_t slash = file.path.rfind('/');
    const std::string parent = file.path.substr(file.path.rfind('/', slash - 1) + 1);
    for (const File& cmake : files) {
        if (!is_cmake(cmake)) continue;
        if (cmake.text.find(parent) != std::string::npos) return true;
        // A folder's own CMakeLists names its sources without the folder.
        const bool beside =
            cmake.path.substr(0, cmake.path.rfind('/') + 1) == file.path.substr(0, slash + 1);
        if (beside && cmake.text.find(file.path.substr(slash + 1)) != std::string::npos)
            return true;
        if (parent.ends_with("/main.cpp")) continue;
        if (file.path.starts_with("src/") &&
            first_arguments(cmake.text, "sallyport_library").contains(folder_of(file.path))) {
            return true;
        }
        if (file.path.starts_with("tests/")) {
            const std::string folder = file.path.substr(6, file.path.find('/', 6) - 6);
            if (first_arguments(cmake.text, "sallyport_test").contains(folder)) return true;
        }
        const std::string place = cmake.path.substr(0, cmake.path.rfind('/') + 1);
        if (!place.empty() && file.path.starts_with(place) && place == "controller/") {
            const std::string_view name = std::string_view(file.path).substr(slash + 1);
            if (cmake.text.find(name) != std::string::npos) return true;
            if (cmake.text.find("GLOB") != std::string::npos) return true;
        }
    }
    return false;
}

}  // namespace

Findings check_include_edges(const std::vector<File>& files) {
    Findings findings;
    for (const File& file : files) {
        const std::string from = folder_of(file.path);
        if (!is_cpp(file)) continue;
        if (file.path.starts_with("src/") && !floors().contains(from)) {
            findings.push_back({file.path, 0, "edge",
                                "its folder has no row in the table of tests/tidy/layering.cpp"});
        }
        for (const Include& include : includes_of(file.text)) {
            if (include.system) continue;
            const std::optional<std::string> target = resolved(files, include.name);
            if (!target) {
                findings.push_back(
                    {file.path, include.line, "edge",
                     fmt::format("\"{}\" is no file of ours; ours are named from src/ "
                                 "or tests/, others stand in <>",
                                 include.name)});
                continue;
            }
            const std::string to = folder_of(*target);
            if (may_include(file.path, from, to)) continue;
            if (is_excused(file.text, include.line, "edge")) continue;
            findings.push_back(
                {file.path, include.line, "edge",
                 fmt::format("{} -> {}: {} may not include \"{}\"", from, to, from, include.name)});
        }
    }
    return findings;
}

Findings check_third_party(const std::vector<File>& files) {
    Findings findings;
    for (const File& file : files) {
        if (!is_cpp(file)) continue;
        for (const Include& include : includes_of(file.text)) {
            if (!include.system || is_standard(include.name)) {
                if (library_of(include.name) == nullptr) continue;
            }
            const Library* library = library_of(include.name);
            if (library != nullptr && may_see(*library, file)) continue;
            if (is_excused(file.text, include.line, "third-party")) continue;
            findings.push_back(
                {file.path, include.line, "third-party",
                 library == nullptr
                     ? fmt::format("<{}> belongs to no library that we use", include.name)
                     : fmt::format("{} may not be seen here: <{}>", library->name, include.name)});
        }
    }
    return findings;
}

Findings check_links(const std::vector<File>& files) {
    Findings findings;
    const File* cmake = find(files, "CMakeLists.txt");
    if (cmake == nullptr) return {{"CMakeLists.txt", 0, "links", "is missing"}};
    for (const std::size_t at : words_in(cmake->text, "sallyport_library")) {
        std::string_view call = std::string_view(cmake->text).substr(at);
        call = call.substr(0, call.find(')'));
        const std::size_t open = call.find('(');
        if (open == std::string_view::npos || call.find("name") == open + 1) continue;
        const std::string name(call.substr(open + 1, call.find_first_of(" \n)", open) - open - 1));
        const auto row = floors().find(name);
        std::size_t used = call.find(" USES ");
        if (row == floors().end() || used == std::string_view::npos) continue;
        const std::string_view uses = call.substr(used + 6, call.find("THIRD_PARTY") - used - 6);
        for (const auto& [other, unused] : floors()) {
            if (words_in(uses, other).empty() || row->second.contains(other)) continue;
            findings.push_back({"CMakeLists.txt", line_at(cmake->text, at), "links",
                                fmt::format("{} -> {}: {} may not link it", name, other, name)});
        }
    }
    return findings;
}

Findings check_dead_files(const std::vector<File>& files) {
    Findings findings;
    Names included;
    for (const File& file : files) {
        if (!is_cpp(file)) continue;
        for (const Include& include : includes_of(file.text)) {
            const std::optional<std::string> target = resolved(files, include.name);
            if (!target) continue;
            // Its own source does not count: a pair that only knows itself is dead.
            const auto stem = [](std::string_view path) { return path.substr(0, path.rfind('.')); };
            if (stem(*target) != stem(file.path)) included.insert(*target);
        }
    }
    for (const File& file : files) {
        if (!is_cpp(file) || is_excused(file.text, 1, "dead")) continue;
        if (is_header(file) && !included.contains(file.path)) {
            findings.push_back({file.path, 0, "dead", "nobody includes it"});
        }
        if (!is_header(file) && !is_built(files, file)) {
            findings.push_back({file.path, 0, "dead", "nobody builds it"});
        }
    }
    return findings;
}

}  // namespace sallyport::tidy
