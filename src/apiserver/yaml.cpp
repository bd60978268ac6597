#include "apiserver/yaml.hpp"

#include <fmt/format.h>
#include <yaml-cpp/yaml.h>

#include <charconv>
#include <nlohmann/json.hpp>

namespace sallyport::apiserver {

namespace {

nlohmann::json scalar(const YAML::Node& node) {
    const std::string& text = node.Scalar();
    if (node.Tag() == "!") return text;  // quoted
    if (text == "true") return true;
    if (text == "false") return false;
    if (text == "null" || text == "~") return nullptr;
    std::int64_t integer = 0;
    const char* end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data(), end, integer);
    if (error == std::errc() && stop == end) return integer;
    return text;
}

nlohmann::json value(const YAML::Node& node) {
    if (node.IsScalar()) return scalar(node);
    if (node.IsSequence()) {
        nlohmann::json list = nlohmann::json::array();
        for (const YAML::Node& item : node) list.push_back(value(item));
        return list;
    }
    if (node.IsMap()) {
        nlohmann::json map = nlohmann::json::object();
        for (const auto& member : node) map[member.first.Scalar()] = value(member.second);
        return map;
    }
    return nullptr;
}

}  // namespace

Result<nlohmann::json> schema_from_yaml(std::string_view text) {
    try {
        return value(YAML::Load(std::string(text)));
    } catch (const YAML::Exception& problem) {
        return invalid(fmt::format("not YAML: {}", problem.what()));
    }
}

}  // namespace sallyport::apiserver
