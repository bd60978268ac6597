#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "http/transport.hpp"
#include "sim/world.hpp"

/// Several processes of one operator, each with its own way to the API server and to Azure, that
/// elect their leader by a Lease.
namespace sallyport::sim {

/// A write to Azure as it left a replica.
struct Departed {
    std::string replica;
    std::string call;
    Timestamp at{};
    bool leads = false;       ///< what its Lease said in that moment
    bool opens = false;       ///< it lets somebody in
    bool may_open = false;    ///< the API server took its last renewal less than 5 s ago
    std::string others = {};  ///< whose write to the same NSG was under way, another's than this
};

/// One replica's own way to the world: what is cut is cut for it alone.
class Way final : public http::Network {
public:
    Way(http::Network& inner, Clock& clock) : inner_(inner), clock_(clock) {}
    std::unique_ptr<http::Transport> transport(http::Trust trust) override;

    std::set<std::string> cut = {};  ///< origins: nothing arrives there and nothing comes back
    std::function<void(const http::Request&)> on_departure = {};
    std::function<void(http::Request&)> rewrite = {};  ///< what it says, as another version would

private:
    friend class WayTransport;
    friend class WayStream;
    http::Network& inner_;
    Clock& clock_;
};

struct Replica {
    std::unique_ptr<Way> way;
    std::unique_ptr<Operator> process;
    std::optional<SteadyTime> azure_back_at = {};  ///< its way to Azure is whole again then
    std::optional<SteadyTime> back_at = {};        ///< when the kubelet starts it again
    SteadyTime renewed{};                          ///< when the API server last took its Lease
};

class ReplicatedWorld : public World {
public:
    explicit ReplicatedWorld(std::uint64_t run_seed = 1, std::string estate = small_estate());
    ~ReplicatedWorld();

    void start(const std::string& name);
    void kill(const std::string& name) { replicas.at(name).process.reset(); }
    /// As a SIGTERM ends it: nothing runs any more, then the Lease is given back.
    void terminate(const std::string& name);
    /// Runs, checks after every step, and starts again what ended by itself.
    void tend_for(std::chrono::nanoseconds span);
    bool tend_until(const std::function<bool()>& done, std::chrono::nanoseconds at_most);
    /// The name of who leads; empty: nobody.
    std::string leader();
    std::string standby();
    /// Of the writes since the last call: who does not lead writes nothing, and who has not renewed
    /// for 5 s opens nothing (promise 2). Empty: it was so.
    std::string wrong_writes();
    /// All ways are whole, and all replicas run.
    void heal();

    std::map<std::string, Replica> replicas;
    std::vector<Departed> departed;  ///< every write to Azure, by whoever

private:
    struct UnderWay {
        std::string replica;
        std::string nsg;
    };
    bool takes_lockdown_away(const http::Request& request);
    bool lets_in_more(const http::Request& request);
    void note_departure(const std::string& name, const http::Request& request);
    void check_step();
    void tend();

    /// Writes that Azure has not answered yet, by request id.
    std::map<std::string, UnderWay> under_way_;
    std::size_t judged_ = 0;  ///< of `departed`
};

/// Account, policy and two replicas, of which one leads; the policy is Ready.
void start_two(ReplicatedWorld& world);

}  // namespace sallyport::sim
