#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "ports/metrics.hpp"

namespace sallyport::telemetry {

/// Counts in memory and gives the Prometheus text format, version 0.0.4.
///
/// A `Bug`: a name or label that the format does not know, one declared twice, one not declared,
/// the wrong number of labels or kind, a counter that would fall, and more than `series_max` label
/// combinations, since a label that holds an id would never stop growing.
class PrometheusMetrics final : public Metrics {
public:
    static constexpr std::size_t series_max = 1000;
    static constexpr const char* content_type = "text/plain; version=0.0.4; charset=utf-8";

    void declare(MetricSpec spec) override;
    void add(std::string_view name, Labels labels, double amount) override;
    void set(std::string_view name, Labels labels, double value) override;
    void observe(std::string_view name, Labels labels, double value) override;

    /// All metrics by name; what a scrape gets. Any thread.
    std::string render() const;
    /// A Markdown table of what is declared, for the page of metrics.
    std::string listing() const;

private:
    struct Series {
        double value = 0;                     ///< of a counter or gauge; of a histogram the sum
        std::vector<std::uint64_t> counts{};  ///< per bucket, not cumulative; the last is +Inf
    };
    struct Family {
        MetricKind kind{};
        std::string help;
        std::vector<std::string> labels;
        std::vector<double> buckets;
        std::map<std::vector<std::string>, Series> series;
    };

    Series& find(std::string_view name, MetricKind kind, Labels labels);

    mutable std::mutex mutex_;  // guards families_
    std::map<std::string, Family, std::less<>> families_;
};

}  // namespace sallyport::telemetry
