#pragma once

#include <initializer_list>
#include <string_view>
#include <vector>

namespace sallyport {

enum class MetricKind { counter, gauge, histogram };

/// What one metric is. Names follow the Prometheus conventions; labels count kinds, never ids.
struct MetricSpec {
    std::string_view name;
    MetricKind kind;
    std::string_view help;
    std::vector<std::string_view> labels = {};
    std::vector<double> buckets = {};  ///< histograms only; upper bounds, ascending, without +Inf
};

/// Every metric is declared before use (a `Bug` otherwise), so that a page of them can be made from
/// the code. A metric without labels is exported from its declaration on, at 0. Any thread.
class Metrics {
public:
    using Labels = std::initializer_list<std::string_view>;  ///< values, in the order of the spec
    virtual ~Metrics() = default;
    virtual void declare(MetricSpec spec) = 0;
    virtual void add(std::string_view name, Labels labels, double amount) = 0;     ///< counters
    virtual void set(std::string_view name, Labels labels, double value) = 0;      ///< gauges
    virtual void observe(std::string_view name, Labels labels, double value) = 0;  ///< histograms

    void increment(std::string_view name, Labels labels = {}) { add(name, labels, 1); }
};

}  // namespace sallyport
