#pragma once

#include <optional>
#include <string>
#include <vector>

#include "model/address.hpp"
#include "model/object.hpp"
#include "model/port.hpp"

namespace sallyport {

enum class Mode { enforce, observe, paused };
std::string_view to_text(Mode mode);

/// A span of NSG priorities, inclusive.
struct Band {
    int from = 0;
    int to = 0;
    bool contains(int priority) const { return from <= priority && priority <= to; }
    friend bool operator==(const Band&, const Band&) = default;
};
struct Bands {
    Band grants{200, 899};
    Band lockdown_above{900, 999};
    Band lockdown_below{3900, 4094};
    friend bool operator==(const Bands&, const Bands&) = default;
};

/// From where, and how wide a single source may be at most. `within` empty: nothing is allowed.
struct SourceLimit {
    std::vector<Cidr> within = {};
    int widest_v4 = 32;  ///< smallest prefix length a source may have
    int widest_v6 = 128;
    friend bool operator==(const SourceLimit&, const SourceLimit&) = default;
};

/// The most a policy of a tenant may allow; what is not set does not limit.
struct Ceiling {
    std::vector<std::string> kinds = {};  ///< empty: every kind
    std::vector<PortRange> ports = {};    ///< empty: every port
    std::optional<seconds> max_duration = {};
    std::optional<SourceLimit> sources = {};
    bool automatic_approval = true;
    int approvals_required_min = 0;
    std::vector<std::string> approver_groups = {};
    friend bool operator==(const Ceiling&, const Ceiling&) = default;
};

struct Tenant {
    std::vector<std::string> namespaces = {};
    /// `resourceGroups/<name>` or `subscription`, as written.
    std::vector<std::string> scopes = {};
    Ceiling ceiling = {};
    friend bool operator==(const Tenant&, const Tenant&) = default;
};

enum class AzureCloud { azure_public, us_government, china, custom };

struct AzureAccount {
    AzureCloud cloud = AzureCloud::azure_public;
    std::string resource_manager =
        {};  ///< `https://host[:port]`, without a path; from the cloud unless custom
    std::string authority = {};
    std::string ca_bundle_config_map = {};  ///< name in the operator's namespace; key `ca.pem`
    std::string tenant_id = {};
    std::string subscription_id = {};
    std::string client_id = {};
    std::string client_secret_name =
        {};  ///< Secret in the operator's namespace; key `clientSecret`
    friend bool operator==(const AzureAccount&, const AzureAccount&) = default;
};

struct CloudAccount {
    ObjectMeta meta;
    Mode mode = Mode::enforce;
    AzureAccount azure = {};
    std::vector<Tenant> tenants = {};
    Bands bands = {};
    bool whole_nsg_writes = false;
    seconds sweep_interval{60};
    seconds alert_after{30};
    std::vector<std::string> close_overdue_of = {};
    /// Parts of the spec that this version refuses (a sign-in other than a client secret, `aws` …):
    /// one sentence each. An account with any is Stalled and nothing opens through it.
    std::vector<std::string> unsupported = {};
    friend bool operator==(const CloudAccount&, const CloudAccount&) = default;
};

/// Machines in scope.
struct Coverage {
    int configured = 0;      ///< a policy names them
    int not_configured = 0;  ///< none does
    int unsupported = 0;     ///< none can: no NSG is on the way to them
    friend bool operator==(const Coverage&, const Coverage&) = default;
};

struct AccountStatus {
    std::int64_t observed_generation = -1;
    std::vector<Condition> conditions = {};
    std::string message = {};  ///< what to know or to do next
    std::string owner = {};
    std::optional<Coverage> coverage = {};  ///< missing: the machines are not known
    /// When all in scope was last read as a whole, as of the last change of the rest: a status that
    /// is written for this alone would be written at every sweep.
    std::optional<Timestamp> last_sweep = {};
    int surfaces = 0;  ///< NSGs in scope
    friend bool operator==(const AccountStatus&, const AccountStatus&) = default;
};

}  // namespace sallyport
