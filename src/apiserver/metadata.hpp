#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "apiserver/resources.hpp"
#include "apiserver/status.hpp"

namespace sallyport::apiserver {

/// What is wrong with names, labels, annotations, finalizers and owners, in the words of a real
/// server. Their types are right already (`check_kind`).
std::vector<Cause> metadata_problems(const ResourceType& type, const nlohmann::json& object);

/// What only the built-in kinds demand: Secret data is base64, an immutable ConfigMap stays, an
/// Event is about something in its namespace. `old` is null on create.
std::vector<Cause> builtin_problems(const ResourceType& type, const nlohmann::json& object,
                                    const nlohmann::json* old);

/// `stringData` of a Secret becomes `data`.
void fold_string_data(nlohmann::json& secret);

/// Reads that forgive a missing or odd member.
std::string text_of(const nlohmann::json& object, const char* path);
std::vector<std::string> finalizers_of(const nlohmann::json& object);
bool is_terminating(const nlohmann::json& object);

}  // namespace sallyport::apiserver
