#include "apiserver/admission.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "apiserver/jsonpath.hpp"
#include "apiserver/metadata.hpp"
#include "apiserver/roles.hpp"
#include "base/time.hpp"

namespace sallyport::apiserver {

namespace {

using Json = nlohmann::json;

constexpr std::string_view group = "sallyport.dev";
/// The longest way ahead that an absolute end may lie (31 days).
constexpr seconds horizon_max{744 * 3600};

bool is_ours(const ResourceType& type) { return type.name.group == group; }

bool is_held(const Json& object) {
    const std::vector<std::string> finalizers = finalizers_of(object);
    return std::find(finalizers.begin(), finalizers.end(), hold_finalizer) != finalizers.end();
}

/// As `kubectl` shows a refusal of a ValidatingAdmissionPolicy.
Failure denied(const Admission& request, const char* policy, int code, std::string_view why) {
    Failure failure = forbidden(
        request.type.name, request.name,
        fmt::format("ValidatingAdmissionPolicy '{0}' with binding '{0}' denied request: {1}",
                    policy, why));
    failure.code = code;
    failure.reason = code == 422 ? "Invalid" : "Forbidden";
    failure.causes = {{"", failure.message.substr(failure.message.find("Validating")), ""}};
    return failure;
}

std::string stamp_of(const Identity& identity) {
    // Written by hand so that the members stand in the order of the cluster's stamp.
    std::string groups;
    for (const std::string& name : identity.groups)
        groups += (groups.empty() ? "" : ",") + in_quotes(name);
    return fmt::format("{{\"user\":{},\"uid\":{},\"groups\":[{}]}}", in_quotes(identity.user),
                       in_quotes(identity.uid), groups);
}

bool is_gitops(const Json& object) {
    const auto has = [&object](const char* map, const std::string& key) {
        const Json* found = at_path(object, map);
        return found && found->is_object() && found->contains(key);
    };
    return has(".metadata.labels", "kustomize.toolkit.fluxcd.io/name") ||
           has(".metadata.labels", "helm.toolkit.fluxcd.io/name") ||
           has(".metadata.labels", "argocd.argoproj.io/instance") ||
           has(".metadata.annotations", "argocd.argoproj.io/tracking-id");
}

std::optional<Failure> review_request(const Admission& request) {
    constexpr const char* policy = "sallyport-request";
    const Json& object = *request.object;
    const Result<Timestamp> not_after = parse_rfc3339(text_of(object, ".spec.notAfter"));
    const Result<Timestamp> created = parse_rfc3339(text_of(object, ".metadata.creationTimestamp"));
    if (is_gitops(object) && !not_after)
        return denied(request, policy, 422,
                      "a grant applied from Git needs an absolute spec.notAfter");
    if (not_after && created && *not_after - *created > horizon_max)
        return denied(
            request, policy, 422,
            fmt::format("spec.notAfter is more than 31 days ahead: {} lies behind {}",
                        format_rfc3339(*not_after), format_rfc3339(*created + horizon_max)));
    const std::string requester = text_of(object, ".spec.requester.user");
    if (!requester.empty() && requester != request.identity.user)
        return denied(request, policy, 422,
                      fmt::format("spec.requester.user must be {}, not {}: nobody may ask for "
                                  "somebody else yet; leave spec.requester out",
                                  request.identity.user, requester));
    return std::nullopt;
}

std::optional<Failure> review_hold(const Admission& request) {
    if (is_controller(request.identity) || !is_held(*request.old) || is_held(*request.object))
        return std::nullopt;
    return denied(request, "sallyport-hold", 403,
                  "finalizer sallyport.dev/hold is removed by the operator after it has proved the "
                  "rule gone; delete the object and wait");
}

/// To delete a head acknowledges that its journal is lost: a person decides
/// that, and roles leave it to administrators.
bool acknowledges_loss(const Admission& request) {
    return request.type.kind == "AccessLedger" && request.operation == Operation::remove;
}

std::optional<Failure> review_writer(const Admission& request) {
    if (acknowledges_loss(request)) return std::nullopt;
    static constexpr std::array<std::string_view, 2> internal = {"AccessRecord", "AccessLedger"};
    const bool is_internal =
        std::find(internal.begin(), internal.end(), request.type.kind) != internal.end();
    if (is_controller(request.identity) || (!is_internal && request.subresource != "status"))
        return std::nullopt;
    return denied(request, "sallyport-operator-only", 403,
                  "only the operator writes records and status; no role may do so in its "
                  "place");
}

std::optional<Failure> review_namespace_removal(const Admission& request) {
    if (request.name == "default" || request.name == "kube-system")
        return forbidden(request.type.name, request.name, "this namespace may not be deleted");
    const Json* annotations = at_path(*request.old, ".metadata.annotations");
    const bool confirmed = annotations && annotations->is_object() &&
                           annotations->value("sallyport.dev/allow-deletion", Json()) == "true";
    if (request.name != operator_namespace || confirmed) return std::nullopt;
    return denied(request, "sallyport-no-accidental-uninstall", 403,
                  "this deletes all records: ended grants that are still in Git would open again. "
                  "If you mean it, kubectl annotate namespace sallyport-system "
                  "sallyport.dev/allow-deletion=true first");
}

}  // namespace

void stamp(const Admission& request, Json& object) {
    if (!is_ours(request.type) || !request.subresource.empty()) return;
    const std::string key(stamp_annotation);
    if (request.type.kind == "AccessGrant") {
        if (request.operation == Operation::create) {
            object["metadata"]["annotations"][key] = stamp_of(request.identity);
        } else {
            const Json* annotations = at_path(*request.old, ".metadata.annotations");
            if (annotations && annotations->contains(key)) {
                object["metadata"]["annotations"][key] = annotations->at(key);
            } else if (at_path(object, ".metadata.annotations")) {
                object["metadata"]["annotations"].erase(key);
            }
        }
    }
    if (request.replaces && request.old && is_held(*request.old) && finalizers_of(object).empty() &&
        !is_controller(request.identity)) {
        object["metadata"]["finalizers"].push_back(hold_finalizer);
    }
}

std::optional<Failure> refusal(const Admission& request) {
    if (request.type.kind == "Namespace" && request.operation == Operation::remove)
        return review_namespace_removal(request);
    if (!is_ours(request.type)) return std::nullopt;
    if (std::optional<Failure> failure = review_writer(request)) return failure;
    if (request.operation == Operation::update && request.subresource.empty())
        return review_hold(request);
    if (request.operation == Operation::create && request.type.kind == "AccessGrant")
        return review_request(request);
    return std::nullopt;
}

}  // namespace sallyport::apiserver
