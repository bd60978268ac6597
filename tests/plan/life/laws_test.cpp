#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <random>

#include "plan/life/story.hpp"
#include "support/printers.hpp"

using namespace sallyport;
using namespace sallyport::example;

namespace {

/// A life in which anything may happen at any time, and what must hold all the same.
class Walk {
public:
    explicit Walk(unsigned seed) : random_(seed) {
        if (chance(3)) story_.policy.clock_starts = ClockStarts::when_approved;
        if (chance(3)) {
            story_.grant.duration.reset();
            story_.grant.not_after = at("10:30:00");
        }
        if (chance(4)) story_.grant.not_before = at("09:20:00");
        if (chance(5)) story_.policy.approval = ApprovalMode::manual;
    }

    void step() {
        happen();
        for (int rounds = 1 + pick(3); rounds > 0; --rounds) {
            const bool owed = is_owed();
            const int opened_before = story_.opened;
            const life::Plan plan = story_.round();
            check_claims(plan, owed);
            check_steps(plan);
            check_record();
            check_status(plan);
            if (!owed) CHECK(story_.opened == opened_before);
        }
    }

    /// When all works again, it closes and comes to rest.
    void end() {
        story_.writable = story_.readable = story_.store_works = story_.lanes_settled = true;
        story_.grants_known = story_.records_known = true;
        story_.settling = false;
        story_.account.mode = Mode::enforce;
        // What only now may open for the first time is over a day later.
        for (int day = 0; day < 2; ++day) story_.pass(seconds{30 * 3600});
        CHECK(story_.rules.empty());
        CHECK(story_.last.steps.empty());
        const int writes = story_.store_writes;
        story_.pass(seconds{3600});
        CHECK(story_.store_writes == writes);
        CHECK(story_.created <= 1 + recreated_with_new_id_);
    }

private:
    int pick(int below) { return std::uniform_int_distribution(0, below - 1)(random_); }
    bool chance(int in) { return pick(in) == 0; }

    /// Whether the grant's own objects still owe it access, told without the planner.
    bool is_owed() const {
        const Story& s = story_;
        if (!s.grants_known || !s.exists || s.grant.meta.deleted || s.grant.revoked) return false;
        if (!s.record || s.record->grant_uid != s.grant.meta.uid || !s.record->end_reason.empty())
            return false;
        if (s.record->closed() || s.now >= s.record->effective_end()) return false;
        if (s.grant.not_after && s.now >= *s.grant.not_after) return false;
        return s.policy_exists && !s.policy.meta.deleted &&
               !s.policy.network.sources.within.empty();
    }

    void happen() {
        Story& s = story_;
        constexpr std::array pauses = {1, 20, 60, 120, 300, 900, 3600};
        switch (pick(20)) {
            case 0: s.writable = !s.writable; break;
            case 1: s.readable = !s.readable; break;
            case 2: s.store_works = chance(2); break;
            case 3: s.grants_known = chance(2); break;
            case 4: s.settling = chance(2); break;
            case 5: s.lanes_settled = chance(2); break;
            case 6: s.followed = false; break;  // a restart
            case 7: s.rules.clear(); break;     // somebody takes it away
            case 8:
                if (chance(4)) s.grant.revoked = true;
                break;
            case 9:
                if (chance(4) && s.exists) s.remove_object();
                break;
            case 10:
                if (chance(8)) s.exists = false;
                break;
            case 11: shorten(); break;
            case 12: s.policy.network.sources.within.clear(); break;
            case 13: s.policy.network.sources = World().policy.network.sources; break;
            case 14:
                if (chance(6)) s.policy_exists = false;
                break;
            case 15:
                s.policy.network.ports[0].max_duration =
                    seconds{pauses[static_cast<std::size_t>(pick(3) + 4)] * 3};
                break;
            case 16: recreate(); break;
            case 17: s.records_known = chance(2); break;
            default: s.now += seconds{pauses[static_cast<std::size_t>(pick(pauses.size()))]};
        }
        if (s.exists && s.grant.meta.deleted && !s.grant.meta.held()) s.exists = false;
    }

    void shorten() {
        if (!story_.grant.not_after) return;
        *story_.grant.not_after -= seconds{600};
        ++story_.grant.meta.generation;
    }

