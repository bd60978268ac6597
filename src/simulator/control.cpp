#include "simulator/control.hpp"

#include <algorithm>
#include <charconv>
#include <deque>

#include "base/text.hpp"
#include "base/time.hpp"
#include "simulator/address.hpp"
#include "simulator/judge.hpp"
#include "simulator/switches.hpp"

namespace sallyport::simulator {

namespace {

http::Response wrong(int status, const std::string& what) {
    return json_response(status, dumped(Json{{"error", {{"message", what}}}}));
}

// --- The judge
// -------------------------------------------------------------------------------------

judge::Rule judged(const RuleSpec& spec) {
    return {spec.name,
            spec.priority,
            spec.inbound,
            spec.allow,
            spec.protocol,
            spec.source.all(),
            spec.destination.all(),
            spec.source.groups,
            spec.destination.groups,
            spec.source_ports.all(),
            spec.destination_ports.all()};
}

/// Builds the judge's view of one VM from what is in force now, not from what was asked for.
class Court {
public:
    explicit Court(World& world) : world_(world) {
        for (const auto& [name, prefixes] : world.service_tags) around.tags[lower(name)] = prefixes;
        world.each(nic_type, [&](Resource& nic) {
            for (const Json& config : nic.properties["ipConfigurations"]) {
                const Json* groups = member(config["properties"], "applicationSecurityGroups");
                if (!groups) continue;
                for (const Json& group : *groups) {
                    around.members[lower(text_at(group, "id"))].insert(
                        text_at(config["properties"], "privateIPAddress"));
                }
            }
        });
    }

    void add_nic(const Resource& nic) {
        for (const Json& config : nic.properties.at("ipConfigurations")) {
            const Json& in = config["properties"];
            const std::string subnet_id = ref(in, "subnet");
            const Resource* subnet = world_.subnet_by_id(subnet_id);
            judge::Place place;
            place.interface_id = nic.id;
            place.address = text_at(in, "privateIPAddress");
            place.subnet_nsg =
                subnet ? nsg(ref(subnet->properties, "networkSecurityGroup")) : nullptr;
            place.nic_nsg = nsg(ref(nic.properties, "networkSecurityGroup"));
            place.vnet_prefixes = vnet_prefixes(subnet_id.substr(0, subnet_id.find("/subnets/")));
            if (const Json* groups = member(in, "applicationSecurityGroups")) {
                for (const Json& group : *groups)
                    place.groups.push_back(lower(text_at(group, "id")));
            }
            public_addresses.push_back(public_address(in));
            places.push_back(std::move(place));
        }
    }

    judge::Surroundings around;
    std::vector<judge::Place> places;
    std::vector<std::string> public_addresses;  ///< of the place with the same index; empty: none

private:
    static std::string ref(const Json& properties, const char* key) {
        const Json* found = member(properties, key);
        return found ? text_at(*found, "id") : std::string();
    }

    const judge::Nsg* nsg(const std::string& id) {
        const Nsg* live = id.empty() ? nullptr : world_.nsg_by_id(id);
        if (!live) return nullptr;
        judge::Nsg& view = nsgs_.emplace_back();
        view.id = live->id;
        for (const auto& [key, rule] : live->rules) {
            if (rule.in_force) view.rules.push_back(judged(*rule.in_force));
        }
        return &view;
    }

    /// The VNet's own prefixes and those of the VNets that it is connected with by peering.
    std::vector<std::string> vnet_prefixes(const std::string& vnet_id) {
        std::vector<std::string> all;
        const Resource* vnet = world_.resource_by_id(vnet_id);
        if (!vnet) return all;
        const auto add = [&](const Resource& one) {
            for (const Json& p : one.properties.at("addressSpace")["addressPrefixes"]) {
                all.push_back(p.get<std::string>());
            }
        };
        add(*vnet);
        for (const Json& peering : vnet->properties.at("virtualNetworkPeerings")) {
            const Json& in = peering["properties"];
            const Resource* remote = world_.resource_by_id(ref(in, "remoteVirtualNetwork"));
            if (remote && text_at(in, "peeringState") == "Connected" &&
                in.value("allowVirtualNetworkAccess", true)) {
                add(*remote);
            }
        }
        return all;
    }

    std::string public_address(const Json& config) {
        const Resource* ip = world_.resource_by_id(ref(config, "publicIPAddress"));
        return ip ? text_at(ip->properties, "ipAddress") : std::string();
    }

