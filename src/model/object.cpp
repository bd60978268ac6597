#include "model/object.hpp"

#include <algorithm>
#include <array>

#include "base/check.hpp"

namespace sallyport {

std::string_view to_text(Kind kind) {
    switch (kind) {
        case Kind::account: return "CloudAccount";
        case Kind::policy: return "JitPolicy";
        case Kind::grant: return "AccessGrant";
        case Kind::record: return "AccessRecord";
        case Kind::ledger: return "AccessLedger";
    }
    throw Bug("a kind out of range");
}

std::string_view to_text(Truth truth) {
    switch (truth) {
        case Truth::yes: return "True";
        case Truth::no: return "False";
        case Truth::unknown: return "Unknown";
    }
    throw Bug("a truth out of range");
}

bool ObjectMeta::held() const {
    return std::ranges::find(finalizers, hold_finalizer) != finalizers.end();
}

bool ObjectMeta::is_gitops_owned() const {
    // `app.kubernetes.io/instance`, Argo CD's old default, is on everything Helm makes as well: it
    // would keep objects for ever that no GitOps tool looks after.
    constexpr std::array<const char*, 3> owner_labels = {"kustomize.toolkit.fluxcd.io/name",
                                                         "helm.toolkit.fluxcd.io/name",
                                                         "argocd.argoproj.io/instance"};
    const bool labelled = std::ranges::any_of(
        owner_labels, [&](const char* label) { return labels.contains(label); });
    return labelled || annotations.contains("argocd.argoproj.io/tracking-id");
}

}  // namespace sallyport
