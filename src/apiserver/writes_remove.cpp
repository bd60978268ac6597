#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <set>
#include <tuple>

#include "apiserver/admission.hpp"
#include "apiserver/metadata.hpp"
#include "apiserver/writes.hpp"

namespace sallyport::apiserver {

namespace {

using Json = nlohmann::json;

/// How long Events are kept, as on a cluster.
constexpr seconds event_age_max{3600};
/// How many old Events one new Event takes away: more than one, so that a backlog shrinks.
constexpr std::size_t events_dropped_max = 100;
constexpr seconds event_sweep{60};  ///< between two looks for old ones

void mark_deleted(Json& object, Timestamp now) {
    Json& metadata = object["metadata"];
    metadata["deletionTimestamp"] = format_rfc3339(now);
    metadata["deletionGracePeriodSeconds"] = 0;
    if (metadata.contains("generation"))
        metadata["generation"] = metadata.value("generation", std::int64_t{0}) + 1;
}

std::string success(const ResourceType& type, const Json& object) {
    Json details = {{"name", text_of(object, ".metadata.name")},
                    {"kind", type.name.plural},
                    {"uid", text_of(object, ".metadata.uid")}};
    if (!type.name.group.empty()) details["group"] = type.name.group;
    return Json({{"kind", "Status"},
                 {"apiVersion", "v1"},
                 {"metadata", Json::object()},
                 {"status", "Success"},
                 {"details", std::move(details)}})
               .dump() +
           "\n";
}

/// DeleteOptions, of which preconditions and dryRun count here.
Outcome<bool> check_options(const WriteRequest& request, const Json& object, bool& dry_run) {
    dry_run = request.dry_run;
    if (request.body.empty()) return true;
    std::vector<std::string> ignored;
    Outcome<Json> options = parse_json(request.body, ignored);
    if (!options) return options.failure();
    if (!options->is_object()) return bad_request("DeleteOptions is a JSON object");
    const auto dry = options->find("dryRun");
    dry_run = dry_run || (dry != options->end() && dry->is_array() && !dry->empty());

    for (const auto& [member, place, word] :
         {std::tuple(".preconditions.uid", ".metadata.uid", "UID"),
          std::tuple(".preconditions.resourceVersion", ".metadata.resourceVersion",
                     "ResourceVersion")}) {
        const std::string wanted = text_of(*options, member);
        const std::string actual = text_of(object, place);
        if (!wanted.empty() && wanted != actual)
            return conflict(request.type.name, request.name,
                            fmt::format("Precondition failed: {0} in precondition: {1}, {0} in "
                                        "object meta: {2}",
                                        word, wanted, actual));
    }
    return true;
}

}  // namespace

Outcome<Written> Writes::remove(const WriteRequest& request) {
    const std::lock_guard lock(mutex_);
    const EntryPtr entry = cache_->find(request.type, request.ns, request.name);
    if (!entry) return not_found(request.type.name, request.name);
    Json object = Json::parse(*entry->text);
    bool dry_run = false;
    if (Outcome<bool> ok = check_options(request, object, dry_run); !ok) return ok.failure();
    Admission admission{request.type, Operation::remove, request.identity, {}, request.name};
    admission.old = &object;
    if (const auto failure = refusal(admission)) return *failure;

    const bool is_namespace = request.type.kind == "Namespace";
    const bool waits = is_namespace || !finalizers_of(object).empty();
    if (dry_run) {
        if (!waits) return Written{200, nullptr, success(request.type, object)};
        return Written{200, entry->text};
    }
    if (is_terminating(object)) return Written{200, entry->text};
    if (is_namespace) return remove_namespace(request, entry, std::move(object));

    Written written{200, nullptr, waits ? "" : success(request.type, object)};
    if (waits) mark_deleted(object, request.now);
    Drafts drafts{{&request.type, std::make_shared<Json>(std::move(object)), entry, !waits}};
    if (!waits && request.type.namespaced) finish_namespace(request.ns, drafts);
    Outcome<Text> text = commit(std::move(drafts));
    if (!text) return text.failure();
    if (waits) written.text = *text;
    return written;
}

Outcome<Written> Writes::remove_namespace(const WriteRequest& request, const EntryPtr& entry,
                                          Json object) {
    mark_deleted(object, request.now);
    object["metadata"].erase("deletionGracePeriodSeconds");
    object["status"]["phase"] = "Terminating";
    Drafts drafts{{&request.type, std::make_shared<Json>(std::move(object)), entry}};
    drop_content(request.name, request.now, drafts);
    finish_namespace(request.name, drafts);
    Outcome<Text> text = commit(std::move(drafts));
    if (!text) return text.failure();
    return Written{200, *text};
}

void Writes::drop_content(const std::string& ns, Timestamp now, Drafts& drafts) const {
    for (const auto& type : resources_.types()) {
        if (!type->namespaced) continue;
        const Cache::Listing listing =
            cache_->list({type.get(), ns}, 0, [](const Entry&) { return true; });
        for (const EntryPtr& entry : listing.entries) {
            auto object = std::make_shared<Json>(Json::parse(*entry->text));
            const bool waits = !finalizers_of(*object).empty();
            if (waits && is_terminating(*object)) continue;
            if (waits) mark_deleted(*object, now);
            drafts.push_back({type.get(), std::move(object), entry, !waits});
        }
    }
}

void Writes::finish_namespace(const std::string& ns, Drafts& drafts) const {
    const ResourceType& namespaces = resources_.builtin("namespaces");
    const bool is_first = drafts.front().type == &namespaces;
    const EntryPtr entry = cache_->find(namespaces, "", ns);
    if (!entry) return;
    auto object = is_first ? std::make_shared<Json>(*drafts.front().object)
                           : std::make_shared<Json>(Json::parse(*entry->text));
    if (!is_terminating(*object) || !finalizers_of(*object).empty()) return;

    std::set<const Entry*> going;
    for (const Draft& draft : drafts) {
        if (draft.removed) going.insert(draft.before.get());
    }
    for (const auto& type : resources_.types()) {
        if (!type->namespaced) continue;
        const Cache::Listing rest = cache_->list(
            {type.get(), ns}, 1, [&](const Entry& content) { return !going.contains(&content); });
        if (!rest.entries.empty()) return;
    }
    drafts.push_back({&namespaces, std::move(object), entry, true});
}

void Writes::drop_old_events(Timestamp now, Drafts& drafts) {
    // Not with each: ten thousand grants have some ten thousand events.
    if (now < old_events_after_ && old_events_after_ <= now + event_sweep) return;
    const ResourceType& events = resources_.builtin("events");
    const Cache::Listing old =
        cache_->list({&events}, events_dropped_max,
                     [now](const Entry& entry) { return entry.written + event_age_max < now; });
    if (old.entries.size() < events_dropped_max) old_events_after_ = now + event_sweep;
    for (const EntryPtr& entry : old.entries)
        drafts.push_back({&events, std::make_shared<Json>(Json::parse(*entry->text)), entry, true});
}

Result<void> Writes::create_first_namespaces(Timestamp now) {
    const ResourceType& namespaces = resources_.builtin("namespaces");
    const Identity server{"system:apiserver", "", {"system:masters"}};
    for (const char* name : {"default", "kube-system", "sallyport-system"}) {
        if (cache_->find(namespaces, "", name)) continue;
        const std::string body =
            Json({{"apiVersion", "v1"}, {"kind", "Namespace"}, {"metadata", {{"name", name}}}})
                .dump();
        WriteRequest request{namespaces, "", "", "", body, "application/json", server};
        request.now = now;
        if (Outcome<Written> written = create(request); !written)
            return unavailable(
                fmt::format("namespace {} cannot be created: {}", name, written.failure().message));
    }
    return {};
}

}  // namespace sallyport::apiserver
