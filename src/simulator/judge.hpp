#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace sallyport::simulator::judge {

/// The reachability judge: a rule evaluation written from Azure's documentation of network security
/// groups, apart from the controller's and sharing no code with it. It knows nothing of grants,
/// policies or owners.
///
/// Documented, and followed here: rules are taken in order of priority, the lowest number first,
/// and the first that matches decides; inbound traffic meets the subnet's NSG first and the NIC's
/// second, and both must allow it; where there is no NSG, that stage allows; the six default rules
/// stand behind all others.
struct Rule {
    std::string name;
    int priority = 0;
    bool inbound = true;
    bool allow = false;
    std::string protocol;                            ///< `Tcp`, `Udp`, `Icmp`, `Esp`, `Ah`, `*`
    std::vector<std::string> sources, destinations;  ///< prefixes, `*`, service tags
    std::vector<std::string> source_groups, destination_groups;  ///< ASG ids; in place of the above
    std::vector<std::string> source_ports, destination_ports;    ///< `*`, `22`, `8000-8010`
};

struct Nsg {
    std::string id;
    std::vector<Rule> rules;  ///< in any order, without the default rules
};

/// One address of one network interface.
struct Place {
    std::string interface_id;
    std::string address;
    const Nsg* subnet_nsg = nullptr;
    const Nsg* nic_nsg = nullptr;
    std::vector<std::string> groups;         ///< ASGs of this IP configuration, ids in lower case
    std::vector<std::string> vnet_prefixes;  ///< what the tag VirtualNetwork means here
};

struct Surroundings {
    /// Service tags by name in lower case. VirtualNetwork, AzureLoadBalancer and Internet need
    /// none.
    std::map<std::string, std::vector<std::string>> tags;
    /// Addresses of each ASG's members, by id in lower case.
    std::map<std::string, std::set<std::string>> members;
};

struct Question {
    std::string source;
    std::uint16_t port = 0;
    std::string protocol = "Tcp";
    std::uint16_t source_port = 50'000;
};

/// What one NSG, or its absence, decided.
struct Step {
    std::string where;  ///< `subnet` or `nic`
    std::string nsg;    ///< id; empty: there is none
    std::string rule;   ///< name; empty without an NSG
    int priority = 0;
    bool allow = false;
};

struct Verdict {
    bool reachable = false;
    std::vector<Step> steps;  ///< a deny ends them
};

/// Nothing when the source is not an address, or of another family than the place's.
std::optional<Verdict> reach(const Place& place, const Surroundings& around,
                             const Question& question);

}  // namespace sallyport::simulator::judge
