#include "tidy/habits.hpp"

#include <fmt/format.h>

#include <functional>

namespace sallyport::tidy {
namespace {

bool is_main(const File& file) { return file.path.ends_with("main.cpp"); }

struct Ban {
    std::string rule;
    std::string word;
    std::function<bool(const File&)> applies;
    std::string instead;
};

const std::vector<Ban>& bans() {
    const auto outside_system = [](const File& f) { return folder_of(f.path) != "system"; };
    const auto in_tests = [](const File& f) { return folder_of(f.path) == "tests"; };
    const auto speaks_to_nobody = [](const File& f) {
        return !is_main(f) && folder_of(f.path) != "cli";
    };
    static const std::vector<Ban> table = {
        {"clock", "system_clock::now", outside_system, "take the time from ports::Clock"},
        {"stdout", "std::cout", speaks_to_nobody,
         "only a main speaks to the terminal; log instead"},
        {"sleep", "this_thread::sleep_for", in_tests,
         "move a simulated clock, or wait for the event itself"},
        {"sleep", "this_thread::sleep_until", in_tests,
         "move a simulated clock, or wait for the event itself"},
        {"sleep", "usleep", in_tests, "move a simulated clock, or wait for the event itself"},
        {"sleep", "nanosleep", in_tests, "move a simulated clock, or wait for the event itself"},
    };
    return table;
}

void find_words(const File& file, std::string_view code, const Ban& ban, Findings& findings) {
    for (const std::size_t at : words_in(code, ban.word)) {
        const int line = line_at(code, at);
        if (is_excused(file.text, line, ban.rule)) continue;
        findings.push_back(
            {file.path, line, ban.rule, fmt::format("{}: {}", ban.word, ban.instead)});
    }
}

/// The last word before `at`, or a lone `=`; what is between them is skipped.
std::string_view before(std::string_view code, std::size_t at) {
    const std::size_t end = code.find_last_not_of(" \t\n", at == 0 ? 0 : at - 1);
    if (end == std::string_view::npos || at == 0) return {};
    if (code[end] == '=') return code.substr(end, 1);
    const std::size_t start = code.find_last_of(" \t\n;{}(),*&<>=", end);
    return code.substr(start + 1, end - start);
}

/// Looks for texts built of two halves, so that this file does not contain what it looks for.
Findings find_texts(const std::vector<File>& files, const std::vector<std::string>& texts,
                    std::string_view rule, std::string_view message) {
    Findings findings;
    for (const File& file : files) {
        for (const std::string& text : texts) {
            for (std::size_t at = file.text.find(text); at != std::string::npos;
                 at = file.text.find(text, at + 1)) {
                const int line = line_at(file.text, at);
                if (is_excused(file.text, line, rule)) continue;
                findings.push_back(
                    {file.path, line, std::string(rule), fmt::format("{} {}", text, message)});
            }
        }
    }
    return findings;
}

}  // namespace

Findings check_banned(const std::vector<File>& files) {
    Findings findings;
    for (const File& file : files) {
        if (!is_cpp(file)) continue;
        const std::string code = blanked(file.text, Blank::comments_and_literals);
        for (const Ban& ban : bans()) {
            if (ban.applies(file)) find_words(file, code, ban, findings);
        }
        for (std::size_t at = code.find("[="); at != std::string::npos;
             at = code.find("[=", at + 1)) {
            const int line = line_at(code, at);
            if (is_excused(file.text, line, "capture")) continue;
            findings.push_back({file.path, line, "capture",
                                "[=] hides what is copied, and copies `this`: name the captures"});
        }
    }
    return findings;
}

Findings check_using_namespace(const std::vector<File>& files) {
    Findings findings;
    for (const File& file : files) {
        if (!is_header(file)) continue;
        const std::string code = blanked(file.text, Blank::comments_and_literals);
        for (const std::size_t at : words_in(code, "namespace")) {
            if (before(code, at) != "using") continue;
            const int line = line_at(code, at);
            if (is_excused(file.text, line, "using")) continue;
            findings.push_back({file.path, line, "using", "`using namespace` in a header"});
        }
    }
    return findings;
}

Findings check_new_delete(const std::vector<File>& files) {
    Findings findings;
    for (const File& file : files) {
        if (!is_cpp(file)) continue;
        const std::string code = blanked(file.text, Blank::comments_and_literals);
        for (const std::string_view word : {"new", "delete"}) {
            for (const std::size_t at : words_in(code, word)) {
                const std::string_view previous = before(code, at);
                if (previous == "operator" || (word == "delete" && previous == "=")) continue;
                const int line = line_at(code, at);
                if (is_excused(file.text, line, word)) continue;
                findings.push_back(
                    {file.path, line, std::string(word),
                     "ownership is held by a type: std::make_unique, a container, a value"});
            }
        }
    }
    return findings;
}

Findings check_machine_paths(const std::vector<File>& files) {
    return find_texts(files,
                      {std::string("/wo") + "rk/", std::string("/ho") + "me/",
                       std::string("/ro") + "ot/", std::string("/Us") + "ers/"},
                      "machine-path", "is a path of one machine");
}

Findings check_registry_hosts(const std::vector<File>& files) {
    std::vector<std::string> hosts;
    // Cut in two, so that this file does not name them either.
    for (const auto& [left, right] :
         std::vector<std::pair<std::string, std::string>>{{"pypi", ".org"},
                                                          {"pythonhosted", ".org"},
                                                          {"registry.npm", "js"},
                                                          {"yarn", "pkg.com"},
                                                          {"proxy.go", "lang.org"},
                                                          {"sum.go", "lang.org"},
                                                          {"crates", ".io"},
                                                          {"repo.mav", "en"},
                                                          {"repo1.mav", "en"},
                                                          {"deb.deb", "ian.org"},
                                                          {"docker", ".io"},
                                                          {"ghcr", ".io"},
                                                          {"gcr", ".io"},
                                                          {"quay", ".io"},
                                                          {"mcr.micro", "soft.com"},
                                                          {"registry.k8s", ".io"},
                                                          {"rubygems", ".org"},
                                                          {"nuget", ".org"}}) {
        hosts.push_back(left + right);
    }
    return find_texts(files, hosts, "registry", "is the host of a registry");
}

}  // namespace sallyport::tidy
