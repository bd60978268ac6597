#include "apiserver/resources.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "apiserver/rules.hpp"
#include "codec/yaml.hpp"

namespace sallyport::apiserver {

std::span<const std::string_view> embedded_crds();
std::span<const std::string_view> embedded_builtins();

namespace {

using Json = nlohmann::json;

std::vector<std::string> texts_at(const Json& source, const char* name) {
    std::vector<std::string> list;
    if (!source.contains(name)) return list;
    for (const Json& item : source.at(name)) list.push_back(item.get<std::string>());
    return list;
}

Column read_column(const Json& source) {
    Column column;
    column.name = source.at("name").get<std::string>();
    column.type = source.at("type").get<std::string>();
    column.format = source.value("format", std::string());
    column.description = source.value("description", std::string());
    column.priority = source.value("priority", 0);
    if (source.contains("count")) {
        column.source = Column::Source::count;
        column.paths = texts_at(source, "count");
    } else if (source.contains("age")) {
        column.source = Column::Source::age;
        column.paths = texts_at(source, "age");
    } else if (source.contains("object")) {
        column.source = Column::Source::object;
        column.paths = {source.at("object").get<std::string>()};
    } else {
        column.paths = {source.at("jsonPath").get<std::string>()};
    }
    if (column.description.empty()) {
        column.description =
            column.paths.front() == ".metadata.creationTimestamp"
                ? "CreationTimestamp is a timestamp representing the server time when this object "
                  "was created."
                : fmt::format("Custom resource definition column (in JSONPath format): {}",
                              column.paths.front());
    }
    return column;
}

ResourceType read_builtin(const Json& source) {
    ResourceType type;
    type.name = {source.at("group").get<std::string>(), source.at("plural").get<std::string>()};
    type.version = source.at("version").get<std::string>();
    type.kind = source.at("kind").get<std::string>();
    type.list_kind = type.kind + "List";
    type.singular = source.at("singular").get<std::string>();
    type.short_names = texts_at(source, "shortNames");
    type.namespaced = source.at("scope") == "Namespaced";
    type.has_status = source.value("status", false);
    type.has_name_column = source.value("nameColumn", true);
    type.selectable_fields = texts_at(source, "selectableFields");
    for (const Json& column : source.at("columns")) type.columns.push_back(read_column(column));
    type.openapi = source.at("schema").dump();
    return type;
}

/// The parts of a CRD outside its schema.
ResourceType read_custom(const Json& crd) {
    const Json& spec = crd.at("spec");
    const Json& names = spec.at("names");
    const Json& version = spec.at("versions").at(0);
    ResourceType type;
    type.custom = true;
    type.name = {spec.at("group").get<std::string>(), names.at("plural").get<std::string>()};
    type.version = version.at("name").get<std::string>();
    type.kind = names.at("kind").get<std::string>();
    type.list_kind = names.value("listKind", type.kind + "List");
    type.singular = names.value("singular", std::string());
    type.short_names = texts_at(names, "shortNames");
    type.categories = texts_at(names, "categories");
    type.namespaced = spec.at("scope") == "Namespaced";
    type.has_status =
        version.contains("subresources") && version["subresources"].contains("status");
    if (version.contains("selectableFields")) {
        for (const Json& field : version["selectableFields"])
            type.selectable_fields.push_back(field.at("jsonPath").get<std::string>());
    }
    if (version.contains("additionalPrinterColumns")) {
        for (const Json& column : version["additionalPrinterColumns"])
            type.columns.push_back(read_column(column));
    } else {
        type.columns.push_back(read_column(
            {{"name", "Age"}, {"type", "date"}, {"jsonPath", ".metadata.creationTimestamp"}}));
    }
    type.openapi = version.at("schema").at("openAPIV3Schema").dump();
    return type;
}

/// Every kind's `metadata` is the one ObjectMeta, whatever its own schema says of it.
Result<ResourceType> with_schema(ResourceType type, const TwinLookup& lookup, const Schema& meta) {
    Result<Schema> schema = read_schema(Json::parse(type.openapi), lookup);
    if (!schema) return std::move(schema).error();
    type.schema = std::move(*schema);
    type.schema.properties["metadata"] = meta;
    return type;
}

}  // namespace

std::vector<std::string> shipped_crds() {
    std::vector<std::string> list;
    for (const std::string_view text : embedded_crds()) list.emplace_back(text);
    return list;
}

Result<void> Resources::read_builtins() {
    const TwinLookup none = [](const std::string&) { return RuleTwin(); };
    Result<Json> kinds = codec::parse_yaml(embedded_builtins().front());
    if (!kinds) return std::move(kinds).error();
    for (const Json& source : *kinds) {
        if (source.at("kind") == "ObjectMeta") {
            object_meta_openapi_ = source.at("schema").dump();
            Result<Schema> schema = read_schema(source.at("schema"), none);
            if (!schema) return std::move(schema).error();
            object_meta_ = std::move(*schema);
            continue;
        }
        Result<ResourceType> type = with_schema(read_builtin(source), none, object_meta_);
        if (!type) return std::move(type).error().context(source.at("kind").get<std::string>());
        types_.push_back(std::make_unique<const ResourceType>(std::move(*type)));
    }
    return {};
}

Result<void> Resources::read_crd(const std::string& text) {
    Result<Json> crd = codec::parse_yaml(text);
    if (!crd) return std::move(crd).error();
    try {
        const std::string name = crd->at("metadata").at("name").get<std::string>();
        Result<ResourceType> type = with_schema(read_custom(*crd), twins_of(name), object_meta_);
        if (!type) return std::move(type).error().context(name);
        types_.push_back(std::make_unique<const ResourceType>(std::move(*type)));
    } catch (const Json::exception& problem) {
        return invalid(fmt::format("not a CustomResourceDefinition: {}", problem.what()));
    }
    return {};
}

Result<Resources> Resources::read(std::span<const std::string> crds) {
    Resources resources;
    if (Result<void> read = resources.read_builtins(); !read)
        return std::move(read).error().context("built-in kinds");
    for (const std::string& text : crds) {
        if (Result<void> read = resources.read_crd(text); !read)
            return std::move(read).error().context("CRD");
    }
    return resources;
}

const ResourceType* Resources::find(std::string_view group, std::string_view version,
                                    std::string_view plural) const {
    const auto found = std::find_if(types_.begin(), types_.end(), [&](const auto& type) {
        return type->name.group == group && type->version == version && type->name.plural == plural;
    });
    return found == types_.end() ? nullptr : found->get();
}

const ResourceType& Resources::builtin(std::string_view plural) const {
    const auto found = std::find_if(types_.begin(), types_.end(), [&](const auto& type) {
        return !type->custom && type->name.plural == plural;
    });
    check(found != types_.end(), "a built-in kind is served");
    return **found;
}

}  // namespace sallyport::apiserver
