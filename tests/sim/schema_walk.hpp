#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string>
#include <vector>

/// Operations walked from the CRDs of this tree (S8): for every property
/// of a kind's spec, what somebody may write there.
namespace sallyport::sim {

using nlohmann::json;

/// A CRD as it is shipped.
struct WalkedKind {
    std::string kind;
    json schema;  ///< openAPIV3Schema of the version that is served
};
/// Of every file in crds/, in the order of their names.
std::vector<WalkedKind> shipped_kinds_of_crds();

/// `spec.network.ports[].port`: `[]` is any item of a list, `{}` any member of a map.
struct Property {
    std::string path;
    json schema;
};
/// `spec` and all below it, in the schema's order.
std::vector<Property> properties_of(const WalkedKind& kind);

/// A value at a property, whatever object it is written into.
struct Edit {
    std::string path = {};
    std::optional<json> value = {};          ///< nullopt: it is taken away
    std::vector<std::string> replaced = {};  ///< JSON pointers to what it takes the place of
};
/// What it makes of an object, and what is missing on the way.
json edited(const WalkedKind& kind, json manifest, const Edit& edit);

/// One thing that somebody may write.
struct Operation {
    std::string kind;
    std::string path;
    std::string value;  ///< its name: `minimum`
    json manifest;      ///< the whole object, as it is written
    Edit edit = {};     ///< which made it of the object it began with

    /// `S8/JitPolicy.spec.network.ports[].maxDuration=minimum`
    std::string name() const { return "S8/" + kind + "." + path + "=" + value; }
};

/// What was asked for by hand, and whether the walk had a use for it: a table that speaks of what
/// is no longer in the schema is a mistake.
struct WalkUses {
    std::set<std::string> examples = {};
    std::set<std::string> replaced = {};
};

/// Every value of every property, written into `base`. `uses`: what of the tables was needed.
std::vector<Operation> operations_of(const WalkedKind& kind, const json& base, WalkUses& uses);
/// The same of one property.
std::vector<Operation> operations_at(const WalkedKind& kind, const json& base,
                                     const Property& property, WalkUses& uses);
/// `Kind.path` of all values that were given by hand, because they have to mean something.
std::vector<std::string> example_paths();
/// The same of members that take the place of others.
std::vector<std::string> replacing_paths();

}  // namespace sallyport::sim
