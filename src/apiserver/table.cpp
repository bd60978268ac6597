#include "apiserver/table.hpp"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "apiserver/jsonpath.hpp"

namespace sallyport::apiserver {

namespace {

using Json = nlohmann::json;

std::string age_of(const Json& object, const std::vector<std::string>& paths, Timestamp now) {
    for (const std::string& path : paths) {
        const Result<Timestamp> time = parse_rfc3339(text_at_path(object, path));
        if (time) return human_duration(now - *time);
    }
    return "<unknown>";
}

Json count_of(const Json& object, const std::vector<std::string>& paths) {
    std::size_t sum = 0;
    for (const std::string& path : paths) {
        const Json* found = at_path(object, path);
        if (found && found->is_structured()) sum += found->size();
    }
    return sum;
}

/// `accessgrant/alice-web01`.
std::string reference_of(const Json& object, const std::string& path) {
    std::string kind = text_at_path(object, path + ".kind");
    for (char& c : kind) {
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    }
    return kind + "/" + text_at_path(object, path + ".name");
}

Json cell(const Column& column, const Json& object, Timestamp now) {
    switch (column.source) {
        case Column::Source::count: return count_of(object, column.paths);
        case Column::Source::age: return age_of(object, column.paths, now);
        case Column::Source::object: return reference_of(object, column.paths.front());
        case Column::Source::path: break;
    }
    const Json* found = at_path(object, column.paths.front());
    if (!found || found->is_null()) return nullptr;
    if (column.type == "date") {
        const Result<Timestamp> time = parse_rfc3339(text_at_path(object, column.paths.front()));
        return time ? Json(human_duration(now - *time)) : Json("<invalid>");
    }
    if (column.type == "string") return found->is_string() ? *found : Json(found->dump());
    return *found;
}

Json definition(const Column& column) {
    return {{"name", column.name},
            {"type", column.type},
            {"format", column.format},
            {"description", column.description},
            {"priority", column.priority}};
}

Json definitions(const ResourceType& type) {
    Json list = Json::array();
    if (type.has_name_column) {
        list.push_back({{"name", "Name"},
                        {"type", "string"},
                        {"format", "name"},
                        {"description",
                         "Name must be unique within a namespace. Is required when creating "
                         "resources, although some resources may allow a client to request the "
                         "generation of an appropriate name automatically."},
                        {"priority", 0}});
    }
    for (const Column& column : type.columns) list.push_back(definition(column));
    return list;
}

Json row(const ResourceType& type, const Entry& entry, Timestamp now, RowObject wanted) {
    Json object = Json::parse(*entry.text);
    Json cells = Json::array();
    if (type.has_name_column) cells.push_back(entry.name);
    for (const Column& column : type.columns) cells.push_back(cell(column, object, now));
    if (wanted == RowObject::none) return {{"cells", std::move(cells)}, {"object", nullptr}};
    if (wanted == RowObject::metadata)
        object = {{"kind", "PartialObjectMetadata"},
                  {"apiVersion", "meta.k8s.io/v1"},
                  {"metadata", std::move(object["metadata"])}};
    return {{"cells", std::move(cells)}, {"object", std::move(object)}};
}

}  // namespace

Outcome<RowObject> row_object_of(std::string_view include_object) {
    if (include_object.empty() || include_object == "Metadata") return RowObject::metadata;
    if (include_object == "Object") return RowObject::whole;
    if (include_object == "None") return RowObject::none;
    return bad_request(
        fmt::format("unrecognized includeObject value: {}; give None, Metadata or "
                    "Object",
                    in_quotes(include_object)));
}

std::string human_duration(seconds age) {
    const long long s = age.count();
    if (s < -1) return "<invalid>";
    if (s < 0) return "0s";
    if (s < 120) return fmt::format("{}s", s);
    const auto pair = [](long long large, const char* unit, long long small, const char* rest) {
        return small == 0 ? fmt::format("{}{}", large, unit)
                          : fmt::format("{}{}{}{}", large, unit, small, rest);
    };
    const long long minutes = s / 60;
    if (minutes < 10) return pair(minutes, "m", s % 60, "s");
    if (minutes < 180) return fmt::format("{}m", minutes);
    const long long hours = minutes / 60;
    if (hours < 8) return pair(hours, "h", minutes % 60, "m");
    if (hours < 48) return fmt::format("{}h", hours);
    const long long days = hours / 24;
    if (days < 8) return pair(days, "d", hours % 24, "h");
    constexpr long long year = 365;
    if (days < 2 * year) return fmt::format("{}d", days);
    if (days < 8 * year) return pair(days / year, "y", days % year, "d");
    return fmt::format("{}y", days / year);
}

std::string table_of(const ResourceType& type, std::span<const EntryPtr> entries, Timestamp now,
                     const TableOptions& options) {
    Json metadata = Json::object();
    if (options.version > 0) metadata["resourceVersion"] = std::to_string(options.version);
    if (!options.continue_token.empty()) metadata["continue"] = options.continue_token;
    if (options.remaining) metadata["remainingItemCount"] = *options.remaining;
    Json rows = Json::array();
    for (const EntryPtr& entry : entries) rows.push_back(row(type, *entry, now, options.object));
    return Json(
               {{"kind", "Table"},
                {"apiVersion", "meta.k8s.io/v1"},
                {"metadata", std::move(metadata)},
                {"columnDefinitions", options.with_definitions ? definitions(type) : Json(nullptr)},
                {"rows", std::move(rows)}})
        .dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace sallyport::apiserver
