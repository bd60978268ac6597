#pragma once

#include "plan/nsg/plan.hpp"

/// What rules do to reach, told from their text alone: the planner has no topology, so what cannot
/// be told is assumed in the cautious direction that each function names.
namespace sallyport::nsg {

/// Whether everything that `inner` matches surely is matched by `outer` too. False when not sure.
bool covers(const SecurityRule& outer, const SecurityRule& inner);
bool covers(const Peer& outer, const Peer& inner);

/// Whether some packet may match both. True when not sure.
bool may_overlap(const SecurityRule& a, const SecurityRule& b);

/// What replacing `before` by `after` does; a null pointer: no such rule. A change that opens
/// somewhere and closes elsewhere, or cannot be told, opens.
WriteEffect effect_of(const SecurityRule* before, const SecurityRule* after);

}  // namespace sallyport::nsg
