#pragma once

#include <optional>
#include <string>
#include <vector>

#include <yaml-cpp/yaml.h>

#include "simulator/estate.hpp"
#include "simulator/json.hpp"

namespace sallyport::simulator {

/// Reads one YAML mapping member by member and notes every problem with its line: members that are
/// missing, of the wrong kind, given twice or not known.
class YamlMap {
public:
    /// `place` is how problems call this mapping, e.g. `resource group rg-web`.
    YamlMap(const YAML::Node& node, std::string place, std::vector<EstateProblem>& problems);
    /// Notes the members that nobody asked for.
    ~YamlMap();
    YamlMap(const YamlMap&) = delete;
    YamlMap& operator=(const YamlMap&) = delete;

    std::string text(const char* key, std::string otherwise = {});
    std::string required_text(const char* key);
    /// A scalar or a list of them; empty when it is missing.
    std::vector<std::string> texts(const char* key);
    std::optional<int> number(const char* key);
    std::optional<bool> flag(const char* key);
    /// String to string; null when it is missing.
    Json strings(const char* key);
    /// The items of a list; empty when it is missing.
    std::vector<YAML::Node> list(const char* key);
    YAML::Node node(const char* key);

    int line() const { return line_; }
    void problem(const std::string& text) { problem_at(line_, text); }
    void problem_at(int line, const std::string& text);
    /// Changes how later problems call this mapping, once its name is known.
    void call_it(std::string place) { place_ = std::move(place); }

private:
    YAML::Node find(const char* key);

    YAML::Node node_;
    std::string place_;
    std::vector<EstateProblem>& problems_;
    std::vector<std::string> asked_;
    int line_ = 0;
};

int line_of(const YAML::Node& node);
/// Any YAML as JSON: for `behaviour`, whose members have one reader for both forms.
Json json_of(const YAML::Node& node);

}  // namespace sallyport::simulator
