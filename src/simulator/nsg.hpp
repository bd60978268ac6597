#pragma once

#include <functional>
#include <optional>
#include <string>

#include "simulator/core.hpp"

namespace sallyport::simulator {

// What rule writes and whole-NSG writes share.

inline constexpr std::string_view nsg_type_name = "Microsoft.Network/networkSecurityGroups";

/// Notes what a rule is before it changes, for reads that lag.
void remember(Core& core, Nsg& nsg, const std::string& key);
/// The NSG as reads showed it `ago_ms` ago. Only rules and the ETag go back.
Nsg as_it_was(const Core& core, const Nsg& nsg, std::int64_t ago_ms);

/// `SecurityRuleConflict`: two rules of one NSG with equal priority and direction.
http::Response rules_conflict(const std::string& wanted, const std::string& other);
/// What a write meets while another is under way on the same NSG; nothing when it may go on.
std::optional<http::Response> refuse_parallel(Core& core, const Call& call, Nsg& nsg);
/// 412, or nothing.
std::optional<http::Response> if_match_fails(const Call& call, const Nsg& nsg);

/// Appends `text` as a JSON string. Names and ids hardly ever need escapes, and a list of groups
/// has tens of thousands of them: the common case costs a copy.
void append_text(std::string& into, std::string_view text);

struct NsgWrite {
    bool etag_moves = true;  ///< the ETag changes at the end too (recorded for real changes)
    std::function<void(Core&, Nsg&, bool succeeded)> finish;
};
/// Starts the operation of a write on `nsg`; gives its id.
std::string start_on(Core& core, const Call& call, Nsg& nsg, NsgWrite write);

}  // namespace sallyport::simulator
