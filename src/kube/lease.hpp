#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <string>

#include "kube/reflector.hpp"
#include "ports/leadership.hpp"

namespace sallyport::kube {

/// Leader election by a Lease of coordination.k8s.io/v1, with the numbers of client-go: held for
/// 15 s, given up 10 s after the last renewal, tried every 2 s and up to a fifth of that more by
/// chance.
///
/// Times that others wrote are never compared with our clock: a Lease is free when it has not
/// changed for its duration by our own steady clock, or when its holder is empty. What counts as
/// renewed is the moment *before* the renewing request was handed over, so that a slow answer makes
/// us leave earlier, never later. `client` should give up after `renew_deadline / 2`. Writes carry
/// the resourceVersion that was read: two candidates cannot both win.
///
/// Once lost it stays lost: the process ends and starts anew, and with it all that it believed.
class Lease final : public Leadership {
public:
    static constexpr std::chrono::seconds duration{15};
    static constexpr std::chrono::seconds renew_deadline{10};
    static constexpr std::chrono::seconds retry_period{2};
    static constexpr double jitter = 0.2;
    /// How old a renewal may be for an opening.
    static constexpr std::chrono::seconds fresh_for{5};

    struct Options {
        std::string name = "sallyport-controller";
        std::string ns = "sallyport-system";
        std::string identity;  ///< unique for each process: host name and something random
    };

    Lease(World world, Client& client, Options options);

    /// Tries to lead, and renews while it does, until leadership was lost. `scope` goes before
    /// this.
    void start(Scope& scope);
    /// Gives the Lease back, so that another may lead at once. Only when nothing of this process
    /// writes any more. Best effort: an error leaves it to its duration.
    Task<void> release();

    bool leads() const override;
    bool may_open() const override;
    std::optional<SteadyTime> opens_until() const override;
    void on_change(std::function<void()> notify) override {
        listeners_.push_back(std::move(notify));
    }
    bool lost() const { return lost_; }

    static void declare_metrics(Metrics& metrics);

private:
    /// What the server has, and when we first saw it so.
    struct Seen {
        std::string version = {};
        std::string holder = {};
        std::int64_t transitions = 0;
        std::string acquired = {};
        std::chrono::seconds duration{};
        SteadyTime at{};
    };

    Task<void> run();
    /// Notices the renew deadline while a request hangs.
    Task<void> watch_deadline();
    Task<Result<void>> read();
    Task<Result<void>> write(bool exists, std::string holder);
    Task<bool> attempt();
    bool may_be_held(SteadyTime now) const;
    Result<void> take(const std::string& body);
    void tell() const;
    void won(SteadyTime asked);
    void lose();
    std::string target() const;

    World world_;
    Client& client_;
    Options options_;
    std::optional<Seen> seen_;
    std::optional<SteadyTime> renewed_;  ///< while we lead
    bool lost_ = false;
    std::vector<std::function<void()>> listeners_;
};

}  // namespace sallyport::kube
