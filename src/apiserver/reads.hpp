#pragma once

#include <memory>
#include <string>

#include "apiserver/cache.hpp"
#include "apiserver/status.hpp"
#include "http/message.hpp"

namespace sallyport::apiserver {

/// What a client takes, in the order of its Accept header.
enum class Form { json, table, none };
Form accepted_form(std::string_view accept);

struct ReadRequest {
    const ResourceType& type;
    std::string ns = {};
    std::string name = {};
    const http::Target& target;
    Form form = Form::json;
    Timestamp now{};
};

http::Reply json_reply(std::string body);

/// Answers to GET. Lists are put together from stored texts; nothing is parsed unless a Table is
/// asked.
Outcome<http::Reply> get(const Cache& cache, const ReadRequest& request);
Outcome<http::Reply> list(const Cache& cache, const ReadRequest& request);
Outcome<http::Reply> watch_list(const std::shared_ptr<Cache>& cache, const ReadRequest& request);

}  // namespace sallyport::apiserver
