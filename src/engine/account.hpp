#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "engine/budget.hpp"
#include "engine/lane.hpp"
#include "engine/ledger.hpp"
#include "engine/services.hpp"
#include "model/network.hpp"
#include "plan/access/decide.hpp"
#include "plan/path/proof.hpp"

namespace sallyport::engine {

/// What an account needs from the engine.
class AccountHost {
public:
    virtual bool grants_complete(const std::string& account) const = 0;
    virtual bool policies_complete(const std::string& account) const = 0;
    virtual bool recorded_elsewhere(const std::string& account, const std::string& uid) const = 0;
    virtual bool heard_over(const std::string& uid) const = 0;
    virtual Task<Result<void>> before_opening(const std::string& account, NsgId nsg, nsg::Step step,
                                              std::string request_id) = 0;
    virtual Task<Result<void>> before_rewriting(const std::string& account, NsgId nsg,
                                                nsg::Step step, std::string request_id) = 0;
    virtual void write_ended(const std::string& account, const NsgId& nsg, const nsg::Step& step,
                             const WriteEnd& end) = 0;
    virtual void lane_changed(const std::string& account, const std::set<std::string>& uids) = 0;
    /// Machines, addresses or networks changed, or became known or unknown.
    virtual void topology_changed(const std::string& account) = 0;
    virtual void account_changed(const std::string& account) = 0;

protected:
    ~AccountHost() = default;
};

/// One subscription with the identity used for it: its gateway, its lanes, its budget, its ledger,
/// and the sweep that lists everything in scope.
class Account final : public LaneHost {
public:
    Account(Services services, AccountHost& host, Owner owner, std::string writer,
            CloudAccount spec);
    ~Account();

    /// The spec as it is now. A new generation, or another object of this name, opens the gateway
    /// anew; the old credential stays in use, for the old subscription, until the new one works.
    void respec(const CloudAccount& spec);

    const Topology& topology() const { return topology_; }
    /// One sweep has worked as a whole since the start; it stays true when later ones fail. How old
    /// what is known may be is told by `observations` and by the topology's `Known` parts.
    bool swept() const { return swept_; }
    /// The spec as it is now was opened, and one sweep has worked as a whole since.
    bool current() const { return current_; }
    /// Since the start neither sweep nor ledger has answered or failed: what is not known is about
    /// to become known.
    bool settling() const { return !trouble_ && problems_.empty() && !(swept_ && ledger_.tried()); }
    std::optional<Timestamp> last_sweep() const { return last_sweep_; }
    /// Puts the time of the last told status back where nothing else has changed since.
    void keep_sweep_time(AccountStatus& status);
    /// NSGs that the last reads showed to exist.
    int surfaces() const;
    Lane& lane(const NsgId& nsg);
    Lane* find_lane(const NsgId& nsg);
    std::map<NsgId, std::unique_ptr<Lane>>& lanes() { return lanes_; }
    /// Reads that were young enough to prove anything when the last sweep ended.
    const path::Observations& observations() const { return observations_; }
    Ledger& ledger() { return ledger_; }
    const Ledger& ledger() const { return ledger_; }
    /// Why the account does not work; empty: it does, as far as the last sweep showed.
    const std::optional<Error>& trouble() const { return trouble_; }
    const std::vector<access::Problem>& problems() const { return problems_; }
    /// An older account of the same subscription: nothing opens by this one, what it has open ends
    /// as always.
    const std::optional<access::Problem>& rival() const { return rival_; }
    void set_rival(std::optional<access::Problem> rival) { rival_ = std::move(rival); }
    /// Nothing names it any more: it neither reads nor writes from now on.
    void retire();
    /// So many of its grants end within seconds.
    void prepare_closings(int count);
    /// Sweep now rather than at the next interval.
    void hint() { wake_.set(); }

    /// Actions a policy needs, locks and deny assignments in its way, for one scope; asked once a
    /// day, and again after the spec changed or a write there was refused. What cannot be asked is
    /// not a problem.
    Task<std::vector<access::Problem>> preflight(ArmScope scope);

