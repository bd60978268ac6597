#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>

#include "base/text.hpp"
#include "codec/arm_read.hpp"

namespace sallyport::codec {
namespace {

using nlohmann::json;

constexpr std::size_t arm_message_max = 1024;
constexpr int details_depth_max = 5;
constexpr seconds retry_after_max{3600};
/// For a 429 that names no time; ARM's buckets refill within seconds.
constexpr seconds throttled_default{10};

struct ArmCode {
    std::string code;
    std::string message;
};

/// The error object of an ARM body with all of its details, outermost first.
void collect_codes(const json& error, int depth, std::vector<ArmCode>& out) {
    if (!error.is_object() || depth > details_depth_max) return;
    Problems ignored;
    const Field field(error, ignored);
    ArmCode found{read_loose_text(field["code"]), read_loose_text(field["message"])};
    if (!found.code.empty() || !found.message.empty()) out.push_back(std::move(found));
    if (const auto details = error.find("details"); details != error.end() && details->is_array()) {
        for (const json& detail : *details) collect_codes(detail, depth + 1, out);
    }
    if (const auto inner = error.find("innererror"); inner != error.end())
        collect_codes(*inner, depth + 1, out);
}

bool is_code(const ArmCode& code, std::initializer_list<std::string_view> names) {
    return std::ranges::any_of(
        names, [&](std::string_view name) { return equals_ignoring_case(code.code, name); });
}

const ArmCode* find_code(const std::vector<ArmCode>& codes,
                         std::initializer_list<std::string_view> names) {
    const auto found =
        std::ranges::find_if(codes, [&](const ArmCode& code) { return is_code(code, names); });
    return found == codes.end() ? nullptr : &*found;
}

/// What stands between `before` and the next `after`; empty when it does not.
std::string_view between(std::string_view text, std::string_view before, std::string_view after) {
    const std::size_t start = text.find(before);
    if (start == text.npos) return {};
    text.remove_prefix(start + before.size());
    const std::size_t end = text.find(after);
    return end == text.npos ? std::string_view() : text.substr(0, end);
}

std::string with_argument(std::string_view reason, std::string_view argument) {
    return argument.empty() ? std::string(reason)
                            : fmt::format("{}({})", reason, argument.substr(0, 512));
}

/// In `additionalInfo`, else inside the message as JSON text.
std::string policy_assignment(const json& error, std::string_view message) {
    Problems ignored;
    const Field root(error, ignored);
    for (const Field& info : root["additionalInfo"].items(arm_list_max)) {
        std::string id = read_loose_text(info["info"]["policyAssignmentId"]);
        if (!id.empty()) return id;
    }
    return std::string(between(between(message, "\"policyAssignment\":{", "}"), "\"id\":\"", "\""));
}

struct Verdict {
    ErrorKind kind = ErrorKind::unavailable;
    std::string reason = {};
    const ArmCode* from = nullptr;  ///< the code that decided; nullptr: the status did
};

/// By the codes alone; nullopt: they say nothing that the status does not.
std::optional<Verdict> verdict_of_codes(const std::vector<ArmCode>& codes, const json& error) {
    if (const ArmCode* code =
            find_code(codes, {"AuthorizationFailed", "LinkedAuthorizationFailed"})) {
        const std::string_view action = between(code->message, "perform action '", "'");
        return Verdict{ErrorKind::denied, with_argument("MissingPermission", action), code};
    }
    if (const ArmCode* code = find_code(codes, {"RequestDisallowedByPolicy"})) {
        return Verdict{ErrorKind::denied,
                       with_argument("PolicyDenied", policy_assignment(error, code->message)),
                       code};
    }
    if (const ArmCode* code = find_code(codes, {"DenyAssignmentAuthorizationFailed"})) {
        std::string_view id = between(code->message, "deny assignment with name '", "'");
        if (const auto by_id = between(code->message, "and Id '", "'"); !by_id.empty()) id = by_id;
        return Verdict{ErrorKind::denied, with_argument("DenyAssignment", id), code};
    }
    if (const ArmCode* code = find_code(codes, {"ScopeLocked"})) {
        const std::string_view id = between(code->message, "are locked: '", "'");
        return Verdict{ErrorKind::denied, with_argument("Locked", id), code};
    }
    if (const ArmCode* code = find_code(codes, {"SecurityRuleConflict"})) {
        return Verdict{ErrorKind::conflict, "", code};
    }
    // Some resource is busy: one lane waits. Not quota, although it may come with a 429.
    const ArmCode* busy = find_code(
        codes, {"AnotherOperationInProgress", "RetryableErrorDueToAnotherOperation",
                "ReferencedResourceNotProvisioned", "CanceledAndSupersededDueToAnotherOperation"});
    if (busy == nullptr) busy = find_code(codes, {"RetryableError"});
    if (busy != nullptr) return Verdict{ErrorKind::conflict, "SurfaceBusy", busy};
    const auto throttled = std::ranges::find_if(
        codes, [](const ArmCode& code) { return code.code.ends_with("Throttled"); });
    if (throttled != codes.end()) return Verdict{ErrorKind::throttled, "Throttled", &*throttled};
    if (const ArmCode* code =
            find_code(codes, {"ResourceNotFound", "ResourceGroupNotFound", "ParentResourceNotFound",
                              "NotFound", "SubscriptionNotFound"})) {
        return Verdict{ErrorKind::not_found, "", code};
    }
    if (const ArmCode* code = find_code(codes, {"PreconditionFailed"})) {
        return Verdict{ErrorKind::conflict, "", code};
    }
    return std::nullopt;
}

Verdict verdict_of_status(int status) {
    if (status == 401 || status == 403) return {ErrorKind::denied};
    if (status == 404) return {ErrorKind::not_found};
    if (status == 409 || status == 412) return {ErrorKind::conflict};
    if (status == 429) return {ErrorKind::throttled, "Throttled"};
    if (status == 408 || status < 400 || status >= 500) return {ErrorKind::unavailable};
    return {ErrorKind::invalid};
}

std::string short_text(std::string_view text) {
    std::string out;
    for (const char c : text.substr(0, arm_message_max)) {
        const auto byte = static_cast<unsigned char>(c);
        out += byte < 0x20 || byte == 0x7F ? ' ' : c;
    }
    // Not to end inside a character, which JSON could not carry.
    while (text.size() > arm_message_max && !out.empty() &&
           (static_cast<unsigned char>(out.back()) & 0x80U) != 0) {
        out.pop_back();
    }
    return out;
}

std::string message_of(const ErrorAnswer& answer, const std::vector<ArmCode>& codes,
                       const ArmCode* decided) {
    const auto said = [](const ArmCode& code) {
        if (code.code.empty()) return code.message;
        return code.message.empty() ? code.code : code.code + ": " + code.message;
    };
    if (codes.empty() && answer.status == 0) return "the operation failed without saying why";
    if (codes.empty()) return fmt::format("answered {} without a reason", answer.status);
    std::string text = said(codes.front());
    const ArmCode* detail = decided != nullptr ? decided : codes.size() > 1 ? &codes[1] : nullptr;
    if (detail != nullptr && detail != &codes.front() && detail->message != codes.front().message) {
        text += " (" + said(*detail) + ")";
    }
    return short_text(text);
}

json error_object(std::string_view body) {
    auto parsed = parse_json(body);
    if (!parsed || !parsed->is_object()) return nullptr;
    if (const auto error = parsed->find("error"); error != parsed->end() && error->is_object())
        return *error;
    // `{"Message": "…"}` of some providers, and bodies that are the error itself.
    if (const auto message = parsed->find("Message"); message != parsed->end())
        return {{"message", *message}};
    return *parsed;
}

Error classified(const ErrorAnswer& answer, const json& body_error) {
    std::vector<ArmCode> codes;
    collect_codes(body_error, 0, codes);
    Verdict verdict;
    // A 5xx may have worked, whatever its body says.
    const auto by_codes = answer.status >= 500 ? std::nullopt : verdict_of_codes(codes, body_error);
    if (by_codes) {
        verdict = *by_codes;
    } else if (answer.status == 0) {
        verdict = {ErrorKind::unavailable, "SurfaceFailed"};
    } else {
        verdict = verdict_of_status(answer.status);
    }
    Error error;
    error.kind = verdict.kind;
    error.reason = verdict.reason;
    error.message = message_of(answer, codes, verdict.from);
    error.status = answer.status;
    error.correlation_id = std::string(answer.correlation_id);
    error.retry_after = parse_retry_after(answer.retry_after, answer.now);
    if (error.kind == ErrorKind::throttled && !error.retry_after)
        error.retry_after = throttled_default;
    if (verdict.from != nullptr) {
        error.code = verdict.from->code;
    } else if (!codes.empty()) {
        error.code = codes.front().code;
    }
    return error;
}

/// A number, or a text that is one.
std::optional<std::int64_t> read_loose_number(const Field& field) {
    if (!field) return std::nullopt;
    if (field.raw()->is_number()) return field.integer(0, 1'000'000'000);
    const std::string text = read_loose_text(field);
    std::int64_t value = 0;
    const auto [at, failure] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (text.empty() || failure != std::errc() || at != text.data() + text.size())
        return std::nullopt;
    return value;
}

}  // namespace

Error decode_error(const ErrorAnswer& answer) {
    return classified(answer, error_object(answer.body));
}

Result<ArmOperation> decode_operation(std::string_view body, std::string_view correlation_id) {
    auto document = parse_json(body);
    if (!document || !document->is_object()) {
        return unavailable("operation status: the answer is not a JSON object");
    }
    Problems ignored;
    const std::string status = read_loose_text(Field(*document, ignored)["status"]);
    if (status.empty()) return unavailable("operation status: the answer has no status");
    ArmOperation operation;
    if (equals_ignoring_case(status, "Succeeded")) operation.status = ArmOperationStatus::succeeded;
    if (equals_ignoring_case(status, "Failed")) operation.status = ArmOperationStatus::failed;
    if (equals_ignoring_case(status, "Canceled")) operation.status = ArmOperationStatus::canceled;
    const bool ended_badly = operation.status == ArmOperationStatus::failed ||
                             operation.status == ArmOperationStatus::canceled;
    if (ended_badly) {
        const auto error = document->find("error");
        operation.error = classified({.status = 0, .correlation_id = correlation_id},
                                     error == document->end() ? json() : *error);
    }
    return operation;
}

std::optional<seconds> parse_retry_after(std::string_view header, Timestamp now) {
    const std::string_view text = trimmed(header);
    if (text.empty()) return std::nullopt;
    long long value = 0;
    const auto [at, failure] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (at == text.data() + text.size() && failure == std::errc()) {
        if (value < 0) return std::nullopt;
        return std::min(seconds(value), retry_after_max);
    }
    if (failure == std::errc::result_out_of_range) return retry_after_max;
    const auto date = parse_http_date(text);
    if (!date) return std::nullopt;
    return std::clamp(*date - now, seconds(0), retry_after_max);
}

Result<TokenAnswer> decode_token(std::string_view body) {
    // Never `decode_body`: its messages show values, and the value here is a token.
    const auto document = parse_json(body);
    if (!document || !document->is_object())
        return unavailable("sign-in: the answer is not a JSON object");
    Problems ignored;
    const Field root(*document, ignored);
    TokenAnswer answer{.token = Secret(read_loose_text(root["access_token"]))};
    if (answer.token.empty()) return unavailable("sign-in: the answer has no access token");
    const auto expires_in = read_loose_number(root["expires_in"]);
    if (!expires_in || *expires_in <= 0)
        return unavailable("sign-in: the answer does not say when the token ends");
    answer.expires_in = seconds(*expires_in);
    return answer;
}

Error decode_token_error(const ErrorAnswer& answer) {
    Error error;
    error.kind = verdict_of_status(answer.status).kind;
    // 400 here says that the credential is wrong, not that the object is.
    if (error.kind == ErrorKind::invalid || error.kind == ErrorKind::not_found)
        error.kind = ErrorKind::denied;
    error.status = answer.status;
    error.retry_after = parse_retry_after(answer.retry_after, answer.now);
    if (error.kind == ErrorKind::throttled) {
        error.reason = "Throttled";
        if (!error.retry_after) error.retry_after = throttled_default;
    }
    error.message = fmt::format("sign-in: answered {} without a reason", answer.status);
    const auto document = parse_json(answer.body);
    if (!document || !document->is_object()) return error;
    Problems ignored;
    const Field root(*document, ignored);
    error.correlation_id = read_loose_text(root["correlation_id"]);
    error.code = read_loose_text(root["error"]);
    const std::string description = read_loose_text(root["error_description"]);
    // "AADSTS7000215: Invalid client secret provided. … Trace ID: …": people need the first.
    std::string_view said = std::string_view(description).substr(0, description.find("Trace ID:"));
    said = trimmed(said.substr(0, said.find_first_of("\r\n")));
    if (said.starts_with("AADSTS")) error.code = std::string(said.substr(0, said.find(':')));
    if (!said.empty() || !error.code.empty()) {
        error.message = short_text(fmt::format("sign-in: {}", said.empty() ? error.code : said));
    }
    return error;
}

}  // namespace sallyport::codec
