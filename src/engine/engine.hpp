#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "engine/account.hpp"
#include "engine/agreed_clock.hpp"
#include "engine/deadlines.hpp"
#include "engine/key_queue.hpp"
#include "engine/records.hpp"
#include "engine/services.hpp"
#include "plan/life/plan.hpp"

/// The imperative shell: it observes, plans, applies the next steps, follows them to their end, and
/// plans again until the plan is empty. Two keys: the grant (decision, record, hold, proof, status)
/// and the lane (one NSG's changes). A watch event only ever puts a key in a queue.
namespace sallyport::engine {

struct Settings {
    Owner owner;
    std::string writer;      ///< this process, in journal entries
    int flows_at_once = 16;  ///< grant flows that wait for the API server at the same time
};

class Engine final : public AccountHost {
public:
    Engine(Services services, Settings settings);
    ~Engine();

    /// Starts everything; call it once, on the loop's thread, before the loop runs.
    void start();
    /// Ends every task at once, as a crash does, but in order: nothing is written any more.
    void stop();
    /// Caches are filled and every record has been looked at once. Says nothing about Azure.
    /// Standbys are ready once their caches are filled.
    bool ready() const { return caches_filled() && (first_look_done_ || !leading_); }
    /// In words, while not ready.
    std::string waiting_for() const;
    const Deadlines& deadlines() const { return deadlines_; }
    Account* find_account(const std::string& name);

    /// Declares every metric of the engine; before `start`.
    static void declare_metrics(Metrics& metrics);

    // AccountHost
    bool grants_complete(const std::string& account) const override;
    bool policies_complete(const std::string& account) const override;
    bool recorded_elsewhere(const std::string& account, const std::string& uid) const override;
    bool heard_over(const std::string& uid) const override;
    Task<Result<void>> before_opening(const std::string& account, NsgId nsg, nsg::Step step,
                                      std::string request_id) override;
    Task<Result<void>> before_rewriting(const std::string& account, NsgId nsg, nsg::Step step,
                                        std::string request_id) override;
    void write_ended(const std::string& account, const NsgId& nsg, const nsg::Step& step,
                     const WriteEnd& end) override;
    void lane_changed(const std::string& account, const std::set<std::string>& uids) override;
    void topology_changed(const std::string& account) override;
    void account_changed(const std::string& account) override;

private:
    /// What is remembered of a grant between two looks: caches only, rebuilt from store and reads.
    struct GrantEntry {
        ObjectKey key;
        std::string record_name;
        std::string account;
        std::string policy_name;  ///< as the grant object has it
        std::string policy_uid;
        std::string requester;
        std::set<NsgId> claimed;
        GrantStatus published;          ///< the last status told, perhaps by an earlier process
        std::string published_version;  ///< the object's version that has it; empty: not known
        bool status_seen = false;
        bool active = false;     ///< has a record that is not closed
        std::string counted_in;  ///< the account among whose active ones it was counted
        bool followed = false;   ///< this process created the record
        bool was_due = false;    ///< its end has come, whatever the clock says by now
        int failures = 0;
    };
    struct PolicyEntry {
        ObjectKey key;
        std::string account;
        Known<access::PolicyStanding> standing;
        std::int64_t generation = -1;  ///< as of the last look
        SteadyTime looked{};
        bool deleting = false;
        struct Lockdown {
            std::vector<nsg::RuleContent> denies;
            std::vector<nsg::RuleContent> exceptions;
        };
        std::map<NsgId, Lockdown> seen_in_place;  ///< where a lockdown was whole, and what it was
        /// What an earlier process told; nullopt: nothing, or not looked for yet.
        std::optional<std::int64_t> told_generation;
        std::set<std::string> active_grants;
        std::set<NsgId> claimed;
        int failures = 0;
    };

    // engine.cpp
    bool caches_filled() const;
    bool is_settling(const std::string& name, const Account& account) const;
    void on_change(const ObjectRef& ref);
    void take_up(const ObjectRef& ref);
    void take_up_ends();
    void watch_records(const ObjectRef& ref);
    void on_grant_change(const ObjectKey& key);
    void on_record_change(const std::string& name);
    void on_policy_change(const ObjectKey& key);
    void look_at_policies_of(const std::string& account);
    void nudge_policy(const std::string& uid, const PolicyEntry& entry);
    void note_undecodable(const ObjectRef& ref);
    static std::vector<Condition> stalled_unread(const Undecodable& unread);
    /// When to look again at what could not be told; an object that has gone is not told anything.
    static std::optional<std::chrono::milliseconds> again_if_untold(const Result<void>& told);
    /// Keep `grants_of_` in step: the only way to change what an entry says of its policy.
    void set_policy_uid(const std::string& uid, GrantEntry& entry, const std::string& policy_uid);
    void set_policy_name(const std::string& uid, GrantEntry& entry, const std::string& name);
    void move_grant(const std::string& uid, const std::string& from, const std::string& to);
    void nudge_grants_of(const ObjectKey& policy, const std::string& policy_uid);
    void fill();
    GrantEntry& note_grant(const std::string& uid, const ObjectKey& key,
                           std::string_view request_id);
    void note_active(const std::string& uid, GrantEntry& entry, const AccessRecord* record);
    void wake_lanes();
    void told(std::map<std::string, std::set<std::string>>& untold, const std::string& account,
              const std::string& uid);
    struct DueLane {
        std::string account;
        NsgId nsg;
        std::vector<std::string> uids;
    };
    std::vector<DueLane> by_lane(const std::vector<std::string>& uids) const;
    Lane* find_lane(const DueLane& due);
    Task<void> close_due(std::vector<std::string> uids);
    Task<void> plan_ahead(Timestamp end, std::vector<std::string> uids);
    void prepare_closings(Timestamp now);
    Task<void> run_deadlines();
    void tick(Timestamp now);
    void watch_clock();
    Task<void> ask_time();
    void lead();
    void watch_over(const AccessRecord& record);
    Task<void> work(KeyQueue& queue,
                    Task<std::optional<std::chrono::milliseconds>> (Engine::*look)(std::string));

