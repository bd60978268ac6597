#pragma once

#include <map>
#include <string>
#include <vector>

#include "plan/nsg/plan.hpp"
#include "plan/nsg/priorities.hpp"

/// A plan in the making: what was observed, sorted by whose it is, and what all parts share.
namespace sallyport::nsg {

/// A rule under a name of ours that is not another owner's.
struct OwnRule {
    const SecurityRule* rule = nullptr;
    RuleName name;
    std::optional<Mark> mark =
        {};              ///< nullopt: gone, broken or another object's; the name counts then
    std::string folded;  ///< its name in lower case

    bool mark_has_ended(Timestamp now) const { return mark && mark->end && *mark->end <= now; }
};

/// Reasons of steps; constants, so that they can be counted.
namespace reasons {
inline constexpr const char* wanted = "wanted";
inline constexpr const char* drifted = "drifted";
inline constexpr const char* missing = "missing";
inline constexpr const char* write_failed = "write failed";
inline constexpr const char* expired = "expired";
inline constexpr const char* ended = "ended";
inline constexpr const char* mark_ended = "mark ended";
inline constexpr const char* not_wanted = "not wanted";
inline constexpr const char* no_record = "no record";
inline constexpr const char* foreign_overdue = "foreign overdue";
inline constexpr const char* tombstone = "tombstone";
inline constexpr const char* policy_removed = "policy removed";
}  // namespace reasons

/// Whose step it is, and why.
struct Cause {
    MarkKind of = MarkKind::grant;
    std::string uid = {};
    const char* reason = "";
    std::string detail = {};
    std::string content = {};
    int n = 0;
    bool repair = false;
};

class Draft {
public:
    explicit Draft(const Inputs& inputs);

    const Inputs& in;
    Plan plan;
    Numbers numbers;
    Room room;
    std::map<std::string, std::vector<OwnRule>> own;  ///< by UUID, each in order of n
    std::vector<const SecurityRule*> foreign;         ///< in order of name

    const std::vector<OwnRule>& rules_of(const std::string& uuid) const;
    /// A write of this name is under way, or ended after the read was sent.
    bool is_in_flight(std::string_view name) const;
    bool is_closing(std::string_view name) const;  ///< and that write closes
    /// Azure has stored this text and did not bring it into force, nor will it by itself: its
    /// operation ended otherwise than it should, or never (`provisioningState`). Writing
    /// it again is the way out.
    bool has_failed(const SecurityRule& rule) const;

    /// Adds a step that writes the whole rule; its effect is told from what was there.
    void put(SecurityRule rule, const SecurityRule* instead_of, Cause cause);
    /// Adds the removal of a rule that is there: a tombstone where nothing may be deleted. No step
    /// when one that closes is under way already.
    void remove(const SecurityRule& rule, Cause cause);
    /// Adds the removal of a rule that was not seen but may be there or land.
    void remove_unseen(std::string name, Cause cause);
    void find(std::string reason, std::string message, std::string rule = {}, std::string uid = {});
    /// Time alone changes the answer then, if that is still to come.
    void look_again_at(Timestamp time);

    Plan finish() &&;
};

// The parts of a plan, each in its own file.
void plan_grants(Draft& draft);
void plan_lockdowns(Draft& draft);
/// Rules that no claim and no policy stands for, and foreign rules that bear marks.
void plan_unclaimed(Draft& draft);

}  // namespace sallyport::nsg
