#pragma once

#include <string>
#include <vector>

#include "sim/history.hpp"

namespace sallyport::sim {

/// A port range on a machine that a grant asks for.
struct AskedAccess {
    std::string vm;  ///< as the cloud writes it
    int first = 0;
    int last = 0;
    std::string protocol;  ///< Tcp, Udp or Any
};

/// What a grant's spec asks for. What it leaves out is its policy's, as that is now.
std::vector<AskedAccess> asked_access(const History& history, const json& grant);
/// Sources of the grant that have an address family in common with that machine.
std::vector<std::string> sources_for(const History& history, const json& grant,
                                     const std::string& vm);

}  // namespace sallyport::sim
