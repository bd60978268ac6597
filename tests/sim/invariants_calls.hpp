#pragma once

#include "sim/invariants.hpp"

/// What must hold of the operator's own calls, whatever they meet with.
namespace sallyport::sim {

Complaint writes_are_few(const History& h);
Complaint own_writes_are_known(const History& h);
Complaint closings_leave_at_once(const History& h);
Complaint opened_was_open(const History& h);
Complaint closed_was_closed(const History& h);
Complaint azure_is_left_alone(const History& h);
Complaint tries_are_spread(const History& h);
Complaint deletions_mean_one(const History& h);
Complaint lockdowns_stay(const History& h);
Complaint put_back_three_times(const History& h);
Complaint excepted_access_stays(const History& h);
Complaint owed_access_comes(const History& h);
Complaint numbers_are_free(const History& h, const Opening& opening);

}  // namespace sallyport::sim
