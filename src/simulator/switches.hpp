#pragma once

#include <string>

#include "simulator/behaviour.hpp"
#include "simulator/json.hpp"

namespace sallyport::simulator {

/// Changes those switches that `json` names; gives what is wrong, or an empty text. On a problem
/// `behaviour` may be changed in part.
std::string read_behaviour(const Json& json, Behaviour& behaviour);
Json behaviour_json(const Behaviour& behaviour);

}  // namespace sallyport::simulator
