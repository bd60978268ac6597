#include "plan/nsg/plan.hpp"

#include <algorithm>

#include "plan/nsg/draft.hpp"

namespace sallyport::nsg {
namespace {

void warn_of_full_bands(Draft& draft) {
    struct Named {
        const char* name;
        Band band;
    };
    const Bands& bands = draft.in.bands;
    for (const auto& [name, band] :
         {Named{"grants", bands.grants}, Named{"lockdownAbove", bands.lockdown_above},
          Named{"lockdownBelow", bands.lockdown_below}}) {
        if (!draft.numbers.is_nearly_full(band)) continue;
        draft.find("BandNearlyFull",
                   fmt::format("80% or more of the priorities {} to {} ({}) are taken", band.from,
                               band.to, name));
    }
}

}  // namespace

std::string_view to_text(StepKind kind) {
    switch (kind) {
        case StepKind::put: return "put";
        case StepKind::remove: return "remove";
        case StepKind::tombstone: return "tombstone";
    }
    return "?";
}

Plan plan(const Inputs& inputs) {
    Draft draft(inputs);
    plan_grants(draft);
    plan_lockdowns(draft);
    plan_unclaimed(draft);
    warn_of_full_bands(draft);
    return std::move(draft).finish();
}

}  // namespace sallyport::nsg
