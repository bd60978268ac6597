#include <algorithm>

#include "base/text.hpp"
#include "simulator/nsg.hpp"

namespace sallyport::simulator {

namespace {

std::string default_rule_json(const Nsg& nsg, const RuleSpec& rule) {
    std::string text = "{\"name\":";
    append_text(text, rule.name);
    text += ",\"id\":";
    append_text(text, nsg.id + "/defaultSecurityRules/" + rule.name);
    text += ",\"etag\":" + json_text(nsg.etag);
    text +=
        ",\"type\":\"Microsoft.Network/networkSecurityGroups/defaultSecurityRules\","
        "\"properties\":{\"provisioningState\":\"";
    text += nsg.state + "\"" + rule.rendered + "}}";
    return text;
}

/// The rules of a whole-NSG PUT, or why they are refused.
std::optional<http::Response> read_inline_rules(
    Core& core, const Call& call, ByName<Rule>& rules,
    std::map<std::pair<bool, int>, std::string>& taken) {
    const Json* properties = member(call.body, "properties");
    const Json* list = properties ? member(*properties, "securityRules") : nullptr;
    if (!list) return std::nullopt;
    if (!list->is_array()) {
        return arm_error(400, "InvalidRequestFormat", "Cannot parse the request: securityRules.");
    }
    for (const Json& item : *list) {
        const Json* own = member(item, "properties");
        auto parsed = parse_rule(text_at(item, "name"), own ? *own : Json(), core.tags);
        if (auto* refusal = std::get_if<http::Response>(&parsed)) return std::move(*refusal);
        const auto spec = std::get<std::shared_ptr<const RuleSpec>>(parsed);
        const std::string key = lower(spec->name);
        const auto [holder, free] = taken.try_emplace({spec->inbound, spec->priority}, key);
        if (!free) return rules_conflict(spec->name, rules.at(holder->second).wanted->name);
        if (!rules.try_emplace(key, Rule{spec, nullptr, "Updating", ++core.writes}).second) {
            // unverified: code and wording.
            return arm_error(400, "SecurityRuleConflict",
                             "Security rule " + spec->name + " is given twice.");
        }
    }
    if (rules.size() > rules_per_nsg_max) {
        return arm_error(400, "SecurityRulesLimitReached", "More than 1000 security rules.");
    }
    return std::nullopt;
}

/// Puts `rules` in place of the NSG's own. True when that changed anything.
bool replace_rules(Core& core, Nsg& nsg, ByName<Rule> rules) {
    bool changed = rules.size() != nsg.rules.size();
    for (auto& [key, rule] : rules) {
        const auto old = nsg.rules.find(key);
        if (old != nsg.rules.end()) rule.in_force = old->second.in_force;
        if (old != nsg.rules.end() && old->second.wanted->rendered == rule.wanted->rendered &&
            old->second.state == "Succeeded") {
            rule.state = "Succeeded";
            continue;
        }
        changed = true;
        remember(core, nsg, key);
    }
    for (const auto& [key, rule] : nsg.rules) {
        if (!rules.contains(key)) remember(core, nsg, key);
    }
    nsg.rules = std::move(rules);
    return changed;
}

http::Response put_nsg(Core& core, Call& call, Group& group) {
    const std::string& name = call.path.name();
    if (!is_valid_name(name)) return name_required(call);
    if (text_at(call.body, "location").empty()) {
        return gateway_error(400, "LocationRequired",
                             "The location property is required for this definition.");
    }
    const std::string key = lower(name);
    auto it = group.nsgs.find(key);
    const bool fresh = it == group.nsgs.end();
    if (!fresh) {
        if (auto no = if_match_fails(call, it->second)) return std::move(*no);
        if (auto no = refuse_parallel(core, call, it->second)) return std::move(*no);
    }
    ByName<Rule> rules;
    std::map<std::pair<bool, int>, std::string> taken;
    if (auto no = read_inline_rules(core, call, rules, taken)) return std::move(*no);
    if (fresh) {
        it = group.nsgs.try_emplace(key).first;
        it->second.name = name;
        it->second.id = group.id + "/providers/" + std::string(nsg_type_name) + "/" + name;
        it->second.guid = core.random.guid();
    }
    Nsg& nsg = it->second;
    nsg.location = text_at(call.body, "location");
    nsg.tags = call.body.value("tags", Json());
    if (const Json* properties = member(call.body, "properties")) {
        if (const Json* flush = member(*properties, "flushConnection");
            flush && flush->is_boolean()) {
            nsg.flush_connection = flush->get<bool>();
        }
    }
    const bool changed = replace_rules(core, nsg, std::move(rules)) || fresh;
    nsg.priorities = std::move(taken);
    nsg.etag = core.new_etag();
    nsg.write = ++core.writes;
    if (changed) nsg.state = "Updating";
    const auto finish = [write = nsg.write](Core&, Nsg& live, bool succeeded) {
        if (live.write != write) return;
        live.state = succeeded ? "Succeeded" : "Failed";
        for (auto& [rule_key, rule] : live.rules) {
            if (rule.state != "Updating") continue;
            rule.state = succeeded ? "Succeeded" : "Failed";
            if (succeeded) rule.in_force = rule.wanted;
        }
    };
    const std::string id = start_on(core, call, nsg, {.etag_moves = changed, .finish = finish});
    http::Response response = json_response(fresh ? 201 : 200, nsg_json(core, nsg));
    add_operation_headers(core, call, id, response, false);
    if (changed) add_retry_after(call, response, 1);
    return response;
}

http::Response delete_nsg(Core& core, Call& call, Group& group) {
    http::Response response;
    const auto it = group.nsgs.find(lower(call.path.name()));
    if (it == group.nsgs.end()) {
        response.status = 204;
        return response;
    }
    Nsg& nsg = it->second;
    const World::Uses& uses = core.world.uses_of(nsg.id);
    if (!uses.nics.empty() || !uses.subnets.empty()) {
        // unverified: code and wording.
        return arm_error(
            400, "InUseNetworkSecurityGroupCannotBeDeleted",
            "Network security group " + nsg.id + " cannot be deleted because it is in use.",
            R"(,"details":[])");
    }
    nsg.state = "Deleting";
    nsg.write = ++core.writes;
    const std::string id = start_operation(
        core, call, {.location = nsg.location, .takes_ms = core.behaviour.operation_ms},
        [key = nsg.id, write = nsg.write](Core& at_end, bool succeeded) {
            Nsg* live = at_end.world.nsg_by_id(key);
            if (!live || live->write != write) return;
            if (!succeeded) {
                live->state = "Failed";
                return;
            }
            at_end.world.each_group([&](Subscription&, Group& in) {
                std::erase_if(in.nsgs, [&](auto& entry) { return &entry.second == live; });
            });
        });
    response.status = 202;
    add_operation_headers(core, call, id, response, true);
    add_retry_after(call, response, 1);
    return response;
}

http::Response list_nsgs(Core& core, const Call& call) {
    std::vector<PageItem> items;
    Subscription& sub = *core.world.subscription(call.path.subscription);
    for (auto& [group_key, group] : sub.groups) {
        if (call.path.group && !equals_ignoring_case(*call.path.group, group_key)) continue;
        for (const auto& [key, nsg] : group.nsgs) items.push_back({group_key + "/" + key, &nsg});
    }
    return page(core, call, items, [&](const void* what) {
        const Nsg& nsg = *static_cast<const Nsg*>(what);
        if (!call.effect.stale_ms) return nsg_json(core, nsg);
        return nsg_json(core, as_it_was(core, nsg, *call.effect.stale_ms));
    });
}

void append_ids(std::string& text, const char* key, const std::vector<std::string>& ids) {
    if (ids.empty()) return;
    text += std::string(",\"") + key + "\":[";
    for (std::size_t i = 0; i < ids.size(); ++i) {
        text += (i ? ",{\"id\":" : "{\"id\":") + json_text(ids[i]) + "}";
    }
    text += "]";
}

http::Response patch_tags(Core& core, Call& call, Nsg& nsg) {
    nsg.tags = call.body.is_object() ? call.body.value("tags", Json()) : Json();
    nsg.etag = core.new_etag();
    return json_response(200, nsg_json(core, nsg));
}

}  // namespace

std::string nsg_json(Core& core, const Nsg& nsg) {
    std::string text = "{\"name\":" + json_text(nsg.name) + ",\"id\":" + json_text(nsg.id) +
                       ",\"etag\":" + json_text(nsg.etag) +
                       ",\"type\":\"Microsoft.Network/networkSecurityGroups\",\"location\":" +
                       json_text(nsg.location);
    if (nsg.tags.is_object()) text += ",\"tags\":" + dumped(nsg.tags);
    text += ",\"properties\":{\"provisioningState\":\"" + nsg.state + "\",\"resourceGuid\":\"" +
            nsg.guid + "\"";
    if (nsg.flush_connection) {
        text += std::string(",\"flushConnection\":") + (*nsg.flush_connection ? "true" : "false");
    }
    text += ",\"securityRules\":[";
    bool first = true;
    for (const auto& [key, rule] : nsg.rules) {
        if (!first) text += ",";
        first = false;
        text += rule_json(nsg, rule);
    }
    text += "],\"defaultSecurityRules\":[";
    first = true;
    for (const auto& rule : default_rules()) {
        if (!first) text += ",";
        first = false;
        text += default_rule_json(nsg, *rule);
    }
    text += "]";
    const World::Uses& uses = core.world.uses_of(nsg.id);
    append_ids(text, "networkInterfaces", uses.nics);
    append_ids(text, "subnets", uses.subnets);
    return text + "}}";
}

http::Response answer_nsg(Core& core, Call& call) {
    if (call.path.is_collection()) {
        return call.is("GET") ? list_nsgs(core, call) : method_not_allowed(call);
    }
    Group& group = *core.world.group(call.path.subscription, *call.path.group);
    if (call.is("PUT")) return put_nsg(core, call, group);
    if (call.is("DELETE")) return delete_nsg(core, call, group);
    const auto it = group.nsgs.find(lower(call.path.name()));
    if (it == group.nsgs.end())
        return resource_not_found(nsg_type_name, call.path.name(), *call.path.group);
    if (call.is("PATCH")) return patch_tags(core, call, it->second);
    if (!call.is("GET")) return method_not_allowed(call);
    http::Response response =
        json_response(200, call.effect.stale_ms
                               ? nsg_json(core, as_it_was(core, it->second, *call.effect.stale_ms))
                               : nsg_json(core, it->second));
    response.headers.add("ETag", it->second.etag);
    return response;
}

http::Response answer_default_rule(Core& core, Call& call) {
    const std::string& name = call.path.types[0].second;
    const Nsg* nsg = core.world.nsg(call.path.subscription, *call.path.group, name);
    if (!nsg) return resource_not_found(nsg_type_name, name, *call.path.group);
    if (!call.is("GET")) return method_not_allowed(call);
    std::vector<PageItem> items;
    for (const auto& rule : default_rules()) {
        if (equals_ignoring_case(rule->name, call.path.name())) {
            http::Response response = json_response(200, default_rule_json(*nsg, *rule));
            response.headers.add("ETag", nsg->etag);
            return response;
        }
        items.push_back({lower(rule->name), rule.get()});
    }
    if (!call.path.is_collection()) {
        return child_not_found(nsg->id + "/defaultSecurityRules/" + call.path.name());
    }
    std::ranges::sort(items, {}, &PageItem::key);
    return page(core, call, items, [&](const void* rule) {
        return default_rule_json(*nsg, *static_cast<const RuleSpec*>(rule));
    });
}

}  // namespace sallyport::simulator
