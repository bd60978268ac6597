#include "apiserver/jsonpath.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>

namespace sallyport::apiserver {

namespace {

using Json = nlohmann::json;

/// `[?(@.type=="Active")]`: the first item whose member equals the text.
const Json* matching_item(const Json& list, std::string_view filter) {
    constexpr std::string_view opening = "?(@.";
    const std::size_t equals = filter.find("==\"");
    if (!list.is_array() || !filter.starts_with(opening) || equals == std::string_view::npos ||
        !filter.ends_with("\")"))
        return nullptr;
    const std::string member(filter.substr(opening.size(), equals - opening.size()));
    const std::string_view wanted = filter.substr(equals + 3, filter.size() - equals - 5);
    const auto found = std::find_if(list.begin(), list.end(), [&](const Json& item) {
        return item.is_object() && item.contains(member) && item.at(member).is_string() &&
               item.at(member).get_ref<const std::string&>() == wanted;
    });
    return found == list.end() ? nullptr : &*found;
}

}  // namespace

const Json* at_path(const Json& value, std::string_view path) {
    const Json* place = &value;
    while (!path.empty() && place) {
        if (path.front() == '[') {
            const std::size_t close = path.find(']');
            if (close == std::string_view::npos) return nullptr;
            place = matching_item(*place, path.substr(1, close - 1));
            path.remove_prefix(close + 1);
            continue;
        }
        if (path.front() == '.') path.remove_prefix(1);
        const std::size_t end = std::min(path.find_first_of(".["), path.size());
        if (!place->is_object()) return nullptr;
        const auto found = place->find(std::string(path.substr(0, end)));
        place = found == place->end() ? nullptr : &*found;
        path.remove_prefix(end);
    }
    return place;
}

std::string text_at_path(const Json& value, std::string_view path) {
    const Json* found = at_path(value, path);
    if (!found || found->is_null() || found->is_structured()) return {};
    return found->is_string() ? found->get<std::string>() : found->dump();
}

}  // namespace sallyport::apiserver
