#pragma once

#include "tidy/source.hpp"

namespace sallyport::tidy {

/// Every reason that the core and the engine give (a CamelCase literal of at least two words)
/// stands in docs/reasons.md. A literal that is no reason says so: `// tidy: reason because …`.
Findings check_reasons(const std::vector<File>& files);
/// Every metric that is declared stands in docs/operations.md.
Findings check_metrics(const std::vector<File>& files);
/// Every field of a CRD's spec and status stands on the page of its kind in docs/kinds/.
Findings check_fields(const std::vector<File>& files);

}  // namespace sallyport::tidy
