#include "apiserver/decode.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

namespace sallyport::apiserver {

namespace {

using Json = nlohmann::json;

/// Follows the parser to name members that come twice; nlohmann keeps the last one in silence.
class DuplicateFinder {
public:
    explicit DuplicateFinder(std::vector<std::string>& problems) : problems_(problems) {}

    bool operator()(int depth, Json::parse_event_t event, Json& parsed) {
        switch (event) {
            case Json::parse_event_t::object_start:
            case Json::parse_event_t::array_start:
                too_deep_ = too_deep_ || depth > depth_max;
                frames_.push_back({event == Json::parse_event_t::array_start, {}, {}, 0});
                break;
            case Json::parse_event_t::key: {
                Frame& frame = frames_.back();
                frame.member = parsed.get<std::string>();
                if (!frame.members.insert(frame.member).second)
                    problems_.push_back(fmt::format("duplicate field \"{}\"", path()));
                break;
            }
            case Json::parse_event_t::object_end:
            case Json::parse_event_t::array_end:
                frames_.pop_back();
                next_item();
                break;
            case Json::parse_event_t::value: next_item(); break;
        }
        return true;
    }
    bool too_deep() const { return too_deep_; }

private:
    struct Frame {
        bool is_array;
        std::set<std::string> members;
        std::string member;
        std::size_t index;
    };

    void next_item() {
        if (!frames_.empty() && frames_.back().is_array) ++frames_.back().index;
    }
    std::string path() const {
        std::string text;
        for (const Frame& frame : frames_) {
            if (frame.is_array) {
                text += fmt::format("[{}]", frame.index);
            } else {
                text += (text.empty() ? "" : ".") + frame.member;
            }
        }
        return text;
    }

