#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>

#include "apiserver/resources.hpp"
#include "apiserver/status.hpp"
#include "model/object.hpp"

namespace sallyport::apiserver {

/// The C++ twins of the admission policies that a cluster gets: who created a grant is stamped by
/// the server, the hold is the controller's, records and status are written by nobody else, and a
/// grant from Git names its end. They hold for administrators too, but that one may delete an
/// AccessLedger: it acknowledges a lost journal.
enum class Operation { create, update, remove };

struct Admission {
    const ResourceType& type;
    Operation operation;
    const Identity& identity;
    std::string subresource = {};
    std::string name = {};
    bool replaces = false;                   ///< PUT, which says nothing by leaving finalizers out
    const nlohmann::json* old = nullptr;     ///< null on create
    const nlohmann::json* object = nullptr;  ///< null on remove
};

/// Before validation: stamps, and puts back what only the server may change.
void stamp(const Admission& request, nlohmann::json& object);

/// After validation; nullopt: admitted.
std::optional<Failure> refusal(const Admission& request);

}  // namespace sallyport::apiserver
