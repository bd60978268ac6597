#include "simulator/simulator.hpp"

#include <algorithm>
#include <mutex>

#include "base/digest.hpp"
#include "base/text.hpp"
#include "simulator/control.hpp"
#include "simulator/core.hpp"
#include "simulator/estate.hpp"
#include "simulator/traffic.hpp"

namespace sallyport::simulator {

struct Simulator::State {
    State(Options options_in, Core core_in)
        : options(std::move(options_in)), core(std::move(core_in)) {}

    http::Reply answer(const http::Request& request, Timestamp now,
                       std::chrono::milliseconds arrived);
    http::Reply carry_out(Call& call);
    http::Response run(Call& call);
    http::Reply answer_token(const http::Request& request, const http::Target& target);
    http::Reply answer_metadata(const http::Request& request);
    http::Reply answer_call(const http::Request& request, const http::Target& target);
    std::int64_t clock(Timestamp now);
    void finish(const http::Request& request, http::Response& response, bool changes_case);

    Options options;
    std::mutex mutex;
    Core core;
    bool started = false;
    std::int64_t first_now_ms = 0;
    std::int64_t first_elapsed_ms = 0;
    std::int64_t offset_ms = 0;
};

namespace {

std::string base_url(const http::Request& request) {
    if (const auto host = request.headers.find("Host")) return "https://" + std::string(*host);
    return request.origin.empty() ? "https://management.azure.com" : request.origin;
}

CallKind kind_of(const http::Request& request) {
    if (request.method == "GET" || request.method == "HEAD") return CallKind::read;
    return request.method == "DELETE" ? CallKind::remove : CallKind::write;
}

/// The words of a fault's `match.operation`: what kind of thing, and what is done with it.
std::string operation_name(const http::Request& request, const std::optional<ArmPath>& path,
                           bool polls) {
    if (polls) return "poll";
    if (!path) return "other";
    static const std::pair<std::string_view, const char*> nouns[] = {
        {"microsoft.network/networksecuritygroups", "nsg"},
        {"microsoft.network/networksecuritygroups/securityrules", "rule"},
        {"microsoft.network/networksecuritygroups/defaultsecurityrules", "defaultrule"},
        {"microsoft.network/virtualnetworks", "vnet"},
        {"microsoft.network/virtualnetworks/subnets", "subnet"},
        {"microsoft.network/virtualnetworks/virtualnetworkpeerings", "peering"},
        {"microsoft.network/networkinterfaces", "nic"},
        {"microsoft.network/publicipaddresses", "publicip"},
        {"microsoft.network/applicationsecuritygroups", "asg"},
        {"microsoft.network/locations/servicetags", "servicetags"},
        {"microsoft.compute/virtualmachines", "vm"},
        {"microsoft.authorization/locks", "lock"},
        {"microsoft.authorization/permissions", "permissions"},
        {"microsoft.authorization/denyassignments", "denyassignments"}};
    std::string noun = path->group || path->lists_groups ? "group" : "subscription";
    bool collection = path->lists_groups || path->subscription.empty();
    if (!path->provider.empty()) {
        const std::string key = path->type_key();
        const auto it = std::ranges::find_if(nouns, [&](const auto& n) { return n.first == key; });
        noun = it == std::end(nouns) ? "other" : it->second;
        collection = path->is_collection();
    }
    const std::string verb = request.method == "GET" && collection ? "list" : lower(request.method);
    return noun + "." + verb;
}

http::Reply refusal_of(const Effect& effect) {
    http::Reply reply;
    if (effect.body) {
        reply.response.body = *effect.body;
        reply.response.headers.add("Content-Type",
                                   effect.content_type.empty() ? "text/html" : effect.content_type);
    } else {
        reply.response =
            arm_error(*effect.status, effect.code.empty() ? "InternalServerError" : effect.code,
                      effect.message.empty() ? "Asked for by a fault." : effect.message);
    }
    reply.response.status = *effect.status;
    for (const auto& [name, value] : effect.headers) reply.response.headers.set(name, value);
    return reply;
}

/// Changes the case of one id as providers do, never that of names a client must send back: any
/// spelling is accepted.
std::string recased(std::string id, Random& random) {
    const auto lower_word = [&](std::string_view word) {
        const std::size_t at = id.find(word);
        if (at == std::string::npos) return;
        for (std::size_t i = at; i < at + word.size(); ++i) id[i] = lower(id[i]);
    };
    switch (random.below(4)) {
        case 0: break;
        case 1: lower_word("resourceGroups"); break;
        case 2: {
            const std::size_t at = id.find("/resourceGroups/");
            if (at == std::string::npos) break;
            for (std::size_t i = at + 16; i < id.size() && id[i] != '/'; ++i) {
                if (id[i] >= 'a' && id[i] <= 'z') id[i] = static_cast<char>(id[i] - 'a' + 'A');
            }
            break;
        }
        default: id = lower(id);
    }
    return id;
}

void recase_ids(std::string& body, Random& random) {
    static constexpr std::string_view start = "\"/subscriptions/";
    std::string changed;
    std::size_t from = 0;
    for (std::size_t at = body.find(start); at != std::string::npos; at = body.find(start, from)) {
        const std::size_t end = body.find('"', at + 1);
        changed.append(body, from, at + 1 - from);
        changed += recased(body.substr(at + 1, end - at - 1), random);
        from = end;
    }
    changed.append(body, from, std::string::npos);
    body = std::move(changed);
}

}  // namespace

std::int64_t Simulator::State::clock(Timestamp now) {
    const std::int64_t now_ms = now.time_since_epoch().count() * 1000;
    const std::int64_t elapsed = options.elapsed ? options.elapsed().count() : 0;
    if (!started) {
        started = true;
        first_now_ms = now_ms;
        first_elapsed_ms = elapsed;
    }
    const std::int64_t passed =
        options.elapsed ? elapsed - first_elapsed_ms : now_ms - first_now_ms;
    return first_now_ms +
           static_cast<std::int64_t>(static_cast<double>(passed) * options.time_scale) + offset_ms;
}

void Simulator::State::finish(const http::Request& request, http::Response& response,
                              bool changes_case) {
    http::Headers& headers = response.headers;
    headers.set("Cache-Control", "no-cache");
    headers.set("Pragma", "no-cache");
    headers.set("Expires", "-1");
    headers.set("Strict-Transport-Security", "max-age=31536000; includeSubDomains");
    headers.set("X-Content-Type-Options", "nosniff");
    const std::string id = core.random.guid();
    headers.set("x-ms-request-id", id);
    headers.set("x-ms-correlation-request-id",
                std::string(request.headers.value_or("x-ms-correlation-request-id", id)));
    // unverified: the format of the routing id.
    headers.set("x-ms-routing-request-id", "SIMULATOR:" + id);
    if (request.headers.value_or("x-ms-return-client-request-id", "") == "true") {
        headers.set("x-ms-client-request-id",
                    request.headers.value_or("x-ms-client-request-id", ""));
    }
    if (changes_case) recase_ids(response.body, core.random);
}

http::Response Simulator::State::run(Call& call) {
    const bool network = equals_ignoring_case(call.path.provider, "Microsoft.Network");
    const Throttle::Call counted{lower(call.path.subscription), call.principal->object_id,
                                 kind_of(call.request), network, core.now_ms};
    if (auto refused = core.throttle.admit(counted)) return std::move(*refused);
    http::Response response = answer_arm(core, call);
    core.throttle.headers(counted, response.headers);
    return response;
}

http::Reply Simulator::State::carry_out(Call& call) {
    http::Reply reply;
    const Effect& effect = call.effect;
    if (!effect.lands_late_ms) {
        reply.response = run(call);
        reply.drop_connection = effect.drop_reply;
        return reply;
    }
    // The write of a request that timed out still arrives: as if it were sent again, later.
    core.at(core.now_ms + *effect.lands_late_ms,
            [this, request = call.request, principal = call.principal] {
                const http::Target target(request.target);
                Call late{request,
                          target,
                          *parse_arm_path(target.segments()),
                          target.query("api-version").value_or(""),
                          base_url(request),
                          Json::parse(request.body, nullptr, false),
                          principal,
                          {}};
                answer_arm(core, late);
            });
    reply.response =
        gateway_error(504, "GatewayTimeout",
                      "The gateway did not receive a response from 'Microsoft.Network' within "
                      "the specified time period.");
    reply.drop_connection = effect.drop_reply;
    return reply;
}

http::Reply Simulator::State::answer_call(const http::Request& request,
                                          const http::Target& target) {
    const bool polls = is_poll(target);
    const auto path = parse_arm_path(target.segments());
    auto who = core.identity.who(request, core.now_ms);
    const Principal* const* principal = std::get_if<const Principal*>(&who);
    const Subject subject{request.method, target.path(), operation_name(request, path, polls),
                          principal ? (*principal)->name : std::string()};
    const Effect effect = core.faults.effect_on(subject, core.random).value_or(Effect{});
    http::Reply reply;
    if (effect.drop_request) {
        reply.drop_connection = true;
    } else if (effect.status) {
        reply = refusal_of(effect);
    } else if (!principal) {
        reply.response = std::get<http::Response>(std::move(who));
    } else if (polls) {
        reply.response = poll(core, request, target);
        reply.drop_connection = effect.drop_reply;
    } else if (!path) {
        reply.response =
            gateway_error(404, "InvalidResourceNamespace", "The path is not known here.");
    } else {
        Call call{request,
                  target,
                  *path,
                  target.query("api-version").value_or(""),
                  base_url(request),
                  Json::parse(request.body, nullptr, false),
                  *principal,
                  effect};
        reply = carry_out(call);
    }
    if (!effect.status) {
        for (const auto& [name, value] : effect.headers) reply.response.headers.set(name, value);
    }
    reply.delay = std::chrono::milliseconds(effect.delay_ms);
    finish(request, reply.response, effect.changes_id_case || core.behaviour.changes_id_case);
    return reply;
}

http::Reply Simulator::State::answer_token(const http::Request& request,
                                           const http::Target& target) {
    const Subject subject{request.method, target.path(), "token", {}};
    const Effect effect = core.faults.effect_on(subject, core.random).value_or(Effect{});
    http::Reply reply;
    if (effect.status) {
        reply = refusal_of(effect);
    } else if (!effect.drop_request) {
        reply.response = core.identity.token(target.segments()[0], request, core.now_ms);
    }
    reply.drop_connection = effect.drop_request || effect.drop_reply;
    reply.delay = std::chrono::milliseconds(effect.delay_ms);
    finish(request, reply.response, false);
    return reply;
}

/// Which cloud this is; asked without a token, and no bucket counts it.
/// unverified: the public cloud tells much more; these are the members that clients need to sign
/// in.
http::Reply Simulator::State::answer_metadata(const http::Request& request) {
    const std::string origin = base_url(request);
    const Json cloud = {{"name", "azure-sim"},
                        {"resourceManager", origin + "/"},
                        {"authentication",
                         {{"loginEndpoint", origin + "/"},
                          {"audiences", Json::array({origin + "/"})},
                          {"tenant", "common"},
                          {"identityProvider", "AAD"}}}};
    http::Reply reply;
    reply.response.status = 200;
    reply.response.headers.set("Content-Type", "application/json; charset=utf-8");
    reply.response.body = cloud.dump();
    finish(request, reply.response, false);
    return reply;
}

http::Reply Simulator::State::answer(const http::Request& request, Timestamp now,
                                     std::chrono::milliseconds arrived) {
    core.advance(clock(now));
    const http::Target target(request.target);
    const auto& segments = target.segments();
    if (!segments.empty() && segments[0] == "_sim") {
        http::Reply reply;
        reply.response = answer_control(core, request, target, offset_ms);
        core.advance(clock(now));  // the clock may have been moved just now
        return reply;
    }
    const bool token =
        segments.size() >= 3 && segments[1] == "oauth2" && segments.back() == "token";
    const bool metadata = request.method == "GET" && target.path() == "/metadata/endpoints";
    http::Reply reply = token      ? answer_token(request, target)
                        : metadata ? answer_metadata(request)
                                   : answer_call(request, target);
    // HEAD and 204 have no body; a body that a fault asked for is its own affair.
    if (options.traffic && !reply.drop_connection) {
        options.traffic(traffic_line(request, reply.response, arrived));
    }
    return reply;
}

Simulator::Simulator(std::unique_ptr<State> state) : state_(std::move(state)) {}
Simulator::~Simulator() = default;

Result<std::unique_ptr<Simulator>> Simulator::create(Options options) {
    std::vector<EstateProblem> problems;
    const Estate estate =
        options.estate.empty() ? empty_estate() : read_estate(options.estate, problems);
    const std::string key = hex(sha256("azure-sim " + std::to_string(options.seed)));
    Core core(estate.behaviour,
              Identity(estate.tenant, estate.principals, key, options.accept_any_token),
              options.seed);
    core.signing_key = key;
    const std::string name = options.estate_name;
    auto state = std::make_unique<State>(std::move(options), std::move(core));
    build_estate(state->core, estate, problems);
    if (!problems.empty()) {
        std::ranges::stable_sort(problems, {}, &EstateProblem::line);
        std::vector<std::string> lines;
        for (const EstateProblem& problem : problems) {
            lines.push_back(name + ":" + std::to_string(problem.line) + ": " + problem.text);
        }
        return invalid(join(lines, "\n"));
    }
    return std::make_unique<Simulator>(std::move(state));
}

http::Reply Simulator::handle(const http::Request& request, Timestamp now) {
    // Before the wait for those in front: when it was asked, not when its turn came.
    const Options& options = state_->options;
    const auto arrived = options.elapsed ? options.elapsed() : std::chrono::milliseconds(0);
    const std::scoped_lock lock(state_->mutex);
    return state_->answer(request, now, arrived);
}

void Simulator::advance(std::chrono::milliseconds by) {
    const std::scoped_lock lock(state_->mutex);
    state_->offset_ms += by.count();
}

}  // namespace sallyport::simulator
