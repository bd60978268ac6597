#pragma once

#include <string>
#include <vector>

#include "apiserver/schema.hpp"

namespace sallyport::apiserver {

/// A CEL rule of a CRD and the C++ function that decides as it does. The rule's whole text is the
/// key, so that a rule edited in crds/ has no twin any more and the program refuses to start.
struct Twin {
    std::string crd;  ///< `accessgrants.sallyport.dev`
    std::string rule;
    RuleTwin holds;
};

/// All twins. CEL is not interpreted here; one conformance list feeds this server and a real one.
const std::vector<Twin>& twins();

/// The twins of one CRD.
TwinLookup twins_of(const std::string& crd);

}  // namespace sallyport::apiserver