    std::vector<std::string>& problems_;
    std::vector<Frame> frames_;
    bool too_deep_ = false;
};

int nesting(std::string_view text) {
    int depth = 0;
    int deepest = 0;
    bool in_text = false;
    for (std::size_t i = 0; i < text.size(); ++i) {
        const char c = text[i];
        if (in_text) {
            if (c == '\\') ++i;
            if (c == '"') in_text = false;
            continue;
        }
        if (c == '"') in_text = true;
        if (c == '{' || c == '[') deepest = std::max(deepest, ++depth);
        if (c == '}' || c == ']') --depth;
    }
    return deepest;
}

/// What the JSON library says of a problem, without its own name for it in front.
std::string words(const Json::exception& problem) {
    const std::string_view text = problem.what();
    const std::size_t name_end = text.find("] ");
    return std::string(text.starts_with('[') && name_end != std::string_view::npos
                           ? text.substr(name_end + 2)
                           : text);
}

/// What Go's decoder calls a JSON value.
const char* go_word(const Json& value) {
    if (value.is_string()) return "string";
    if (value.is_number()) return "number";
    if (value.is_boolean()) return "bool";
    return value.is_array() ? "array" : "object";
}

/// Follows the members of ObjectMeta that have a type; null is as absent to Go.
class MetadataShape {
public:
    explicit MetadataShape(const Json& metadata) {
        for (const char* member : {"name", "generateName", "namespace", "uid", "resourceVersion"})
            text(metadata, member, "metadata.");
        for (const char* member : {"labels", "annotations"}) {
            const Json* map = found(metadata, member);
            if (!map) continue;
            want(map->is_object(), *map, "metadata.", member, "map[string]string");
            if (!map->is_object()) continue;
            for (const auto& [key, value] : map->items())
                want(value.is_string() || value.is_null(), value, "metadata.", member, "string");
        }
        if (const Json* list = found(metadata, "finalizers")) {
            want(list->is_array(), *list, "metadata.", "finalizers", "[]string");
            for (const Json& item : list->is_array() ? *list : Json::array())
                want(item.is_string(), item, "metadata.", "finalizers", "string");
        }
        if (const Json* list = found(metadata, "ownerReferences")) owners(*list);
    }
    /// Empty: all is well.
    std::string wrong = {};

private:
    static const Json* found(const Json& object, const char* member) {
        const auto at = object.find(member);
        return at == object.end() || at->is_null() ? nullptr : &*at;
    }
    void want(bool well, const Json& value, std::string_view where, const char* member,
              const char* type) {
        if (well || !wrong.empty()) return;
        wrong =
            fmt::format("json: cannot unmarshal {} into Go struct field ObjectMeta.{}{} of type {}",
                        go_word(value), where, member, type);
    }
    void text(const Json& object, const char* member, std::string_view where) {
        if (const Json* value = found(object, member))
            want(value->is_string(), *value, where, member, "string");
    }
    void owners(const Json& list) {
        want(list.is_array(), list, "metadata.", "ownerReferences", "[]v1.OwnerReference");
        if (!list.is_array()) return;
        constexpr const char* here = "metadata.ownerReferences.";
        for (const Json& owner : list) {
            want(owner.is_object(), owner, "metadata.", "ownerReferences", "v1.OwnerReference");
            if (!owner.is_object()) return;
            for (const char* member : {"apiVersion", "kind", "name", "uid"})
                text(owner, member, here);
            for (const char* member : {"controller", "blockOwnerDeletion"}) {
                if (const Json* value = found(owner, member))
                    want(value->is_boolean(), *value, here, member, "bool");
            }
        }
    }
};

}  // namespace

Outcome<Json> parse_json(std::string_view text, std::vector<std::string>& problems) {
    if (text.size() > body_max)
        return Failure{413, "RequestEntityTooLarge",
                       fmt::format("Request entity too large: limit is {}", body_max)};
    // Before parsing: the parser is iterative, but what walks the value later is not.
    if (nesting(text) > depth_max)
        return bad_request(fmt::format("the body is nested deeper than {}", depth_max));
    DuplicateFinder finder(problems);
    try {
        return Json::parse(text, [&finder](int depth, Json::parse_event_t event, Json& parsed) {
            return finder(depth, event, parsed);
        });
    } catch (const Json::exception& problem) {
        return bad_request(
            fmt::format("the object provided is unrecognized: it is not JSON: {}", words(problem)));
    }
}

void prune_object(const ResourceType& type, Json& object, std::vector<std::string>& problems) {
    std::vector<std::string> unknown;
    prune(type.schema, object, "", unknown);
    for (const std::string& path : unknown)
        problems.push_back(fmt::format("unknown field \"{}\"", path));
}

Outcome<bool> check_kind(const ResourceType& type, const Json& object) {
    if (!object.is_object()) return bad_request("the object provided is not a JSON object");
    const auto text = [&object](const char* name) {
        const auto found = object.find(name);
        return found != object.end() && found->is_string() ? found->get<std::string>()
                                                           : std::string();
    };
    if (text("kind").empty()) return bad_request("Object 'Kind' is missing in the object provided");
    if (text("apiVersion").empty())
        return bad_request("Object 'apiVersion' is missing in the object provided");
    if (text("kind") != type.kind || text("apiVersion") != type.api_version())
        return bad_request(fmt::format(
            "the object provided is unrecognized (must be of type {}): {}, Kind={} does not match "
            "the expected {}, Kind={}",
            type.kind, text("apiVersion"), text("kind"), type.api_version(), type.kind));
    const auto metadata = object.find("metadata");
    if (metadata == object.end() || !metadata->is_object()) return true;
    if (const MetadataShape shape(*metadata); !shape.wrong.empty())
        return bad_request(fmt::format("{0} in version \"{1}\" cannot be handled as a {0}: {2}",
                                       type.kind, type.version, shape.wrong));
    return true;
}

Failure strict_failure(const ResourceType& type, const std::vector<std::string>& problems) {
    std::string list;
    for (const std::string& problem : problems) list += (list.empty() ? "" : ", ") + problem;
    return bad_request(
        fmt::format("{0} in version \"{1}\" cannot be handled as a {0}: strict decoding error: {2}",
                    type.kind, type.version, list));
}

void merge(Json& target, const Json& patch) {
    if (!patch.is_object()) {
        target = patch;
        return;
    }
    if (!target.is_object()) target = Json::object();
    for (const auto& [name, value] : patch.items()) {
        if (value.is_null()) {
            target.erase(name);
        } else {
            merge(target[name], value);
        }
    }
}

Outcome<Json> apply_json_patch(const Json& object, const Json& patch) {
    if (!patch.is_array()) return bad_request("a JSON patch is a list of operations");
    if (patch.size() > 10000) return bad_request("a JSON patch may have at most 10000 operations");
    try {
        return object.patch(patch);
    } catch (const Json::exception& problem) {
        Failure failure;
        failure.code = 422;
        failure.reason = "Invalid";
        // In the message and in no cause: kubectl shows the message only where there are none.
        failure.message = "the JSON patch does not apply: " + words(problem);
        return failure;
    }
}

}  // namespace sallyport::apiserver
