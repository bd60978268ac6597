#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "apiserver/resources.hpp"
#include "apiserver/status.hpp"

namespace sallyport::apiserver {

/// Sorted by name.
using Labels = std::vector<std::pair<std::string, std::string>>;

/// `a=b,c!=d,e in (f,g),h notin (i),j,!k`.
class LabelSelector {
public:
    static Outcome<LabelSelector> parse(std::string_view text);
    bool matches(const Labels& labels) const;
    bool empty() const { return demands_.empty(); }

private:
    struct Demand {
        std::string key;
        bool wants_presence = true;  ///< false: !=, notin, !key
        bool any_value = true;       ///< key or !key
        std::vector<std::string> values = {};
    };
    std::vector<Demand> demands_;
};

/// What a field selector may look at: name, namespace, and the type's selectable fields in order.
struct SelectableValues {
    std::string_view ns;
    std::string_view name;
    const std::vector<std::string>& fields;
};

/// `metadata.name=a,spec.x!=b`. A field that the kind does not offer is refused with 400.
class FieldSelector {
public:
    static Outcome<FieldSelector> parse(std::string_view text, const ResourceType& type);
    bool matches(const SelectableValues& object) const;
    bool empty() const { return demands_.empty(); }

private:
    struct Demand {
        int field;  ///< -1 name, -2 namespace, else the place in selectable_fields
        bool equal;
        std::string value;
    };
    std::vector<Demand> demands_;
};

}  // namespace sallyport::apiserver
