#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "plan/access/world.hpp"
#include "plan/life/plan.hpp"

/// A grant's world that does what a plan says: a store that keeps objects, lanes that write what
/// claims allow, and reads that prove it. Time moves when the test says so.
namespace sallyport::example {

struct Story : World {
    bool exists = true;                       ///< the grant object
    std::optional<AccessRecord> record = {};  ///< under the grant's name, whoever's it is
    bool followed = false;
    bool was_due = false;
    std::set<NsgId> rules = {};  ///< where a rule of the grant lies
    GrantStatus published = {};

    bool records_known = true;
    bool grants_known = true;
    bool policy_exists = true;
    bool readable = true;     ///< reads of NSGs work
    bool writable = true;     ///< writes of rules work
    bool store_works = true;  ///< steps and statuses are stored
    bool settling = false;
    bool lanes_settled = true;
    bool flushes = false;
    bool closing_refused = false;
    std::vector<std::string> still_open_by = {};
    std::vector<std::string> blocked_by = {};
    std::vector<std::string> foreign_denies = {};

    int store_writes =
        0;            ///< steps, status patches, and the journal's head for decision and opening
    int opened = 0;   ///< opening writes
    int created = 0;  ///< records
    std::vector<life::Note> notes = {};
    life::Plan last = {};

    life::View view() const;
    /// Plans once and does what the plan says.
    const life::Plan& round();
    /// Rounds until nothing changes; fails the test when that takes more than a few.
    void settle();
    void pass(seconds time) {
        now += time;
        settle();
    }
    void restart() {
        followed = false;
        settle();
    }
    void remove_object() { grant.meta.deleted = now; }

    std::string state() const;  ///< `Ready=True/Open Active=True`
    const std::string& message() const { return published.message; }

private:
    bool apply(const life::StoreStep& step);
    void apply_claims();
    path::GrantProof proof() const;
    std::vector<life::LaneReport> lanes() const;
};

/// Asked for, and open.
Story opened();

std::string text_of(const GrantStatus& status);

}  // namespace sallyport::example
