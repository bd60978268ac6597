#include "kube/status_patch.hpp"

#include <algorithm>
#include <string>

#include <nlohmann/json.hpp>

namespace sallyport::kube {

namespace {

using Json = nlohmann::json;

const Json* conditions_of(const Json& status) {
    if (!status.is_object()) return nullptr;
    const auto it = status.find("conditions");
    return it != status.end() && it->is_array() ? &*it : nullptr;
}

const Json* member(const Json& object, const char* name) {
    if (!object.is_object()) return nullptr;
    const auto it = object.find(name);
    return it == object.end() ? nullptr : &*it;
}

bool same_member(const Json& a, const Json& b, const char* name) {
    const Json* left = member(a, name);
    const Json* right = member(b, name);
    return left != nullptr && right != nullptr && *left == *right;
}

}  // namespace

Json merge_patch(const Json& from, const Json& to) {
    Json patch = Json::object();
    for (const auto& [name, value] : to.items()) {
        if (value.is_null()) continue;
        const Json* old = member(from, name.c_str());
        if (old == nullptr) {
            patch[name] = value;
        } else if (old->is_object() && value.is_object()) {
            Json inner = merge_patch(*old, value);
            if (!inner.empty()) patch[name] = std::move(inner);
        } else if (*old != value) {
            patch[name] = value;
        }
    }
    if (!from.is_object()) return patch;
    for (const auto& [name, value] : from.items()) {
        const Json* kept = member(to, name.c_str());
        if (kept == nullptr || kept->is_null()) patch[name] = nullptr;
    }
    return patch;
}

void carry_transition_times(const Json& seen, Json& wanted, std::string_view now) {
    if (conditions_of(wanted) == nullptr) return;
    const Json* before = conditions_of(seen);
    for (Json& condition : wanted["conditions"]) {
        condition["lastTransitionTime"] = now;
        if (before == nullptr) continue;
        const auto old = std::ranges::find_if(
            *before, [&](const Json& c) { return same_member(c, condition, "type"); });
        if (old == before->end() || !same_member(*old, condition, "status")) continue;
        if (const Json* time = member(*old, "lastTransitionTime"))
            condition["lastTransitionTime"] = *time;
    }
}

}  // namespace sallyport::kube