    // grant_flow.cpp
    Task<std::optional<std::chrono::milliseconds>> look_at_grant(std::string uid);
    struct Observed;
    class Counted;
    void observe(const std::string& uid, GrantEntry& entry, Observed& out);
    void observe_surfaces(const std::string& uid, const GrantEntry& entry, Observed& out);
    std::optional<access::Problem> nothing_opens(const Account* account) const;
    void set_end(const std::string& uid, const std::optional<Timestamp>& end);
    void tell_lanes(const std::string& uid, GrantEntry& entry, Account* account, life::Plan& plan);
    Task<Result<void>> apply(std::string uid, life::StoreStep step);
    Task<Result<void>> create_record(std::string uid, AccessRecord record);
    Task<Result<void>> update_record(std::string uid, life::UpdateRecord step);
    Task<Result<void>> publish(std::string uid, const life::Plan& plan);
    void forget_if_gone(const std::string& uid);
    Task<std::optional<std::chrono::milliseconds>> tell_unread_grant(std::string uid);

    // policy_flow.cpp
    Task<std::optional<std::chrono::milliseconds>> look_at_policy(std::string uid);
    Task<std::optional<std::chrono::milliseconds>> tell_unread_policy(ObjectKey key,
                                                                      Undecodable unread);
    void forget_policy(const std::string& uid);
    Task<Result<void>> read_live(nsg::Step step);
    Task<Result<void>> settle_policy(std::string uid, JitPolicy policy);
    void judge_standing(const std::string& uid, PolicyEntry& entry, const JitPolicy& policy,
                        Account& account);
    void claim_lockdown(const std::string& uid, PolicyEntry& entry, const JitPolicy& policy,
                        Account& account);
    void claim_removal(const std::string& uid, PolicyEntry& entry, Account& account);
    std::optional<access::Problem> removal_missing(const std::string& uid,
                                                   const PolicyEntry& entry) const;
    path::Accepted accepted_of(const std::string& uid, const PolicyEntry& entry,
                               Account& account) const;
    static std::optional<access::Problem> lockdown_missing(const std::string& uid,
                                                           PolicyEntry& entry, Account& account);
    bool is_unsettled(const std::string& uid, Account* account) const;
    PolicyStatus describe(const std::string& uid, const PolicyEntry& entry, const JitPolicy& policy,
                          Account* account, const std::vector<access::Problem>& preflight);
    void judge_ports(const std::string& uid, const PolicyEntry& entry, const JitPolicy& policy,
                     Account& account, PolicyStatus& status);

    // account_flow.cpp
    Task<std::optional<std::chrono::milliseconds>> look_at_account(std::string name);
    std::optional<access::Problem> find_rival(const CloudAccount& spec) const;
    bool is_in_use(const std::string& account) const;
    /// With the rule it is about and the group, which not every message names.
    static std::string sentence_of(const nsg::Finding& finding, const NsgId& nsg);
    std::string untold_findings(Account& account) const;
    std::optional<Coverage> coverage_of(const std::string& name, const Account& account) const;
    std::optional<std::chrono::milliseconds> retire_account(const std::string& name);

    AgreedClock clock_;
    Services services_;  ///< with `clock_`
    Settings settings_;
    Records records_;
    Deadlines deadlines_;
    std::unordered_map<std::string, GrantEntry> grants_;  ///< by uid
    std::map<ObjectKey, std::string> grant_uids_;         ///< the newest uid under a key
    /// By the policy's uid, and by its namespace/name: uids of grants.
    std::map<std::string, std::set<std::string>> grants_of_;
    std::map<std::string, ObjectKey> unread_grants_;  ///< by uid; nothing more is known of them
    std::unordered_map<std::string, PolicyEntry> policies_;  ///< by uid
    std::map<ObjectKey, std::string> policy_uids_;
    std::map<std::pair<std::string, std::string>, std::set<std::string>>
        active_;                                                ///< (policy uid, user)
    std::map<std::string, int> active_in_;                      ///< how many, by account
    std::map<std::string, std::unique_ptr<Account>> accounts_;  ///< by name
    /// Out of use. A look that was under way when it ended may still hold a reference.
    std::vector<std::unique_ptr<Account>> retired_;
    bool leading_ = false;
    SteadyTime settled_at_{};
    SteadyTime lists_awaited_until_{};
    bool ends_taken_up_ = false;  ///< before all first lists were there
    bool filled_ = false;
    bool first_look_done_ = false;
    std::set<std::string> unlooked_;  ///< uids of records that nobody has looked at since the start
    /// By account: uids whose claims the lanes have not been told since the start.
    std::map<std::string, std::set<std::string>> untold_grants_;
    std::map<std::string, std::set<std::string>> untold_policies_;
    KeyQueue grant_queue_;
    KeyQueue policy_queue_;
    KeyQueue account_queue_;
    std::optional<std::pair<Timestamp, SteadyTime>> last_tick_;
    bool clock_in_step_ = true;
    bool clock_told_in_step_ = true;
    SteadyTime looks_after_{};    ///< closings that have come due leave before the next look
    std::set<std::string> late_;  ///< uids whose ends came before their first look
    SteadyTime time_asked_{};
    Scope scope_;  ///< last: its tasks use everything above
};

}  // namespace sallyport::engine
