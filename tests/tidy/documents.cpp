#include "tidy/documents.hpp"

#include <fmt/format.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <cctype>
#include <set>

namespace sallyport::tidy {
namespace {

std::string text_of(const std::vector<File>& files, std::string_view path) {
    const auto found =
        std::find_if(files.begin(), files.end(), [&](const File& f) { return f.path == path; });
    return found == files.end() ? std::string() : found->text;
}

bool is_upper(char c) { return std::isupper(static_cast<unsigned char>(c)) != 0; }

/// `SourceTooWide`, but not `Open`, `JSON` or `Microsoft.Network`.
bool is_camel_case(std::string_view word) {
    int humps = 0;
    for (std::size_t n = 0; n < word.size(); ++n) {
        if (std::isalpha(static_cast<unsigned char>(word[n])) == 0) return false;
        if (!is_upper(word[n])) continue;
        ++humps;
        if (n > 0 && is_upper(word[n - 1])) return false;
    }
    return !word.empty() && is_upper(word.front()) && humps >= 2;
}

struct Literal {
    std::string text;
    int line;
};

/// Plain string literals of C++ text, without escapes.
std::vector<Literal> literals_of(std::string_view text) {
    const std::string code = blanked(text, Blank::comments);
    const std::string bare = blanked(text, Blank::comments_and_literals);
    std::vector<Literal> literals;
    for (std::size_t at = bare.find('"'); at != std::string::npos; at = bare.find('"', at + 1)) {
        const std::size_t end = bare.find('"', at + 1);
        if (end == std::string::npos) break;
        literals.push_back({code.substr(at + 1, end - at - 1), line_at(code, at)});
        at = end;
    }
    return literals;
}

bool is_decided_in(std::string_view path) {
    const std::string folder = folder_of(path);
    return folder == "plan" || folder == "engine";
}

/// Names of all properties below a schema.
void collect(const YAML::Node& schema, std::set<std::string>& names) {
    if (!schema.IsDefined() || !schema.IsMap()) return;
    for (const auto& property : schema["properties"]) {
        const std::string name = property.first.as<std::string>();
        names.insert(name);
        // Conditions are Kubernetes' own; docs/kinds/README.md speaks of them for all kinds.
        if (name != "conditions") collect(property.second, names);
    }
    collect(schema["items"], names);
}

/// The fields of spec and status that a CRD's page should name, and that page.
std::set<std::string> fields_of(const YAML::Node& crd, std::string& page) {
    const YAML::Node spec = crd["spec"];
    page = fmt::format("docs/kinds/{}.md", spec["names"]["singular"].as<std::string>());
    const YAML::Node kind = spec["versions"][0]["schema"]["openAPIV3Schema"];
    std::set<std::string> names;
    for (const char* part : {"spec", "status"}) collect(kind["properties"][part], names);
    return names;
}

}  // namespace

Findings check_reasons(const std::vector<File>& files) {
    const std::string page = text_of(files, "docs/reasons.md");
    Findings findings;
    for (const File& file : files) {
        if (!is_cpp(file) || !is_decided_in(file.path)) continue;
        for (const Literal& literal : literals_of(file.text)) {
            if (!is_camel_case(literal.text) || !words_in(page, literal.text).empty()) continue;
            if (is_excused(file.text, literal.line, "reason")) continue;
            findings.push_back({file.path, literal.line, "reason",
                                fmt::format("{} is not in docs/reasons.md", literal.text)});
        }
    }
    return findings;
}

Findings check_metrics(const std::vector<File>& files) {
    const std::string page = text_of(files, "docs/operations.md");
    Findings findings;
    for (const File& file : files) {
        if (!is_cpp(file) || file.path.starts_with("tests/")) continue;
        for (const Literal& literal : literals_of(file.text)) {
            const bool is_name = (literal.text.starts_with("sallyport_") ||
                                  literal.text.starts_with("rest_client_")) &&
                                 literal.text.find_first_of(" {") == std::string::npos;
            if (!is_name || !words_in(page, literal.text).empty()) continue;
            if (is_excused(file.text, literal.line, "metric")) continue;
            findings.push_back({file.path, literal.line, "metric",
                                fmt::format("{} is not in docs/operations.md", literal.text)});
        }
    }
    return findings;
}

Findings check_fields(const std::vector<File>& files) {
    Findings findings;
    for (const File& file : files) {
        if (!file.path.starts_with("crds/") || !file.path.ends_with(".yaml")) continue;
        std::set<std::string> names;
        std::string page;
        try {
            names = fields_of(YAML::Load(file.text), page);
        } catch (const YAML::Exception& problem) {
            findings.push_back({file.path, 0, "field", problem.what()});
            continue;
        }
        const std::string text = text_of(files, page);
        for (const std::string& name : names) {
            if (!words_in(text, name).empty()) continue;
            findings.push_back({page, 0, "field", fmt::format("says nothing of field {}", name)});
        }
    }
    return findings;
}

}  // namespace sallyport::tidy
