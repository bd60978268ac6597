#include <array>
#include <nlohmann/json.hpp>

#include "base/text.hpp"
#include "codec/kinds.hpp"
#include "codec/kinds_read.hpp"
#include "model/mark.hpp"
#include "model/rule.hpp"

namespace sallyport::codec {
namespace {

constexpr std::size_t tenants_max = 64;
constexpr seconds ceiling_duration_max{7 * 24 * 3600};

struct Endpoints {
    const char* resource_manager;
    const char* authority;
};

/// The hosts of the two sovereign clouds are from their documentation,
/// unverified.
Endpoints endpoints_of(AzureCloud cloud) {
    switch (cloud) {
        case AzureCloud::azure_public:
            return {"https://management.azure.com", "https://login.microsoftonline.com"};
        case AzureCloud::us_government:
            return {"https://management.usgovcloudapi.net", "https://login.microsoftonline.us"};
        case AzureCloud::china:
            return {"https://management.chinacloudapi.cn", "https://login.chinacloudapi.cn"};
        case AzureCloud::custom: return {"", ""};
    }
    throw Bug("a cloud out of range");
}

/// `https://host[:port]`; one slash behind it is taken off.
std::string read_endpoint(const Field& field) {
    constexpr std::string_view scheme = "https://";
    std::string url = field.name(512);
    if (url.empty()) return url;
    if (url.ends_with('/')) url.pop_back();
    const bool is_https = starts_with_ignoring_case(url, scheme) && url.size() > scheme.size();
    if (!is_https || url.find_first_of("/?#@ \t\r\n", scheme.size()) != std::string::npos) {
        field.refuse(
            fmt::format("\"{}\" is not https://HOST or https://HOST:PORT", url.substr(0, 128)));
    }
    return url;
}

void read_identity(const Field& identity, CloudAccount& account) {
    constexpr std::array<const char*, 4> ways = {"clientSecret", "clientCertificate",
                                                 "workloadIdentity", "managedIdentity"};
    int given = 0;
    for (const char* const way : ways) {
        if (!identity[way]) continue;
        ++given;
        if (std::string_view(way) != "clientSecret") {
            account.unsupported.push_back(
                fmt::format("spec.azure.identity.{} is not supported yet; use clientSecret", way));
        }
    }
    if (given != 1) {
        identity.refuse(
            "exactly one of clientSecret, clientCertificate, workloadIdentity and managedIdentity "
            "is required");
    }
    if (const Field secret = identity["clientSecret"]) {
        account.azure.client_id = secret["clientId"].name(36);
        account.azure.client_secret_name = secret["secretRef"].required()["name"].name(253);
    }
}

void read_azure(const Field& azure, CloudAccount& account) {
    AzureAccount& out = account.azure;
    out.cloud = azure["cloud"].choice<AzureCloud>({{"AzurePublic", AzureCloud::azure_public},
                                                   {"AzureUSGovernment", AzureCloud::us_government},
                                                   {"AzureChina", AzureCloud::china},
                                                   {"Custom", AzureCloud::custom}},
                                                  AzureCloud::azure_public);
    const Field endpoints = azure["endpoints"];
    const Field ca_bundle = azure["caBundleRef"];
    if (out.cloud == AzureCloud::custom) {
        out.resource_manager = read_endpoint(endpoints.required()["resourceManager"]);
        out.authority = read_endpoint(endpoints["authority"]);
        if (ca_bundle) out.ca_bundle_config_map = ca_bundle["name"].name(253);
    } else {
        if (endpoints) endpoints.refuse("is given with cloud Custom only");
        if (ca_bundle) ca_bundle.refuse("is given with cloud Custom only");
        out.resource_manager = endpoints_of(out.cloud).resource_manager;
        out.authority = endpoints_of(out.cloud).authority;
    }
    out.tenant_id = azure["tenantId"].name(36);
    out.subscription_id = azure["subscriptionId"].name(36);
    // Both become segments of URLs.
    for (const char* const id : {"tenantId", "subscriptionId"}) {
        const auto text = azure[id].text();
        if (text && text->find_first_not_of("0123456789abcdefABCDEF-") != std::string::npos) {
            azure[id].refuse(fmt::format("\"{}\" is not a GUID", text->substr(0, 64)));
        }
    }
    read_identity(azure["identity"].required(), account);
}

std::vector<std::string> read_scopes(const Field& field) {
    constexpr std::string_view group_prefix = "resourceGroups/";
    const std::vector<Field> items = field.required().items(names_max);
    if (field && items.empty())
        field.refuse("at least one scope is required; `subscription` means all of it");
    std::vector<std::string> scopes;
    for (const Field& item : items) {
        const std::string scope = item.name(128);
        const bool is_group = scope.starts_with(group_prefix) &&
                              scope.size() > group_prefix.size() &&
                              scope.find_first_of("/ ", group_prefix.size()) == std::string::npos;
        if (scope != "subscription" && !is_group && !scope.empty()) {
            item.refuse(fmt::format("\"{}\" is neither subscription nor resourceGroups/NAME",
                                    scope.substr(0, 64)));
        }
        scopes.push_back(scope);
    }
    return scopes;
}

/// In a ceiling, what is not set does not limit; in a policy it would mean nothing at all.
SourceLimit read_ceiling_sources(const Field& field) {
    SourceLimit limit{.widest_v4 = 0, .widest_v6 = 0};
    limit.within = field["within"] ? read_cidrs(field["within"])
                                   : std::vector{Cidr::of(Address{Family::v4, 0}, 0),
                                                 Cidr::of(Address{Family::v6, 0}, 0)};
    const Field widest = field["widest"];
    limit.widest_v4 = static_cast<int>(widest["ipv4"].integer(0, 32).value_or(0));
    limit.widest_v6 = static_cast<int>(widest["ipv6"].integer(0, 128).value_or(0));
    return limit;
}

Ceiling read_ceiling(const Field& field) {
    Ceiling ceiling;
    ceiling.kinds = field["kinds"].texts(8);
    for (const Field& port : field["ports"].items(64)) {
        if (const auto range = read_port(port.required())) ceiling.ports.push_back(*range);
    }
    ceiling.max_duration = read_duration(field["maxDuration"], seconds(1), ceiling_duration_max);
    if (const Field sources = field["sources"]) ceiling.sources = read_ceiling_sources(sources);
    const Field approval = field["approval"];
    ceiling.automatic_approval = approval["automatic"].boolean().value_or(true);
    ceiling.approvals_required_min =
        static_cast<int>(approval["minimumRequired"].integer(0, 16).value_or(0));
    ceiling.approver_groups = approval["approverGroups"].texts(names_max, name_size_max);
    return ceiling;
}

Band read_band(const Field& field, Band fallback) {
    if (!field) return fallback;
    const auto bound = [&](const char* name) {
        return static_cast<int>(
            field[name].required().integer(priority_min, priority_max).value_or(fallback.from));
    };
    const Band band{bound("from"), bound("to")};
    if (band.from > band.to)
        field.refuse(fmt::format("from {} is above to {}", band.from, band.to));
    return band;
}

Bands read_bands(const Field& field) {
    const Bands defaults;
    const Bands bands{.grants = read_band(field["grants"], defaults.grants),
                      .lockdown_above = read_band(field["lockdownAbove"], defaults.lockdown_above),
                      .lockdown_below = read_band(field["lockdownBelow"], defaults.lockdown_below)};
    // A grant's rule that stood behind a lockdown's deny would open nothing.
    if (bands.grants.to >= bands.lockdown_above.from ||
        bands.lockdown_above.to >= bands.lockdown_below.from) {
        field.refuse(fmt::format(
            "grants ({} to {}), lockdownAbove ({} to {}) and lockdownBelow ({} to {}) must "
            "follow each other without overlap",
            bands.grants.from, bands.grants.to, bands.lockdown_above.from, bands.lockdown_above.to,
            bands.lockdown_below.from, bands.lockdown_below.to));
    }
    return bands;
}

void read_tenants(const Field& field, CloudAccount& account) {
    for (const Field& item : field.items(tenants_max)) {
        Tenant tenant;
        tenant.namespaces = item["namespaces"].required()["names"].required().texts(names_max, 63);
        tenant.scopes = read_scopes(item["scopes"]);
        tenant.ceiling = read_ceiling(item["ceiling"]);
        account.tenants.push_back(std::move(tenant));
    }
}

}  // namespace

Result<CloudAccount> decode_account(const nlohmann::json& object) {
    Problems problems;
    const Field root(object, problems);
    check_type(root, Kind::account);
    CloudAccount account;
    account.meta = read_meta(root["metadata"].required());
    const Field spec = root["spec"].required();
    account.mode = spec["mode"].choice<Mode>(
        {{"Enforce", Mode::enforce}, {"Observe", Mode::observe}, {"Paused", Mode::paused}},
        Mode::enforce);
    if (spec["aws"]) {
        account.unsupported.emplace_back("spec.aws is not supported yet; only azure is");
    } else {
        spec["azure"].required();
    }
    if (const Field azure = spec["azure"]) read_azure(azure, account);
    read_tenants(spec["tenants"], account);
    account.bands = read_bands(spec["priorities"]);
    account.whole_nsg_writes =
        spec["wholeNsgWrites"].choice<bool>({{"Never", false}, {"Closings", true}}, false);
    if (account.whole_nsg_writes) {
        account.unsupported.emplace_back(
            "spec.wholeNsgWrites: Closings is not supported yet; use Never");
    }
    account.sweep_interval = read_duration(spec["sweepInterval"], seconds(1), seconds(60))
                                 .value_or(account.sweep_interval);
    // 30 s is the bound of an NSG; an account may tighten it, not widen it.
    account.alert_after =
        read_duration(spec["alertAfter"], seconds(1), seconds(30)).value_or(account.alert_after);
    for (const Field& item : spec["closeOverdueOf"].items(16)) {
        const auto owner = item.required().parsed(Owner::parse);
        if (owner) account.close_overdue_of.push_back(owner->text());
    }
    return decoded(std::move(account), problems);
}

}  // namespace sallyport::codec
