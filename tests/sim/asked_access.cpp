#include "sim/asked_access.hpp"

#include <algorithm>
#include <charconv>

#include "base/text.hpp"

namespace sallyport::sim {
namespace {

AskedAccess with_port(const std::string& vm, const json& entry, const std::string& protocol) {
    AskedAccess asked{.vm = vm, .protocol = entry.value("protocol", protocol)};
    const json& port = entry.at("port");
    if (port.is_number()) {
        asked.first = asked.last = port.get<int>();
        return asked;
    }
    const std::string text = port.get<std::string>();
    const std::size_t dash = std::min(text.find('-'), text.size());
    std::from_chars(text.data(), text.data() + dash, asked.first);
    asked.last = asked.first;
    if (dash < text.size())
        std::from_chars(text.data() + dash + 1, text.data() + text.size(), asked.last);
    return asked;
}

/// The protocol of the policy's own port, where the grant names none.
std::string protocol_of(const json& policy_ports, const json& entry) {
    const AskedAccess asked = with_port("", entry, "");
    for (const json& port : policy_ports) {
        const AskedAccess of = with_port("", port, "Tcp");
        if (of.first <= asked.first && asked.last <= of.last) return of.protocol;
    }
    return "Tcp";
}

}  // namespace

std::vector<AskedAccess> asked_access(const History& history, const json& grant) {
    const json& spec = grant.at("spec");
    const json& network = spec.at("network");
    const auto policy = history.policies.find(spec.at("policyRef").at("name").get<std::string>());
    const json policy_ports =
        policy == history.policies.end()
            ? json::array()
            : policy->second.value("/spec/network/ports"_json_pointer, json::array());
    std::vector<AskedAccess> all;
    const auto add = [&](const std::string& name, const json& ports) {
        for (const auto& [vm, addresses] : history.addresses) {
            if (!name.empty() && !equals_ignoring_case(vm, name)) continue;
            for (const json& port : ports)
                all.push_back(with_port(vm, port, protocol_of(policy_ports, port)));
        }
    };
    if (network.contains("access")) {
        for (const json& line : network.at("access"))
            add(line.at("virtualMachine"), line.value("ports", policy_ports));
        return all;
    }
    const json ports = network.value("ports", policy_ports);
    if (!network.contains("virtualMachines")) add("", ports);
    for (const json& vm : network.value("virtualMachines", json::array())) add(vm, ports);
    return all;
}

std::vector<std::string> sources_for(const History& history, const json& grant,
                                     const std::string& vm) {
    const auto family = [](const std::string& text) { return text.find(':') != text.npos; };
    std::vector<std::string> sources;
    for (const json& source : grant.at("spec").at("network").at("sources")) {
        const std::string text = source;
        if (std::ranges::any_of(history.addresses.at(vm), [&](const std::string& address) {
                return family(address) == family(text);
            }))
            sources.push_back(text);
    }
    return sources;
}

}  // namespace sallyport::sim
