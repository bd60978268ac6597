#pragma once

#include <doctest/doctest.h>

#include <set>
#include <string>
#include <vector>

#include "sim/world.hpp"

// The story of a run that did not come to where it should.
#define REQUIRE_TOLD(world, condition) REQUIRE_MESSAGE((condition), (world).story())
#define CHECK_TOLD(world, condition) CHECK_MESSAGE((condition), (world).story())

/// Scenes that many tests begin with, and questions that many end with.
namespace sallyport::sim {

class Monitor;

/// The source that grants of these tests name.
inline constexpr const char* alice_at = "198.51.100.7";

std::string grant_path(const std::string& name);
std::string rule_path(const std::string& nsg, const std::string& rule);

/// Everything is set up, the operator runs, and the policy has become Ready.
void start_ready(World& world, const json& policy_changes = json::object());
/// Alice asks and it becomes Open; gives the end that its status names.
Timestamp open_grant(World& world, const std::string& name, const std::string& duration = "10m");
/// Alice asks; the API server must take it.
void ask(World& world, const json& grant);
/// Its hold is torn off with the operator's own token, and it is deleted: it goes at once, and
/// nobody is asked. Where it is not there, nothing happens.
void tear_off(World& world, const std::string& grant);
/// A merge patch by admin, which must be taken.
void patch(World& world, const std::string& path, const json& change);

/// `status.conditions[type=…]`; null when it is absent.
json condition(const json& object, const std::string& type);
/// The record of the grant of this name; there must be just one.
json record_of(World& world, const std::string& grant);

/// An inbound rule as the saboteur writes it.
json a_rule(int priority, const std::string& access, const std::string& source, int port = 22);
void put_rule(World& world, const std::string& nsg, const std::string& name, const json& rule);
void delete_rule(World& world, const std::string& nsg, const std::string& name);
/// As `nsg/name` from `our_rules`; null when it is gone.
json find_rule(World& world, const std::string& nsg_and_name);
void set_fault(World& world, const json& fault);
void clear_faults(World& world);

/// How many calls from index `from` on begin with `verb` and contain `part`.
std::size_t count_calls(const World& world, std::size_t from, const std::string& verb,
                        const std::string& part = "");

/// The conditions of all accounts, policies and grants have reasons as Kubernetes wants them.
void check_reasons(World& world);
/// That, no bug, no error in the log, foreign rules as they were.
void check_clean(World& world, const std::string& foreign);

/// All that is promised of every moment was kept.
void check_no_complaint(Monitor& monitor);

/// The operator's calls to one origin fail at once, as if nobody listened there.
void cut_off(World& world, const std::string& origin);

}  // namespace sallyport::sim
