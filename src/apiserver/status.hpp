#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/check.hpp"

namespace sallyport::apiserver {

/// One problem of a refused object; `field` is its path, such as `spec.network.sources[0]`.
struct Cause {
    std::string reason;   ///< `FieldValueInvalid` and so on
    std::string message;  ///< as real servers word it, without the field
    std::string field;
};

/// The Status that a request ends in when it fails, with the words that kubectl prints.
struct Failure {
    int code = 500;
    std::string reason;
    std::string message;
    std::string name = {};
    std::string group = {};
    std::string kind = {};  ///< kind for `Invalid`, plural for all others: as real servers do
    std::string uid = {};
    std::vector<Cause> causes = {};
    int retry_after_seconds = 0;
};

/// A value or the Status to answer with.
template <class T>
class [[nodiscard]] Outcome {
public:
    Outcome(T value) : state_(std::in_place_index<0>, std::move(value)) {}
    Outcome(Failure failure) : state_(std::in_place_index<1>, std::move(failure)) {}

    explicit operator bool() const { return state_.index() == 0; }
    T& operator*() {
        check(state_.index() == 0, "the value of a failed outcome");
        return *std::get_if<0>(&state_);
    }
    T* operator->() { return &**this; }
    const Failure& failure() const {
        check(state_.index() == 1, "the failure of an outcome that succeeded");
        return *std::get_if<1>(&state_);
    }

private:
    std::variant<T, Failure> state_;
};

/// Group and plural of a resource, as messages name it: `accessgrants.sallyport.dev`, `secrets`.
struct ResourceName {
    std::string group = {};
    std::string plural = {};
    std::string qualified() const { return group.empty() ? plural : plural + "." + group; }
};

Failure bad_request(std::string message);
Failure unauthorized();
/// "the server could not find the requested resource": the path names nothing that is served.
Failure no_such_path();
Failure not_found(const ResourceName& resource, std::string_view name);
Failure already_exists(const ResourceName& resource, std::string_view name);
Failure conflict(const ResourceName& resource, std::string_view name, std::string_view why);
/// The object moved since the client read it.
Failure modified(const ResourceName& resource, std::string_view name);
Failure forbidden(const ResourceName& resource, std::string_view name, std::string_view why);
Failure method_not_allowed(std::string_view method);
Failure unsupported_media_type(std::string_view why);
Failure not_acceptable(std::string_view why);
/// 410: a version older than the history that is kept.
Failure expired(std::string_view why);
Failure internal_error(std::string_view why);

struct KindName {
    std::string group = {};
    std::string kind = {};
};
/// 422 with one cause per problem; `causes` must not be empty.
Failure invalid_object(const KindName& kind, std::string_view name, std::vector<Cause> causes);

/// A JSON text in quotes with escapes, for messages and bodies.
std::string in_quotes(std::string_view text);
/// The Status as JSON.
std::string body_of(const Failure& failure);

}  // namespace sallyport::apiserver
