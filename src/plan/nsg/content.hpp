#pragma once

#include "plan/nsg/plan.hpp"

/// Between what a rule should say and the rule itself.
namespace sallyport::nsg {

/// The whole rule, but for its number: inbound, from every source port.
SecurityRule rule_of(const RuleContent& content, std::string name, const Mark& mark);

/// What an inbound rule for every source port says; nullopt: it says something that no content can.
/// Ports are merged and lists sorted, so that equal contents are equal.
std::optional<RuleContent> content_of(const SecurityRule& rule);
RuleContent canonical(RuleContent content);

/// Where `stored` differs from `wanted`, in words; empty: nowhere. The same said in another order
/// (lists, ports) is the same.
std::string change(const SecurityRule& wanted, const SecurityRule& stored);

/// A rule that can match nothing stands in for one that may not be deleted: Deny,
/// 192.0.2.1/32 to 192.0.2.1/32, port 1. Name, number and mark stay.
SecurityRule tombstone_of(const SecurityRule& rule);
bool is_tombstone(const SecurityRule& rule);

/// Whether the uid can stand in a mark and a name.
bool is_usable_uid(std::string_view uid);

}  // namespace sallyport::nsg
