#include <doctest/doctest.h>

#include "codec/arm.hpp"
#include "support/printers.hpp"

using namespace sallyport;
using namespace sallyport::codec;

namespace {
const Timestamp now = *parse_rfc3339("2026-11-21T09:00:00Z");

std::string body(std::string_view code, std::string_view message, std::string_view more = "") {
    return fmt::format(R"({{"error":{{"code":"{}","message":"{}"{}}}}})", code, message, more);
}

struct Row {
    int status;
    std::string body;
    const char* retry_after;
    ErrorKind kind;
    const char* reason;
    const char* code;
};
const Row answers[] = {
    {403,
     body("AuthorizationFailed",
          "The client 'c' with object id 'o' does not have authorization to perform action "
          "'Microsoft.Network/networkSecurityGroups/securityRules/write' over scope "
          "'/subscriptions/s' or the "
          "scope is invalid."),
     "", ErrorKind::denied,
     "MissingPermission(Microsoft.Network/networkSecurityGroups/securityRules/write)",
     "AuthorizationFailed"},
    {403, body("LinkedAuthorizationFailed", "no join"), "", ErrorKind::denied, "MissingPermission",
     "LinkedAuthorizationFailed"},
    {403,
     body("RequestDisallowedByPolicy", "Resource 'rule1' was disallowed by policy.",
          R"(,"additionalInfo":[{"type":"PolicyViolation","info":{"policyAssignmentId":"/a/1"}}])"),
     "", ErrorKind::denied, "PolicyDenied(/a/1)", "RequestDisallowedByPolicy"},
    {403,
     body("RequestDisallowedByPolicy",
          R"(Policy identifiers: '[{\"policyAssignment\":{\"name\":\"n\",\"id\":\"/a/2\"},)"
          R"(\"policyDefinition\":{}}]'.)"),
     "", ErrorKind::denied, "PolicyDenied(/a/2)", "RequestDisallowedByPolicy"},
    {403,
     body("DenyAssignmentAuthorizationFailed",
          "blocked by a deny assignment with name 'd' and Id 'i9'."),
     "", ErrorKind::denied, "DenyAssignment(i9)", "DenyAssignmentAuthorizationFailed"},
    {409,
     body("ScopeLocked",
          "The scope '/x' cannot perform delete operation because following scope(s) are "
          "locked: '/subscriptions/s/l'. "
          "Please remove the lock and try again."),
     "", ErrorKind::denied, "Locked(/subscriptions/s/l)", "ScopeLocked"},
    {400, body("SecurityRuleConflict", "Security rule a conflicts with rule b."), "",
     ErrorKind::conflict, "", "SecurityRuleConflict"},
    {400, body("SecurityRuleInvalidPortRange", "Security rule has invalid Port range."), "",
     ErrorKind::invalid, "", "SecurityRuleInvalidPortRange"},
    {401, body("ExpiredAuthenticationToken", "expired"), "", ErrorKind::denied, "",
     "ExpiredAuthenticationToken"},
    {404, body("ResourceNotFound", "not found"), "", ErrorKind::not_found, "", "ResourceNotFound"},
    {409, body("AnotherOperationInProgress", "Another operation"), "", ErrorKind::conflict,
     "SurfaceBusy", "AnotherOperationInProgress"},
    {409, body("Conflict", "busy"), "", ErrorKind::conflict, "", "Conflict"},
    {412,
     body("PreconditionFailed", "Precondition failed.",
          R"(,"details":[{"code":"PreconditionFailedEtagMismatch","message":"Etag"}])"),
     "", ErrorKind::conflict, "", "PreconditionFailed"},
    {429,
     body("RetryableError", "A retryable error occurred.",
          R"(,"details":[{"code":"ReferencedResourceNotProvisioned","message":"Cannot proceed"}])"),
     "", ErrorKind::conflict, "SurfaceBusy", "ReferencedResourceNotProvisioned"},
    {429, body("RetryableErrorDueToAnotherOperation", "locked"), "", ErrorKind::conflict,
     "SurfaceBusy", "RetryableErrorDueToAnotherOperation"},
    {429, body("SubscriptionRequestsThrottled", "Number of 'read' requests exceeded."), "10",
     ErrorKind::throttled, "Throttled", "SubscriptionRequestsThrottled"},
    {429, body("TooManyRequests", "slow down"), "17", ErrorKind::throttled, "Throttled",
     "TooManyRequests"},
    {429, "", "", ErrorKind::throttled, "Throttled", ""},
    {500, body("InternalServerError", "oops"), "", ErrorKind::unavailable, "",
     "InternalServerError"},
    {503, body("RetryableError", "may have worked"), "5", ErrorKind::unavailable, "",
     "RetryableError"},
    {502, "<html>Bad Gateway</html>", "", ErrorKind::unavailable, "", ""},
    {405, R"({"Message":"The requested resource does not support http method 'GET'."})", "",
     ErrorKind::invalid, "", ""},
    {400, R"({"code":"InvalidRequestContent","message":"bare"})", "", ErrorKind::invalid, "",
     "InvalidRequestContent"},
    {403, "not json", "", ErrorKind::denied, "", ""},
    {307, "", "", ErrorKind::unavailable, "", ""},
};

}  // namespace

TEST_CASE("an answer's kind says what happens next, and its reason what to tell people") {
    for (const Row& row : answers) {
        CAPTURE(row.status);
        CAPTURE(row.body);
        const Error error = decode_error({.status = row.status,
                                          .body = row.body,
                                          .retry_after = row.retry_after,
                                          .correlation_id = "c0ffee",
                                          .now = now});
        CHECK(to_text(error.kind) == to_text(row.kind));
        CHECK(error.reason == row.reason);
        CHECK(error.code == row.code);
        CHECK(error.status == row.status);
        CHECK(error.correlation_id == "c0ffee");
        CHECK_FALSE(error.message.empty());
        CHECK((error.kind != ErrorKind::throttled || error.retry_after.has_value()));
    }
}

