#include "simulator/switches.hpp"

#include <fmt/format.h>

#include <array>
#include <charconv>

#include "base/time.hpp"

namespace sallyport::simulator {

namespace {

constexpr std::array parallel_words = {"Allow", "Conflict", "Retryable", "Supersede"};

/// `300ms`, `2s`, `1m`.
std::optional<std::int64_t> milliseconds(const Json& json) {
    if (!json.is_string()) return std::nullopt;
    const std::string text = json.get<std::string>();
    if (const auto duration = parse_duration(text)) return duration->count() * 1000;
    if (!text.ends_with("ms")) return std::nullopt;
    std::int64_t value = -1;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size() - 2, value);
    if (error != std::errc() || end != text.data() + text.size() - 2 || value < 0)
        return std::nullopt;
    return value;
}

std::string read_bucket(const std::string& name, const Json& json, Bucket& bucket) {
    if (!json.is_object()) return "limits." + name + " is not {capacity, perSecond}";
    for (const auto& [key, value] : json.items()) {
        if (!value.is_number() || value.get<double>() < 0) {
            return fmt::format("limits.{}.{} is not a number from 0", name, key);
        }
        if (key == "capacity") {
            bucket.capacity = value.get<double>();
        } else if (key == "perSecond") {
            bucket.per_second = value.get<double>();
        } else {
            return fmt::format("limits.{}.{} is not known (capacity, perSecond)", name, key);
        }
    }
    return {};
}

std::string read_limits(const Json& json, Limits& limits) {
    if (json.is_string() && json.get<std::string>() == "Off") {
        limits = {{0, 0}, {0, 0}, {0, 0}, {0, 0}, {0, 0}, limits.global_factor};
        return {};
    }
    if (!json.is_object()) return "limits is neither Off nor an object";
    for (const auto& [key, value] : json.items()) {
        Bucket* bucket = key == "reads"           ? &limits.reads
                         : key == "writes"        ? &limits.writes
                         : key == "deletes"       ? &limits.deletes
                         : key == "networkReads"  ? &limits.network_reads
                         : key == "networkWrites" ? &limits.network_writes
                                                  : nullptr;
        if (!bucket)
            return "limits." + key +
                   " is not known (reads, writes, deletes, networkReads, networkWrites)";
        if (std::string problem = read_bucket(key, value, *bucket); !problem.empty())
            return problem;
    }
    return {};
}

std::string read_parallel(const Json& json, ParallelWrites& parallel) {
    for (std::size_t i = 0; i < parallel_words.size(); ++i) {
        if (json == parallel_words[i]) {
            parallel = static_cast<ParallelWrites>(i);
            return {};
        }
    }
    return "parallelWrites is none of Allow, Conflict, Retryable, Supersede";
}

std::string read_switch(const std::string& key, const Json& value, Behaviour& behaviour) {
    if (key == "operationTime") {
        const auto time = milliseconds(value);
        if (!time) return "operationTime is not a duration such as 500ms or 2s";
        behaviour.operation_ms = *time;
    } else if (key == "pageSize") {
        if (!value.is_number_integer() || value.get<std::int64_t>() < 1)
            return "pageSize is not a number from 1";
        behaviour.page_size = value.get<std::uint64_t>();
    } else if (key == "idCasing" || key == "firstPageEmpty") {
        if (!value.is_boolean()) return key + " is not true or false";
        (key == "idCasing" ? behaviour.changes_id_case : behaviour.first_page_empty) =
            value.get<bool>();
    } else if (key == "parallelWrites") {
        return read_parallel(value, behaviour.parallel_writes);
    } else if (key == "limits") {
        return read_limits(value, behaviour.limits);
    } else {
        return key +
               " is not known (operationTime, pageSize, idCasing, firstPageEmpty, parallelWrites, "
               "limits)";
    }
    return {};
}

Json bucket_json(const Bucket& bucket) {
    return {{"capacity", bucket.capacity}, {"perSecond", bucket.per_second}};
}

}  // namespace

std::string read_behaviour(const Json& json, Behaviour& behaviour) {
    for (const auto& [key, value] : json.items()) {
        if (std::string problem = read_switch(key, value, behaviour); !problem.empty())
            return problem;
    }
    return {};
}

Json behaviour_json(const Behaviour& behaviour) {
    const Limits& limits = behaviour.limits;
    return {{"operationTime", std::to_string(behaviour.operation_ms) + "ms"},
            {"pageSize", behaviour.page_size},
            {"idCasing", behaviour.changes_id_case},
            {"firstPageEmpty", behaviour.first_page_empty},
            {"parallelWrites", parallel_words[static_cast<std::size_t>(behaviour.parallel_writes)]},
            {"limits",
             {{"reads", bucket_json(limits.reads)},
              {"writes", bucket_json(limits.writes)},
              {"deletes", bucket_json(limits.deletes)},
              {"networkReads", bucket_json(limits.network_reads)},
              {"networkWrites", bucket_json(limits.network_writes)}}}};
}

}  // namespace sallyport::simulator
