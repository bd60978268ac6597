#include "fuzz/targets.hpp"

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "apiserver/memory_store.hpp"
#include "apiserver/server.hpp"
#include "azure/endpoint.hpp"
#include "base/text.hpp"
#include "base/time.hpp"
#include "codec/arm.hpp"
#include "codec/item_splitter.hpp"
#include "codec/json_read.hpp"
#include "codec/kinds.hpp"
#include "codec/yaml.hpp"
#include "kube/client.hpp"
#include "kube/lines.hpp"
#include "model/address.hpp"
#include "model/arm_id.hpp"
#include "model/mark.hpp"
#include "model/port.hpp"
#include "support/simulated_time.hpp"

namespace sallyport::fuzz {
namespace {

using nlohmann::json;

void must(bool holds, const char* what) {
    if (holds) return;
    std::fprintf(stderr, "broken promise: %s\n", what);
    std::abort();
}

/// The first byte chooses, the rest is for it.
unsigned take_choice(std::string_view& bytes) {
    if (bytes.empty()) return 0;
    const auto choice = static_cast<unsigned char>(bytes.front());
    bytes.remove_prefix(1);
    return choice;
}

void decode_kind(const json& object) {
    if (const auto account = codec::decode_account(object)) must(!account->meta.uid.empty(), "uid");
    if (const auto policy = codec::decode_policy(object)) must(!policy->meta.uid.empty(), "uid");
    if (const auto grant = codec::decode_grant(object)) must(!grant->meta.uid.empty(), "uid");
    if (const auto record = codec::decode_record(object)) {
        // What was read can be written and is read again as the same.
        const auto again = codec::decode_record(codec::encode_record(*record));
        must(again && *again == *record, "a record is read as it was written");
    }
    if (const auto ledger = codec::decode_ledger(object)) {
        const auto again = codec::decode_ledger(codec::encode_ledger(*ledger));
        must(again && *again == *ledger, "a ledger is read as it was written");
    }
}

/// The lines of a watch, in pieces; each line an event with an object.
void watch_lines(std::string_view bytes) {
    const std::size_t piece = take_choice(bytes) % 64 + 1;
    kube::LineSplitter splitter;
    std::vector<std::string> lines;
    for (std::size_t at = 0; at < bytes.size(); at += piece) {
        if (!splitter.feed(bytes.substr(at, piece), lines)) return;
    }
    std::vector<std::string> whole;
    kube::LineSplitter at_once;
    must(at_once.feed(bytes, whole).has_value() && whole == lines, "pieces make no difference");
    for (const std::string& line : lines) {
        must(!line.empty() && line.find('\n') == line.npos, "a line is a line");
        const Result<json> event = codec::parse_json(line);
        if (event && event->is_object() && event->contains("object"))
            decode_kind((*event)["object"]);
    }
}

/// A list, cut into its items as it arrives, beside the whole of it parsed.
void list_items(std::string_view bytes) {
    const std::size_t piece = take_choice(bytes) % 64 + 1;
    std::vector<std::string> items;
    codec::ItemSplitter splitter("items", [&](std::string_view item) { items.emplace_back(item); });
    for (std::size_t at = 0; at < bytes.size(); at += piece) {
        if (!splitter.feed(bytes.substr(at, piece))) return;
    }
    for (const std::string& item : items) {
        if (const Result<json> object = codec::parse_json(item)) decode_kind(*object);
    }
    const Result<json> whole = codec::parse_json(bytes);
    if (!whole || !whole->is_object()) return;
    must(splitter.complete(), "a document that parses is complete");
    const auto list = whole->find("items");
    if (list == whole->end() || !list->is_array()) return;
    std::size_t objects = 0;
    for (const json& item : *list) objects += item.is_object() ? 1 : 0;
    if (objects == list->size()) must(items.size() == objects, "every item is handed out");
}

void arm_answers(std::string_view bytes) {
    switch (take_choice(bytes) % 10) {
        case 0: (void)codec::decode_nsgs(bytes); break;
        case 1: (void)codec::decode_nics(bytes); break;
        case 2: (void)codec::decode_networks(bytes); break;
        case 3: (void)codec::decode_machines(bytes); break;
        case 4: (void)codec::decode_permissions(bytes); break;
        case 5: (void)codec::decode_locks(bytes); break;
        case 6: (void)codec::decode_deny_assignments(bytes); break;
        case 7: (void)codec::decode_service_tags(bytes); break;
        case 8: {
            const auto operation = codec::decode_operation(bytes, "c");
            if (!operation) break;
            const bool bad = operation->status == codec::ArmOperationStatus::failed ||
                             operation->status == codec::ArmOperationStatus::canceled;
            must(bad || !operation->error, "only what ended badly has an error");
            break;
        }
        default: {
            (void)codec::decode_nsg(bytes);
            const auto rule = codec::decode_rule(bytes);
            if (rule) must(difference(*rule, *rule).empty(), "a rule does not differ from itself");
        }
    }
}

void arm_errors(std::string_view bytes) {
    constexpr int statuses[] = {0, 400, 401, 403, 404, 405, 409, 412, 413, 423, 429, 500, 503, 504};
    const int status = statuses[take_choice(bytes) % std::size(statuses)];
    const std::size_t cut = bytes.find('\n');
    const std::string_view header = cut == bytes.npos ? std::string_view() : bytes.substr(0, cut);
    const std::string_view body = cut == bytes.npos ? bytes : bytes.substr(cut + 1);
    const Timestamp now = *parse_rfc3339("2026-11-21T09:00:00Z");
    const Error error =
        codec::decode_error({.status = status, .body = body, .retry_after = header, .now = now});
    must(!error.message.empty(), "an error says something");
    must(error.kind != ErrorKind::throttled || !error.retry_after ||
             *error.retry_after >= seconds(0),
         "nobody waits for less than nothing");
    const Error entra = codec::decode_token_error({.status = status, .body = body});
    must(!entra.message.empty(), "an error says something");
    (void)codec::decode_token(body);
    if (const auto wait = codec::parse_retry_after(header, now))
        must(*wait >= seconds(0) && *wait <= std::chrono::hours(1), "at most an hour");
}

/// Where an operation is to be asked about: our token must not go anywhere else.
void operation_urls(std::string_view bytes) {
    const auto url = azure::parse_url(bytes);
    if (!url) return;
    must(url->origin.starts_with("https://") || url->origin.starts_with("http://"), "a scheme");
    must(url->origin.find_first_of("@\\ \t\r\n", 8) == std::string::npos, "no user, no blanks");
    must(url->target.starts_with('/'), "a target is a path");
    must(url->target.find_first_of(" \t\r\n") == std::string::npos, "one line of a request");
    must(
        std::string(bytes).starts_with(url->origin) || lower(bytes).starts_with(lower(url->origin)),
        "the origin is the one that stands there");
}

void marks(std::string_view bytes) {
    if (const auto mark = Mark::parse(bytes))
        must(mark->text() == bytes, "a mark is what text() writes");
    if (const auto name = RuleName::parse(bytes))
        must(equals_ignoring_case(name->text(), bytes), "a name is what text() writes");
    if (const auto owner = Owner::parse(bytes))
        must(owner->text() == bytes, "an owner is its text");
}

void networks(std::string_view bytes) {
    for (const Cidr::HostBits bits : {Cidr::HostBits::refuse, Cidr::HostBits::mask}) {
        const auto cidr = Cidr::parse(bytes, bits);
        if (!cidr) continue;
        const auto again = Cidr::parse(cidr->text());
        must(again && *again == *cidr, "a range is read as it is written");
        must(cidr->contains(*cidr), "a range contains itself");
    }
    if (const auto address = Address::parse(bytes)) {
        const auto again = Address::parse(address->text());
        must(again && *again == *address, "an address is read as it is written");
    }
    if (const auto range = PortRange::parse(bytes)) {
        must(range->first() <= range->last(), "a range of ports goes up");
    }
    if (const auto id = ArmId::parse(bytes)) {
        const auto again = ArmId::parse(id->text());
        must(again && *again == *id, "an id is read as it is written");
    }
    (void)parse_protocol(bytes);
}

void times(std::string_view bytes) {
    if (const auto time = parse_rfc3339(bytes)) {
        const auto again = parse_rfc3339(format_rfc3339(*time));
        must(again && *again == *time, "a time is read as it is written");
    }
    if (const auto span = parse_duration(bytes)) {
        must(*span >= seconds(0), "a duration does not go back");
        const auto again = parse_duration(format_duration(*span));
        must(again && *again == *span, "a duration is read as it is written");
    }
    if (const auto date = parse_http_date(bytes)) {
        const auto again = parse_http_date(format_http_date(*date));
        must(again && *again == *date, "a date is read as it is written");
    }
}

void yaml(std::string_view bytes) {
    const auto documents =
        codec::parse_yaml_documents(bytes, {.bytes = 64U << 10U, .nodes = 10'000, .depth = 50});
    if (!documents) {
        must(!documents.error().message.empty(), "a refusal says why");
        return;
    }
    for (const json& document : *documents) {
        decode_kind(document);
        const std::string text = document.dump(-1, ' ', false, json::error_handler_t::replace);
        const auto again = codec::parse_json(text);
        must(again.has_value(), "what it gives is JSON");
    }
}

/// One control plane for all inputs: what one leaves there, the next may find.
class ControlPlane {
public:
    ControlPlane() {
        auto made = apiserver::ApiServer::create(
            {.tokens = "t,admin,admin,\"sallyport:admins\"\n",
             .random_bytes =
                 [this](std::size_t n) {
                     std::string bytes;
                     for (std::size_t i = 0; i < n; ++i)
                         bytes.push_back(
                             static_cast<char>((state_ = state_ * 1103515245 + 12345) >> 16U));
                     return bytes;
                 }},
            store_, now_);
        must(made.has_value(), "a control plane starts");
        api_ = *std::move(made);
    }
    http::Reply ask(const http::Request& request) { return api_->handle(request, now_); }

private:
    unsigned state_ = 1;
    Timestamp now_ = *parse_rfc3339("2026-11-21T09:00:00Z");
    apiserver::MemoryStore store_;
    std::unique_ptr<apiserver::ApiServer> api_;
};

/// `METHOD target`, a line with the content type, and the body, with and without a token.
void requests(std::string_view bytes) {
    static ControlPlane plane;
    const bool known = take_choice(bytes) % 8 != 0;
    const std::size_t first = bytes.find('\n');
    if (first == bytes.npos) return;
    const std::string_view line = bytes.substr(0, first);
    const std::string_view rest = bytes.substr(first + 1);
    const std::size_t second = rest.find('\n');
    const std::size_t blank = line.find(' ');
    if (second == rest.npos || blank == line.npos) return;
    http::Request request{.method = std::string(line.substr(0, blank)),
                          .origin = "https://plane.test",
                          .target = std::string(line.substr(blank + 1)),
                          .body = std::string(rest.substr(second + 1))};
    request.headers.set("Content-Type", std::string(rest.substr(0, second)));
    if (known) request.headers.set("Authorization", "Bearer t");
    const http::Reply reply = plane.ask(request);
    const int status = reply.response.status;
    must(status >= 200 && status < 500, "a request that is wrong is its sender's fault");
    if (status >= 300 && !reply.stream) {
        const Error error = kube::error_of(reply.response, reply.response.body);
        must(!error.code.empty(), "a refusal is a Status with a reason");
    }
    must(known || status == 401 || status == 403 || status < 300,
         "without a token, nothing but /healthz");
}

constexpr Target all[] = {
    {"watch_lines", watch_lines},
    {"list_items", list_items},
    {"arm_answers", arm_answers},
    {"arm_errors", arm_errors},
    {"operation_urls", operation_urls},
    {"marks", marks},
    {"networks", networks},
    {"times", times},
    {"yaml", yaml},
    {"requests", requests},
};

}  // namespace

std::span<const Target> targets() { return all; }

}  // namespace sallyport::fuzz
