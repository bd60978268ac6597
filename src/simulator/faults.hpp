#pragma once

#include <cstdint>
#include <optional>
#include <regex>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "simulator/json.hpp"
#include "simulator/random.hpp"

namespace sallyport::simulator {

/// How a long-running operation ends.
struct OperationEnd {
    enum class Kind { succeeds, fails, is_canceled, never_ends };
    Kind kind = Kind::succeeds;
    std::string code, message;
    std::optional<std::int64_t> takes_ms;
};

/// What a fault does to a request that it matches.
struct Effect {
    std::optional<int> status;  ///< answered instead; the request is not carried out
    std::string code, message;
    std::optional<std::string> body;  ///< sent as it is, with `content_type`
    std::string content_type;
    std::vector<std::pair<std::string, std::string>> headers;
    std::int64_t delay_ms = 0;                  ///< real time
    bool drop_request = false;                  ///< the connection breaks, nothing was done
    bool drop_reply = false;                    ///< it was done, then the connection breaks
    std::optional<std::int64_t> lands_late_ms;  ///< done that much later, after a 504 or a drop
    std::optional<OperationEnd> operation;
    std::optional<std::int64_t> stale_ms;  ///< reads show the rules of that long ago
    bool denies_action = false;            ///< 403 AuthorizationFailed with the real action
    std::string denies_by_policy;          ///< 403 RequestDisallowedByPolicy by this assignment
    bool changes_id_case = false;
    bool empty_page = false;  ///< a list starts with an empty page and a nextLink
};

/// What is asked about: one request, described in the words of a fault's `match`.
struct Subject {
    std::string method;
    std::string path;       ///< without the query
    std::string operation;  ///< `rule.put`, `nsg.list`, `poll`, `token`, …
    std::string principal;  ///< its name; empty: not known yet
};

/// Faults as `POST /_sim/faults` sets them. The first that matches has its effect; when all its
/// times are used up it is gone.
class Faults {
public:
    /// One fault, or `{"faults": […]}`. `invalid` names the member that is wrong; then none is set.
    /// Gives the ids.
    Result<std::vector<std::string>> add(const Json& document);
    /// All, or the one with this id. False when there is none.
    bool clear(std::string_view id);
    Json listed() const;

    std::optional<Effect> effect_on(const Subject& subject, Random& random);

private:
    struct Fault {
        std::string id;
        Json document;
        std::optional<std::regex> method, path, operation;
        std::string principal;
        std::optional<std::int64_t> times;
        std::int64_t skip = 0;
        double probability = 1;
        std::int64_t hits = 0;
        Effect effect;
    };
    static Result<Fault> read(const Json& document);

    std::vector<Fault> faults_;
    std::uint64_t made_ = 0;
};

}  // namespace sallyport::simulator
