#include "kube/paths.hpp"

#include "base/text.hpp"

namespace sallyport::kube {

namespace {

std::string_view resource_of(Kind kind) {
    switch (kind) {
        case Kind::account: return "cloudaccounts";
        case Kind::policy: return "jitpolicies";
        case Kind::grant: return "accessgrants";
        case Kind::record: return "accessrecords";
        case Kind::ledger: return "accessledgers";
    }
    throw Bug("a kind out of range");
}

std::string group() { return "/apis/" + std::string(api_version); }

}  // namespace

bool is_internal(Kind kind) { return kind == Kind::record || kind == Kind::ledger; }
bool is_cluster_scoped(Kind kind) { return kind == Kind::account; }

std::string collection_target(Kind kind) {
    if (is_internal(kind)) return create_target(kind, operator_namespace);
    return group().append("/").append(resource_of(kind));
}

std::string create_target(Kind kind, std::string_view ns) {
    std::string target = group();
    if (!is_cluster_scoped(kind)) target.append("/namespaces/").append(percent_encoded(ns));
    return target.append("/").append(resource_of(kind));
}

std::string object_target(const ObjectRef& ref) {
    return create_target(ref.kind, ref.key.ns).append("/").append(percent_encoded(ref.key.name));
}

std::string status_target(const ObjectRef& ref) { return object_target(ref).append("/status"); }

std::string core_target(std::string_view ns, std::string_view resource, std::string_view name) {
    std::string target = "/api/v1/namespaces/" + percent_encoded(ns);
    target.append("/").append(resource);
    if (!name.empty()) target.append("/").append(percent_encoded(name));
    return target;
}

ObjectRef internal(Kind kind, std::string_view name) {
    return {.kind = kind,
            .key = {.ns = std::string(operator_namespace), .name = std::string(name)}};
}

}  // namespace sallyport::kube
