#pragma once

#include <cstdint>

#include "simulator/throttle.hpp"

namespace sallyport::simulator {

/// What a second write to an NSG gets while one is under way. Azure has been seen to do all four.
enum class ParallelWrites { allow, conflict, retryable, supersede };

/// Switches that are neither state nor faults: set by the estate, changed by `POST
/// /_sim/behaviour`.
struct Behaviour {
    std::int64_t operation_ms = 500;  ///< how long a write takes until `Succeeded`
    std::uint64_t page_size = 100;    ///< unverified: Azure's page sizes
    bool changes_id_case = false;     ///< ids in answers change their case at random
    bool first_page_empty = false;
    ParallelWrites parallel_writes = ParallelWrites::allow;
    Limits limits;
};

}  // namespace sallyport::simulator
