#pragma once

#include <algorithm>
#include <map>
#include <mutex>
#include <random>
#include <string>
#include <vector>

#include "base/loop.hpp"
#include "ports/files.hpp"
#include "ports/log.hpp"
#include "ports/metrics.hpp"
#include "ports/random.hpp"

namespace sallyport::support {

/// Files in memory: durable across a crash of the process, not of the test. `refuse` makes every
/// write fail, as a full disk does.
class MemoryFiles final : public Files {
public:
    Task<Result<FileEnd>> read_end(std::string path, std::size_t at_most) override {
        const auto it = files.find(path);
        if (it == files.end()) co_return not_found(path + " does not exist");
        const std::string& whole = it->second;
        co_return FileEnd{whole.substr(whole.size() - std::min(at_most, whole.size())),
                          whole.size()};
    }
    Task<Result<void>> append(std::string path, std::string bytes) override {
        if (refuse) co_return full();
        files[path] += bytes;
        co_return Result<void>();
    }
    Task<Result<void>> replace(std::string path, std::string bytes) override {
        if (refuse) co_return full();
        files[path] = std::move(bytes);
        co_return Result<void>();
    }
    Task<Result<void>> truncate(std::string path, std::size_t size) override {
        if (refuse) co_return full();
        files[path].resize(size);
        co_return Result<void>();
    }

    std::map<std::string, std::string> files;
    bool refuse = false;

private:
    static Error full() { return {ErrorKind::unavailable, "no space left on device", "DiskFull"}; }
};

/// The same numbers for the same seed.
class SeededRandom final : public Random {
public:
    explicit SeededRandom(std::uint64_t seed) : engine_(seed) {}
    std::uint64_t next() override { return engine_(); }
    std::string bytes(std::size_t size) override {
        std::string out(size, '\0');
        for (char& c : out) c = static_cast<char>(engine_() & 0xFFU);
        return out;
    }

private:
    std::mt19937_64 engine_;
};

/// Keeps every line, to be looked at and printed when a test fails.
class KeptLog final : public Log {
public:
    void write(Level level, std::string_view event, Fields fields) override {
        std::string line(event);
        for (const auto& [name, value] : fields) {
            line += " ";
            line += name;
            line += "=";
            line += std::visit([](const auto& v) { return text(v); }, value);
        }
        if (level == Level::error) ++errors;
        lines.push_back(std::move(line));
    }
    std::vector<std::string> lines;
    int errors = 0;

private:
    static std::string text(const std::string& v) { return v; }
    static std::string text(std::int64_t v) { return std::to_string(v); }
    static std::string text(double v) { return std::to_string(v); }
    static std::string text(bool v) { return v ? "true" : "false"; }
};

/// Sums by name and labels; refuses what was not declared.
class KeptMetrics final : public Metrics {
public:
    void declare(MetricSpec spec) override {
        declared_[std::string(spec.name)] = spec.labels.size();
    }
    void add(std::string_view name, Labels labels, double amount) override {
        values_[key(name, labels)] += amount;
    }
    void set(std::string_view name, Labels labels, double value) override {
        values_[key(name, labels)] = value;
    }
    void observe(std::string_view name, Labels labels, double value) override {
        double& highest = values_[key(name, labels)];
        highest = std::max(highest, value);
    }
    /// `name` or `name{a,b}`; histograms: the highest observation. 0 for what never was.
    double value(const std::string& key) const {
        const auto it = values_.find(key);
        return it == values_.end() ? 0 : it->second;
    }

private:
    std::string key(std::string_view name, Labels labels) const {
        const auto it = declared_.find(std::string(name));
        check(it != declared_.end(), "a metric is declared before it is used");
        check(it->second == labels.size(), "a metric has as many label values as labels");
        std::string text(name);
        for (const std::string_view label : labels)
            text += (text.find('{') == text.npos ? "{" : ",") + std::string(label);
        return labels.size() > 0 ? text + "}" : text;
    }
    std::map<std::string, std::size_t> declared_;
    std::map<std::string, double> values_;
};

}  // namespace sallyport::support
