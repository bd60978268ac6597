#include "apiserver/server.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <future>
#include <map>
#include <nlohmann/json.hpp>
#include <thread>

#include "apiserver/discovery.hpp"
#include "apiserver/entry.hpp"
#include "apiserver/identity.hpp"
#include "apiserver/metadata.hpp"
#include "apiserver/reads.hpp"
#include "apiserver/roles.hpp"
#include "apiserver/writes.hpp"
#include "base/text.hpp"

namespace sallyport::apiserver {

namespace {

using Segments = std::vector<std::string>;

http::Reply text_reply(std::string_view media_type, std::string body) {
    http::Reply reply;
    reply.response.headers.set("Content-Type", media_type);
    reply.response.body = std::move(body);
    return reply;
}

http::Reply reply_of(const Failure& failure) {
    http::Reply reply = json_reply(body_of(failure));
    reply.response.status = failure.code;
    return reply;
}

http::Reply reply_of(Outcome<http::Reply> outcome) {
    if (!outcome) return reply_of(outcome.failure());
    return std::move(*outcome);
}

using EntryOf = std::function<Result<EntryPtr>(StoredObject&)>;

/// The entries of all, in their order, or the first problem. Most of a start is reading what the
/// store held, so every core takes a share.
Result<std::vector<EntryPtr>> entries_of(std::vector<StoredObject>& objects,
                                         const EntryOf& entry_of) {
    constexpr std::size_t share_min = 1000;
    const std::size_t cores = std::max(1U, std::thread::hardware_concurrency());
    const std::size_t share = std::max(share_min, objects.size() / cores + 1);
    std::vector<EntryPtr> entries(objects.size());
    const auto read = [&](std::size_t from) -> Result<void> {
        for (std::size_t i = from; i < std::min(from + share, objects.size()); ++i) {
            Result<EntryPtr> entry = entry_of(objects[i]);
            if (!entry) return std::move(entry).error();
            entries[i] = *std::move(entry);
        }
        return {};
    };
    std::vector<std::future<Result<void>>> others;
    for (std::size_t from = share; from < objects.size(); from += share)
        others.push_back(std::async(std::launch::async, read, from));
    Result<void> done = read(0);
    for (std::future<Result<void>>& other : others) {
        Result<void> also = other.get();
        if (done) done = std::move(also);
    }
    if (!done) return std::move(done).error();
    return entries;
}

/// What a path under `/api` or `/apis` names.
struct Place {
    const ResourceType* type = nullptr;
    std::string ns = {};
    std::string name = {};
    std::string subresource = {};
    bool all_namespaces = false;
};

/// `rest` is what follows the version. Nullopt: nothing that is served.
std::optional<Place> place_of(const Resources& resources, std::string_view group,
                              std::string_view version, Segments rest) {
    Place place;
    // namespaces/NS/RESOURCE…; but namespaces/NS and namespaces/NS/status are the Namespace.
    const bool in_namespace = rest.size() >= 3 && rest[0] == "namespaces" &&
                              resources.find(group, version, rest[2]) != nullptr;
    if (in_namespace) {
        place.ns = rest[1];
        rest.erase(rest.begin(), rest.begin() + 2);
    }
    if (rest.empty() || rest.size() > 3) return std::nullopt;
    place.type = resources.find(group, version, rest[0]);
    if (!place.type) return std::nullopt;
    if (rest.size() > 1) place.name = rest[1];
    if (rest.size() > 2) place.subresource = rest[2];
    if (!place.subresource.empty() && !(place.subresource == "status" && place.type->has_status))
        return std::nullopt;
    if (place.type->namespaced != in_namespace) {
        // A namespaced kind without a namespace is a list over all of them.
        if (!place.type->namespaced || !place.name.empty()) return std::nullopt;
        place.all_namespaces = true;
    }
    return place;
}

std::string verb_of(const http::Request& request, const http::Target& target, const Place& place) {
    if (request.method == "GET" || request.method == "HEAD") {
        if (!place.name.empty()) return "get";
        const std::string watch = target.query("watch").value_or("");
        return watch == "true" || watch == "1" ? "watch" : "list";
    }
    if (request.method == "POST") return "create";
    if (request.method == "PUT") return "update";
    if (request.method == "PATCH") return "patch";
    if (request.method == "DELETE") return "delete";
    return {};
}

std::string media_type_of(const http::Request& request) {
    const std::string_view value = request.headers.value_or("Content-Type", "");
    return lower(trimmed(split(value, ';').front()));
}

Failure unknown_format(std::string_view accepted, std::string_view remedy = "") {
    return unsupported_media_type(fmt::format(
        "the body of the request was in an unknown format - accepted media types include: {}{}",
        accepted, remedy));
}

Outcome<bool> check_media_type(const std::string& type, bool is_patch) {
    if (type.find("protobuf") != std::string::npos)
        return unknown_format("application/json",
                              " (the embedded control plane does not read protobuf; use kubectl "
                              "apply -f with a file)");
    if (!is_patch) {
        if (type.empty() || type == "application/json") return true;
        return unknown_format("application/json");
    }
    if (type == "application/merge-patch+json" || type == "application/json-patch+json")
        return true;
    if (type == "application/apply-patch+yaml")
        return unsupported_media_type(
            "server-side apply is not supported by the embedded control plane; use kubectl apply "
            "without --server-side");
    constexpr std::string_view patches =
        "application/json-patch+json, application/merge-patch+json";
    if (type == "application/strategic-merge-patch+json")
        return unknown_format(patches,
                              " (the embedded control plane knows no strategic merge patch; use "
                              "kubectl replace -f with the whole file, or kubectl patch --type "
                              "merge)");
    return unknown_format(patches);
}

Outcome<FieldValidation> validation_of(const http::Target& target) {
    const std::string value = target.query("fieldValidation").value_or("Warn");
    if (value == "Strict") return FieldValidation::strict;
    if (value == "Warn" || value.empty()) return FieldValidation::warn;
    if (value == "Ignore") return FieldValidation::ignore;
    return invalid_object({"meta.k8s.io", "PatchOptions"}, "",
                          {{"FieldValueNotSupported",
                            fmt::format("Unsupported value: {}: supported values: \"Ignore\", "
                                        "\"Strict\", \"Warn\"",
                                        in_quotes(value)),
                            "fieldValidation"}});
}

Outcome<bool> dry_run_of(const http::Target& target) {
    const auto value = target.query("dryRun");
    if (!value || value->empty()) return false;
    if (*value == "All") return true;
    return invalid_object(
        {"meta.k8s.io", "CreateOptions"}, "",
        {{"FieldValueNotSupported",
          fmt::format("Unsupported value: {}: supported values: \"All\"", in_quotes(*value)),
          "dryRun"}});
}

}  // namespace

class ApiServer::Impl {
public:
    Impl(Config config, TokenTable tokens, Store& store)
        : shared_resources_(std::move(config.resources)),
          resources_(*shared_resources_),
          tokens_(std::move(tokens)),
          version_(std::move(config.version)),
          cache_(std::make_shared<Cache>(config.history_max)),
          writes_(resources_, cache_, store, std::move(config.random_bytes)) {}

