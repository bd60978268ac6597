#include "sim/schema_walk.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <stdexcept>

#include "codec/yaml.hpp"
#include "sim/schema_values.hpp"

namespace sallyport::sim {
namespace {

using Steps = std::vector<std::string>;

/// Values that mean something in the world of these tests; what is there first.
const std::map<std::string, std::vector<json>>& examples() {
    static const json origins = {"https://azure.test:10443",
                                 "https://azure.test:10443/",
                                 "https://elsewhere.test",
                                 "https://azure.test:10443/x?y#z",
                                 "https:///",
                                 "https://user@azure.test:10443"};
    static const json guids = {"11111111-1111-1111-1111-111111111111",
                               "22222222-2222-2222-2222-222222222222",
                               "99999999-9999-9999-9999-999999999999"};
    static const json machines = {"web01", "web02", "WEB01", "nowhere"};
    static const json bands = {{{"from", 300}, {"to", 400}},   {{"from", 200}, {"to", 200}},
                               {{"from", 150}, {"to", 899}},   {{"from", 950}, {"to", 990}},
                               {{"from", 900}, {"to", 900}},   {{"from", 901}, {"to", 1100}},
                               {{"from", 4000}, {"to", 4000}}, {{"from", 4000}, {"to", 4096}}};
    static const json exceptions = {{{{"cidr", "10.9.0.0/24"}, {"reason", "jump host"}}},
                                    {{{"tag", "AzureLoadBalancer"}}, {{"cidr", "10.9.0.0/24"}}},
                                    {{{"cidr", "2001:db8:9::/48"}}}};
    static const std::map<std::string, json> all = {
        {"JitPolicy.spec.accountRef.name", {"prod", "nowhere"}},
        {"JitPolicy.spec.network.targets[].virtualMachine.resourceGroup",
         {"rg-web", "RG-WEB", "rg-none"}},
        {"JitPolicy.spec.network.targets[].virtualMachine.name", machines},
        {"JitPolicy.spec.network.targets[].selector.resourceGroups[]", {"rg-web", "rg-none"}},
        {"JitPolicy.spec.network.targets[].selector.tags", json::array({{{"env", "prod"}}})},
        {"JitPolicy.spec.network.lockdown.exceptions", exceptions},
        {"JitPolicy.spec.network.lockdown.exceptions[].tag",
         {"AzureLoadBalancer", "Internet", "VirtualNetwork", "NoSuchTag"}},
        {"JitPolicy.spec.request.allowed.groups[]", {"payments-oncall", "nobody-we-know"}},
        {"JitPolicy.spec.request.allowed.users[]", {"alice", "mallory"}},
        {"JitPolicy.spec.request.ticket.pattern", {"^INC-[0-9]+$", "(", "(a*)*$"}},
        {"CloudAccount.spec.azure.endpoints.resourceManager", origins},
        {"CloudAccount.spec.azure.endpoints.authority", origins},
        {"CloudAccount.spec.azure.tenantId", guids},
        {"CloudAccount.spec.azure.subscriptionId", guids},
        {"CloudAccount.spec.azure.identity.clientSecret.clientId",
         {"33333333-3333-3333-3333-333333333333", "44444444-4444-4444-4444-444444444444"}},
        {"CloudAccount.spec.azure.identity.clientSecret.secretRef.name", {"azure-prod", "nowhere"}},
        {"CloudAccount.spec.tenants[].namespaces.names[]", {"payments", "elsewhere"}},
        {"CloudAccount.spec.tenants[].scopes[]",
         {"resourceGroups/rg-web", "subscription", "resourceGroups/RG-WEB",
          "resourceGroups/rg-none"}},
        {"CloudAccount.spec.tenants[].ceiling.ports[]", {22, "20-25", 443}},
        {"CloudAccount.spec.tenants[].ceiling.sources.within[]",
         {"198.51.100.0/22", "192.0.2.0/24", "198.51.100.7/24", "*"}},
        {"CloudAccount.spec.priorities.grants", bands},
        {"CloudAccount.spec.priorities.lockdownAbove", bands},
        {"CloudAccount.spec.priorities.lockdownBelow", bands},
        {"CloudAccount.spec.closeOverdueOf[]", {"k7f2m3qa"}},
        {"AccessGrant.spec.policyRef.name", {"web-ssh", "nowhere"}},
        {"AccessGrant.spec.network.virtualMachines[]", machines},
        {"AccessGrant.spec.network.ports[].port", {22, "22", 443}},
        {"AccessGrant.spec.network.access[].virtualMachine", machines},
        {"AccessGrant.spec.network.access[].ports[].port", {22, "22", 443}},
        {"AccessGrant.spec.network.sources[]",
         {"198.51.100.7/32", "198.51.100.16/28", "198.51.103.0/27"}}};
    static const auto as_vectors = [] {
        std::map<std::string, std::vector<json>> out;
        for (const auto& [path, values] : all) out[path] = values.get<std::vector<json>>();
        return out;
    }();
    return as_vectors;
}

/// A member beside which others may not stand: it is written in their place as well.
const std::map<std::string, std::vector<std::string>>& replaced_by() {
    static const std::map<std::string, std::vector<std::string>> all = {
        {"AccessGrant.spec.notAfter", {"/spec/duration"}},
        {"AccessGrant.spec.network.access",
         {"/spec/network/virtualMachines", "/spec/network/ports"}},
        {"CloudAccount.spec.azure.cloud", {"/spec/azure/endpoints"}}};
    return all;
}

Steps steps_of(const std::string& path) {
    Steps steps;
    std::string step;
    for (const char c : path) {
        if (c == '.' || c == '[' || c == '{') {
            if (!step.empty()) steps.push_back(step);
            step.clear();
        }
        if (c != '.') step += c;
        if (c == ']' || c == '}') steps.push_back(std::exchange(step, ""));
    }
    if (!step.empty()) steps.push_back(step);
    return steps;
}

const json& below(const json& schema, const std::string& step) {
    if (step == "[]") return schema.at("items");
    if (step == "{}") return schema.at("additionalProperties");
    return schema.at("properties").at(step);
}

/// Writes `value` (nullptr: takes it away) to where the steps lead, and what is missing on the way.
void write(json& node, const json& schema, std::span<const std::string> steps, const json* value) {
    const std::string& step = steps.front();
    const json& child = below(schema, step);
    const bool last = steps.size() == 1;
    if (step == "[]") {
        if (!node.is_array() || node.empty()) node = json::array({sample_of(child, 0)});
        if (!last) return write(node[0], child, steps.subspan(1), value);
        node[0] = *value;
        return;
    }
    if (!node.is_object()) node = json::object();
    const std::string name = step != "{}" ? step : node.empty() ? "env" : node.begin().key();
    const std::vector<std::string> choice = one_of(schema);
    if (value != nullptr && std::ranges::find(choice, name) != choice.end()) {
        for (const std::string& other : choice) {
            if (other != name) node.erase(other);
        }
    }
    if (last && value == nullptr) {
        node.erase(name);
    } else if (last) {
        node[name] = *value;
    } else {
        if (!node.contains(name)) node[name] = sample_of(child, 0);
        write(node[name], child, steps.subspan(1), value);
    }
}

bool is_there(const json& node, std::span<const std::string> steps) {
    if (steps.empty()) return true;
    if (steps.front() == "[]")
        return node.is_array() && !node.empty() && is_there(node[0], steps.subspan(1));
    if (steps.front() == "{}") return node.is_object() && !node.empty();
    return node.is_object() && node.contains(steps.front()) &&
           is_there(node.at(steps.front()), steps.subspan(1));
}

void add_below(const json& schema, const std::string& path, std::vector<Property>& found) {
    found.push_back({path, schema});
    const json properties = schema.value("properties", json::object());
    for (const auto& [name, child] : properties.items()) add_below(child, path + "." + name, found);
    if (schema.contains("items")) add_below(schema.at("items"), path + "[]", found);
    if (schema.contains("additionalProperties"))
        add_below(schema.at("additionalProperties"), path + "{}", found);
}

/// The operations of one property.
class Walk {
public:
    Walk(const WalkedKind& kind, const json& base, const Property& property, WalkUses& uses)
        : kind_(kind),
          base_(base),
          property_(property),
          steps_(steps_of(property.path)),
          key_(kind.kind + "." + property.path),
          uses_(uses) {}