TEST_CASE("the telling detail is part of the message, and a message is short and plain") {
    const Error error =
        decode_error({.status = 429,
                      .body = body("RetryableError", "A retryable error occurred.",
                                   R"(,"details":[{"code":"ReferencedResourceNotProvisioned",)"
                                   R"("message":"Cannot proceed"}])")});
    CHECK(error.message ==
          "RetryableError: A retryable error occurred. (ReferencedResourceNotProvisioned: Cannot "
          "proceed)");

    const std::string endless = body("X", std::string(5000, 'x') + R"(\n)");
    CHECK(decode_error({.status = 400, .body = endless}).message.size() <= 1024);
    CHECK(decode_error({.status = 400, .body = body("X", R"(a\nb)")}).message == "X: a b");
}

TEST_CASE("Retry-After is seconds or a date, never negative, at most an hour") {
    struct Row {
        const char* header;
        std::optional<seconds> expected;
    };
    for (const Row& row : {Row{"10", seconds(10)}, Row{" 10 ", seconds(10)}, Row{"0", seconds(0)},
                           Row{"Sat, 21 Nov 2026 09:00:30 GMT", seconds(30)},
                           Row{"Sat, 21 Nov 2026 08:00:00 GMT", seconds(0)},
                           Row{"86400", seconds(3600)}, Row{"99999999999999999999", seconds(3600)},
                           Row{"-1", {}}, Row{"soon", {}}, Row{"", {}}, Row{"1.5", {}}}) {
        CAPTURE(std::string(row.header));
        CHECK((parse_retry_after(row.header, now) == row.expected));
    }
}

TEST_CASE(
    "an operation is running until it says otherwise, and its error is classified like an answer") {
    CHECK(decode_operation(R"({"status":"InProgress"})")->status == ArmOperationStatus::running);
    CHECK(decode_operation(R"({"status":"Updating"})")->status == ArmOperationStatus::running);
    CHECK(decode_operation(R"({"status":"succeeded"})")->status == ArmOperationStatus::succeeded);
    CHECK_FALSE(decode_operation("{}"));
    CHECK_FALSE(decode_operation(""));
    CHECK_FALSE(decode_operation("[]"));

    const auto failed = decode_operation(
        R"({"status":"Failed","error":{"code":"SecurityRuleConflict","message":"conflicts",
            "details":[]}})",
        "c1");
    REQUIRE(failed);
    CHECK(failed->status == ArmOperationStatus::failed);
    CHECK(failed->error->kind == ErrorKind::conflict);
    CHECK(failed->error->code == "SecurityRuleConflict");
    CHECK(failed->error->correlation_id == "c1");

    const auto superseded = decode_operation(
        R"({"status":"Canceled","error":{"code":"Canceled","message":"Operation was canceled.",
            "details":[{"code":"CanceledAndSupersededDueToAnotherOperation",
                        "message":"superseded"}]}})");
    REQUIRE(superseded);
    CHECK(superseded->status == ArmOperationStatus::canceled);
    CHECK(superseded->error->reason == "SurfaceBusy");

    const auto silent = decode_operation(R"({"status":"Failed"})");
    REQUIRE(silent);
    CHECK(silent->error->reason == "SurfaceFailed");
    CHECK(silent->error->message == "the operation failed without saying why");
}

TEST_CASE("a token's life may be a number or a text, and no message shows a token") {
    for (const char* text : {R"({"access_token":"t","expires_in":3599})",
                             R"({"access_token":"t","expires_in":"3599"})"}) {
        const auto answer = decode_token(text);
        REQUIRE(answer);
        CHECK(answer->token.reveal() == "t");
        CHECK(answer->expires_in == seconds(3599));
    }
    for (const char* text :
         {"", "{}", R"({"expires_in":1})", R"({"access_token":"secret!","expires_in":"soon"})",
          R"({"access_token":"secret!"})", R"({"access_token":"secret!","expires_in":-1})",
          R"({"access_token":{"x":"secret!"},"expires_in":3599})", R"(["secret!"])"}) {
        const auto answer = decode_token(text);
        REQUIRE_FALSE(answer);
        CHECK(answer.error().message.find("secret!") == std::string::npos);
    }
}

TEST_CASE("a refused sign-in names Entra's code") {
    const Error bad_secret = decode_token_error({.status = 401,
                                                 .body =
                                                     R"({"error":"invalid_client",
                 "error_description":"AADSTS7000215: Invalid client secret provided. Trace ID: x\r\n",
                     "correlation_id":"c9"})"});
    CHECK(bad_secret.kind == ErrorKind::denied);
    CHECK(bad_secret.code == "AADSTS7000215");
    CHECK(bad_secret.message == "sign-in: AADSTS7000215: Invalid client secret provided.");
    CHECK(bad_secret.correlation_id == "c9");
    CHECK(decode_token_error({.status = 400, .body = R"({"error":"unauthorized_client"})"}).kind ==
          ErrorKind::denied);
    CHECK(decode_token_error({.status = 400, .body = R"({"error":"unauthorized_client"})"}).code ==
          "unauthorized_client");
    CHECK(decode_token_error({.status = 429, .retry_after = "3"}).retry_after == seconds(3));
    CHECK(decode_token_error({.status = 503, .body = "<html>"}).kind == ErrorKind::unavailable);
}
