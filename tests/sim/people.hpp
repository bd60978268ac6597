#pragma once

#include "sim/world.hpp"

/// What people other than those who ask do to a world, and where it is.
namespace sallyport::sim {

inline constexpr const char* policy_path =
    "/apis/sallyport.dev/v1alpha1/namespaces/payments/jitpolicies/web-ssh";
inline constexpr const char* twin_path = "/apis/sallyport.dev/v1alpha1/cloudaccounts/twin";
inline constexpr const char* lease_path =
    "/apis/coordination.k8s.io/v1/namespaces/sallyport-system/leases/sallyport-controller";
/// On all of the resource group.
inline constexpr const char* lock_path =
    "/subscriptions/22222222-2222-2222-2222-222222222222/resourceGroups/rg-web/providers/"
    "Microsoft.Authorization/locks/keep?api-version=2016-09-01";

/// nsg-web01 stands before its machine, or does not.
void attach(World& world, bool attached);
/// What they put in the way is taken away again, and what they took away is put back; the policy
/// allows what it allowed.
void send_home(World& world, const json& policy);

}  // namespace sallyport::sim
