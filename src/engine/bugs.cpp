#include "engine/bugs.hpp"

#include <utility>

namespace sallyport::engine {

void declare_bug_metric(Metrics& metrics) {
    metrics.declare({.name = "sallyport_bugs_total",
                     .kind = MetricKind::counter,
                     .help = "Broken invariants of ours; each stopped one look at one key."});
}

void report_bug(Log& log, Metrics& metrics, std::string_view where, std::string_view key,
                const std::exception& bug) {
    metrics.increment("sallyport_bugs_total");
    log.error("bug", {{"where", std::string(where)},
                      {"key", std::string(key)},
                      {"what", std::string(bug.what())}});
}

Scope::OnFailure on_bug(Log& log, Metrics& metrics, std::string where, std::string key) {
    return [&log, &metrics, where = std::move(where),
            key = std::move(key)](std::exception_ptr failure) {
        try {
            std::rethrow_exception(failure);
        } catch (const std::exception& bug) {
            report_bug(log, metrics, where, key, bug);
        }
    };
}

}  // namespace sallyport::engine
