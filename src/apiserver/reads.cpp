#include "apiserver/reads.hpp"

#include <fmt/format.h>

#include <charconv>

#include "apiserver/table.hpp"
#include "apiserver/watch.hpp"
#include "base/text.hpp"

namespace sallyport::apiserver {

namespace {

std::optional<std::uint64_t> number(std::string_view text) {
    std::uint64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
    return value;
}

bool is_true(const std::optional<std::string>& value) {
    return value && (*value == "true" || *value == "1" || *value == "True");
}

struct Selectors {
    LabelSelector labels;
    FieldSelector fields;
    bool empty() const { return labels.empty() && fields.empty(); }
    bool match(const Entry& entry) const {
        return labels.matches(entry.labels) && fields.matches(entry.selectable());
    }
};

Outcome<Selectors> selectors_of(const ReadRequest& request) {
    Outcome<LabelSelector> labels =
        LabelSelector::parse(request.target.query("labelSelector").value_or(""));
    if (!labels) return labels.failure();
    Outcome<FieldSelector> fields =
        FieldSelector::parse(request.target.query("fieldSelector").value_or(""), request.type);
    if (!fields) return fields.failure();
    return Selectors{std::move(*labels), std::move(*fields)};
}

/// Where a paged list goes on: `v1:<version of its first page>:<namespace>/<name>`, percent-encoded
/// so that it needs no care in a URL.
struct Continuation {
    std::uint64_t version = 0;
    std::pair<std::string, std::string> after = {};
};

std::string token_of(const Continuation& place) {
    return percent_encoded(
        fmt::format("v1:{}:{}/{}", place.version, place.after.first, place.after.second));
}

Outcome<Continuation> continuation_of(const ReadRequest& request) {
    const std::string token = percent_decoded(request.target.query("continue").value_or(""));
    if (token.empty()) return Continuation{};
    const auto parts = split(token, ':');
    const auto version = parts.size() == 3 ? number(parts[1]) : std::nullopt;
    const std::size_t slash = parts.size() == 3 ? parts[2].find('/') : std::string_view::npos;
    if (!version || parts[0] != "v1" || slash == std::string_view::npos)
        return bad_request("continue key is not valid: it was not made by this server");
    return Continuation{
        *version,
        {std::string(parts[2].substr(0, slash)), std::string(parts[2].substr(slash + 1))}};
}

std::string list_body(const ResourceType& type, const Cache::Listing& listing,
                      const TableOptions& page) {
    std::size_t size = 256;
    for (const EntryPtr& entry : listing.entries) size += entry->text->size() + 1;
    std::string body;
    body.reserve(size);
    body += fmt::format("{{\"apiVersion\":\"{}\",\"items\":[", type.api_version());
    bool is_first = true;
    for (const EntryPtr& entry : listing.entries) {
        if (!is_first) body += ',';
        is_first = false;
        body += *entry->text;
    }
    body += fmt::format("],\"kind\":\"{}\",\"metadata\":{{", type.list_kind);
    if (!page.continue_token.empty())
        body += fmt::format("\"continue\":{},", in_quotes(page.continue_token));
    if (page.remaining) body += fmt::format("\"remainingItemCount\":{},", *page.remaining);
    body += fmt::format("\"resourceVersion\":\"{}\"}}}}\n", page.version);
    return body;
}

}  // namespace

http::Reply json_reply(std::string body) {
    http::Reply reply;
    reply.response.headers.set("Content-Type", "application/json");
    reply.response.body = std::move(body);
    return reply;
}

Form accepted_form(std::string_view accept) {
    if (trimmed(accept).empty()) return Form::json;
    for (const std::string_view item : split(accept, ',')) {
        const auto parts = split(item, ';');
        const std::string_view type = trimmed(parts.front());
        std::string_view as;
        for (const std::string_view part : parts) {
            if (trimmed(part).starts_with("as=")) as = trimmed(part).substr(3);
        }
        const bool is_json = type == "application/json" || type == "*/*" || type == "application/*";
        if (is_json && as == "Table") return Form::table;
        if (is_json && as.empty()) return Form::json;
    }
    return Form::none;
}

Outcome<http::Reply> get(const Cache& cache, const ReadRequest& request) {
    const EntryPtr entry = cache.find(request.type, request.ns, request.name);
    if (!entry) return not_found(request.type.name, request.name);
    if (request.form == Form::table) {
        Outcome<RowObject> object =
            row_object_of(request.target.query("includeObject").value_or(""));
        if (!object) return object.failure();
        TableOptions options;
        options.object = *object;
        options.version = entry->version;
        return json_reply(table_of(request.type, {&entry, 1}, request.now, options));
    }
    return json_reply(*entry->text + "\n");
}

Outcome<http::Reply> list(const Cache& cache, const ReadRequest& request) {
    Outcome<Selectors> selectors = selectors_of(request);
    if (!selectors) return selectors.failure();
    Outcome<Continuation> from = continuation_of(request);
    if (!from) return from.failure();
    Outcome<RowObject> object = row_object_of(request.target.query("includeObject").value_or(""));
    if (!object) return object.failure();
    const auto limit = number(request.target.query("limit").value_or("0"));
    if (!limit) return bad_request("limit is not a number");

    const Cache::Listing listing =
        cache.list({&request.type, request.ns, from->after}, *limit,
                   [&](const Entry& entry) { return selectors->match(entry); });
    TableOptions page;
    page.object = *object;
    // A page that goes on carries the version of the first one: a watch from there sees whatever
    // changed while the pages were read.
    page.version = from->version > 0 ? from->version : listing.version;
    if (listing.remaining > 0 && !listing.entries.empty()) {
        const Entry& last = *listing.entries.back();
        page.continue_token = token_of({page.version, {last.ns, last.name}});
        if (selectors->empty()) page.remaining = listing.remaining;
    }
    if (request.form == Form::table)
        return json_reply(table_of(request.type, listing.entries, request.now, page));
    return json_reply(list_body(request.type, listing, page));
}

Outcome<http::Reply> watch_list(const std::shared_ptr<Cache>& cache, const ReadRequest& request) {
    Outcome<Selectors> selectors = selectors_of(request);
    if (!selectors) return selectors.failure();
    Outcome<RowObject> object = row_object_of(request.target.query("includeObject").value_or(""));
    if (!object) return object.failure();
    WatchOptions options;
    options.row_object = *object;
    options.type = &request.type;
    options.ns = request.ns;
    options.labels = std::move(selectors->labels);
    options.fields = std::move(selectors->fields);
    options.as_table = request.form == Form::table;
    options.with_bookmarks = is_true(request.target.query("allowWatchBookmarks"));

    const std::string from = request.target.query("resourceVersion").value_or("");
    const auto version = number(from.empty() ? "0" : from);
    if (!version)
        return bad_request(
            fmt::format("Invalid value: {}: resourceVersion is not valid", in_quotes(from)));
    const bool wants_initial = is_true(request.target.query("sendInitialEvents"));
    if (wants_initial &&
        request.target.query("resourceVersionMatch").value_or("") != "NotOlderThan")
        return invalid_object(
            {"meta.k8s.io", "ListOptions"}, "",
            {{"FieldValueForbidden",
              "Forbidden: sendInitialEvents requires setting resourceVersionMatch "
              "to NotOlderThan",
              "resourceVersionMatch"}});
    options.with_initial = wants_initial || *version == 0;
    options.marks_initial_end = wants_initial && options.with_bookmarks;
    options.version = *version;
    if (const auto timeout = number(request.target.query("timeoutSeconds").value_or(""));
        timeout && *timeout > 0 && *timeout < 24 * 3600)
        options.timeout = seconds(*timeout);
    if (!options.with_initial && *version > cache->version()) {
        // A version of the future: the server was set back to an older state. 410 makes clients
        // list.
        return expired(
            fmt::format("too large resource version: {}, current: {}", *version, cache->version()));
    }
    if (!options.with_initial && !cache->since(*version, request.type, 1))
        return expired(
            fmt::format("too old resource version: {} ({})", *version, cache->version()));
    http::Reply reply = json_reply("");
    reply.stream = watch(cache, std::move(options), request.now);
    return reply;
}

}  // namespace sallyport::apiserver
