#include "kube/events.hpp"

#include <algorithm>

#include <nlohmann/json.hpp>

#include "base/digest.hpp"
#include "kube/paths.hpp"

namespace sallyport::kube {

namespace {

using Json = nlohmann::json;

constexpr const char* component = "sallyport-controller";
constexpr std::size_t name_max = 253;

std::string namespace_of(const ObjectRef& about) {
    return about.key.ns.empty() ? "default" : about.key.ns;
}

std::string about_text(const Notice& notice) {
    return std::string(to_text(notice.about.kind)) + '\0' + notice.about.key.ns + '\0' +
           notice.about.key.name + '\0' + notice.uid;
}

/// At most `note_max` bytes, cut between UTF-8 characters.
std::string cut(std::string note) {
    if (note.size() <= EventWriter::note_max) return note;
    std::size_t end = EventWriter::note_max - 3;
    while (end > 0 && (static_cast<unsigned char>(note[end]) & 0xC0U) == 0x80U) --end;
    return note.substr(0, end) + "...";
}

/// A note may quote bytes that are no UTF-8.
std::string wire_text(const Json& json) {
    return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace

bool EventWriter::take_token(const std::string& about) {
    const SteadyTime now = world_.clock.steady_now();
    Bucket& bucket = buckets_.at(about, Bucket{.filled = now});
    const std::chrono::duration<double> passed = now - bucket.filled;
    bucket.filled = now;
    bucket.tokens = std::min(burst, bucket.tokens + passed / std::chrono::duration<double>(refill));
    if (bucket.tokens < 1) return false;
    bucket.tokens -= 1;
    return true;
}

Task<void> EventWriter::write(Notice notice) {
    notice.note = cut(std::move(notice.note));
    const std::string about = about_text(notice);
    if (!take_token(about)) {
        world_.metrics.increment("sallyport_events_dropped_total");
        co_return;
    }
    const std::string same = about + '\0' + notice.reason + '\0' + (notice.warning ? "w" : "n");
    const Timestamp now = world_.clock.now();
    Written before = written_.at(same, {});
    Result<void> done = not_found("no such Event yet");
    if (!before.name.empty() && now - before.last <= same_within) {
        done = co_await count_up(notice, before.name, before.count + 1);
    }
    // Gone: the server forgets Events after an hour, or somebody deleted it.
    const bool anew = !done && done.error().kind == ErrorKind::not_found;
    if (anew) {
        const std::string suffix = "." + hex(world_.random.bytes(8));
        before = {.name = notice.about.key.name.substr(0, name_max - suffix.size()) + suffix,
                  .first = now};
        done = co_await create(notice, before.name);
    }
    if (!done) {
        world_.metrics.increment("sallyport_events_dropped_total");
        world_.log.debug("event.not_written",
                         {{"reason", notice.reason}, {"message", done.error().message}});
        co_return;
    }
    before.last = now;
    ++before.count;
    written_.at(same, {}) = before;
}

Task<Result<void>> EventWriter::create(const Notice& notice, std::string name) {
    const std::string ns = namespace_of(notice.about);
    const std::string now = format_rfc3339(world_.clock.now());
    const Json event = {
        {"apiVersion", "v1"},
        {"kind", "Event"},
        {"metadata", {{"name", std::move(name)}, {"namespace", ns}}},
        {"involvedObject",
         {{"apiVersion", api_version},
          {"kind", to_text(notice.about.kind)},
          {"namespace", notice.about.key.ns},
          {"name", notice.about.key.name},
          {"uid", notice.uid}}},
        {"reason", notice.reason},
        {"message", notice.note},
        {"type", notice.warning ? "Warning" : "Normal"},
        {"source", {{"component", component}}},
        {"reportingComponent", component},
        {"reportingInstance", instance_},
        {"firstTimestamp", now},
        {"lastTimestamp", now},
        {"count", 1},
    };
    const Result<std::string> created =
        co_await client_.create(core_target(ns, "events"), wire_text(event));
    if (!created) co_return created.error();
    co_return Result<void>();
}

Task<Result<void>> EventWriter::count_up(const Notice& notice, std::string name, int count) {
    const Json patch = {{"count", count},
                        {"message", notice.note},
                        {"lastTimestamp", format_rfc3339(world_.clock.now())}};
    const Result<std::string> patched = co_await client_.patch(
        core_target(namespace_of(notice.about), "events", name), wire_text(patch));
    if (!patched) co_return patched.error();
    co_return Result<void>();
}

}  // namespace sallyport::kube