    Result<void> load(Store& store, Timestamp now);
    http::Reply handle(const http::Request& request, Timestamp now);
    std::uint64_t version() const { return cache_->version(); }

private:
    std::optional<http::Reply> open_to_all(const http::Target& target);
    http::Reply readiness();
    http::Reply discovery(const http::Request& request, const http::Target& target) const;
    http::Reply openapi(const Segments& segments) const;
    http::Reply resource(const http::Request& request, const http::Target& target,
                         const Identity& identity, const Place& place, Timestamp now);
    http::Reply write(const http::Request& request, const http::Target& target,
                      const Identity& identity, const Place& place, Timestamp now);

    const std::shared_ptr<const Resources> shared_resources_;
    const Resources& resources_;
    const TokenTable tokens_;
    const std::string version_;
    const std::shared_ptr<Cache> cache_;
    Writes writes_;
};

Result<void> ApiServer::Impl::load(Store& store, Timestamp now) {
    Result<StoreContents> contents = store.load();
    if (!contents) return std::move(contents).error();
    std::map<std::string, const ResourceType*> by_name;
    for (const auto& type : resources_.types()) by_name[type->name.qualified()] = type.get();
    const auto entry_of = [&](StoredObject& object) -> Result<EntryPtr> {
        const StoredKey& key = object.key;
        const auto type = by_name.find(key.resource);
        if (type == by_name.end())
            return invalid(fmt::format("the store holds {} {}/{}, a kind that is not served",
                                       key.resource, key.ns, key.name));
        Result<EntryPtr> entry = read_entry(*type->second, std::move(object.text));
        if (entry) return entry;
        return invalid(fmt::format("the store holds {} {}/{}, which is not JSON: {}", key.resource,
                                   key.ns, key.name, entry.error().message));
    };
    Result<std::vector<EntryPtr>> entries = entries_of(contents->objects, entry_of);
    if (!entries) return std::move(entries).error();
    cache_->load(*std::move(entries), contents->version);
    return writes_.create_first_namespaces(now);
}

http::Reply ApiServer::Impl::handle(const http::Request& request, Timestamp now) {
    const http::Target target(request.target);
    if (std::optional<http::Reply> reply = open_to_all(target)) return std::move(*reply);
    const std::optional<Identity> identity =
        tokens_.find(request.headers.value_or("Authorization", ""));
    if (!identity) return reply_of(unauthorized());
    if (request.headers.find("Impersonate-User"))
        return reply_of(Failure{403, "Forbidden",
                                "impersonation is not supported by the embedded control plane"});

    const Segments& segments = target.segments();
    if (segments.empty()) return reply_of(no_such_path());
    if (segments[0] == "openapi") return openapi(segments);
    const std::size_t head = segments[0] == "api" ? 2 : 3;
    if ((segments[0] == "api" || segments[0] == "apis") && segments.size() <= head)
        return discovery(request, target);
    if (segments[0] != "api" && segments[0] != "apis") return reply_of(no_such_path());
    const bool of_core = segments[0] == "api";
    const std::optional<Place> place =
        place_of(resources_, of_core ? "" : segments[1], segments[of_core ? 1 : 2],
                 Segments(segments.begin() + static_cast<std::ptrdiff_t>(head), segments.end()));
    if (!place) return reply_of(no_such_path());
    return resource(request, target, *identity, *place, now);
}

/// 500 and not 503: kubectl shows the text of a 500.
http::Reply ApiServer::Impl::readiness() {
    const std::string trouble = writes_.trouble();
    http::Reply reply = text_reply("text/plain; charset=utf-8",
                                   trouble.empty() ? "ok" : "nothing can be written: " + trouble);
    if (!trouble.empty()) reply.response.status = 500;
    return reply;
}

std::optional<http::Reply> ApiServer::Impl::open_to_all(const http::Target& target) {
    const std::string& path = target.path();
    if (path == "/readyz") return readiness();
    if (path == "/healthz" || path == "/livez")
        return text_reply("text/plain; charset=utf-8", "ok");
    if (path != "/version") return std::nullopt;
    return json_reply(nlohmann::json({{"major", "1"},
                                      {"minor", "36"},
                                      {"gitVersion", "v1.36.0+sallyport-" + version_},
                                      {"gitCommit", ""},
                                      {"gitTreeState", "clean"},
                                      {"buildDate", ""},
                                      {"goVersion", "none"},
                                      {"compiler", "gcc"},
                                      {"platform", "linux/amd64"}})
                          .dump(2));
}

http::Reply ApiServer::Impl::discovery(const http::Request& request,
                                       const http::Target& target) const {
    if (request.method != "GET" && request.method != "HEAD")
        return reply_of(method_not_allowed(request.method));
    const Segments& segments = target.segments();
    const bool of_core = segments[0] == "api";
    const std::string_view accept = request.headers.value_or("Accept", "");
    if (segments.size() == 1) {
        for (const std::string_view version : {"v2", "v2beta1"}) {
            const std::string form = fmt::format(
                "application/json;g=apidiscovery.k8s.io;v={};as=APIGroupDiscoveryList", version);
            if (accept.find(form) != std::string_view::npos)
                return text_reply(form, aggregated_discovery(resources_, of_core, version));
        }
        return json_reply(of_core ? api_versions() : api_group_list(resources_));
    }
    std::string body;
    if (of_core) {
        body = api_resource_list(resources_, "", segments[1]);
    } else if (segments.size() == 2) {
        body = api_group(resources_, segments[1]);
    } else {
        body = api_resource_list(resources_, segments[1], segments[2]);
    }
    return body.empty() ? reply_of(no_such_path()) : json_reply(std::move(body));
}

http::Reply ApiServer::Impl::openapi(const Segments& segments) const {
    // v2 is protobuf only for kubectl, which does without it.
    if (segments.size() < 2 || segments[1] != "v3") return reply_of(no_such_path());
    if (segments.size() == 2) return json_reply(openapi_index(resources_));
    std::string body;
    if (segments.size() == 4 && segments[2] == "api")
        body = openapi_document(resources_, "", segments[3]);
    if (segments.size() == 5 && segments[2] == "apis")
        body = openapi_document(resources_, segments[3], segments[4]);
    return body.empty() ? reply_of(no_such_path()) : json_reply(std::move(body));
}

http::Reply ApiServer::Impl::resource(const http::Request& request, const http::Target& target,
                                      const Identity& identity, const Place& place, Timestamp now) {
    const std::string verb = verb_of(request, target, place);
    if (verb.empty()) return reply_of(method_not_allowed(request.method));
    const std::string ns = place.type->kind == "Namespace" ? place.name : place.ns;
    const Access access{verb, place.type, place.subresource, ns, place.name};
    if (!may(identity, access)) return reply_of(no_permission(identity, access));

    if (verb != "get" && verb != "list" && verb != "watch")
        return write(request, target, identity, place, now);
    const ReadRequest read{*place.type,
                           place.ns,
                           place.name,
                           target,
                           accepted_form(request.headers.value_or("Accept", "")),
                           now};
    if (read.form == Form::none)
        return reply_of(
            not_acceptable("only the following media types are accepted: application/json"));
    if (verb == "get") return reply_of(get(*cache_, read));
    if (verb == "list") return reply_of(list(*cache_, read));
    return reply_of(watch_list(cache_, read));
}

http::Reply ApiServer::Impl::write(const http::Request& request, const http::Target& target,
                                   const Identity& identity, const Place& place, Timestamp now) {
    const bool creates = request.method == "POST";
    const bool removes = request.method == "DELETE";
    if (creates != place.name.empty() || place.all_namespaces ||
        (!place.subresource.empty() && (creates || removes)))
        return reply_of(method_not_allowed(request.method));
    const std::string media_type = media_type_of(request);
    if (Outcome<bool> ok = check_media_type(media_type, request.method == "PATCH"); !ok)
        return reply_of(ok.failure());
    Outcome<FieldValidation> validation = validation_of(target);
    if (!validation) return reply_of(validation.failure());
    Outcome<bool> dry_run = dry_run_of(target);
    if (!dry_run) return reply_of(dry_run.failure());

    const WriteRequest wanted{*place.type, place.ns, place.name,  place.subresource, request.body,
                              media_type,  identity, *validation, *dry_run,          now};
    Outcome<Written> written = creates                   ? writes_.create(wanted)
                               : removes                 ? writes_.remove(wanted)
                               : request.method == "PUT" ? writes_.replace(wanted)
                                                         : writes_.patch(wanted);
    if (!written) return reply_of(written.failure());
    http::Reply reply = json_reply(written->text ? *written->text + "\n" : written->success);
    reply.response.status = written->status;
    if (*validation == FieldValidation::warn) {
        for (const std::string& warning : written->warnings)
            reply.response.headers.add("Warning", "299 - " + in_quotes(warning));
    }
    return reply;
}

ApiServer::ApiServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
ApiServer::~ApiServer() = default;

Result<std::unique_ptr<ApiServer>> ApiServer::create(Config config, Store& store, Timestamp now) {
    check(config.random_bytes != nullptr, "a control plane is given random bytes");
    if (!config.resources) {
        Result<Resources> read = Resources::read(shipped_crds());
        if (!read) return std::move(read).error();
        config.resources = std::make_shared<const Resources>(std::move(*read));
    }
    Result<TokenTable> tokens = TokenTable::parse(config.tokens);
    if (!tokens) return std::move(tokens).error();
    auto impl = std::make_unique<Impl>(std::move(config), std::move(*tokens), store);
    if (Result<void> loaded = impl->load(store, now); !loaded) return std::move(loaded).error();
    return std::make_unique<ApiServer>(std::move(impl));
}

http::Reply ApiServer::handle(const http::Request& request, Timestamp now) {
    http::Reply reply = impl_->handle(request, now);
    reply.response.headers.set("Cache-Control", "no-cache, private");
    // Clients compare clocks by it; a server in front keeps it, a simulation has nobody else to set
    // it.
    reply.response.headers.set("Date", format_http_date(now));
    return reply;
}

std::uint64_t ApiServer::version() const { return impl_->version(); }

}  // namespace sallyport::apiserver
