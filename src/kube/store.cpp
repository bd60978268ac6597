#include "kube/store.hpp"

#include <nlohmann/json.hpp>

#include "codec/kinds.hpp"
#include "kube/paths.hpp"

namespace sallyport::kube {

namespace {

using Json = nlohmann::json;

ObjectKey cluster_key(std::string_view name) { return {.ns = {}, .name = std::string(name)}; }

std::optional<unsigned> sextet(char c) {
    if ('A' <= c && c <= 'Z') return static_cast<unsigned>(c - 'A');
    if ('a' <= c && c <= 'z') return static_cast<unsigned>(c - 'a') + 26;
    if ('0' <= c && c <= '9') return static_cast<unsigned>(c - '0') + 52;
    if (c == '+') return 62;
    if (c == '/') return 63;
    return std::nullopt;
}

/// RFC 4648 with padding, as API servers write the data of Secrets.
std::optional<std::string> from_base64(std::string_view text) {
    if (text.size() % 4 != 0) return std::nullopt;
    while (!text.empty() && text.back() == '=') text.remove_suffix(1);
    std::string bytes;
    unsigned gathered = 0;
    int bits = 0;
    for (const char c : text) {
        const auto value = sextet(c);
        if (!value) return std::nullopt;
        gathered = (gathered << 6U) | *value;
        bits += 6;
        if (bits < 8) continue;
        bits -= 8;
        bytes.push_back(static_cast<char>((gathered >> static_cast<unsigned>(bits)) & 0xFFU));
    }
    return bytes;
}

/// The text under `data` or, for a Secret, the base64 under it.
Result<std::string> data_of(const std::string& body, const std::string& what,
                            const std::string& key) {
    const Json object = Json::parse(body, nullptr, false);
    if (!object.is_object()) return unavailable(what + ": the answer is not a JSON object");
    const auto data = object.find("data");
    if (data == object.end() || !data->is_object() || !data->contains(key) ||
        !(*data)[key].is_string()) {
        return not_found(what + " has no key \"" + key + "\"");
    }
    return (*data)[key].get<std::string>();
}

/// A policy whose deletion is asked for is told as such also when its spec cannot be read: its
/// grants end, and its lockdown stays, which nothing removes for being
/// unreadable.
Result<JitPolicy> read_policy(const Json& object) {
    Result<JitPolicy> policy = codec::decode_policy(object);
    if (policy) return policy;
    const Result<ObjectMeta> meta = codec::decode_meta(object);
    if (!meta || !meta->deleted) return policy;
    JitPolicy going{.meta = *meta};
    const Json::json_pointer account("/spec/accountRef/name");
    if (object.contains(account))
        going.account = text_at(object.at(account.parent_pointer()), "name");
    return going;
}

}  // namespace

KubeStore::KubeStore(World world, http::Transport& transport, Options options)
    : world_(world),
      client_(world.clock, world.metrics, transport, std::move(options.connection)),
      events_(world, client_, std::move(options.instance)),
      accounts_(Kind::account, codec::decode_account, Table<CloudAccount>::Status::kept),
      policies_(Kind::policy, read_policy, Table<JitPolicy>::Status::kept),
      grants_(Kind::grant, codec::decode_grant, Table<AccessGrant>::Status::kept),
      records_(Kind::record, codec::decode_record, Table<AccessRecord>::Status::dropped),
      ledgers_(Kind::ledger, codec::decode_ledger, Table<AccessLedger>::Status::dropped) {
    for (const Kind kind : {Kind::account, Kind::policy, Kind::grant, Kind::record, Kind::ledger}) {
        Replica& replica = this->replica(kind);
        replica.set_notify([this](const ObjectRef& ref) {
            if (!refused_.empty() && this->replica(ref.kind).meta(ref.key) == nullptr)
                refused_.erase(ref);
            for (const auto& listener : listeners_) listener(ref);
        });
        reflectors_.push_back(std::make_unique<Reflector>(world_, client_, replica));
    }
}

KubeStore::~KubeStore() = default;

void KubeStore::start(Scope& scope) {
    for (const auto& reflector : reflectors_) scope.start(reflector->run());
}

Replica& KubeStore::replica(Kind kind) {
    switch (kind) {
        case Kind::account: return accounts_;
        case Kind::policy: return policies_;
        case Kind::grant: return grants_;
        case Kind::record: return records_;
        case Kind::ledger: return ledgers_;
    }
    throw Bug("a kind out of range");
}

const Replica& KubeStore::replica(Kind kind) const {
    return const_cast<KubeStore*>(this)->replica(kind);
}

bool KubeStore::synced(Kind kind) const { return replica(kind).synced(); }
const CloudAccount* KubeStore::account(std::string_view name) const {
    return accounts_.find(cluster_key(name));
}
const JitPolicy* KubeStore::policy(const ObjectKey& key) const { return policies_.find(key); }
const AccessGrant* KubeStore::grant(const ObjectKey& key) const { return grants_.find(key); }
const AccessRecord* KubeStore::record(std::string_view name) const {
    return records_.find(internal(Kind::record, name).key);
}
const AccessLedger* KubeStore::ledger(std::string_view account) const {
    return ledgers_.find(internal(Kind::ledger, account).key);
}
void KubeStore::each_account(const std::function<void(const CloudAccount&)>& visit) const {
    accounts_.each(visit);
}
void KubeStore::each_policy(const std::function<void(const JitPolicy&)>& visit) const {
    policies_.each(visit);
}
void KubeStore::each_grant(const std::function<void(const AccessGrant&)>& visit) const {
    grants_.each(visit);
}
void KubeStore::each_record(const std::function<void(const AccessRecord&)>& visit) const {
    records_.each(visit);
}

std::optional<GrantStatus> KubeStore::grant_status(const ObjectKey& key,
                                                   std::string_view uid) const {
    const auto base = grants_.status_base(key);
    if (!base || base->uid != uid || base->status.empty()) return std::nullopt;
    return codec::decode_grant_status(Json::parse(base->status, nullptr, false));
}

std::optional<std::int64_t> KubeStore::told_generation(const ObjectRef& ref,
                                                       std::string_view uid) const {
    const auto base = replica(ref.kind).status_base(ref.key);
    if (!base || base->uid != uid || base->status.empty()) return std::nullopt;
    const Json status = Json::parse(base->status, nullptr, false);
    const auto told = status.find("observedGeneration");
    if (told == status.end() || !told->is_number_integer()) return std::nullopt;
    return told->get<std::int64_t>();
}

std::optional<Undecodable> KubeStore::undecodable(const ObjectRef& ref) const {
    const ObjectKey key = is_internal(ref.kind) ? internal(ref.kind, ref.key.name).key : ref.key;
    std::optional<std::string> problem = replica(ref.kind).problem(key);
    const ObjectMeta* meta = replica(ref.kind).meta(key);
    if (!problem || !meta) return std::nullopt;
    return Undecodable{meta->uid, meta->generation, *std::move(problem)};
}

void KubeStore::each_undecodable(const std::function<void(const ObjectRef&)>& visit) const {
    for (const Kind kind : {Kind::account, Kind::policy, Kind::grant, Kind::record, Kind::ledger})
        replica(kind).each_undecoded([&](const ObjectKey& key) { visit({kind, key}); });
}

void KubeStore::on_change(std::function<void(const ObjectRef&)> notify) {
    listeners_.push_back(std::move(notify));
}

Result<Json> KubeStore::take_answer(Kind kind, const std::string& body) {
    Json object = Json::parse(body, nullptr, false);
    if (!object.is_object()) return unavailable("the API server's answer is not a JSON object");
    Json copy = object;
    replica(kind).answer(std::move(copy));
    return object;
}

Task<Result<Json>> KubeStore::read_live(ObjectRef ref) {
    const ObjectMeta* known = replica(ref.kind).meta(ref.key);
    const std::string uid = known == nullptr ? std::string() : known->uid;
    const Result<std::string> body = co_await client_.get(object_target(ref));
    if (!body) {
        // Whatever watches still tell: what was known before this was asked is not there any more.
        if (body.error().kind == ErrorKind::not_found) replica(ref.kind).gone(ref.key, uid);
        co_return body.error();
    }
    co_return take_answer(ref.kind, *body);
}

Task<Result<std::optional<AccessGrant>>> KubeStore::read_grant(ObjectKey key) {
    const ObjectRef ref{.kind = Kind::grant, .key = std::move(key)};
    const Result<Json> live = co_await read_live(ref);
    if (!live && live.error().kind == ErrorKind::not_found) co_return std::optional<AccessGrant>();
    if (!live) co_return Error(live.error()).context(fmt::format("read grant {}", ref.key));
    Result<AccessGrant> grant = codec::decode_grant(*live);
    if (!grant) co_return std::move(grant).error().context(fmt::format("read grant {}", ref.key));
    co_return std::optional(*std::move(grant));
}

Task<Result<std::optional<AccessRecord>>> KubeStore::read_record(std::string name) {
    const Result<Json> live = co_await read_live(internal(Kind::record, name));
    if (!live && live.error().kind == ErrorKind::not_found) co_return std::optional<AccessRecord>();
    if (!live) co_return Error(live.error()).context("read record " + name);
    Result<AccessRecord> record = codec::decode_record(*live);
    if (!record) co_return std::move(record).error().context("read record " + name);
    co_return std::optional(*std::move(record));
}

Task<Result<Secret>> KubeStore::read_secret(std::string name, std::string key) {
    const std::string what = fmt::format("secret {}/{}", operator_namespace, name);
    const Result<std::string> body =
        co_await client_.get(core_target(operator_namespace, "secrets", name));
    if (!body) co_return Error(body.error()).context("read " + what);
    const Result<std::string> encoded = data_of(*body, what, key);
    if (!encoded) co_return encoded.error();
    std::optional<std::string> bytes = from_base64(*encoded);
    if (!bytes) co_return invalid(what + ": the value of \"" + key + "\" is not base64");
    co_return Secret(*std::move(bytes));
}

Task<Result<std::string>> KubeStore::read_config_map(std::string name, std::string key) {
    const std::string what = fmt::format("config map {}/{}", operator_namespace, name);
    const Result<std::string> body =
        co_await client_.get(core_target(operator_namespace, "configmaps", name));
    if (!body) co_return Error(body.error()).context("read " + what);
    co_return data_of(*body, what, key);
}

}  // namespace sallyport::kube
