#include "codec/kinds_read.hpp"

#include <nlohmann/json.hpp>

#include "codec/kinds.hpp"

namespace sallyport::codec {
namespace {

constexpr std::size_t uid_size_max = 36;  // what marks and records can carry
constexpr std::size_t finalizers_max = 1U << 19U;  // more than an API server stores
constexpr std::size_t annotation_size_max = 256U << 10U;  // Kubernetes' limit for all of them
constexpr std::size_t cidrs_max = 256;

std::map<std::string, std::string> read_texts_by_name(const Field& field) {
    std::map<std::string, std::string> out;
    for (const auto& [key, value] : field.members()) {
        if (auto text = value.text(annotation_size_max)) out.emplace(key, *std::move(text));
    }
    return out;
}

}  // namespace

void check_type(const Field& object, Kind kind) {
    const auto given_kind = object["kind"].text();
    const auto given_version = object["apiVersion"].text();
    if (given_kind && *given_kind != to_text(kind)) {
        object["kind"].refuse(
            fmt::format("\"{}\" is not {}", given_kind->substr(0, 64), to_text(kind)));
    }
    if (given_version && *given_version != group_version) {
        object["apiVersion"].refuse(
            fmt::format("\"{}\" is not {}", given_version->substr(0, 64), group_version));
    }
}

ObjectMeta read_meta(const Field& metadata) {
    ObjectMeta meta;
    meta.key.name = metadata["name"].name(253);
    meta.key.ns = metadata["namespace"].text(63).value_or("");
    meta.uid = metadata["uid"].name(uid_size_max);
    meta.resource_version = metadata["resourceVersion"].text().value_or("");
    meta.generation =
        metadata["generation"].integer(0, number_max).value_or(0);
    meta.created = read_time(metadata["creationTimestamp"]).value_or(Timestamp());
    meta.deleted = read_time(metadata["deletionTimestamp"]);
    meta.finalizers = metadata["finalizers"].texts(finalizers_max);
    meta.labels = read_texts_by_name(metadata["labels"]);
    meta.annotations = read_texts_by_name(metadata["annotations"]);
    return meta;
}

Result<ObjectMeta> decode_meta(const nlohmann::json& object) {
    Problems problems;
    ObjectMeta meta = read_meta(Field(object, problems)["metadata"].required());
    return decoded(std::move(meta), problems);
}

std::optional<PortRange> read_port(const Field& field) {
    if (!field) return std::nullopt;
    if (field.raw()->is_number()) {
        const auto number = field.integer(1, 65535);
        if (!number) return std::nullopt;
        return PortRange::single(static_cast<std::uint16_t>(*number));
    }
    const auto range = field.parsed(PortRange::parse);
    if (range && range->first() == 0) {
        field.refuse("a port is from 1 to 65535; there is no wildcard");
        return std::nullopt;
    }
    return range;
}

std::optional<Protocol> read_protocol(const Field& field) {
    using Choice = std::optional<Protocol>;
    return field.choice<Choice>(
        {{"Tcp", Protocol::tcp}, {"Udp", Protocol::udp}, {"Any", Protocol::any}}, {});
}

std::optional<seconds> read_duration(const Field& field, seconds min, seconds max) {
    const auto duration = field.parsed(parse_duration);
    if (duration && (*duration < min || *duration > max)) {
        field.refuse(fmt::format("{} is not from {} to {}", format_duration(*duration),
                                 format_duration(min), format_duration(max)));
        return std::nullopt;
    }
    return duration;
}

std::optional<Timestamp> read_time(const Field& field) { return field.parsed(parse_rfc3339); }

std::vector<Cidr> read_cidrs(const Field& field) {
    std::vector<Cidr> out;
    for (const Field& item : field.items(cidrs_max)) {
        const auto cidr =
            item.required().parsed([](std::string_view text) { return Cidr::parse(text); });
        if (cidr) out.push_back(*cidr);
    }
    return out;
}

}  // namespace sallyport::codec
