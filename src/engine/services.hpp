#pragma once

#include "base/loop.hpp"
#include "ports/clock.hpp"
#include "ports/gateway.hpp"
#include "ports/journal.hpp"
#include "ports/leadership.hpp"
#include "ports/log.hpp"
#include "ports/metrics.hpp"
#include "ports/random.hpp"
#include "ports/store.hpp"

namespace sallyport::engine {

/// The world as the engine gets it from `main` or from a simulation. All of it outlives the engine.
struct Services {
    Loop& loop;
    Clock& clock;
    Random& random;
    Log& log;
    Metrics& metrics;
    Store& store;
    Journal& journal;
    Gateways& gateways;
    Leadership& leadership;
};

}  // namespace sallyport::engine
