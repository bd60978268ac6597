#include "apiserver/rules.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/time.hpp"

namespace sallyport::apiserver {

namespace {

using Json = nlohmann::json;

const Json* member(const Json& value, const char* name) {
    if (!value.is_object()) return nullptr;
    const auto found = value.find(name);
    return found == value.end() ? nullptr : &*found;
}

const Json* member(const Json& value, const char* outer, const char* inner) {
    const Json* found = member(value, outer);
    return found ? member(*found, inner) : nullptr;
}

bool has(const Json& value, const char* name) { return member(value, name) != nullptr; }

bool same(const Json* a, const Json* b) { return a && b ? *a == *b : a == b; }

/// Texts that are no time were refused by their format before any rule is asked.
std::optional<Timestamp> time_of(const Json* value) {
    if (!value || !value->is_string()) return std::nullopt;
    const Result<Timestamp> time = parse_rfc3339(value->get_ref<const std::string&>());
    if (!time) return std::nullopt;
    return *time;
}

bool not_later(const Json* a, const Json* b) {
    const auto left = time_of(a);
    const auto right = time_of(b);
    return left && right && *left <= *right;
}

bool duration_between(const Json& value, seconds least, seconds most) {
    if (!value.is_string()) return false;
    const Result<seconds> duration = parse_duration(value.get_ref<const std::string&>());
    return duration && *duration >= least && *duration <= most;
}

int count(const Json& value, std::initializer_list<const char*> names) {
    return static_cast<int>(std::count_if(names.begin(), names.end(),
                                          [&](const char* name) { return has(value, name); }));
}

RuleTwin optional_member_stays(const char* name) {
    return [name](const Json& self, const Json* old) {
        return same(member(self, name), member(*old, name));
    };
}

std::string stays(const std::string& name) {
    return "has(self." + name + ") == has(oldSelf." + name + ") && (!has(self." + name +
           ") || self." + name + " == oldSelf." + name + ")";
}

bool is_range(const Json& self) {
    if (!self.is_string()) return false;
    const std::string& text = self.get_ref<const std::string&>();
    const std::size_t slash = text.find('/');
    if (slash == std::string::npos || slash == 0) return false;
    const std::string_view digits = std::string_view(text).substr(slash + 1);
    return text.find_first_not_of("0123456789abcdefABCDEF:.") == slash && !digits.empty() &&
           digits.size() <= 3 && digits.find_first_not_of("0123456789") == std::string_view::npos;
}

bool short_name(const Json& self, const Json*) {
    const Json* name = member(self, "metadata", "name");
    return name && name->is_string() && name->get_ref<const std::string&>().size() <= 63;
}

const std::string short_name_rule = "self.metadata.name.size() <= 63";
const std::string range_rule = "self.matches('^[0-9a-fA-F:.]+/[0-9]{1,3}$')";

void add_grant_twins(std::vector<Twin>& list) {
    const std::string crd = "accessgrants.sallyport.dev";
    list.push_back({crd, short_name_rule, short_name});
    list.push_back({crd, range_rule, [](const Json& self, const Json*) { return is_range(self); }});
    list.push_back({crd, "oldSelf.hasValue() || !(has(self.notAfter) && has(self.duration))",
                    [](const Json& self, const Json* old) {
                        return old || !(has(self, "notAfter") && has(self, "duration"));
                    }});
    list.push_back({crd,
                    "oldSelf.hasValue() || !has(self.notAfter) || !has(self.notBefore) || "
                    "self.notBefore < self.notAfter",
                    [](const Json& self, const Json* old) {
                        const auto after = time_of(member(self, "notAfter"));
                        const auto before = time_of(member(self, "notBefore"));
                        return old || !after || !before || *before < *after;
                    }});
    list.push_back({crd,
                    "oldSelf.hasValue() || !(has(self.network.access) && "
                    "(has(self.network.virtualMachines) || has(self.network.ports)))",
                    [](const Json& self, const Json* old) {
                        return old || !(member(self, "network", "access") &&
                                        (member(self, "network", "virtualMachines") ||
                                         member(self, "network", "ports")));
                    }});
    for (const char* name : {"policyRef", "network"}) {
        list.push_back({crd, std::string("self.") + name + " == oldSelf." + name,
                        optional_member_stays(name)});
    }
    for (const char* name : {"requester", "duration", "notBefore", "justification", "ticket",
                             "requestId", "continues"}) {
        list.push_back({crd, stays(name), optional_member_stays(name)});
    }
    list.push_back({crd,
                    "has(self.notAfter) == has(oldSelf.notAfter) && (!has(self.notAfter) || "
                    "self.notAfter <= oldSelf.notAfter)",
                    [](const Json& self, const Json* old) {
                        if (has(self, "notAfter") != has(*old, "notAfter")) return false;
                        return !has(self, "notAfter") ||
                               not_later(member(self, "notAfter"), member(*old, "notAfter"));
                    }});
    list.push_back({crd, "!oldSelf.revoked || self.revoked", [](const Json& self, const Json* old) {
                        return !old->value("revoked", false) || self.value("revoked", false);
                    }});
}

void add_policy_twins(std::vector<Twin>& list) {
    const std::string crd = "jitpolicies.sallyport.dev";
    list.push_back({crd, short_name_rule, short_name});
    list.push_back({crd, range_rule, [](const Json& self, const Json*) { return is_range(self); }});
    list.push_back(
        {crd, "has(self.virtualMachine) != has(self.selector)", [](const Json& self, const Json*) {
             return has(self, "virtualMachine") != has(self, "selector");
         }});
    list.push_back({crd, "duration(self) >= duration('5m') && duration(self) <= duration('24h')",
                    [](const Json& self, const Json*) {
                        return duration_between(self, seconds(300), seconds(86400));
                    }});
    list.push_back({crd,
                    "[has(self.tag), has(self.cidr), has(self.bastion)].filter(x, x).size() == 1",
                    [](const Json& self, const Json*) {
                        return count(self, {"tag", "cidr", "bastion"}) == 1;
                    }});
}

void add_account_twins(std::vector<Twin>& list) {
    const std::string crd = "cloudaccounts.sallyport.dev";
    list.push_back({crd, short_name_rule, short_name});
    list.push_back(
        {crd, "(self.cloud == 'Custom') == has(self.endpoints)", [](const Json& self, const Json*) {
             return (self.value("cloud", "") == "Custom") == has(self, "endpoints");
         }});
    list.push_back({crd, "self.cloud == 'Custom' || !has(self.caBundleRef)",
                    [](const Json& self, const Json*) {
                        return self.value("cloud", "") == "Custom" || !has(self, "caBundleRef");
                    }});
    list.push_back({crd,
                    "[has(self.workloadIdentity), has(self.managedIdentity), "
                    "has(self.clientSecret), has(self.clientCertificate)].filter(x, x).size() == 1",
                    [](const Json& self, const Json*) {
                        return count(self, {"workloadIdentity", "managedIdentity", "clientSecret",
                                            "clientCertificate"}) == 1;
                    }});
    list.push_back({crd, "self.from <= self.to", [](const Json& self, const Json*) {
                        return self.value("from", std::int64_t{0}) <=
                               self.value("to", std::int64_t{0});
                    }});
    list.push_back({crd, "duration(self) >= duration('1s') && duration(self) <= duration('60s')",
                    [](const Json& self, const Json*) {
                        return duration_between(self, seconds(1), seconds(60));
                    }});
}

void add_record_twins(std::vector<Twin>& list) {
    const std::string crd = "accessrecords.sallyport.dev";
    list.push_back({crd,
                    "!has(self.status) || !has(self.status.end) || self.status.end <= "
                    "self.spec.latestEnd",
                    [](const Json& self, const Json*) {
                        const Json* end = member(self, "status", "end");
                        return !end || not_later(end, member(self, "spec", "latestEnd"));
                    }});
    list.push_back({crd,
                    "!has(oldSelf.status) || !has(oldSelf.status.end) || (has(self.status) && "
                    "has(self.status.end) && self.status.end <= oldSelf.status.end)",
                    [](const Json& self, const Json* old) {
                        const Json* before = member(*old, "status", "end");
                        return !before || not_later(member(self, "status", "end"), before);
                    }});
    list.push_back(
        {crd, "self == oldSelf", [](const Json& self, const Json* old) { return self == *old; }});
    list.push_back({"accessledgers.sallyport.dev", "self.head.seq >= oldSelf.head.seq",
                    [](const Json& self, const Json* old) {
                        const Json* now = member(self, "head", "seq");
                        const Json* before = member(*old, "head", "seq");
                        return now && before && *now >= *before;
                    }});
}

}  // namespace

const std::vector<Twin>& twins() {
    static const std::vector<Twin> list = [] {
        std::vector<Twin> all;
        add_grant_twins(all);
        add_policy_twins(all);
        add_account_twins(all);
        add_record_twins(all);
        return all;
    }();
    return list;
}

TwinLookup twins_of(const std::string& crd) {
    return [crd](const std::string& rule) -> RuleTwin {
        const auto found = std::find_if(twins().begin(), twins().end(), [&](const Twin& twin) {
            return twin.crd == crd && twin.rule == rule;
        });
        return found == twins().end() ? RuleTwin() : found->holds;
    };
}

}  // namespace sallyport::apiserver
