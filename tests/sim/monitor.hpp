#pragma once

#include <deque>
#include <functional>
#include <set>
#include <string>
#include <vector>

#include "sim/history.hpp"
#include "sim/invariants.hpp"
#include "sim/own_writes.hpp"
#include "sim/tries.hpp"
#include "sim/world.hpp"

namespace sallyport::sim {

/// Judges a world after every step by the invariants, from what the simulated cloud and the API
/// server show, and keeps a timeline of who did what. Attach it before the operator starts.
class Monitor final : public Witness {
public:
    explicit Monitor(World& world);
    ~Monitor() override;
    Monitor(const Monitor&) = delete;
    Monitor& operator=(const Monitor&) = delete;

    void sent(const http::Request& request, const support::Fate& fate) override;
    void handled(const http::Request& request, const http::Response& response) override;
    void outside(const std::string& who, const http::Request& request,
                 const http::Response& response) override;
    void step() override;

    /// Azure, the API server, or the way there, is not well for that long from now.
    void disturb_azure(std::chrono::seconds span);
    /// `call`: its class, where it is one call that is hit (`call_class`).
    void disturb_kube(std::chrono::seconds span, const std::string& call = {});
    /// Nor can a process that starts read what it needs for closing.
    void disturb_starts(std::chrono::seconds span);
    /// The operator's clock is another one from now on.
    void clock_was_set();
    /// The process stood still for a while, and goes on now.
    void resumed();
    /// This NSG stands before no machine until then: its rules of grants go, and no grant has
    /// ended.
    void put_aside(const std::string& nsg, SteadyTime until) { aside_[nsg] = until; }
    /// Into the timeline.
    void note(const std::string& what);

    /// `I4 never wider: …`, each once.
    const std::vector<std::string>& complaints() const { return complaints_; }
    const History& history() const { return history_; }
    /// What is seen now, without waiting for the next step.
    const History& look();
    /// The complaints, what happened, and the world's story.
    std::string told();
    /// Rules that came and went at the operator's request: `nsg-web01 grant`, `nsg-web01 lockdown`.
    const std::map<std::string, int>& created() const { return created_; }
    const std::map<std::string, int>& removed() const { return removed_; }
    /// The operator's last write to Azure or the API server, Events and its Lease apart.
    SteadyTime last_write() const { return last_write_; }
    /// Of the whole timeline, and of every call.
    std::uint64_t trace() const { return trace_; }

    /// The operator's clock minus everybody's, where a plan sets it off.
    std::function<std::chrono::seconds()> clock_apart = {};

private:
    void look_at_rules();
    void look_at_objects();
    void look_at_machines();
    void see_meddling(const std::string& uid);
    void see_rule(const std::string& nsg, const json& rule, std::set<std::string>& present);
    void see_grants(const json& list);
    void see_records(const json& list);
    void see_ends();
    void moved(const http::Request& request);
    void see_reach();
    void see_excepted();
    void see_record(SeenGrant& grant, const json& record);
    void see_closed(const SeenGrant& grant, const json& record);
    void see_deletion(const http::Request& request, const http::Response& response);
    void see_lockdown_go(const SeenRule& rule);
    void see_removal(const SeenRule& rule);
    void see_read(const http::Request& request, const http::Response& response);
    bool reaches(const std::string& source, const std::string& vm, int port,
                 const std::string& protocol);
    void judge();
    void complain(const Invariant& invariant, const Complaint& complaint);
    void add_to_trace(const std::string& text);
    void count(const http::Request& request, const http::Response& response);

    World& world_;
    History history_;
    std::vector<std::string> complaints_;
    std::deque<std::string> timeline_;
    std::string rules_text_;
    bool rules_moved_ = true;
    std::set<std::string> moved_kinds_ = {""};  ///< of the API server's objects; "": all
    bool unsettled_ = false;                    ///< an operation is under way
    SteadyTime azure_wrote_{};
    bool outsiders_moved_ = true;
    SteadyTime looked_{};
    SteadyTime two_accounts_{};  ///< when there were two, or a moment ago
    SteadyTime last_write_{};
    SteadyTime minute_began_{};
    std::uint64_t trace_ = 0xcbf29ce484222325;
    const Operator* process_ = nullptr;
    std::set<std::string> got_;  ///< by this process, of what closing needs
    OwnWrites own_writes_;
    Tries tries_;
    std::string owner_;  ///< as marks name this installation
    std::map<std::string, SteadyTime> aside_;
    std::set<std::string> taken_away_;                  ///< rules, by others
    std::map<std::string, bool> removes_lockdown_;      ///< by policy: `onDelete: Remove`
    std::map<std::string, SteadyTime> grants_created_;  ///< by path
    struct Deletion {
        SteadyTime lands;
        SteadyTime sent;
    };
    std::multimap<std::string, Deletion> deletions_;             ///< of grants, by path
    std::map<std::string, std::deque<SteadyTime>> groups_read_;  ///< by NSG: the operator's newest
    std::map<std::string, int> created_;
    std::map<std::string, int> removed_;
};

}  // namespace sallyport::sim
