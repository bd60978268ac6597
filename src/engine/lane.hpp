#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "engine/budget.hpp"
#include "engine/repairs.hpp"
#include "engine/services.hpp"
#include "engine/unsettled.hpp"
#include "plan/life/plan.hpp"
#include "plan/nsg/plan.hpp"

namespace sallyport::engine {

/// How a write ended, for the record and the journal.
struct WriteEnd {
    std::string request_id = {};
    Timestamp started{};
    std::optional<Timestamp> ended = {};  ///< nullopt: unknown; it may still land
    std::string operation_url = {};
    std::optional<Error> error = {};
};

/// What a lane needs from its account and from the engine.
class LaneHost {
public:
    virtual Gateway* gateway() = 0;  ///< nullptr: no credential yet
    virtual Budget& budget() = 0;
    virtual const CloudAccount& account() const = 0;
    virtual bool grants_complete() const = 0;
    virtual bool policies_complete() const = 0;
    /// The grant has a live record that names another account.
    virtual bool recorded_elsewhere(const std::string& uid) const = 0;
    /// It has been heard that the grant was ended early, though its flow may not have come to it.
    virtual bool heard_over(const std::string& uid) const = 0;
    /// A newer read of the NSG was accepted; `state` stays where it is and is replaced in place.
    virtual void read_accepted(const NsgId& nsg, const NsgState* state) = 0;
    /// A read said that there is no such NSG. Whether that is so, the next sweep tells.
    virtual void said_missing() = 0;
    /// The last look before an opening write leaves: grant read live, write recorded, journal and
    /// head durable. An error: the write must not go out.
    virtual Task<Result<void>> before_opening(NsgId nsg, nsg::Step step,
                                              std::string request_id) = 0;
    /// Before a write that leaves an opening where one stands, narrower or otherwise: what may land
    /// late must be in the record. Within seconds; an error: it could not be recorded.
    virtual Task<Result<void>> before_rewriting(NsgId nsg, nsg::Step step,
                                                std::string request_id) = 0;
    virtual void write_ended(const NsgId& nsg, const nsg::Step& step, const WriteEnd& end) = 0;
    /// What the lane says of these grants and policies may have changed; "": its findings have.
    virtual void lane_changed(const std::set<std::string>& uids) = 0;

protected:
    ~LaneHost() = default;
};

/// The queue of changes to one NSG: one writer, closings first. It plans all claims on the NSG
/// together from the newest read, starts what may start, follows each write to its end, reads
/// again, and plans again until the plan is empty. It never calls a grant's flow; it says that
/// something changed.
class Lane final {
public:
    Lane(Services services, LaneHost& host, Owner owner, NsgId nsg);

    const NsgId& nsg() const { return nsg_; }
    /// nullptr: never read. A vanished NSG is a state without rules.
    const NsgState* observed() const { return observed_ ? &*observed_ : nullptr; }
    bool vanished() const { return vanished_; }
    /// Reads that prove anything of this uid must have been sent at or after this; zero: any read.
    SteadyTime last_write_ended(const std::string& uid) const;
    /// Whether a write of this uid is under way, or ended without a read since.
    bool unsettled(const std::string& uid) const;

    void claim(nsg::GrantClaim claim);
    void withdraw_grant(const std::string& uid);
    void claim(nsg::PolicyClaim claim);
    void withdraw_policy(const std::string& uid);
    std::set<std::string> claimants() const;
    const std::map<std::string, nsg::GrantClaim>& grant_claims() const { return grants_; }
    const std::map<std::string, nsg::PolicyClaim>& policy_claims() const { return policies_; }

    /// A newer read of the NSG, from a sweep. Older ones are ignored.
    void observe(NsgState state);
    /// The NSG does not exist any more, or nothing refers to it, as of a read sent then.
    void vanish(SteadyTime read_sent);
    /// Since its newest state it was said not to exist, by a read that was sent then.
    const std::optional<SteadyTime>& said_missing() const { return said_missing_; }
    /// This grant's proof needs a read that is sent from now on; it is told of it, whatever it
    /// shows.
    void want_read(const std::string& uid);
    /// Many ends have come, here and elsewhere: before this time nothing but their closings is
    /// planned or read.
    void stand_back(SteadyTime until) { back_until_ = std::max(back_until_, until); }
    /// These end at `end`, within seconds: their closings are planned already, and leave then as
    /// they are if nothing has changed.
    void prepare_closings(Timestamp end, const std::vector<std::string>& uids);
    /// The ends of these grants have come: their closings leave now, planned by themselves.
    void close_due(const std::vector<std::string>& uids);
    /// Something may have changed: look again. Carries no meaning.
    void wake() { look_again(); }
    /// Whether the last plan, and so its verdict, is of the newest claim of this uid.
    bool has_planned(const std::string& uid) const { return !unplanned_.contains(uid); }

