#pragma once

#include <cstdint>

#include "simulator/core.hpp"

namespace sallyport::simulator {

/// Everything under `/_sim/`: judge, state, clock, faults, behaviour (docs/azure-sim.md). Needs no
/// token: it is the experimenter's, not Azure's. `offset_ms` is how far the clock was moved by
/// hand.
http::Response answer_control(Core& core, const http::Request& request, const http::Target& target,
                              std::int64_t& offset_ms);

}  // namespace sallyport::simulator