    World& world_;
    std::deque<judge::Nsg> nsgs_;  // places point into it
};

Json shown(const judge::Place& place, const judge::Verdict& verdict) {
    Json steps = Json::array();
    for (const judge::Step& step : verdict.steps) {
        Json one = {{"where", step.where}, {"access", step.allow ? "Allow" : "Deny"}};
        one["nsg"] = step.nsg.empty() ? Json() : Json(step.nsg);
        if (!step.nsg.empty()) {
            one["rule"] = step.rule;
            one["priority"] = step.priority;
        }
        steps.push_back(std::move(one));
    }
    return {{"networkInterface", place.interface_id},
            {"destination", place.address},
            {"reachable", verdict.reachable},
            {"rules", std::move(steps)}};
}

std::optional<std::uint16_t> port_of(const std::string& text) {
    std::uint16_t port = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
    if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
    return port;
}

std::vector<Resource*> vms_named(World& world, const http::Target& target) {
    std::vector<Resource*> found;
    const std::string name = target.query("vm").value_or("");
    const std::string group = target.query("resourceGroup").value_or("");
    const std::string sub = target.query("subscription").value_or("");
    world.each(vm_type, [&](Resource& vm) {
        const bool right = equals_ignoring_case(vm.name, name) || equals_ignoring_case(vm.id, name);
        const auto parts = split(vm.id, '/');
        if (right && (group.empty() || equals_ignoring_case(parts[4], group)) &&
            (sub.empty() || equals_ignoring_case(parts[2], sub))) {
            found.push_back(&vm);
        }
    });
    return found;
}

http::Response answer_reach(Core& core, const http::Target& target) {
    judge::Question question;
    question.source = target.query("source").value_or("");
    question.protocol = target.query("protocol").value_or("Tcp");
    const auto port = port_of(target.query("port").value_or("0"));
    const auto source_port = port_of(target.query("sourcePort").value_or("50000"));
    if (!parse_address(question.source)) return wrong(400, "source is not an IP address");
    if (!port || !source_port) return wrong(400, "port is not a number from 0 to 65535");
    question.port = *port;
    question.source_port = *source_port;
    const std::vector<Resource*> vms = vms_named(core.world, target);
    if (vms.empty()) return wrong(404, "no VM of that name");
    if (vms.size() > 1)
        return wrong(400, "several VMs of that name: give resourceGroup or subscription");
    Court court(core.world);
    core.world.each(nic_type, [&](Resource& nic) {
        const Json* owner = member(nic.properties, "virtualMachine");
        if (owner && equals_ignoring_case(text_at(*owner, "id"), vms[0]->id)) court.add_nic(nic);
    });
    const std::string wanted = target.query("destination").value_or("");
    Json decided = Json::array();
    bool reachable = false;
    for (std::size_t i = 0; i < court.places.size(); ++i) {
        const judge::Place& place = court.places[i];
        if (!wanted.empty() && wanted != place.address && wanted != court.public_addresses[i])
            continue;
        const auto verdict = judge::reach(place, court.around, question);
        if (!verdict) continue;
        reachable = reachable || verdict->reachable;
        decided.push_back(shown(place, *verdict));
    }
    return json_response(200,
                         dumped(Json{{"reachable", reachable}, {"decidedBy", std::move(decided)}}));
}

// --- State
// -----------------------------------------------------------------------------------------

void append(std::string& list, const std::string& item) {
    if (!list.empty()) list += ",";
    list += item;
}

/// What of the state moves all the time, for those who look all the time.
http::Response answer_rules(Core& core) {
    std::string nsgs;
    core.world.each_group([&](Subscription&, Group& group) {
        for (const auto& [key, nsg] : group.nsgs) {
            std::string rules;
            for (const auto& [rule_key, rule] : nsg.rules) append(rules, rule_json(nsg, rule));
            append(nsgs, "{\"id\":" + json_text(nsg.id) + ",\"securityRules\":[" + rules + "]}");
        }
    });
    return json_response(200, "{\"networkSecurityGroups\":[" + nsgs + "]}");
}

http::Response answer_state(Core& core) {
    constexpr std::string_view version = "2024-01-01";
    std::string subscriptions, groups, nsgs, locks, operations;
    std::map<std::string, std::string> resources = {{"virtualNetworks", ""},
                                                    {"networkInterfaces", ""},
                                                    {"publicIPAddresses", ""},
                                                    {"applicationSecurityGroups", ""},
                                                    {"virtualMachines", ""}};
    for (const auto& [key, sub] : core.world.subscriptions)
        append(subscriptions, subscription_json(core, sub));
    core.world.each_group([&](Subscription&, Group& group) {
        append(groups, group_json(group));
        for (const auto& [key, nsg] : group.nsgs) append(nsgs, nsg_json(core, nsg));
        for (auto& [type, all] : group.resources) {
            for (const auto& [key, resource] : all) {
                append(resources[resource.type.substr(resource.type.find('/') + 1)],
                       resource_json(core, resource, version));
            }
        }
    });
    for (const auto& [scope, by_name] : core.world.locks) {
        for (const auto& [name, lock] : by_name) append(locks, lock_json(lock));
    }
    std::map<std::string, const Operation*> running;
    for (const auto& [id, operation] : core.operations) {
        if (operation.status == "InProgress") running[id] = &operation;
    }
    for (const auto& [id, operation] : running) {
        append(operations, dumped(Json{{"name", id},
                                       {"subscriptionId", operation->subscription},
                                       {"status", operation->status}}));
    }
    std::string body =
        "{\"now\":\"" + format_rfc3339(Timestamp(std::chrono::seconds(core.now_ms / 1000))) + "\"";
    const auto put = [&](const std::string& name, const std::string& list) {
        body += ",\"" + name + "\":[" + list + "]";
    };
    put("subscriptions", subscriptions);
    put("resourceGroups", groups);
    put("networkSecurityGroups", nsgs);
    for (const auto& [name, list] : resources) put(name, list);
    put("locks", locks);
    put("operations", operations);
    return json_response(200, body + "}");
}

// --- Clock, faults, behaviour
// ----------------------------------------------------------------------

http::Response answer_clock(Core& core, const http::Request& request, std::int64_t& offset_ms) {
    std::int64_t by_ms = 0;
    if (request.method == "POST") {
        const Json body = Json::parse(request.body, nullptr, false);
        const std::string text = text_at(body, "advance");
        if (const auto duration = parse_duration(text)) {
            by_ms = duration->count() * 1000;
        } else if (text.ends_with("ms") && !text.starts_with('-')) {
            const auto [end, error] =
                std::from_chars(text.data(), text.data() + text.size() - 2, by_ms);
            if (error != std::errc() || end != text.data() + text.size() - 2) {
                return wrong(400, "advance is not a duration such as 2h, 90s or 250ms");
            }
        } else {
            return wrong(400, "advance is not a duration such as 2h, 90s or 250ms");
        }
        offset_ms += by_ms;
    } else if (request.method != "GET") {
        return wrong(405, "GET or POST");
    }
    const Timestamp now{std::chrono::seconds((core.now_ms + by_ms) / 1000)};
    return json_response(200, dumped(Json{{"now", format_rfc3339(now)}}));
}

http::Response answer_faults(Core& core, const http::Request& request, const std::string& id) {
    if (request.method == "GET") {
        return json_response(200, dumped(Json{{"faults", core.faults.listed()}}));
    }
    if (request.method == "DELETE") {
        if (!core.faults.clear(id)) return wrong(404, "no fault has this id");
        return json_response(200, "{}");
    }
    if (request.method != "POST") return wrong(405, "GET, POST or DELETE");
    const Json body = Json::parse(request.body, nullptr, false);
    if (body.is_discarded()) return wrong(400, "the body is not JSON");
    const auto ids = core.faults.add(body);
    if (!ids) return wrong(400, ids.error().message);
    return json_response(201, dumped(Json{{"ids", *ids}}));
}

http::Response answer_behaviour(Core& core, const http::Request& request) {
    if (request.method == "POST") {
        const Json body = Json::parse(request.body, nullptr, false);
        if (!body.is_object()) return wrong(400, "the body is not a JSON object");
        Behaviour next = core.behaviour;
        if (const std::string problem = read_behaviour(body, next); !problem.empty()) {
            return wrong(400, problem);
        }
        core.behaviour = next;
        core.throttle.limits(next.limits);
    } else if (request.method != "GET") {
        return wrong(405, "GET or POST");
    }
    return json_response(200, dumped(behaviour_json(core.behaviour)));
}

}  // namespace

http::Response answer_control(Core& core, const http::Request& request, const http::Target& target,
                              std::int64_t& offset_ms) {
    const auto& segments = target.segments();
    const std::string what = segments.size() > 1 ? segments[1] : std::string();
    const std::string id = segments.size() > 2 ? segments[2] : std::string();
    if (what == "faults" && segments.size() <= 3) return answer_faults(core, request, id);
    if (segments.size() == 2) {
        if (what == "clock") return answer_clock(core, request, offset_ms);
        if (what == "behaviour") return answer_behaviour(core, request);
        const bool reads = what == "reach" || what == "state" || what == "rules";
        if (reads && request.method != "GET") return wrong(405, "GET");
        if (what == "reach") return answer_reach(core, target);
        if (what == "state") return answer_state(core);
        if (what == "rules") return answer_rules(core);
    }
    return wrong(404, "known here: reach, state, rules, clock, faults, behaviour");
}

}  // namespace sallyport::simulator