    life::LaneReport report(const std::string& uid) const;
    const nsg::Plan& last_plan() const { return plan_; }

    Task<void> run();
    /// Ends what it has under way; nothing of it is heard any more. `run` is its owner's to end.
    void stop() { scope_.cancel_all(); }
    static void declare_metrics(Metrics& metrics);

private:
    /// How long closings that were sent together are awaited together.
    static constexpr std::chrono::milliseconds read_together{500};

    struct Write {
        nsg::Step step;
        std::optional<SteadyTime> ended = {};  ///< ended, but not yet seen by a newer read
    };
    struct Prepared {
        std::vector<std::string> uids;
        std::uint64_t revision;
        bool delete_locked;
        std::vector<nsg::Step> steps;
    };
    struct Retry {
        int attempt = 0;
        SteadyTime not_before{};
        Error error;
        std::string content = {};  ///< of a put: another starts anew, and so does another effect
        WriteEffect effect = WriteEffect::neutral;
    };

    SteadyTime not_before(const nsg::Step& step) const;
    void forget_idle();
    nsg::Inputs inputs() const;
    nsg::Inputs inputs_without_claims() const;
    std::set<std::string> concerned(const NsgState& newer) const;
    void look_again();
    bool is_delete_locked() const;
    std::vector<nsg::Step> closings_at(Timestamp time, const std::vector<std::string>& uids) const;
    bool stands_back() const;
    void settle();
    void replan();
    void tell_new(const std::vector<nsg::Finding>& findings) const;
    void start_startable();
    void start(nsg::Step step);
    const Retry* find_retry(const nsg::Step& step) const;
    bool may_start(const nsg::Step& step, bool closing_due) const;
    bool still_wanted(const nsg::Step& step) const;
    Result<void> last_look(const nsg::Step& step) const;
    Task<Result<void>> announce(const nsg::Step& step, const std::string& request_id);
    void note_departure(const nsg::Step& step, WriteEnd& end);
    SteadyTime next_wake() const;
    Task<void> follow(nsg::Step step);
    Task<Result<void>> write(const nsg::Step& step, WriteEnd& end);
    Task<Result<void>> follow_operation(AcceptedWrite accepted, Urgency urgency, WriteEnd& end);
    void finish(const nsg::Step& step, const WriteEnd& end, const Result<void>& done);
    void react(const nsg::Step& step, const Error& error, bool never_left);
    Task<void> read();
    void accept_read(NsgState state);

    Services services_;
    LaneHost& host_;
    Owner owner_;
    NsgId nsg_;
    std::map<std::string, nsg::GrantClaim> grants_;
    std::map<std::string, nsg::PolicyClaim> policies_;
    std::optional<NsgState> observed_;
    bool vanished_ = false;
    std::optional<SteadyTime> said_missing_;
    nsg::Plan plan_;
    std::multimap<std::string, Write> writes_;  ///< by folded rule name
    Repairs repairs_;
    Unsettled unsettled_;
    /// What Azure said of a removal outlives what becomes of an opening under its name.
    std::map<std::pair<std::string, bool>, Retry> retries_;  ///< by folded rule name; removals
    std::set<int> refused_priorities_;
    std::map<std::string, SteadyTime> last_write_ended_;  ///< by uid
    SteadyTime locked_until_{};         ///< tombstones instead of removals until then
    SteadyTime only_removals_until_{};  ///< the record could not be written; until then
    SteadyTime hold_off_until_{};       ///< after a conflict: this lane only, openings
    SteadyTime serial_until_{};         ///< closings one at a time until then
    SteadyTime read_not_before_{};
    /// Until then closings under way are awaited together: no read, and no plan for their sake.
    SteadyTime together_until_{};
    SteadyTime back_until_{};
    std::uint64_t revision_ = 0;  ///< of all that a closing is planned from, but for time
    std::optional<Prepared> prepared_;
    bool stood_back_ = false;  ///< was woken before `back_until_`, and has not looked yet
    int read_failures_ = 0;
    std::set<std::string> unplanned_;  ///< uids of claims that are newer than the last plan
    bool changed_ = false;             ///< something that a plan is made of
    bool more_due_ = false;            ///< closings wait until one of those under way has ended
    bool reading_ = false;
    bool read_wanted_ = false;
    std::set<std::string> read_wanted_by_;  ///< who waits for the next read
    std::set<std::string> tell_of_read_;    ///< who waits for the read under way
    int closings_running_ = 0;
    int openings_running_ = 0;
    Event wake_;
    Scope scope_;
};

}  // namespace sallyport::engine
