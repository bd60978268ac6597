#include "base/text.hpp"
#include "simulator/nsg.hpp"

namespace sallyport::simulator {

namespace {

std::size_t addresses(const Nsg& nsg, const std::string& without, RuleSide RuleSpec::*side) {
    std::size_t count = 0;
    for (const auto& [key, rule] : nsg.rules) {
        if (key == without) continue;
        const RuleSide& one = (*rule.wanted).*side;
        count += one.prefixes.size() + (one.prefix ? 1 : 0);
    }
    return count;
}

std::optional<http::Response> over_limit(const Nsg& nsg, const std::string& key,
                                         const RuleSpec& spec) {
    // unverified: codes of the limits; the numbers are documented.
    if (!nsg.rules.contains(key) && nsg.rules.size() >= rules_per_nsg_max) {
        return arm_error(400, "SecurityRulesLimitReached",
                         "The number of security rules in network security group " + nsg.name +
                             " would be above the limit of 1000.",
                         R"(,"details":[])");
    }
    for (const auto side : {&RuleSpec::source, &RuleSpec::destination}) {
        const std::size_t mine = (spec.*side).prefixes.size();
        // Only a rule with many addresses can get near the limit; others are not worth the count.
        if (mine <= 4 && nsg.rules.size() < 500) continue;
        if (addresses(nsg, key, side) + mine > addresses_per_side_max) {
            return arm_error(400, "SecurityRuleAddressPrefixesLimitReached",
                             "The number of address prefixes in network security group " +
                                 nsg.name + " would be above the limit of 4000.",
                             R"(,"details":[])");
        }
    }
    return std::nullopt;
}

http::Response put_rule(Core& core, Call& call, Nsg& nsg) {
    const std::string& name = call.path.name();
    const Json* properties = member(call.body, "properties");
    auto parsed = parse_rule(name, properties ? *properties : Json(), core.tags);
    if (auto* refusal = std::get_if<http::Response>(&parsed)) return std::move(*refusal);
    const auto spec = std::get<std::shared_ptr<const RuleSpec>>(parsed);
    // unverified: that If-Match on a rule is compared at all.
    if (auto no = if_match_fails(call, nsg)) return std::move(*no);
    const std::string key = lower(name);
    const auto holder = nsg.priorities.find({spec->inbound, spec->priority});
    if (holder != nsg.priorities.end() && holder->second != key) {
        return rules_conflict(name, nsg.rules.at(holder->second).wanted->name);
    }
    if (auto no = over_limit(nsg, key, *spec)) return std::move(*no);
    if (auto no = refuse_parallel(core, call, nsg)) return std::move(*no);

    remember(core, nsg, key);
    auto [it, fresh] = nsg.rules.try_emplace(key);
    Rule& rule = it->second;
    const bool same =
        !fresh && rule.state == "Succeeded" && rule.wanted->rendered == spec->rendered;
    if (!fresh) nsg.priorities.erase({rule.wanted->inbound, rule.wanted->priority});
    nsg.priorities[{spec->inbound, spec->priority}] = key;
    rule.wanted = spec;
    rule.write = ++core.writes;
    nsg.etag = core.new_etag();
    if (!same) {
        rule.state = "Updating";
        nsg.state = "Updating";  // unverified: that the parent shows it too
    }
    const auto finish = [key, write = rule.write](Core& at_end, Nsg& live, bool succeeded) {
        const auto now = live.rules.find(key);
        if (now == live.rules.end() || now->second.write != write) return;
        remember(at_end, live, key);
        now->second.state = succeeded ? "Succeeded" : "Failed";
        if (succeeded) now->second.in_force = now->second.wanted;
    };
    const std::string id = start_on(core, call, nsg, {.etag_moves = !same, .finish = finish});
    http::Response response = json_response(fresh ? 201 : 200, rule_json(nsg, rule));
    add_operation_headers(core, call, id, response, false);
    // unverified: an unchanged rule answers as an unchanged NSG does, without Retry-After.
    if (!same) add_retry_after(call, response, 1);
    return response;
}

http::Response delete_rule(Core& core, Call& call, Nsg& nsg) {
    const std::string key = lower(call.path.name());
    const auto it = nsg.rules.find(key);
    http::Response response;
    if (it == nsg.rules.end()) {
        response.status = 204;
        return response;
    }
    if (auto no = if_match_fails(call, nsg)) return std::move(*no);
    if (auto no = refuse_parallel(core, call, nsg)) return std::move(*no);
    remember(core, nsg, key);
    // unverified: that a deletion under way goes on, and a second one puts its end off no further.
    if (it->second.state != "Deleting") it->second.write = ++core.writes;
    it->second.state = "Deleting";
    nsg.state = "Updating";
    nsg.etag = core.new_etag();
    const auto finish = [key, write = it->second.write](Core& at_end, Nsg& live, bool succeeded) {
        const auto now = live.rules.find(key);
        if (now == live.rules.end() || now->second.write != write) return;
        remember(at_end, live, key);
        if (!succeeded) {
            now->second.state = "Failed";
            return;
        }
        live.priorities.erase({now->second.wanted->inbound, now->second.wanted->priority});
        live.rules.erase(now);
    };
    const std::string id = start_on(core, call, nsg, {.finish = finish});
    response.status = 202;
    add_operation_headers(core, call, id, response, true);
    add_retry_after(call, response, 1);
    return response;
}

http::Response list_rules(Core& core, const Call& call, const Nsg& nsg) {
    std::vector<PageItem> items;
    for (const auto& [key, rule] : nsg.rules) items.push_back({key, &rule});
    return page(core, call, items,
                [&](const void* rule) { return rule_json(nsg, *static_cast<const Rule*>(rule)); });
}

http::Response read_rules(Core& core, const Call& call, const Nsg& nsg) {
    if (call.path.is_collection()) return list_rules(core, call, nsg);
    const auto it = nsg.rules.find(lower(call.path.name()));
    if (it == nsg.rules.end())
        return child_not_found(nsg.id + "/securityRules/" + call.path.name());
    http::Response response = json_response(200, rule_json(nsg, it->second));
    response.headers.add("ETag", nsg.etag);
    return response;
}

/// A rule path whose NSG is not there: the method decides who complains.
http::Response group_missing(const Call& call) {
    const std::string& nsg = call.path.types[0].second;
    if (!call.is("PUT")) return resource_not_found(nsg_type_name, nsg, *call.path.group);
    // unverified: wording.
    return gateway_error(
        404, "ParentResourceNotFound",
        "Can not perform requested operation on nested resource. Parent resource '" + nsg +
            "' not found.");
}

}  // namespace

std::string rule_json(const Nsg& nsg, const Rule& rule) {
    std::string text;
    text.reserve(rule.wanted->rendered.size() + nsg.id.size() + 2 * rule.wanted->name.size() + 256);
    text += "{\"name\":";
    append_text(text, rule.wanted->name);
    text += ",\"id\":";
    append_text(text, nsg.id + "/securityRules/" + rule.wanted->name);
    text += ",\"etag\":" + json_text(nsg.etag);
    text +=
        ",\"type\":\"Microsoft.Network/networkSecurityGroups/securityRules\","
        "\"properties\":{\"provisioningState\":\"";
    text += rule.state;
    text += '"';
    text += rule.wanted->rendered;
    text += "}}";
    return text;
}

http::Response answer_rule(Core& core, Call& call) {
    const std::string& name = call.path.types[0].second;
    Nsg* nsg = core.world.nsg(call.path.subscription, *call.path.group, name);
    if (!nsg) return group_missing(call);
    if (call.is("GET")) {
        if (!call.effect.stale_ms) return read_rules(core, call, *nsg);
        return read_rules(core, call, as_it_was(core, *nsg, *call.effect.stale_ms));
    }
    if (call.path.is_collection()) return method_not_allowed(call);
    if (call.is("PUT")) return put_rule(core, call, *nsg);
    if (call.is("DELETE")) return delete_rule(core, call, *nsg);
    return method_not_allowed(call);
}

}  // namespace sallyport::simulator
