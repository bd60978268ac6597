#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "model/rule.hpp"

/// Azure enforces a rule's old text until the operation that writes the new one has ended, and goes
/// on with it when that failed; reads show the new text at once (`provisioningState`).
/// So a read taken during a write is completed by the reads before it.
namespace sallyport::path {

/// How far back a read may lie to tell what a rule said before its write. An older one tells
/// nothing: the rule may have been written several times since.
inline constexpr std::chrono::minutes former_reach{5};

/// Fills `state.former` and `state.unsettled` from `before`, the newest read of the same NSG that
/// was completed in this way; nullptr: there is none. Two whole writes of one rule between two
/// reads are not seen: then the text between them is missing in `former`.
void carry_former(NsgState& state, const NsgState* before);

}  // namespace sallyport::path