    // LaneHost
    Gateway* gateway() override { return gateway_.get(); }
    Budget& budget() override { return budget_; }
    const CloudAccount& account() const override { return spec_; }
    bool grants_complete() const override { return host_.grants_complete(spec_.meta.key.name); }
    bool policies_complete() const override { return host_.policies_complete(spec_.meta.key.name); }
    bool recorded_elsewhere(const std::string& uid) const override {
        return host_.recorded_elsewhere(spec_.meta.key.name, uid);
    }
    bool heard_over(const std::string& uid) const override { return host_.heard_over(uid); }
    void read_accepted(const NsgId& nsg, const NsgState* state) override;
    void said_missing() override { wake_.set(); }
    Task<Result<void>> before_opening(NsgId nsg, nsg::Step step, std::string request_id) override;
    Task<Result<void>> before_rewriting(NsgId nsg, nsg::Step step, std::string request_id) override;
    void write_ended(const NsgId& nsg, const nsg::Step& step, const WriteEnd& end) override;
    void lane_changed(const std::set<std::string>& uids) override;

    Task<void> run();
    static void declare_metrics(Metrics& metrics);

private:
    struct Preflight {
        std::vector<access::Problem> problems;
        SteadyTime asked;
    };
    template <class T>
    struct Part {
        Known<std::vector<T>> list;
        SteadyTime sent{};
    };

    /// Which object, and which spec of it.
    struct Version {
        std::string uid = {};
        std::int64_t generation = -1;
        friend bool operator==(const Version&, const Version&) = default;
    };
    Version version() const { return {spec_.meta.uid, spec_.meta.generation}; }

    Task<Result<void>> open_gateway();
    Task<void> look();
    Task<Result<void>> sweep();
    Task<Result<void>> list_nsgs();
    void find_vanished(SteadyTime sweep_began);
    std::set<NsgId> referred_to() const;
    template <class T>
    Task<Result<void>> refresh(Part<T>& part,
                               Task<Result<std::vector<T>>> (Gateway::*list)(ArmScope));
    template <class T>
    Task<Result<std::vector<T>>> list_scopes(
        Task<Result<std::vector<T>>> (Gateway::*list)(ArmScope));
    Task<void> refresh_service_tags();
    std::vector<ArmScope> scopes() const;
    void note_trouble(std::optional<Error> error);
    void drop_stale_reads();
    Task<void> expire();
    std::chrono::milliseconds fresh_for() const;

    Services services_;
    AccountHost& host_;
    Owner owner_;
    CloudAccount spec_;
    std::vector<access::Problem> problems_;
    std::optional<access::Problem> rival_;
    Budget budget_;
    Ledger ledger_;
    std::unique_ptr<Gateway> gateway_;
    std::vector<std::unique_ptr<Gateway>> retired_;  ///< calls on them may still be under way
    Secret secret_;
    Version opened_;                   ///< the spec that the gateway was opened for
    std::string opened_subscription_;  ///< and what it was opened to
    bool current_ = false;
    bool by_resource_group_ = false;  ///< the subscription could not be listed as a whole
    bool swept_ = false;
    std::optional<Timestamp> last_sweep_;
    AccountStatus told_;
    int failures_ = 0;  ///< sweeps in a row
    std::optional<Error> trouble_;
    Topology topology_;
    Part<Nic> nics_;
    Part<VirtualNetwork> networks_;
    Part<VirtualMachine> machines_;
    std::optional<SteadyTime> tags_asked_;
    std::map<NsgId, std::unique_ptr<Lane>> lanes_;
    std::set<NsgId> listed_;  ///< by the newest list of NSGs that worked
    SteadyTime listed_sent_{};
    path::Observations observations_;
    std::map<std::string, Preflight> preflights_;
    Event wake_;
    Scope scope_;  ///< last: its tasks use everything above
};

}  // namespace sallyport::engine
