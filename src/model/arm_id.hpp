#pragma once

#include <fmt/format.h>

#include <compare>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"

namespace sallyport {

/// A resource id of Azure Resource Manager, such as `/subscriptions/{s}/resourceGroups/{rg}` or
/// below it `/providers/Microsoft.Network/networkSecurityGroups/{name}`.
///
/// Compares without case, as ARM does (providers answer with other casing than was
/// sent), and prints as received. Holds an id at a subscription, a resource group, or a resource of
/// any depth.
class ArmId {
public:
    /// `invalid` unless the text starts with `/subscriptions/{s}` and its segments pair up.
    static Result<ArmId> parse(std::string_view text);

    const std::string& text() const { return text_; }      ///< as received
    const std::string& folded() const { return folded_; }  ///< lower case; the comparison key
    std::string_view subscription() const;                 ///< as received
    std::string_view resource_group() const;               ///< empty at subscription level
    /// `Microsoft.Network/networkSecurityGroups/securityRules`; empty for a subscription or group.
    std::string type() const;
    std::string_view name() const;              ///< the last segment
    bool is_type(std::string_view type) const;  ///< without case
    /// The id one type/name pair up (a rule's NSG); the resource group for a top-level resource.
    Result<ArmId> parent() const;

    friend bool operator==(const ArmId& a, const ArmId& b) { return a.folded_ == b.folded_; }
    friend std::strong_ordering operator<=>(const ArmId& a, const ArmId& b) {
        return a.folded_.compare(b.folded_) <=> 0;
    }

private:
    explicit ArmId(std::string text);
    std::string text_;
    std::string folded_;
};

/// An `ArmId` of one resource type: an NSG's cannot be passed where a VM's is meant.
template <const char* const& Type>
class TypedArmId {
public:
    static Result<TypedArmId> parse(std::string_view text) {
        auto id = ArmId::parse(text);
        if (!id) return std::move(id).error();
        return of(*std::move(id));
    }
    static Result<TypedArmId> of(ArmId id) {
        if (!id.is_type(Type)) {
            return invalid(fmt::format("\"{}\" is not the id of a {}", id.text(), Type));
        }
        return TypedArmId(std::move(id));
    }
    const ArmId& id() const { return id_; }
    const std::string& text() const { return id_.text(); }
    const std::string& folded() const { return id_.folded(); }
    std::string_view name() const { return id_.name(); }
    friend bool operator==(const TypedArmId&, const TypedArmId&) = default;
    friend std::strong_ordering operator<=>(const TypedArmId&, const TypedArmId&) = default;

private:
    explicit TypedArmId(ArmId id) : id_(std::move(id)) {}
    ArmId id_;
};

namespace arm_types {
inline constexpr const char* const nsg = "Microsoft.Network/networkSecurityGroups";
inline constexpr const char* const nic = "Microsoft.Network/networkInterfaces";
inline constexpr const char* const vnet = "Microsoft.Network/virtualNetworks";
inline constexpr const char* const subnet = "Microsoft.Network/virtualNetworks/subnets";
inline constexpr const char* const asg = "Microsoft.Network/applicationSecurityGroups";
inline constexpr const char* const vm = "Microsoft.Compute/virtualMachines";
}  // namespace arm_types

using NsgId = TypedArmId<arm_types::nsg>;
using NicId = TypedArmId<arm_types::nic>;
using VnetId = TypedArmId<arm_types::vnet>;
using SubnetId = TypedArmId<arm_types::subnet>;
using AsgId = TypedArmId<arm_types::asg>;
using VmId = TypedArmId<arm_types::vm>;

}  // namespace sallyport

template <>
struct fmt::formatter<sallyport::ArmId> : fmt::formatter<std::string_view> {
    auto format(const sallyport::ArmId& id, format_context& ctx) const {
        return fmt::formatter<std::string_view>::format(id.text(), ctx);
    }
};
template <const char* const& Type>
struct fmt::formatter<sallyport::TypedArmId<Type>> : fmt::formatter<std::string_view> {
    auto format(const sallyport::TypedArmId<Type>& id, format_context& ctx) const {
        return fmt::formatter<std::string_view>::format(id.text(), ctx);
    }
};
