#pragma once

#include <fmt/format.h>

#include <compare>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/time.hpp"

namespace sallyport {

/// The kinds of group `sallyport.dev` that the engine knows, and the two built-in ones it reads.
enum class Kind { account, policy, grant, record, ledger };
std::string_view to_text(Kind kind);  ///< `CloudAccount`, `JitPolicy` …

/// Namespace and name; the namespace is empty for cluster-scoped kinds.
struct ObjectKey {
    std::string ns = {};
    std::string name = {};
    friend bool operator==(const ObjectKey&, const ObjectKey&) = default;
    friend auto operator<=>(const ObjectKey&, const ObjectKey&) = default;
};

struct ObjectMeta {
    ObjectKey key = {};
    std::string uid = {};
    std::string resource_version = {};
    std::int64_t generation = 0;
    Timestamp created{};
    std::optional<Timestamp> deleted = {};  ///< deletionTimestamp
    std::vector<std::string> finalizers = {};
    std::map<std::string, std::string> labels = {};
    std::map<std::string, std::string> annotations = {};

    bool held() const;             ///< our finalizer is on
    bool is_gitops_owned() const;  ///< labels and annotations of Flux and Argo CD
    friend bool operator==(const ObjectMeta&, const ObjectMeta&) = default;
};

inline constexpr std::string_view hold_finalizer = "sallyport.dev/hold";
inline constexpr std::string_view operator_namespace = "sallyport-system";
inline constexpr std::string_view stamp_annotation = "sallyport.dev/created-by";

enum class Truth { yes, no, unknown };
std::string_view to_text(Truth truth);  ///< `True`, `False`, `Unknown`

/// A status condition. `changed` is set by whoever publishes: when the status of the type changed.
struct Condition {
    std::string type;
    Truth status = Truth::unknown;
    std::string reason;
    std::string message = {};
    std::int64_t observed_generation = 0;
    Timestamp changed{};
    friend bool operator==(const Condition&, const Condition&) = default;
};

/// The stamp: who created an object, as the API server knew it.
struct Identity {
    std::string user = {};
    std::string uid = {};
    std::vector<std::string> groups = {};
    friend bool operator==(const Identity&, const Identity&) = default;
};

}  // namespace sallyport

template <>
struct fmt::formatter<sallyport::ObjectKey> : fmt::formatter<std::string> {
    auto format(const sallyport::ObjectKey& k, format_context& ctx) const {
        return fmt::formatter<std::string>::format(k.ns.empty() ? k.name : k.ns + "/" + k.name,
                                                   ctx);
    }
};
