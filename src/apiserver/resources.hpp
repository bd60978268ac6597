#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "apiserver/schema.hpp"
#include "apiserver/status.hpp"
#include "base/result.hpp"

namespace sallyport::apiserver {

/// One column of `kubectl get`.
struct Column {
    enum class Source { path, count, age, object };
    std::string name;
    std::string type;  ///< string, integer, number, boolean, date
    std::string format = {};
    std::string description = {};
    int priority = 0;  ///< above 0: only with `-o wide`
    Source source = Source::path;
    std::vector<std::string> paths =
        {};  ///< JSONPaths; several for `count` (summed) and `age` (first found)
};

/// A kind that is served, built-in or from a CRD.
struct ResourceType {
    ResourceName name;  ///< group and plural
    std::string version;
    std::string kind;
    std::string list_kind;
    std::string singular;
    std::vector<std::string> short_names = {};
    std::vector<std::string> categories = {};
    bool namespaced = true;
    bool has_status = false;  ///< a status subresource
    bool custom = false;      ///< from a CRD: generation, CRD validation, no strategic merge
    bool has_name_column = true;
    Schema schema = {};
    std::vector<Column> columns = {};
    std::vector<std::string> selectable_fields = {};  ///< JSONPaths such as `.spec.policyRef.name`
    std::string openapi = {};                         ///< the schema as JSON, as it was written

    std::string api_version() const {
        return name.group.empty() ? version : name.group + "/" + version;
    }
    KindName kind_name() const { return {name.group, kind}; }
};

/// All kinds, in a fixed order. Lives as long as the server; pointers to its types stay valid.
class Resources {
public:
    /// From CRDs as YAML. Refused with the name of the file's object: a schema keyword, column or
    /// rule that this program does not know.
    static Result<Resources> read(std::span<const std::string> crds);

    const std::vector<std::unique_ptr<const ResourceType>>& types() const { return types_; }
    const ResourceType* find(std::string_view group, std::string_view version,
                             std::string_view plural) const;
    /// For the built-in kinds that the server itself handles: never null.
    const ResourceType& builtin(std::string_view plural) const;
    const Schema& object_meta() const { return object_meta_; }
    const std::string& object_meta_openapi() const { return object_meta_openapi_; }

private:
    Result<void> read_builtins();
    Result<void> read_crd(const std::string& text);

    std::vector<std::unique_ptr<const ResourceType>> types_;
    Schema object_meta_;
    std::string object_meta_openapi_;
};

/// The CRD files of this program, as YAML texts.
std::vector<std::string> shipped_crds();

}  // namespace sallyport::apiserver