    void recreate() {
        if (story_.exists) return;
        const World fresh;
        story_.grant = fresh.grant;
        story_.grant.meta.uid = "uid-" + std::to_string(++uids_);
        story_.grant.meta.created = story_.now;
        story_.exists = true;
        story_.published = {};
        // Without its record the store has forgotten it: that is a new request.
        if (!story_.record) ++recreated_with_new_id_;
    }

    void check_claims(const life::Plan& plan, bool owed) {
        if (!plan.claims_known) return;
        for (const auto& [id, claim] : plan.claims) {
            CHECK(claim.end <= claim.latest_end);
            if (!owed) CHECK_FALSE(claim.may_open);
            if (claim.may_open) CHECK(story_.now < claim.end);
            const AddressSet allowed = AddressSet::of(story_.policy.network.sources.within);
            for (const nsg::RuleContent& content : claim.wanted) {
                for (const Prefix& prefix : content.source.prefixes) {
                    REQUIRE(std::holds_alternative<Cidr>(prefix));
                    CHECK(prefix == Prefix(cidr("198.51.100.7/32")));
                    CHECK(allowed.contains(AddressSet::of(std::get<Cidr>(prefix))));
                }
                CHECK(content.ports == std::vector{ports("22")});
            }
        }
    }

    void check_steps(const life::Plan& plan) {
        CHECK(plan.steps.size() <= 1);
        for (const auto& step : plan.steps) {
            if (!std::holds_alternative<life::ReleaseHold>(step)) continue;
            CHECK(story_.rules.empty());
            CHECK(story_.lanes_settled);
            const bool own = story_.record && story_.record->grant_uid == story_.grant.meta.uid;
            if (own) CHECK(story_.record->closed());
        }
    }

    void check_record() {
        if (!story_.record) {
            before_.reset();
            return;
        }
        const AccessRecord& now = *story_.record;
        if (before_ && before_->grant_uid == now.grant_uid) {
            CHECK(now.latest_end == before_->latest_end);
            CHECK(now.request == before_->request);
            if (before_->end) CHECK(now.end <= before_->end);
            CHECK(now.effective_end() <= before_->effective_end());
            if (before_->opened_at) CHECK(now.opened_at == before_->opened_at);
            if (before_->closed_at) CHECK(now.closed_at == before_->closed_at);
            if (!before_->end_reason.empty()) CHECK(now.end_reason == before_->end_reason);
        }
        CHECK(now.effective_end() <= now.latest_end);
        before_ = now;
    }

    void check_status(const life::Plan& plan) {
        if (!plan.status) return;
        const GrantStatus& status = *plan.status;
        const auto find = [&](std::string_view type) -> const Condition* {
            const auto found = std::ranges::find(status.conditions, type, &Condition::type);
            return found == status.conditions.end() ? nullptr : &*found;
        };
        REQUIRE(find("Ready"));
        REQUIRE(find("Active"));
        CHECK_FALSE((find("Reconciling") && find("Stalled")));
        if (find("Ready")->status == Truth::no) CHECK(find("Stalled"));
        if (find("Stalled")) CHECK(find("Ready")->status == Truth::no);
        if (find("Ready")->status == Truth::unknown) CHECK(find("Reconciling"));
        CHECK(status.observed_generation == story_.grant.meta.generation);
        CHECK_FALSE(status.message.empty());
        for (const Condition& condition : status.conditions) {
            CHECK(condition.observed_generation == story_.grant.meta.generation);
            CHECK_FALSE(condition.reason.empty());
        }
        // Honest: nothing says it is closed while a rule of it stands.
        const bool says_over = find("Active")->status == Truth::no && !find("Reconciling");
        if (says_over && story_.record && story_.record->closed() && story_.readable) {
            CHECK(story_.rules.empty());
        }
    }

    std::mt19937 random_;
    Story story_;
    std::optional<AccessRecord> before_;
    int uids_ = 0;
    int recreated_with_new_id_ = 0;
};

}  // namespace

TEST_CASE("whatever happens, a life keeps its laws") {
    for (unsigned seed = 0; seed < 200; ++seed) {
        CAPTURE(seed);
        Walk walk(seed);
        for (int i = 0; i < 60; ++i) walk.step();
        walk.end();
    }
}
