#include "simulator/judge.hpp"

#include <algorithm>

#include "base/text.hpp"
#include "simulator/address.hpp"

namespace sallyport::simulator::judge {

namespace {

/// The virtual address from which Azure's load balancer probes, and its IPv6 form.
constexpr const char* load_balancer_v4 = "168.63.129.16/32";
constexpr const char* load_balancer_v6 = "fe80::1234:5678:9abc/128";

/// Space that is not reachable over the public Internet: the tag Internet leaves it out.
/// unverified: the exact list; it follows what Azure's effective rules expand the tag to.
constexpr const char* not_public[] = {
    "0.0.0.0/8",     "10.0.0.0/8",     "100.64.0.0/10", "127.0.0.0/8",    "169.254.0.0/16",
    "172.16.0.0/12", "192.168.0.0/16", "224.0.0.0/3",   load_balancer_v4, "::/127",
    "fc00::/7",      "fe80::/10",      "ff00::/8"};

bool in_prefix(const std::string& text, const Address& address) {
    const auto prefix = parse_prefix(text);
    return prefix && prefix->contains(address);
}

bool in_any(const std::vector<std::string>& prefixes, const Address& address) {
    return std::ranges::any_of(prefixes,
                               [&](const std::string& p) { return in_prefix(p, address); });
}

class Evaluation {
public:
    Evaluation(const Place& place, const Surroundings& around, const Question& question,
               const Address& source, const Address& destination)
        : place_(place),
          around_(around),
          question_(question),
          source_(source),
          destination_(destination) {}

    Step decide(const Nsg* nsg, const char* where) const {
        if (!nsg) return {where, {}, {}, 0, true};
        std::vector<const Rule*> order;
        for (const Rule& rule : nsg->rules) {
            if (rule.inbound) order.push_back(&rule);
        }
        for (const Rule& rule : defaults()) order.push_back(&rule);
        std::ranges::stable_sort(order, {}, [](const Rule* rule) { return rule->priority; });
        for (const Rule* rule : order) {
            if (matches(*rule)) return {where, nsg->id, rule->name, rule->priority, rule->allow};
        }
        return {where, nsg->id, {}, 0, false};  // not reached: DenyAllInBound matches everything
    }

private:
    static const std::vector<Rule>& defaults() {
        static const std::vector<std::string> any = {"*"};
        static const std::vector<Rule> rules = {
            {"AllowVnetInBound",
             65000,
             true,
             true,
             "*",
             {"VirtualNetwork"},
             {"VirtualNetwork"},
             {},
             {},
             any,
             any},
            {"AllowAzureLoadBalancerInBound",
             65001,
             true,
             true,
             "*",
             {"AzureLoadBalancer"},
             any,
             {},
             {},
             any,
             any},
            {"DenyAllInBound", 65500, true, false, "*", any, any, {}, {}, any, any}};
        return rules;
    }

    bool matches(const Rule& rule) const {
        if (rule.protocol != "*" && !equals_ignoring_case(rule.protocol, question_.protocol))
            return false;
        if (!port_in(rule.source_ports, question_.source_port)) return false;
        if (!port_in(rule.destination_ports, question_.port)) return false;
        return from(rule) && to(rule);
    }

    bool port_in(const std::vector<std::string>& ranges, std::uint16_t port) const {
        const bool has_ports = equals_ignoring_case(question_.protocol, "Tcp") ||
                               equals_ignoring_case(question_.protocol, "Udp");
        return std::ranges::any_of(ranges, [&](const std::string& text) {
            if (text == "*") return true;
            const auto range = parse_ports(text);
            // unverified: a rule for some ports does not touch a protocol that has none.
            return has_ports && range && range->contains(port);
        });
    }

    bool from(const Rule& rule) const {
        if (rule.source_groups.empty()) return named(rule.sources, source_);
        return std::ranges::any_of(rule.source_groups, [&](const std::string& id) {
            const auto group = around_.members.find(lower(id));
            return group != around_.members.end() && is_member(group->second, source_);
        });
    }

    bool to(const Rule& rule) const {
        if (rule.destination_groups.empty()) return named(rule.destinations, destination_);
        return std::ranges::any_of(rule.destination_groups, [&](const std::string& id) {
            return std::ranges::find(place_.groups, lower(id)) != place_.groups.end();
        });
    }

    bool named(const std::vector<std::string>& prefixes, const Address& address) const {
        return std::ranges::any_of(prefixes,
                                   [&](const std::string& p) { return names(p, address); });
    }

    static bool is_member(const std::set<std::string>& members, const Address& address) {
        return std::ranges::any_of(members, [&](const std::string& text) {
            const auto member = parse_address(text);
            return member && *member == address;
        });
    }

    /// Whether a prefix, `*` or a service tag covers the address.
    bool names(const std::string& text, const Address& address) const {
        if (text == "*") return true;
        if (const auto prefix = parse_prefix(text)) return prefix->contains(address);
        const std::string tag = lower(text);
        if (tag == "virtualnetwork") return in_any(place_.vnet_prefixes, address);
        if (tag == "azureloadbalancer") {
            return in_prefix(load_balancer_v4, address) || in_prefix(load_balancer_v6, address);
        }
        if (tag == "internet") return is_internet(address);
        const auto listed = around_.tags.find(tag);
        return listed != around_.tags.end() && in_any(listed->second, address);
    }

    bool is_internet(const Address& address) const {
        if (in_any(place_.vnet_prefixes, address)) return false;
        return std::ranges::none_of(not_public,
                                    [&](const char* p) { return in_prefix(p, address); });
    }

    const Place& place_;
    const Surroundings& around_;
    const Question& question_;
    Address source_;
    Address destination_;
};

}  // namespace

std::optional<Verdict> reach(const Place& place, const Surroundings& around,
                             const Question& question) {
    const auto source = parse_address(question.source);
    const auto destination = parse_address(place.address);
    if (!source || !destination || source->v6 != destination->v6) return std::nullopt;
    const Evaluation evaluation(place, around, question, *source, *destination);
    Verdict verdict;
    verdict.steps.push_back(evaluation.decide(place.subnet_nsg, "subnet"));
    if (!verdict.steps.back().allow) return verdict;
    verdict.steps.push_back(evaluation.decide(place.nic_nsg, "nic"));
    verdict.reachable = verdict.steps.back().allow;
    return verdict;
}

}  // namespace sallyport::simulator::judge
