#include "model/mark.hpp"

#include <algorithm>
#include <charconv>

#include "base/check.hpp"
#include "base/digest.hpp"
#include "base/text.hpp"

namespace sallyport {
namespace {

constexpr std::string_view mark_head = "sallyport/1";
constexpr std::string_view nothing = "-";
constexpr std::size_t owner_size = 8;
constexpr std::size_t uid_size_max = 36;
constexpr std::size_t uuid_size = 36;
/// The namespace of our UUIDv5; chosen once, part of every rule name for ever.
constexpr std::string_view rule_namespace = "3f2c8a54-6d0b-5e19-9a77-c1de5b0e42f6";

bool is_lower_or_digit(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); }

bool is_owner(std::string_view text) {
    return text.size() == owner_size && std::ranges::all_of(text, [](char c) {
               return (c >= 'a' && c <= 'z') || (c >= '2' && c <= '7');
           });
}

bool is_uid(std::string_view text) {
    return !text.empty() && text.size() <= uid_size_max && std::ranges::all_of(text, [](char c) {
        return is_lower_or_digit(lower(c)) || c == '-';
    });
}

bool is_uuid(std::string_view text) {
    if (text.size() != uuid_size) return false;
    for (std::size_t i = 0; i < text.size(); ++i) {
        const bool dash = i == 8 || i == 13 || i == 18 || i == 23;
        const bool hex_digit =
            (text[i] >= '0' && text[i] <= '9') || (text[i] >= 'a' && text[i] <= 'f');
        if (dash ? text[i] != '-' : !hex_digit) return false;
    }
    return true;
}

/// A number without sign, blanks or leading zeros: one text for one number.
template <class Number>
std::optional<Number> canonical_number(std::string_view text) {
    if (text.empty() || text.front() == '-' || (text.size() > 1 && text.front() == '0'))
        return std::nullopt;
    Number value = 0;
    const auto [stopped, failure] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (failure != std::errc() || stopped != text.data() + text.size()) return std::nullopt;
    return value;
}

/// Takes `key` and what follows up to the next blank from the front of `text`.
std::optional<std::string_view> take(std::string_view& text, std::string_view key) {
    if (!text.starts_with(key)) return std::nullopt;
    const std::size_t blank = text.find(' ');
    if (blank == text.npos) return std::nullopt;
    const std::string_view value = text.substr(key.size(), blank - key.size());
    text.remove_prefix(blank + 1);
    return value;
}

bool is_subject_char(char c) { return c > ' ' && c <= '~'; }

}  // namespace

Result<Owner> Owner::parse(std::string_view text) {
    if (is_owner(text)) return Owner(std::string(text));
    return invalid(fmt::format("\"{}\" is not an owner id: 8 characters of a to z and 2 to 7",
                               text.substr(0, 32)));
}

Owner Owner::of_cluster(std::string_view kube_system_uid) {
    return Owner(base32_lower(sha256(kube_system_uid)).substr(0, owner_size));
}

std::optional<Mark> Mark::parse(std::string_view description) {
    if (description.size() > description_max) return std::nullopt;
    std::string_view rest = description;
    const auto after_head = take(rest, mark_head);
    const auto owner = take(rest, "owner=");
    if (!after_head || !after_head->empty() || !owner || !is_owner(*owner)) return std::nullopt;
    Mark mark{.owner = std::string(*owner), .uid = {}};
    auto uid = take(rest, "grant=");
    if (!uid) {
        uid = take(rest, "policy=");
        mark.kind = MarkKind::policy;
    }
    if (!uid || !is_uid(*uid)) return std::nullopt;
    const auto end = take(rest, "end=");
    // A grant's mark always has an end and a policy's never: anything else was not written by us.
    if (!end || (*end == nothing) != (mark.kind == MarkKind::policy)) return std::nullopt;
    if (*end != nothing) {
        const auto time = parse_rfc3339(*end);
        if (!time || format_rfc3339(*time) != *end) return std::nullopt;
        mark.end = *time;
    }
    const auto seq_text = take(rest, "seq=");
    const auto seq = seq_text ? canonical_number<std::uint64_t>(*seq_text) : std::nullopt;
    if (!seq || rest.empty() || !std::ranges::all_of(rest, is_subject_char)) return std::nullopt;
    mark.uid = std::string(*uid);
    mark.seq = *seq;
    if (rest != nothing) mark.subject = std::string(rest);
    return mark;
}

std::string Mark::text() const {
    check(is_owner(owner) && is_uid(uid), "a mark names an owner and a uid");
    check(end.has_value() == (kind == MarkKind::grant),
          "grants' marks have an end, policies' have none");
    // Put together by hand: a plan writes one for each rule.
    std::string text(mark_head);
    text.append(" owner=").append(owner);
    text.append(kind == MarkKind::grant ? " grant=" : " policy=").append(uid);
    text.append(" end=").append(end ? format_rfc3339(*end) : std::string(nothing));
    text.append(" seq=").append(std::to_string(seq)).append(" ");
    std::string plain = subject.empty() ? std::string(nothing) : subject;
    for (char& c : plain) c = is_subject_char(c) ? c : '?';
    check(text.size() < description_max, "a mark's fixed part leaves room for its subject");
    return text + plain.substr(0, description_max - text.size());
}

RuleName RuleName::of(const Owner& owner, std::string_view uid, int n) {
    check(0 <= n && n <= n_max, "a rule name's number is 0 to 999");
    return {owner.text(), rule_uuid(uid), n};
}

std::optional<RuleName> RuleName::parse(std::string_view name) {
    // Azure keeps one resource per name whatever its case, so our name in capitals is still our
    // rule.
    const std::string folded = lower(name);
    std::string_view rest = folded;
    if (!rest.starts_with("sp-")) return std::nullopt;
    rest.remove_prefix(3);
    if (rest.size() < owner_size + uuid_size + 3) return std::nullopt;
    const std::string_view owner = rest.substr(0, owner_size);
    const std::string_view uuid = rest.substr(owner_size + 1, uuid_size);
    const bool dashed = rest[owner_size] == '-' && rest[owner_size + 1 + uuid_size] == '-';
    const auto n = canonical_number<int>(rest.substr(owner_size + uuid_size + 2));
    if (!dashed || !is_owner(owner) || !is_uuid(uuid) || !n || *n > n_max) return std::nullopt;
    return RuleName{std::string(owner), std::string(uuid), *n};
}

std::string_view RuleName::uuid_in(std::string_view name) {
    constexpr std::size_t before = 3 + owner_size + 1;  // sp-<owner>-
    return name.size() < before + uuid_size ? std::string_view() : name.substr(before, uuid_size);
}

std::string RuleName::text() const { return "sp-" + owner + "-" + uuid + "-" + std::to_string(n); }

bool RuleName::is_of(std::string_view uid) const { return uuid == rule_uuid(uid); }

std::string rule_uuid(std::string_view uid) { return uuid_v5(rule_namespace, uid); }

Ownership ownership(const SecurityRule& rule, const Owner& owner) {
    const auto name = RuleName::parse(rule.name);
    const auto mark = Mark::parse(rule.description);
    const bool name_is_ours = name && name->owner == owner.text();
    const bool mark_is_ours = mark && mark->owner == owner.text();
    if (mark && !mark_is_ours) return Ownership::other_owner;
    if (!name_is_ours) return mark_is_ours ? Ownership::copied_mark : Ownership::foreign;
    // A mark of ours that belongs to another grant says nothing about this rule.
    return mark_is_ours && name->is_of(mark->uid) ? Ownership::ours : Ownership::ours_unmarked;
}

}  // namespace sallyport
