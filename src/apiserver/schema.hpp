#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <regex>
#include <string>
#include <string_view>
#include <vector>

#include "apiserver/status.hpp"
#include "base/result.hpp"

namespace sallyport::apiserver {

enum class SchemaType { object, array, string, integer, number, boolean, int_or_string, anything };
enum class ListType { atomic, set, map };

/// The C++ twin of a CEL rule: `old_self` is null when there is nothing to compare with.
using RuleTwin = std::function<bool(const nlohmann::json& self, const nlohmann::json* old_self)>;

/// One entry of `x-kubernetes-validations`.
struct Rule {
    std::string text;
    std::string message;
    std::string field_path = {};  ///< `.notAfter`; empty: the place itself
    bool is_transition = false;   ///< names oldSelf and is not optionalOldSelf: updates only
    bool optional_old_self = false;
    RuleTwin holds = {};
};

/// A structural schema, as CRDs have it: what is kept, what is defaulted, what is refused. Lengths
/// of strings count characters as the API server does (UTF-8 code points).
struct Schema {
    SchemaType type = SchemaType::anything;
    std::map<std::string, Schema> properties = {};
    std::shared_ptr<const Schema> items = {};
    std::shared_ptr<const Schema> additional = {};  ///< `additionalProperties`
    bool preserve_unknown = false;
    std::vector<std::string> required = {};
    std::vector<std::string> enumeration = {};
    std::string pattern = {};
    std::shared_ptr<const std::regex> compiled_pattern = {};
    std::string format = {};
    std::optional<std::size_t> length_min = {}, length_max = {};
    std::optional<std::size_t> items_min = {}, items_max = {};
    std::optional<std::size_t> properties_min = {}, properties_max = {};
    std::optional<std::int64_t> minimum = {}, maximum = {};
    ListType list_type = ListType::atomic;
    std::vector<std::string> list_map_keys = {};
    std::shared_ptr<const nlohmann::json> default_value = {};
    std::vector<Rule> rules = {};
};

/// Finds the twin of a rule's text; an empty function: there is none.
using TwinLookup = std::function<RuleTwin(const std::string& rule)>;

/// Reads a schema. Refused: keywords that are not known here, patterns that do not compile, rules
/// without a twin: nothing of a schema is ever ignored.
Result<Schema> read_schema(const nlohmann::json& source, const TwinLookup& twins);

/// Puts defaults where members are missing, or null where a default exists.
void apply_defaults(const Schema& schema, nlohmann::json& value);

/// Removes members that the schema does not know; their paths are added to `unknown`. A null that
/// no default takes the place of goes as well, and is not told: nothing here is nullable.
void prune(const Schema& schema, nlohmann::json& value, const std::string& path,
           std::vector<std::string>& unknown);

/// Everything wrong with `value`, in the words of a real server. Parts equal to what `old` had are
/// not judged again, so that a tightened schema never blocks an update of something else.
std::vector<Cause> problems(const Schema& schema, const nlohmann::json& value,
                            const nlohmann::json* old);

}  // namespace sallyport::apiserver