    std::vector<Operation> all() {
        const bool item = property_.path.ends_with("[]");
        if (!item && is_there(base_, steps_)) add("absent", nullptr);
        const json nothing;
        if (!item) add("null", &nothing);
        for (const NamedValue& each :
             values_of(property_.schema, examples_of(key_), examples_of(key_ + "[]")))
            add(each.name, &each.value);
        return std::move(found_);
    }

private:
    std::vector<json> examples_of(const std::string& key) {
        const auto found = examples().find(key);
        if (found == examples().end()) return {};
        uses_.examples.insert(key);
        return found->second;
    }
    void add(const std::string& name, const json* value) {
        Edit edit{.path = property_.path};
        if (value != nullptr) edit.value.emplace(*value);
        const auto replaces = std::ranges::find_if(replaced_by(), [&](const auto& each) {
            return key_ == each.first || key_.starts_with(each.first + "[");
        });
        if (replaces == replaced_by().end()) return push(name, std::move(edit));
        uses_.replaced.insert(replaces->first);
        const bool itself = key_ == replaces->first;
        if (itself) push(name, edit);
        edit.replaced = replaces->second;
        push(name + (itself ? ",alone" : ""), std::move(edit));
    }
    void push(const std::string& name, Edit edit) {
        json manifest = edited(kind_, base_, edit);
        const bool had = std::ranges::any_of(
            found_, [&](const Operation& each) { return each.manifest == manifest; });
        if (!had)
            found_.push_back(
                {kind_.kind, property_.path, name, std::move(manifest), std::move(edit)});
    }

