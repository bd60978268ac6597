#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <random>
#include <set>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/check.hpp"
#include "ports/log.hpp"
#include "ports/metrics.hpp"
#include "ports/random.hpp"

namespace sallyport::support {

/// Keeps every line.
class RecordingLog final : public Log {
public:
    struct Line {
        Level level;
        std::string event;
        std::string fields;  ///< `name=value` joined by blanks
    };
    void write(Level level, std::string_view event, Fields fields) override {
        Line line{level, std::string(event), {}};
        for (const auto& [name, value] : fields) {
            if (!line.fields.empty()) line.fields += ' ';
            line.fields.append(name).append("=").append(std::visit(
                overloaded{[](const std::string& text) { return text; },
                           [](bool flag) { return std::string(flag ? "true" : "false"); },
                           [](auto number) { return std::to_string(number); }},
                value));
        }
        lines.push_back(std::move(line));
    }
    std::size_t count(std::string_view event) const {
        return static_cast<std::size_t>(
            std::ranges::count_if(lines, [&](const Line& line) { return line.event == event; }));
    }
    bool mentions(std::string_view text) const {
        return std::ranges::any_of(lines, [&](const Line& line) {
            return line.event.find(text) != line.event.npos ||
                   line.fields.find(text) != line.fields.npos;
        });
    }

    std::vector<Line> lines;
};

/// Keeps every value; refuses what was not declared and labels that do not fit.
class RecordingMetrics final : public Metrics {
public:
    void declare(MetricSpec spec) override {
        check(specs_.emplace(std::string(spec.name), spec.labels.size()).second,
              "a metric is declared once");
    }
    void add(std::string_view name, Labels labels, double amount) override {
        values_[key(name, labels)] += amount;
    }
    void set(std::string_view name, Labels labels, double value) override {
        values_[key(name, labels)] = value;
    }
    void observe(std::string_view name, Labels labels, double) override {
        ++values_[key(name, labels)];
    }

    double value(std::string_view name, Labels labels = {}) const {
        const auto it = values_.find(key(name, labels));
        return it == values_.end() ? 0 : it->second;
    }

private:
    std::string key(std::string_view name, Labels labels) const {
        const auto spec = specs_.find(std::string(name));
        check(spec != specs_.end(), "a metric is declared before use");
        check(spec->second == labels.size(), "a value has the labels that were declared");
        std::string key(name);
        for (const std::string_view label : labels) key.append("|").append(label);
        return key;
    }
    std::map<std::string, std::size_t> specs_;
    std::map<std::string, double> values_;
};

/// The same numbers for the same seed.
class SeededRandom final : public Random {
public:
    explicit SeededRandom(std::uint64_t seed) : engine_(seed) {}
    std::uint64_t next() override { return engine_(); }
    std::string bytes(std::size_t size) override {
        std::string bytes(size, '\0');
        for (char& byte : bytes) byte = static_cast<char>(engine_() & 0xFFU);
        return bytes;
    }

private:
    std::mt19937_64 engine_;
};

}  // namespace sallyport::support
