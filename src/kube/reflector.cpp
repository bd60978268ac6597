#include "kube/reflector.hpp"

#include <algorithm>

#include <nlohmann/json.hpp>

#include "base/text.hpp"
#include "codec/item_splitter.hpp"
#include "kube/lines.hpp"
#include "kube/paths.hpp"

namespace sallyport::kube {

namespace {

using Json = nlohmann::json;

constexpr int nonsense_max = 3;  ///< watches in a row that could not be made sense of

/// What one answer to a list tells.
struct Page {
    std::string version = {};
    std::string next = {};  ///< the token of the next page
    std::vector<Replica::ObjectPtr> objects = {};
    Result<void> read = {};
};

Result<void> read_page(Page& page, const std::string& body, const Replica::Reader& reader) {
    bool all_objects = true;
    codec::ItemSplitter splitter("items", [&](std::string_view item) {
        Json object = Json::parse(item, nullptr, false);
        all_objects = all_objects && object.is_object();
        if (all_objects) page.objects.push_back(reader(std::move(object)));
    });
    if (Result<void> fed = splitter.feed(body); !fed) return fed;
    if (!all_objects) return unavailable("an item of the list is not a JSON object");
    const Json frame = splitter.complete() ? Json::parse(splitter.rest(), nullptr, false) : Json();
    const auto metadata = frame.is_object() ? frame.find("metadata") : frame.end();
    if (!frame.is_object() || metadata == frame.end())
        return unavailable("the list is not a whole JSON object");
    page.version = text_at(*metadata, "resourceVersion");
    page.next = text_at(*metadata, "continue");
    return {};
}

bool is_expired(const Error& error) {
    return error.status == 410 || error.code == "Expired" || error.code == "Gone";
}

}  // namespace

Task<void> Reflector::run() {
    for (;;) {
        const Result<void> listed = co_await list();
        if (listed) {
            co_await follow();
        } else {
            complain("reflector.list_failed", listed.error().message);
            co_await wait(listed.error().retry_after);
        }
    }
}

Task<Result<void>> Reflector::list() {
    world_.metrics.increment("sallyport_reflector_relists_total", {to_text(replica_.kind())});
    const std::string base =
        collection_target(replica_.kind()) + "?limit=" + std::to_string(page_limit);
    std::string next;
    bool first = true;
    do {
        std::string target = base;
        if (!next.empty()) target += "&continue=" + percent_encoded(next);
        Result<std::string> body = co_await client_.get(std::move(target));
        if (!body) co_return std::move(body).error();
        heard();
        Result<std::string> token = co_await take_page(*std::move(body), first);
        if (!token) co_return std::move(token).error();
        next = *std::move(token);
        first = false;
    } while (!next.empty());
    replica_.end_list();
    co_return Result<void>();
}

Task<Result<std::string>> Reflector::take_page(std::string body, bool first) {
    const auto page = std::make_shared<Page>();
    std::function<void()> work = [page, body = std::move(body), reader = replica_.reader()] {
        page->read = read_page(*page, body, reader);
    };
    co_await world_.background.run(std::move(work));
    if (!page->read) co_return std::move(page->read).error();
    if (first && replica_.begin_list(page->version)) {
        complain("reflector.server_went_back", "the server's resourceVersion is lower than it was");
    }
    for (Replica::ObjectPtr& object : page->objects) {
        replica_.list(std::move(object));
        co_await world_.loop.yield();
    }
    co_return std::move(page->next);
}

Task<void> Reflector::follow() {
    int nonsense = 0;
    for (bool first = true;; first = false) {
        told_something_ = false;
        const SteadyTime began = world_.clock.steady_now();
        const Result<WatchEnd> end = co_await watch_once();
        if (told_something_) {
            backoff_.reset();
            nonsense = 0;
        }
        if (end ? *end == WatchEnd::expired : is_expired(end.error())) {
            // At once, unless not even the newest list could be followed: that would be a hot loop.
            if (first && !told_something_) co_await wait(std::nullopt);
            co_return;
        }
        if (!end) complain("reflector.watch_failed", end.error().message);
        const bool answered_badly = end ? *end == WatchEnd::nonsense : end.error().status != 0;
        if (answered_badly && ++nonsense >= nonsense_max) co_return;
        const bool too_short =
            !told_something_ && world_.clock.steady_now() - began < std::chrono::seconds(1);
        if (!end) {
            co_await wait(end.error().retry_after);
        } else if (answered_badly || too_short) {
            co_await wait(std::nullopt);
        }
    }
}

Task<Result<Reflector::WatchEnd>> Reflector::watch_once() {
    const double share = world_.random.fraction();
    const auto span =
        watch_shortest + std::chrono::floor<seconds>((watch_longest - watch_shortest) * share);
    std::string target = collection_target(replica_.kind());
    target += "?watch=true&allowWatchBookmarks=true&timeoutSeconds=" + std::to_string(span.count());
    target += "&resourceVersion=" + percent_encoded(replica_.followed());
    Result<std::unique_ptr<http::ByteStream>> stream =
        co_await client_.watch(std::move(target), idle_longest);
    if (!stream) co_return std::move(stream).error();
    co_return co_await read(**stream);
}

Task<Reflector::WatchEnd> Reflector::read(http::ByteStream& stream) {
    LineSplitter splitter;
    std::vector<std::string> lines;
    for (;;) {
        const Result<std::string> bytes = co_await stream.next();
        // A line that was cut off is dropped: its event comes again, we watch from the one before.
        if (!bytes) co_return WatchEnd::cut;
        if (bytes->empty()) co_return WatchEnd::clean;
        if (!splitter.feed(*bytes, lines)) co_return WatchEnd::nonsense;
        for (const std::string& line : lines) {
            if (const auto end = take_line(line)) co_return *end;
            co_await world_.loop.yield();
        }
        lines.clear();
    }
}

std::optional<Reflector::WatchEnd> Reflector::take_line(const std::string& line) {
    Json event = Json::parse(line, nullptr, false);
    const std::string type = text_at(event, "type");
    if (type.empty() || !event.contains("object") || !event["object"].is_object()) {
        complain("reflector.bad_line", "a line of the watch is not an event");
        return WatchEnd::nonsense;
    }
    Json& object = event["object"];
    if (type == "ERROR") return take_error(object);
    heard();
    if (type == "ADDED" || type == "MODIFIED") {
        replica_.put(std::move(object));
    } else if (type == "DELETED") {
        replica_.remove(object);
    } else if (type == "BOOKMARK") {
        replica_.bookmark(meta_of(object).resource_version);
    } else {
        complain("reflector.unknown_event", "the watch sent an event of type " + type);
        return std::nullopt;
    }
    told_something_ = true;
    return std::nullopt;
}

Reflector::WatchEnd Reflector::take_error(const Json& status) {
    const auto code = status.find("code");
    const bool gone = code != status.end() && code->is_number_integer() && *code == 410;
    const std::string reason = text_at(status, "reason");
    if (gone || reason == "Expired" || reason == "Gone") return WatchEnd::expired;
    complain("reflector.watch_error", text_at(status, "message"));
    return WatchEnd::nonsense;
}

Task<void> Reflector::wait(std::optional<seconds> at_least) {
    std::chrono::milliseconds delay = backoff_.next(world_.random);
    if (at_least) delay = std::max<std::chrono::milliseconds>(delay, *at_least);
    co_await world_.loop.sleep_until(world_.loop.steady_now() + delay);
}

void Reflector::heard() {
    world_.metrics.set("sallyport_reflector_last_event_timestamp_seconds",
                       {to_text(replica_.kind())},
                       static_cast<double>(world_.clock.now().time_since_epoch().count()));
}

void Reflector::complain(std::string_view event, std::string message) {
    world_.log.warn(
        event, {{"kind", std::string(to_text(replica_.kind()))}, {"message", std::move(message)}});
}

}  // namespace sallyport::kube
