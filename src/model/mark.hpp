#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.hpp"
#include "base/time.hpp"
#include "model/rule.hpp"

namespace sallyport {

/// This installation, as its marks name it: 8 characters of lower-case base32.
class Owner {
public:
    static Result<Owner> parse(std::string_view text);
    /// From the uid of namespace kube-system.
    static Owner of_cluster(std::string_view kube_system_uid);
    const std::string& text() const { return text_; }
    friend bool operator==(const Owner&, const Owner&) = default;
    friend auto operator<=>(const Owner&, const Owner&) = default;

private:
    explicit Owner(std::string text) : text_(std::move(text)) {}
    std::string text_;
};

enum class MarkKind { grant, policy };

/// `sallyport/1 owner=<8> grant=<uid>|policy=<uid> end=<RFC 3339>|- seq=<n> <namespace>/<name,
/// cut>`: whose a rule is and until when, in the rule's own description (at most 140 ASCII
/// characters).
struct Mark {
    std::string owner;  ///< text: another installation's mark is parsed too
    MarkKind kind = MarkKind::grant;
    std::string uid;
    std::optional<Timestamp> end =
        {};                    ///< the latest end: grants' marks always have one, policies' never
    std::uint64_t seq = 0;     ///< the journal's at the opening
    std::string subject = {};  ///< `namespace/name`, perhaps cut; for people only

    /// nullopt: not a mark, or a broken one. Only what `text()` can have written is a mark.
    static std::optional<Mark> parse(std::string_view description);
    /// At most `description_max` characters. `Bug` for an owner or uid that no mark can carry.
    std::string text() const;
    friend bool operator==(const Mark&, const Mark&) = default;
};

/// `sp-<owner>-<UUIDv5 of the uid>-<n>`; n from 0 to 999.
struct RuleName {
    static constexpr int n_max = 999;
    std::string owner;
    std::string uuid;
    int n = 0;

    static RuleName of(const Owner& owner, std::string_view uid, int n);
    static std::optional<RuleName> parse(std::string_view name);
    /// Where a name of ours has its UUID, as it is written; says nothing of the rest of the name.
    static std::string_view uuid_in(std::string_view name);
    std::string text() const;
    bool is_of(std::string_view uid) const;  ///< whether the UUID is that uid's
    friend bool operator==(const RuleName&, const RuleName&) = default;
};

/// The UUIDv5 that stands for an object's uid in rule names.
std::string rule_uuid(std::string_view uid);

/// What a rule is to us. *Ours* means the name has our prefix and owner, and the description is not
/// another owner's mark; everything else is foreign and never in a step.
enum class Ownership {
    ours,           ///< with a readable mark of ours
    ours_unmarked,  ///< our name, but the mark is gone, broken, or that of another grant or policy
    other_owner,    ///< another installation's mark
    copied_mark,    ///< our mark under a name that is not ours: foreign, reported
    foreign,
};
Ownership ownership(const SecurityRule& rule, const Owner& owner);

}  // namespace sallyport

template <>
struct fmt::formatter<sallyport::Owner> : fmt::formatter<std::string_view> {
    auto format(const sallyport::Owner& o, format_context& ctx) const {
        return fmt::formatter<std::string_view>::format(o.text(), ctx);
    }
};
