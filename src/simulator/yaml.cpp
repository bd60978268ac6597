#include "simulator/yaml.hpp"

#include <algorithm>
#include <charconv>
#include <set>

#include "base/text.hpp"

namespace sallyport::simulator {

namespace {

std::optional<int> whole_number(const std::string& text) {
    int value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
    return value;
}

}  // namespace

int line_of(const YAML::Node& node) { return node.Mark().line + 1; }

YamlMap::YamlMap(const YAML::Node& node, std::string place, std::vector<EstateProblem>& problems)
    : node_(node), place_(std::move(place)), problems_(problems), line_(line_of(node)) {
    if (!node_.IsMap()) {
        problem("is not a mapping");
        return;
    }
    // yaml-cpp keeps duplicate keys and finds the first, silently.
    std::set<std::string> seen;
    for (const auto& entry : node_) {
        const std::string key = entry.first.IsScalar() ? entry.first.Scalar() : std::string("?");
        if (!seen.insert(key).second) problem_at(line_of(entry.first), key + " is given twice");
    }
}

YamlMap::~YamlMap() {
    if (!node_.IsMap()) return;
    for (const auto& entry : node_) {
        const std::string key = entry.first.IsScalar() ? entry.first.Scalar() : std::string("?");
        if (std::ranges::find(asked_, key) != asked_.end()) continue;
        std::vector<std::string> known = asked_;
        std::ranges::sort(known);
        known.erase(std::unique(known.begin(), known.end()), known.end());
        problem_at(line_of(entry.first), key + " is not known (known: " + join(known, ", ") + ")");
    }
}

void YamlMap::problem_at(int line, const std::string& text) {
    problems_.push_back({line, place_ + ": " + text});
}

YAML::Node YamlMap::find(const char* key) {
    asked_.emplace_back(key);
    if (!node_.IsMap()) return YAML::Node(YAML::NodeType::Undefined);
    const YAML::Node& fixed = node_;  // operator[] of a non-const node would add the key
    return fixed[key];
}

YAML::Node YamlMap::node(const char* key) { return find(key); }

std::string YamlMap::text(const char* key, std::string otherwise) {
    const YAML::Node value = find(key);
    if (!value.IsDefined() || value.IsNull()) return otherwise;
    if (value.IsScalar()) return value.Scalar();
    problem_at(line_of(value), std::string(key) + " is not a text");
    return otherwise;
}

std::string YamlMap::required_text(const char* key) {
    const YAML::Node value = find(key);
    if (!value.IsDefined() || value.IsNull()) {
        problem(std::string(key) + " is missing");
        return {};
    }
    return text(key);
}

std::vector<std::string> YamlMap::texts(const char* key) {
    const YAML::Node value = find(key);
    std::vector<std::string> all;
    if (!value.IsDefined() || value.IsNull()) return all;
    if (value.IsScalar()) return {value.Scalar()};
    if (!value.IsSequence()) {
        problem_at(line_of(value), std::string(key) + " is not a list of texts");
        return all;
    }
    for (const YAML::Node& item : value) {
        if (item.IsScalar()) {
            all.push_back(item.Scalar());
        } else {
            problem_at(line_of(item), std::string(key) + " has an item that is not a text");
        }
    }
    return all;
}

std::optional<int> YamlMap::number(const char* key) {
    const YAML::Node value = find(key);
    if (!value.IsDefined() || value.IsNull()) return std::nullopt;
    const auto parsed = value.IsScalar() ? whole_number(value.Scalar()) : std::nullopt;
    if (!parsed) problem_at(line_of(value), std::string(key) + " is not a whole number");
    return parsed;
}

std::optional<bool> YamlMap::flag(const char* key) {
    const YAML::Node value = find(key);
    if (!value.IsDefined() || value.IsNull()) return std::nullopt;
    if (value.IsScalar() && value.Scalar() == "true") return true;
    if (value.IsScalar() && value.Scalar() == "false") return false;
    problem_at(line_of(value), std::string(key) + " is not true or false");
    return std::nullopt;
}

Json YamlMap::strings(const char* key) {
    const YAML::Node value = find(key);
    if (!value.IsDefined() || value.IsNull()) return {};
    Json all = Json::object();
    if (!value.IsMap()) {
        problem_at(line_of(value), std::string(key) + " is not a mapping of texts");
        return all;
    }
    for (const auto& entry : value) {
        if (!entry.first.IsScalar() || !entry.second.IsScalar()) {
            problem_at(line_of(entry.first), std::string(key) + " has a member that is not a text");
        } else if (all.contains(entry.first.Scalar())) {
            problem_at(line_of(entry.first),
                       std::string(key) + "." + entry.first.Scalar() + " is given twice");
        } else {
            all[entry.first.Scalar()] = entry.second.Scalar();
        }
    }
    return all;
}

std::vector<YAML::Node> YamlMap::list(const char* key) {
    const YAML::Node value = find(key);
    std::vector<YAML::Node> items;
    if (!value.IsDefined() || value.IsNull()) return items;
    if (!value.IsSequence()) {
        problem_at(line_of(value), std::string(key) + " is not a list");
        return items;
    }
    for (const YAML::Node& item : value) items.push_back(item);
    return items;
}

Json json_of(const YAML::Node& node) {
    if (node.IsSequence()) {
        Json all = Json::array();
        for (const YAML::Node& item : node) all.push_back(json_of(item));
        return all;
    }
    if (node.IsMap()) {
        Json all = Json::object();
        for (const auto& entry : node) all[entry.first.Scalar()] = json_of(entry.second);
        return all;
    }
    if (!node.IsScalar()) return {};
    const std::string& text = node.Scalar();
    if (node.Tag() == "!") return text;  // quoted
    if (text == "true" || text == "false") return text == "true";
    if (const auto number = whole_number(text)) return *number;
    double real = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), real);
    if (error == std::errc() && end == text.data() + text.size()) return real;
    return text;
}

}  // namespace sallyport::simulator
