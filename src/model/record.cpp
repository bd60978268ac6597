#include "model/record.hpp"

#include "base/check.hpp"
#include "base/digest.hpp"
#include "base/text.hpp"

namespace sallyport {
namespace {

constexpr char separator = '\0';

std::string time_text(const std::optional<Timestamp>& time) {
    return time ? format_rfc3339(*time) : "-";
}

std::string sorted_lines(std::string_view word, std::vector<std::string> values) {
    std::ranges::sort(values);
    std::string lines;
    for (const std::string& value : values) lines += fmt::format("  {} {}\n", word, value);
    return lines;
}

std::string target_text(const ResolvedAccess& access) {
    std::vector<std::string> ports;
    for (const ResolvedPort& port : access.ports) {
        ports.push_back(fmt::format("{} {}", port.ports.text(), to_text(port.protocol)));
    }
    std::vector<std::string> sources;
    for (const Cidr& source : access.sources) sources.push_back(source.text());
    return fmt::format("target {} {}\n", access.target.id.folded(), lower(access.target.vm_id)) +
           sorted_lines("port", std::move(ports)) + sorted_lines("source", std::move(sources));
}

}  // namespace

// The text is, with a line feed after each line:
//   sallyport request 1
//   policy <uid>
//   target <ARM id, lower case> <vmId, lower case>     for each target, sorted by text
//     port <ports> <protocol>                          each, sorted by text
//     source <network>                                 each, sorted by text
//   duration <seconds>|-
//   notAfter <RFC 3339>|-
//   notBefore <RFC 3339>|-
// It is part of schema 1: a change is a new schema, since approvals and records carry the digest.
std::string digest(const ResolvedRequest& request) {
    std::vector<std::string> targets;
    for (const ResolvedAccess& access : request.access) targets.push_back(target_text(access));
    std::ranges::sort(targets);
    std::string text = fmt::format("sallyport request 1\npolicy {}\n", request.policy_uid);
    for (const std::string& target : targets) text += target;
    text +=
        request.duration ? fmt::format("duration {}\n", request.duration->count()) : "duration -\n";
    text += fmt::format("notAfter {}\nnotBefore {}\n", time_text(request.not_after),
                        time_text(request.not_before));
    return "sha256:" + hex(sha256(text));
}

std::string_view to_text(WriteEffect effect) {
    switch (effect) {
        case WriteEffect::opens: return "opens";
        case WriteEffect::closes: return "closes";
        case WriteEffect::neutral: return "neutral";
    }
    throw Bug("an effect out of range");
}

std::string record_name(const Owner& owner, const ObjectKey& grant, std::string_view request_id) {
    std::string key = owner.text();
    for (const std::string_view part : {to_text(Kind::grant), std::string_view(grant.ns),
                                        std::string_view(grant.name), request_id}) {
        key += separator;
        key += part;
    }
    return base32_lower(sha256(key));
}

}  // namespace sallyport
