#pragma once

#include <exception>
#include <string>
#include <string_view>

#include "base/loop.hpp"
#include "ports/log.hpp"
#include "ports/metrics.hpp"

/// What becomes of a broken invariant of ours: it stops one task and no other, so that one
/// poisonous object does not keep all others open. It is counted as `sallyport_bugs_total`, which
/// is what to alert on, and logged as `bug` with where it was.
namespace sallyport::engine {

void declare_bug_metric(Metrics& metrics);
/// `key`: what the stopped task was about; may be empty.
void report_bug(Log& log, Metrics& metrics, std::string_view where, std::string_view key,
                const std::exception& bug);
/// The same for whatever leaves a task of a scope. Log and metrics must outlive the scope.
Scope::OnFailure on_bug(Log& log, Metrics& metrics, std::string where, std::string key = {});

}  // namespace sallyport::engine
