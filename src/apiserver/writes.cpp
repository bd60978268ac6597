#include "apiserver/writes.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "apiserver/admission.hpp"
#include "apiserver/jsonpath.hpp"
#include "apiserver/metadata.hpp"
#include "base/digest.hpp"

namespace sallyport::apiserver {

namespace {

using Json = nlohmann::json;

Json parsed(const EntryPtr& entry) { return Json::parse(*entry->text); }

/// Members of `metadata` that are the server's; the client's are dropped.
constexpr const char* server_members[] = {"uid", "creationTimestamp", "generation",
                                          "deletionTimestamp", "deletionGracePeriodSeconds"};

void take_server_members(const Json& old, Json& object) {
    Json& metadata = object["metadata"];
    for (const char* name : server_members) {
        metadata.erase(name);
        if (old.at("metadata").contains(name)) metadata[name] = old.at("metadata").at(name);
    }
    metadata["resourceVersion"] = old.at("metadata").at("resourceVersion");
    metadata.erase("managedFields");
    metadata.erase("selfLink");
}

/// Empty maps and lists of metadata are not shown, as on a real server.
void tidy_metadata(Json& object) {
    Json& metadata = object["metadata"];
    for (const char* name : {"labels", "annotations", "finalizers", "ownerReferences"}) {
        const auto found = metadata.find(name);
        if (found != metadata.end() && (found->is_null() || found->empty())) metadata.erase(found);
    }
    for (const char* name : {"labels", "annotations"}) {
        const auto found = metadata.find(name);
        if (found == metadata.end()) continue;
        for (Json& value : *found) {
            if (value.is_null()) value = "";  // Go reads no text for it
        }
    }
}

/// True if `b` has everything beside metadata and status that `a` has.
bool holds_content(const Json& b, const Json& a) {
    for (const auto& [name, value] : a.items()) {
        if (name == "metadata" || name == "status") continue;
        const auto found = b.find(name);
        if (found == b.end() || *found != value) return false;
    }
    return true;
}

bool content_differs(const Json& a, const Json& b) {
    return !holds_content(a, b) || !holds_content(b, a);
}

std::vector<Cause> all_problems(const ResourceType& type, const Json& object, const Json* old) {
    std::vector<Cause> list = metadata_problems(type, object);
    for (Cause& cause : problems(type.schema, object, old)) list.push_back(std::move(cause));
    for (Cause& cause : builtin_problems(type, object, old)) list.push_back(std::move(cause));
    if (!old || !is_terminating(*old)) return list;

    const std::vector<std::string> had = finalizers_of(*old);
    std::string added;
    for (const std::string& finalizer : finalizers_of(object)) {
        if (std::find(had.begin(), had.end(), finalizer) == had.end())
            added += (added.empty() ? "" : ", ") + in_quotes(finalizer);
    }
    if (!added.empty())
        list.push_back(
            {"FieldValueForbidden",
             fmt::format("Forbidden: no new finalizers can be added if the object is being "
                         "deleted, found new finalizers []string{{{}}}",
                         added),
             "metadata.finalizers"});
    return list;
}

Failure namespace_terminates(const ResourceType& type, const std::string& name,
                             const std::string& ns) {
    Failure failure = forbidden(
        type.name, name,
        fmt::format("unable to create new content in namespace {} because it is being terminated",
                    ns));
    failure.causes = {{"NamespaceTerminating", fmt::format("namespace {} is being terminated", ns),
                       "metadata.namespace"}};
    return failure;
}

}  // namespace

Writes::Writes(const Resources& resources, std::shared_ptr<Cache> cache, Store& store,
               RandomBytes random_bytes)
    : resources_(resources),
      cache_(std::move(cache)),
      store_(store),
      random_bytes_(std::move(random_bytes)) {}

std::string Writes::new_uid() const { return uuid_v4_of(random_bytes_(16)); }

std::string Writes::name_suffix() const {
    // The letters of real servers: no vowels, nothing that looks like something else.
    constexpr std::string_view letters = "bcdfghjklmnpqrstvwxz2456789";
    std::string suffix;
    for (const char byte : random_bytes_(5))
        suffix += letters[static_cast<unsigned char>(byte) % letters.size()];
    return suffix;
}

Outcome<Written> Writes::create(const WriteRequest& request) {
    std::vector<std::string> warnings;
    Outcome<Json> body = parse_json(request.body, warnings);
    if (!body) return body.failure();
    Json object = std::move(*body);
    if (Outcome<bool> ok = check_kind(request.type, object); !ok) return ok.failure();
    prune_object(request.type, object, warnings);
    if (request.validation == FieldValidation::strict && !warnings.empty())
        return strict_failure(request.type, warnings);

    const std::lock_guard lock(mutex_);
    if (Outcome<bool> ok = prepare_new(request, object); !ok) return ok.failure();
    const std::string name = text_of(object, ".metadata.name");
    if (Outcome<bool> ok = check_namespace(request, name); !ok) return ok.failure();
    std::vector<Cause> causes = all_problems(request.type, object, nullptr);
    if (!causes.empty()) return invalid_object(request.type.kind_name(), name, std::move(causes));
    Admission admission{request.type, Operation::create, request.identity, {}, name};
    admission.object = &object;
    if (const auto failure = refusal(admission)) return *failure;
    if (cache_->find(request.type, request.ns, name))
        return already_exists(request.type.name, name);

    Written written{201, {}, {}, std::move(warnings)};
    if (request.dry_run) {
        written.text = std::make_shared<const std::string>(object.dump());
        return written;
    }
    Drafts drafts{{&request.type, std::make_shared<Json>(std::move(object))}};
    if (request.type.kind == "Event") drop_old_events(request.now, drafts);
    Outcome<Text> text = commit(std::move(drafts));
    if (!text) return text.failure();
    written.text = *text;
    return written;
}

Outcome<bool> Writes::prepare_new(const WriteRequest& request, Json& object) const {
    if (!object.contains("metadata") || !object["metadata"].is_object())
        object["metadata"] = Json::object();
    Json& metadata = object["metadata"];
    if (!text_of(object, ".metadata.resourceVersion").empty())
        return bad_request("resourceVersion should not be set on objects to be created");
    const std::string ns = text_of(object, ".metadata.namespace");
    if (!ns.empty() && ns != request.ns)
        return bad_request(
            "the namespace of the provided object does not match the namespace sent on the "
            "request");

    give_identity(request, object);
    metadata.erase("managedFields");
    metadata.erase("selfLink");
    if (request.type.has_status) object.erase("status");
    if (request.type.kind == "Namespace") {
        object["spec"] = {{"finalizers", {"kubernetes"}}};
        object["status"] = {{"phase", "Active"}};
        metadata["labels"]["kubernetes.io/metadata.name"] = metadata.value("name", "");
    }
    if (request.type.kind == "Secret") fold_string_data(object);
    apply_defaults(request.type.schema, object);
    Admission admission{request.type, Operation::create, request.identity};
    stamp(admission, object);
    tidy_metadata(object);
    return true;
}

void Writes::give_identity(const WriteRequest& request, Json& object) const {
    Json& metadata = object["metadata"];
    for (const char* name : server_members) metadata.erase(name);
    metadata.erase("resourceVersion");
    if (request.type.namespaced) {
        metadata["namespace"] = request.ns;
    } else {
        metadata.erase("namespace");
    }
    const std::string prefix = text_of(object, ".metadata.generateName");
    if (text_of(object, ".metadata.name").empty() && !prefix.empty()) {
        std::string name = prefix.substr(0, 58) + name_suffix();
        for (int i = 0; i < 8 && cache_->find(request.type, request.ns, name); ++i)
            name = prefix.substr(0, 58) + name_suffix();
        metadata["name"] = name;
    }
    metadata["uid"] = new_uid();
    metadata["creationTimestamp"] = format_rfc3339(request.now);
    if (request.type.custom) metadata["generation"] = 1;
}

Outcome<bool> Writes::check_namespace(const WriteRequest& request, const std::string& name) const {
    if (!request.type.namespaced) return true;
    const ResourceType& namespaces = resources_.builtin("namespaces");
    const EntryPtr entry = cache_->find(namespaces, "", request.ns);
    if (!entry) return not_found(namespaces.name, request.ns);
    if (is_terminating(parsed(entry))) return namespace_terminates(request.type, name, request.ns);
    return true;
}

Outcome<Written> Writes::replace(const WriteRequest& request) {
    std::vector<std::string> warnings;
    Outcome<Json> body = parse_json(request.body, warnings);
    if (!body) return body.failure();
    Json object = std::move(*body);
    if (Outcome<bool> ok = check_kind(request.type, object); !ok) return ok.failure();
    const std::string name = text_of(object, ".metadata.name");
    if (name != request.name)
        return bad_request(
            fmt::format("the name of the object ({}) does not match the name on the URL ({})", name,
                        request.name));
    prune_object(request.type, object, warnings);
    if (request.validation == FieldValidation::strict && !warnings.empty())
        return strict_failure(request.type, warnings);

    const std::lock_guard lock(mutex_);
    const EntryPtr entry = cache_->find(request.type, request.ns, request.name);
    if (!entry) return not_found(request.type.name, request.name);
    if (request.type.custom && text_of(object, ".metadata.resourceVersion").empty())
        return invalid_object(
            request.type.kind_name(), name,
            {{"FieldValueInvalid", "Invalid value: 0: must be specified for an update",
              "metadata.resourceVersion"}});
    return update(request, entry, parsed(entry), std::move(object), std::move(warnings), true);
}

Outcome<Json> Writes::candidate_of_patch(const WriteRequest& request, const Json& old,
                                         std::vector<std::string>& duplicates) const {
    Outcome<Json> body = parse_json(request.body, duplicates);
    if (!body) return body.failure();
    if (request.media_type == "application/json-patch+json") return apply_json_patch(old, *body);
    if (!body->is_object()) return bad_request("a merge patch is a JSON object");
    Json candidate = old;
    merge(candidate, *body);
    return candidate;
}

Outcome<Written> Writes::patch(const WriteRequest& request) {
    const std::lock_guard lock(mutex_);
    const EntryPtr entry = cache_->find(request.type, request.ns, request.name);
    if (!entry) return not_found(request.type.name, request.name);
    const Json old = parsed(entry);
    std::vector<std::string> warnings;
    Outcome<Json> candidate = candidate_of_patch(request, old, warnings);
    if (!candidate) return candidate.failure();
    if (Outcome<bool> ok = check_kind(request.type, *candidate); !ok) return ok.failure();
    if (text_of(*candidate, ".metadata.name") != request.name)
        return invalid_object(
            request.type.kind_name(), request.name,
            {{"FieldValueInvalid", "Invalid value: field is immutable", "metadata.name"}});
    prune_object(request.type, *candidate, warnings);
    if (request.validation == FieldValidation::strict && !warnings.empty()) {
        std::string list;
        for (const std::string& warning : warnings) list += (list.empty() ? "" : ", ") + warning;
        return invalid_object({}, "",
                              {{"FieldValueInvalid",
                                fmt::format("Invalid value: {}: strict decoding error: {}",
                                            in_quotes(request.body), list),
                                "patch"}});
    }
    return update(request, entry, old, std::move(*candidate), std::move(warnings), false);
}

Outcome<Written> Writes::update(const WriteRequest& request, const EntryPtr& entry, const Json& old,
                                Json candidate, std::vector<std::string> warnings, bool replaces) {
    if (!candidate.contains("metadata") || !candidate["metadata"].is_object())
        candidate["metadata"] = Json::object();
    const std::string version = text_of(candidate, ".metadata.resourceVersion");
    if (!version.empty() && version != text_of(old, ".metadata.resourceVersion"))
        return modified(request.type.name, request.name);
    const std::string uid = text_of(candidate, ".metadata.uid");
    if (!uid.empty() && uid != text_of(old, ".metadata.uid"))
        return conflict(request.type.name, request.name,
                        fmt::format("Precondition failed: UID in precondition: {}, UID in object "
                                    "meta: {}",
                                    uid, text_of(old, ".metadata.uid")));
    const std::string ns = text_of(candidate, ".metadata.namespace");
    if (!ns.empty() && ns != request.ns)
        return bad_request(
            "the namespace of the provided object does not match the namespace sent on the "
            "request");

    const bool of_status = request.subresource == "status";
    Json object = of_status ? old : candidate;
    const Json& statuses = of_status ? candidate : old;
    if (request.type.has_status) {
        object.erase("status");
        if (statuses.contains("status")) object["status"] = statuses.at("status");
    }
    if (request.type.kind == "Namespace") object["spec"] = old.value("spec", Json::object());
    if (request.type.kind == "Secret") fold_string_data(object);
    if (request.type.namespaced) object["metadata"]["namespace"] = request.ns;
    take_server_members(old, object);
    apply_defaults(request.type.schema, object);

    Admission admission{request.type,
                        Operation::update,
                        request.identity,
                        request.subresource,
                        request.name,
                        replaces,
                        &old};
    stamp(admission, object);
    tidy_metadata(object);
    std::vector<Cause> causes = all_problems(request.type, object, &old);
    if (!causes.empty())
        return invalid_object(request.type.kind_name(), request.name, std::move(causes));
    admission.object = &object;
    if (const auto failure = refusal(admission)) return *failure;

    if (request.type.custom && content_differs(object, old))
        object["metadata"]["generation"] = old.at("metadata").value("generation", 0) + 1;
    // An update that changes nothing is not written: same resourceVersion, no event.
    if (object == old) return Written{200, entry->text, {}, std::move(warnings)};
    return store_update(request, entry, std::move(object), std::move(warnings));
}

Outcome<Written> Writes::store_update(const WriteRequest& request, const EntryPtr& entry,
                                      Json object, std::vector<std::string> warnings) {
    Written written{200, {}, {}, std::move(warnings)};
    if (request.dry_run) {
        written.text = std::make_shared<const std::string>(object.dump());
        return written;
    }
    const bool goes = is_terminating(object) && finalizers_of(object).empty();
    Drafts drafts{{&request.type, std::make_shared<Json>(std::move(object)), entry}};
    if (request.type.kind == "Namespace") {
        if (goes) finish_namespace(request.name, drafts);
    } else if (goes) {
        drafts.front().removed = true;
        finish_namespace(request.ns, drafts);
    }
    Outcome<Text> text = commit(std::move(drafts));
    if (!text) return text.failure();
    written.text = *text;
    return written;
}

Outcome<Text> Writes::commit(Drafts drafts) {
    std::uint64_t version = cache_->version();
    std::vector<Change> changes;
    std::vector<StoredChange> stored;
    for (Draft& draft : drafts) {
        (*draft.object)["metadata"]["resourceVersion"] = std::to_string(++version);
        EntryPtr now = make_entry(*draft.type, *draft.object);
        // A namespace that goes at once is changed twice: first and last.
        if (!changes.empty() && changes.front().now->type == now->type &&
            changes.front().now->name == now->name && changes.front().now->ns == now->ns)
            draft.before = changes.front().now;
        stored.push_back({{draft.type->name.qualified(), now->ns, now->name},
                          draft.removed ? nullptr : now->text});
        changes.push_back({version, draft.before, std::move(now), draft.removed});
    }
    Text first = changes.front().now->text;
    if (Result<void> durable = make_durable(stored, version); !durable) {
        const std::string why = "nothing was written: " + trouble_;
        if (durable.error().code == "DiskFull") return Failure{507, "InsufficientStorage", why};
        return internal_error(why);
    }
    cache_->apply(std::move(changes));
    return first;
}

Result<void> Writes::make_durable(const std::vector<StoredChange>& changes, std::uint64_t version) {
    Result<void> durable = store_.commit(changes, version);
    trouble_ = durable ? std::string()
               : durable.error().code == "DiskFull"
                   ? "the disk of the embedded control plane is full"
                   : durable.error().message;
    return durable;
}

std::string Writes::trouble() {
    const std::lock_guard lock(mutex_);
    // Another number each time: a database does not write what stands there already. Versions may
    // be left out.
    if (!trouble_.empty()) (void)make_durable({}, cache_->version() + 1 + tries_++ % 2);
    return trouble_;
}

}  // namespace sallyport::apiserver
