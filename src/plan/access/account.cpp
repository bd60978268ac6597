#include <fmt/format.h>

#include <array>

#include "base/text.hpp"
#include "plan/access/limits.hpp"

namespace sallyport::access {
namespace {

using Problems = std::vector<Problem>;

struct NamedBand {
    const char* name;
    Band band;
};

// Priorities that are never ours: Defender's allows sit at 100–110 and its denies at 1000 and
// 4095–4096, and it renumbers what is in its way.
constexpr Band left_alone_low{100, 199};
constexpr std::array left_alone{1000, 4095, 4096};

bool overlap(const Band& a, const Band& b) { return a.from <= b.to && b.from <= a.to; }

void check_band(const NamedBand& named, Problems& problems) {
    const auto& [name, band] = named;
    const auto refuse = [&](std::string why) {
        problems.push_back({"BandInvalid", fmt::format("spec.priorities.{} {} to {} {}", name,
                                                       band.from, band.to, why)});
    };
    if (band.from > band.to || band.from < priority_min || band.to > priority_max) {
        refuse(fmt::format("is not a band within {} to {}, the priorities of Azure", priority_min,
                           priority_max));
        return;
    }
    if (overlap(band, left_alone_low)) {
        refuse(fmt::format("touches {} to {}, where Defender for Cloud puts its rules; start at {}",
                           left_alone_low.from, left_alone_low.to, left_alone_low.to + 1));
    }
    for (const int priority : left_alone) {
        if (!band.contains(priority)) continue;
        refuse(fmt::format("touches {}, where Defender for Cloud puts a rule; leave it out",
                           priority));
    }
}

void check_bands(const CloudAccount& account, Problems& problems) {
    const std::array<NamedBand, 3> bands = {{{"grants", account.bands.grants},
                                             {"lockdownAbove", account.bands.lockdown_above},
                                             {"lockdownBelow", account.bands.lockdown_below}}};
    for (const NamedBand& each : bands) check_band(each, problems);
    for (std::size_t i = 0; i < bands.size(); ++i) {
        for (std::size_t j = i + 1; j < bands.size(); ++j) {
            if (!overlap(bands[i].band, bands[j].band)) continue;
            problems.push_back(
                {"BandInvalid",
                 fmt::format("spec.priorities.{} {} to {} overlaps {} {} to {}; bands "
                             "must be disjoint",
                             bands[i].name, bands[i].band.from, bands[i].band.to, bands[j].name,
                             bands[j].band.from, bands[j].band.to)});
        }
    }
    // A grant behind a lockdown would be denied by our own rule.
    for (const NamedBand& lockdown : {bands[1], bands[2]}) {
        if (bands[0].band.to < lockdown.band.from || overlap(bands[0].band, lockdown.band))
            continue;
        problems.push_back(
            {"BandInvalid",
             fmt::format("spec.priorities.grants {} to {} lies behind {} {} to {}, whose "
                         "denies would stop every grant; give grants the smaller numbers",
                         bands[0].band.from, bands[0].band.to, lockdown.name, lockdown.band.from,
                         lockdown.band.to)});
    }
}

void check_scopes(const CloudAccount& account, Problems& problems) {
    for (std::size_t i = 0; i < account.tenants.size(); ++i) {
        const Tenant& tenant = account.tenants[i];
        if (tenant.scopes.empty()) {
            problems.push_back(
                {"ScopeInvalid",
                 fmt::format("spec.tenants[{}].scopes is empty; write `subscription` for "
                             "all of it, or resourceGroups/NAME",
                             i)});
        }
        for (const std::string& scope : tenant.scopes) {
            constexpr std::string_view group = "resourceGroups/";
            const bool is_group = starts_with_ignoring_case(scope, group) &&
                                  scope.size() > group.size() &&
                                  scope.find('/', group.size()) == std::string::npos;
            if (is_group || equals_ignoring_case(scope, "subscription")) continue;
            problems.push_back(
                {"ScopeInvalid",
                 fmt::format("spec.tenants[{}].scopes \"{}\" is neither `subscription` "
                             "nor resourceGroups/NAME",
                             i, scope)});
        }
    }
}

void check_intervals(const CloudAccount& account, Problems& problems) {
    constexpr seconds sweep_max{60};
    constexpr seconds alert_max{30};  // the bound of an NSG
    if (account.sweep_interval < seconds{1} || account.sweep_interval > sweep_max) {
        problems.push_back(
            {"IntervalInvalid",
             fmt::format("spec.sweepInterval {} is not within 1s to {}",
                         format_duration(account.sweep_interval), format_duration(sweep_max))});
    }
    if (account.alert_after < seconds{1} || account.alert_after > alert_max) {
        problems.push_back(
            {"IntervalInvalid",
             fmt::format("spec.alertAfter {} is not within 1s to {}, the bound of network "
                         "security groups, which may be tightened and not widened",
                         format_duration(account.alert_after), format_duration(alert_max))});
    }
}

}  // namespace

std::vector<Problem> judge_account(const CloudAccount& account) {
    Problems problems;
    for (const std::string& sentence : account.unsupported) {
        problems.push_back({"Unsupported", sentence});
    }
    check_scopes(account, problems);
    check_bands(account, problems);
    check_intervals(account, problems);
    for (const std::string& owner : account.close_overdue_of) {
        if (Owner::parse(owner)) continue;
        problems.push_back(
            {"OwnerInvalid",
             fmt::format("spec.closeOverdueOf \"{}\" is not the id of an installation "
                         "(8 characters of a to z and 2 to 7)",
                         owner)});
    }
    return problems;
}

}  // namespace sallyport::access
