#include <algorithm>

#include <nlohmann/json.hpp>

#include "base/mutant.hpp"
#include "codec/kinds.hpp"
#include "kube/paths.hpp"
#include "kube/status_patch.hpp"
#include "kube/store.hpp"

namespace sallyport::kube {

namespace {

using Json = nlohmann::json;

std::string text_of(const Json& json) {
    return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

Json based_on(std::string_view uid, std::string_view version) {
    Json metadata = {{"uid", uid}};
    if (!version.empty()) metadata["resourceVersion"] = version;
    return metadata;
}

Error moved(std::string message) {
    return {.kind = ErrorKind::conflict,
            .message = std::move(message),
            .code = "Conflict",
            .status = 409};
}

/// The finalizers with or without ours; everybody else's stay as and where they are.
std::vector<std::string> with_hold(std::vector<std::string> finalizers, bool held) {
    std::erase(finalizers, hold_finalizer);
    if (held) finalizers.emplace_back(hold_finalizer);
    return finalizers;
}

bool has_hold(const ObjectMeta& meta) {
    return std::ranges::find(meta.finalizers, hold_finalizer) != meta.finalizers.end();
}

}  // namespace

Task<Result<AccessRecord>> KubeStore::create_record(AccessRecord record) {
    const std::string name = record.meta.key.name;
    record.meta = {.key = internal(Kind::record, name).key, .labels = record.meta.labels};
    const Result<std::string> body = co_await client_.create(
        create_target(Kind::record, operator_namespace), text_of(codec::encode_record(record)));
    if (!body) co_return Error(body.error()).context("create record " + name);
    const Result<Json> stored = take_answer(Kind::record, *body);
    if (!stored) co_return stored.error();
    co_return codec::decode_record(*stored);
}

Task<Result<AccessRecord>> KubeStore::update_record(AccessRecord record) {
    const ObjectRef ref = internal(Kind::record, record.meta.key.name);
    const std::string what = "update record " + ref.key.name;
    std::optional<Json> base;
    const AccessRecord* cached = records_.find(ref.key);
    if (cached != nullptr && cached->meta.resource_version == record.meta.resource_version) {
        base = codec::encode_record_status(*cached);
    } else {
        const Result<Json> live = co_await read_live(ref);
        if (!live) co_return Error(live.error()).context(what);
        if (meta_of(*live).resource_version != record.meta.resource_version)
            co_return moved(what + ": it has moved on");
        base = live->value("status", Json::object());
    }
    const Json patch = {{"metadata", based_on(record.meta.uid, record.meta.resource_version)},
                        {"status", merge_patch(*base, codec::encode_record_status(record))}};
    if (patch["status"].empty()) co_return record;
    const Result<std::string> body = co_await client_.patch(status_target(ref), text_of(patch));
    if (!body) co_return Error(body.error()).context(what);
    const Result<Json> stored = take_answer(Kind::record, *body);
    if (!stored) co_return stored.error();
    co_return codec::decode_record(*stored);
}

Task<Result<AccessLedger>> KubeStore::advance_ledger(AccessLedger ledger) {
    const ObjectRef ref = internal(Kind::ledger, ledger.meta.key.name);
    ledger.meta.key = ref.key;
    Json object = codec::encode_ledger(ledger);
    Result<std::string> body = unavailable("not sent");
    if (ledger.meta.resource_version.empty()) {
        body = co_await client_.create(create_target(Kind::ledger, operator_namespace),
                                       text_of(object));
    } else {
        const Json patch = {{"metadata", based_on(ledger.meta.uid, ledger.meta.resource_version)},
                            {"spec", {{"head", object["spec"]["head"]}}}};
        body = co_await client_.patch(object_target(ref), text_of(patch));
    }
    if (!body) co_return std::move(body).error().context("advance ledger " + ref.key.name);
    const Result<Json> stored = take_answer(Kind::ledger, *body);
    if (!stored) co_return stored.error();
    co_return codec::decode_ledger(*stored);
}

Task<Result<void>> KubeStore::remove(ObjectRef ref, std::string uid) {
    Json options = {{"apiVersion", "v1"},
                    {"kind", "DeleteOptions"},
                    {"propagationPolicy", "Background"},
                    {"preconditions", {{"uid", uid}}}};
    if (planted("delete-without-precondition")) options.erase("preconditions");
    const Result<std::string> body = co_await client_.remove(object_target(ref), text_of(options));
    if (body || body.error().kind == ErrorKind::not_found) co_return Result<void>();
    if (body.error().kind != ErrorKind::conflict) co_return body.error();
    // Either another object has the name by now, and ours is gone; or something else stands in the
    // way.
    const Result<Json> live = co_await read_live(ref);
    if (!live && live.error().kind == ErrorKind::not_found) co_return Result<void>();
    if (live && meta_of(*live).uid != uid) co_return Result<void>();
    co_return body.error();
}

Task<Result<void>> KubeStore::delete_record(std::string name, std::string uid) {
    Result<void> done = co_await remove(internal(Kind::record, name), std::move(uid));
    if (!done) co_return std::move(done).error().context("delete record " + name);
    co_return Result<void>();
}

Task<Result<void>> KubeStore::delete_grant(ObjectKey key, std::string uid) {
    ObjectRef ref{.kind = Kind::grant, .key = key};
    Result<void> done = co_await remove(std::move(ref), std::move(uid));
    if (!done) co_return std::move(done).error().context(fmt::format("delete grant {}", key));
    co_return Result<void>();
}

Task<Result<ObjectMeta>> KubeStore::meta_for_hold(ObjectRef ref, bool live) {
    if (const ObjectMeta* cached = replica(ref.kind).meta(ref.key); cached != nullptr && !live)
        co_return *cached;
    const Result<Json> read = co_await read_live(std::move(ref));
    if (!read) co_return read.error();
    co_return meta_of(*read);
}

Task<Result<void>> KubeStore::set_hold(ObjectRef ref, std::string uid, bool held) {
    const std::string what =
        fmt::format("{} {} {}", held ? "hold" : "release", to_text(ref.kind), ref.key);
    Error last = moved(what);
    for (int attempt = 0; attempt < tries_max; ++attempt) {
        const Result<ObjectMeta> meta = co_await meta_for_hold(ref, attempt > 0);
        const bool gone = meta ? meta->uid != uid : meta.error().kind == ErrorKind::not_found;
        if (gone && !held) co_return Result<void>();
        if (gone) co_return not_found(what + ": the object is gone");
        if (!meta) co_return Error(meta.error()).context(what);
        if (has_hold(*meta) == held) co_return Result<void>();
        if (held && meta->deleted) co_return moved(what + ": the object is being deleted");
        Json patch = {{"metadata", based_on(uid, meta->resource_version)}};
        patch["metadata"]["finalizers"] = with_hold(meta->finalizers, held);
        const Result<std::string> body = co_await client_.patch(object_target(ref), text_of(patch));
        if (body) {
            const Result<Json> taken = take_answer(ref.kind, *body);
            if (!taken) co_return Error(taken.error()).context(what);
            co_return Result<void>();
        }
        last = body.error();
        const bool again = last.kind == ErrorKind::conflict || last.kind == ErrorKind::not_found;
        if (!again) co_return std::move(last).context(what);
    }
    co_return std::move(last).context(what);
}

Task<Result<StatusBase>> KubeStore::base_for_publish(ObjectRef ref, bool live) {
    if (!live) {
        if (auto cached = replica(ref.kind).status_base(ref.key)) co_return *std::move(cached);
    }
    const Result<Json> read = co_await read_live(std::move(ref));
    if (!read) co_return read.error();
    const ObjectMeta meta = meta_of(*read);
    co_return StatusBase{
        .uid = meta.uid, .version = meta.resource_version, .status = status_of(*read)};
}

Task<Result<void>> KubeStore::publish(ObjectRef ref, std::string uid, Json wanted) {
    const std::string what = fmt::format("publish {} {}", to_text(ref.kind), ref.key);
    Error last = moved(what);
    for (int attempt = 0; attempt < tries_max; ++attempt) {
        const Result<StatusBase> base = co_await base_for_publish(ref, attempt > 0);
        if (!base) co_return Error(base.error()).context(what);
        if (base->uid != uid) co_return not_found(what + ": the object is gone");
        const Json seen =
            base->status.empty() ? Json::object() : Json::parse(base->status, nullptr, false);
        carry_transition_times(seen, wanted, format_rfc3339(client_.server_now()));
        const Json difference = merge_patch(seen, wanted);
        if (difference.empty()) co_return Result<void>();
        const std::string sent = text_of(difference);
        if (const auto it = refused_.find(ref); it != refused_.end()) {
            if (it->second.sent == sent && it->second.stored == base->status)
                co_return Result<void>();
        }
        const Json patch = {{"metadata", based_on(uid, base->version)}, {"status", difference}};
        const Result<std::string> body = co_await client_.patch(status_target(ref), text_of(patch));
        if (body) {
            const Result<Json> stored = take_answer(ref.kind, *body);
            if (!stored) co_return Error(stored.error()).context(what);
            note_stored(std::move(ref), wanted, *stored);
            co_return Result<void>();
        }
        last = body.error();
        if (last.kind != ErrorKind::conflict) co_return std::move(last).context(what);
    }
    co_return std::move(last).context(what);
}

void KubeStore::note_stored(ObjectRef ref, const Json& wanted, const Json& stored) {
    refused_.erase(ref);
    const Json status = stored.value("status", Json::object());
    const Json still_differs = merge_patch(status, wanted);
    if (still_differs.empty()) return;
    world_.log.warn("status.stored_otherwise", {{"kind", std::string(to_text(ref.kind))},
                                                {"object", fmt::format("{}", ref.key)}});
    refused_.insert_or_assign(std::move(ref),
                              Refused{.sent = text_of(still_differs), .stored = status_of(stored)});
}

Task<Result<void>> KubeStore::publish_grant(ObjectKey key, std::string uid, GrantStatus status) {
    ObjectRef ref{.kind = Kind::grant, .key = std::move(key)};
    return publish(std::move(ref), std::move(uid), codec::encode_status(status));
}

Task<Result<void>> KubeStore::publish_policy(ObjectKey key, std::string uid, PolicyStatus status) {
    ObjectRef ref{.kind = Kind::policy, .key = std::move(key)};
    return publish(std::move(ref), std::move(uid), codec::encode_status(status));
}

Task<Result<void>> KubeStore::publish_account(std::string name, std::string uid,
                                              AccountStatus status) {
    ObjectRef ref{.kind = Kind::account, .key = {.ns = {}, .name = std::move(name)}};
    return publish(std::move(ref), std::move(uid), codec::encode_status(status));
}

Task<void> KubeStore::notify(Notice notice) { return events_.write(std::move(notice)); }

}  // namespace sallyport::kube
