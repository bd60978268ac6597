#pragma once

#include "sim/invariants.hpp"

/// What must hold of the operator's own calls, whatever they meet with.
namespace sallyport::sim {

Complaint writes_are_few(const History& h);
Complaint own_writes_are_known(const History& h);
Complaint closings_leave_at_once(const History& h);
Complaint opened_was_open(const History& h);
Complaint numbers_are_free(const History& h, const Opening& opening);

}  // namespace sallyport::sim
