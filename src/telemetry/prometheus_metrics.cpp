#include "telemetry/prometheus_metrics.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/check.hpp"
#include "base/text.hpp"

namespace sallyport::telemetry {

namespace {

std::string_view to_text(MetricKind kind) {
    switch (kind) {
        case MetricKind::counter: return "counter";
        case MetricKind::gauge: return "gauge";
        case MetricKind::histogram: return "histogram";
    }
    throw Bug("a metric kind out of range");
}

bool is_name(std::string_view text, bool colons) {
    const auto letter = [colons](char c) {
        return (lower(c) >= 'a' && lower(c) <= 'z') || c == '_' || (colons && c == ':');
    };
    return !text.empty() && letter(text.front()) &&
           std::ranges::all_of(text, [&](char c) { return letter(c) || (c >= '0' && c <= '9'); });
}

std::string number(double value) {
    if (std::isnan(value)) return "NaN";
    if (std::isinf(value)) return value > 0 ? "+Inf" : "-Inf";
    return fmt::format("{}", value);
}

std::string escaped(std::string_view text, bool quotes) {
    std::string out;
    for (const char c : text) {
        if (c == '\\') {
            out += "\\\\";
        } else if (c == '\n') {
            out += "\\n";
        } else if (c == '"' && quotes) {
            out += "\\\"";
        } else {
            out += c;
        }
    }
    return out;
}

/// `{a="x",b="y"}`, or nothing; `bound` is the `le` of a bucket.
std::string label_text(const std::vector<std::string>& names,
                       const std::vector<std::string>& values, std::string_view bound = {}) {
    std::vector<std::string> parts;
    for (std::size_t i = 0; i < names.size(); ++i) {
        parts.push_back(fmt::format("{}=\"{}\"", names[i], escaped(values[i], true)));
    }
    if (!bound.empty()) parts.push_back(fmt::format("le=\"{}\"", bound));
    return parts.empty() ? std::string() : "{" + join(parts, ",") + "}";
}

}  // namespace

void PrometheusMetrics::declare(MetricSpec spec) {
    check(is_name(spec.name, true), "a metric's name is one that Prometheus takes");
    check(std::ranges::all_of(spec.labels,
                              [](auto label) { return is_name(label, false) && label != "le"; }),
          "a label's name is one that Prometheus takes");
    check(spec.kind == MetricKind::histogram || spec.buckets.empty(),
          "only histograms have buckets");
    check(std::ranges::adjacent_find(spec.buckets, std::greater_equal<>()) == spec.buckets.end(),
          "buckets ascend");
    Family family{.kind = spec.kind,
                  .help = std::string(spec.help),
                  .labels = {spec.labels.begin(), spec.labels.end()},
                  .buckets = std::move(spec.buckets),
                  .series = {}};
    if (family.labels.empty()) {
        family.series[{}].counts.resize(family.buckets.size() + 1);
    }
    const std::lock_guard lock(mutex_);
    const bool fresh = families_.emplace(spec.name, std::move(family)).second;
    check(fresh, "a metric is declared once");
}

PrometheusMetrics::Series& PrometheusMetrics::find(std::string_view name, MetricKind kind,
                                                   Labels labels) {
    const auto it = families_.find(name);
    check(it != families_.end(), "a metric is declared before its use");
    Family& family = it->second;
    check(family.kind == kind, "a metric is used as the kind it was declared");
    check(family.labels.size() == labels.size(),
          "a metric has as many labels as it was declared with");
    std::vector<std::string> key(labels.begin(), labels.end());
    const auto known = family.series.find(key);
    if (known != family.series.end()) return known->second;
    check(family.series.size() < series_max, "labels count kinds, not ids");
    Series& series = family.series[std::move(key)];
    series.counts.resize(family.buckets.size() + 1);
    return series;
}

void PrometheusMetrics::add(std::string_view name, Labels labels, double amount) {
    check(amount >= 0, "a counter does not fall");
    const std::lock_guard lock(mutex_);
    find(name, MetricKind::counter, labels).value += amount;
}

void PrometheusMetrics::set(std::string_view name, Labels labels, double value) {
    const std::lock_guard lock(mutex_);
    find(name, MetricKind::gauge, labels).value = value;
}

void PrometheusMetrics::observe(std::string_view name, Labels labels, double value) {
    const std::lock_guard lock(mutex_);
    Series& series = find(name, MetricKind::histogram, labels);
    const std::vector<double>& buckets = families_.find(name)->second.buckets;
    const auto bucket = std::ranges::lower_bound(buckets, value);  // a bound belongs to its bucket
    ++series.counts[static_cast<std::size_t>(bucket - buckets.begin())];
    series.value += value;
}

std::string PrometheusMetrics::render() const {
    std::string text;
    const std::lock_guard lock(mutex_);
    for (const auto& [name, family] : families_) {
        text += fmt::format("# HELP {} {}\n# TYPE {} {}\n", name, escaped(family.help, false), name,
                            to_text(family.kind));
        for (const auto& [values, series] : family.series) {
            const std::string labels = label_text(family.labels, values);
            if (family.kind != MetricKind::histogram) {
                text += fmt::format("{}{} {}\n", name, labels, number(series.value));
                continue;
            }
            std::uint64_t below = 0;
            for (std::size_t i = 0; i < series.counts.size(); ++i) {
                below += series.counts[i];
                const std::string bound =
                    i < family.buckets.size() ? number(family.buckets[i]) : "+Inf";
                text += fmt::format("{}_bucket{} {}\n", name,
                                    label_text(family.labels, values, bound), below);
            }
            text += fmt::format("{}_sum{} {}\n{}_count{} {}\n", name, labels, number(series.value),
                                name, labels, below);
        }
    }
    return text;
}

std::string PrometheusMetrics::listing() const {
    std::string text = "| metric | kind | labels | meaning |\n|---|---|---|---|\n";
    const std::lock_guard lock(mutex_);
    for (const auto& [name, family] : families_) {
        std::vector<std::string> labels;
        for (const std::string& label : family.labels) labels.push_back("`" + label + "`");
        text += fmt::format("| `{}` | {} | {} | {} |\n", name, to_text(family.kind),
                            join(labels, ", "), family.help);
    }
    return text;
}

}  // namespace sallyport::telemetry