    const WalkedKind& kind_;
    const json& base_;
    const Property& property_;
    Steps steps_;
    std::string key_;
    WalkUses& uses_;
    std::vector<Operation> found_;
};

template <class Map>
std::vector<std::string> keys_of(const Map& map) {
    std::vector<std::string> keys;
    for (const auto& [key, value] : map) keys.push_back(key);
    return keys;
}

}  // namespace

std::vector<WalkedKind> shipped_kinds_of_crds() {
    std::vector<WalkedKind> kinds;
    for (const auto& file : std::filesystem::directory_iterator(SOURCE_ROOT "/crds")) {
        std::ifstream in(file.path());
        const std::string text((std::istreambuf_iterator<char>(in)), {});
        const auto crd = codec::parse_yaml(text);
        if (!crd) throw std::runtime_error(file.path().string() + ": " + crd.error().message);
        const json& spec = crd->at("spec");
        kinds.push_back({.kind = spec.at("names").at("kind"),
                         .schema = spec.at("versions").at(0).at("schema").at("openAPIV3Schema")});
    }
    std::ranges::sort(kinds, {}, &WalkedKind::kind);
    return kinds;
}

std::vector<Property> properties_of(const WalkedKind& kind) {
    std::vector<Property> found;
    add_below(kind.schema.at("properties").at("spec"), "spec", found);
    return found;
}

json edited(const WalkedKind& kind, json manifest, const Edit& edit) {
    write(manifest, kind.schema, steps_of(edit.path), edit.value ? &*edit.value : nullptr);
    for (const std::string& other : edit.replaced) {
        const json::json_pointer at(other);
        if (manifest.contains(at)) manifest.at(at.parent_pointer()).erase(at.back());
    }
    return manifest;
}

std::vector<Operation> operations_at(const WalkedKind& kind, const json& base,
                                     const Property& property, WalkUses& uses) {
    return Walk(kind, base, property, uses).all();
}

std::vector<Operation> operations_of(const WalkedKind& kind, const json& base, WalkUses& uses) {
    std::vector<Operation> all;
    for (const Property& property : properties_of(kind)) {
        for (Operation& each : operations_at(kind, base, property, uses))
            all.push_back(std::move(each));
    }
    return all;
}

std::vector<std::string> example_paths() { return keys_of(examples()); }
std::vector<std::string> replacing_paths() { return keys_of(replaced_by()); }

}  // namespace sallyport::sim
