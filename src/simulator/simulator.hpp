#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.hpp"
#include "http/server.hpp"

namespace sallyport::simulator {

/// azure-sim: answers as Azure Resource Manager and Entra ID do, for everything Sallyport calls,
/// plus a control and a judge under `/_sim/` (docs/azure-sim.md). Pure of sockets, threads and
/// clocks: the same requests at the same times with the same seed give the same answers, byte for
/// byte.
///
/// Every answer that neither a recording nor a specification backs is marked `unverified:` in the
/// source of this folder.
class Simulator final : public http::Handler {
public:
    struct Options {
        /// YAML as docs/azure-sim.md describes it; empty: one empty subscription
        /// 00000000-0000-0000-0000-000000000000.
        std::string estate = {};
        std::string estate_name = "estate";  ///< in front of line numbers
        std::uint64_t seed = 1;
        bool accept_any_token = false;
        /// Simulated seconds per second of `now` or `elapsed`.
        double time_scale = 1;
        /// Time since the start. Without it the clock moves in whole seconds, with `now`. May be
        /// called from several threads.
        std::function<std::chrono::milliseconds()> elapsed = {};
        /// One JSON object for each request and answer, without a line end; secrets and tokens are
        /// taken out. Called one at a time, in the order of the answers.
        std::function<void(std::string_view line)> traffic = {};
    };

    /// `invalid` lists every problem of the estate with its line.
    static Result<std::unique_ptr<Simulator>> create(Options options);
    ~Simulator() override;

    /// May be called from several threads; requests are answered one at a time.
    http::Reply handle(const http::Request& request, Timestamp now) override;

    /// Moves the simulated clock forward, as `POST /_sim/clock` does. Everything due happens with
    /// the next request.
    void advance(std::chrono::milliseconds by);

private:
    struct State;
    std::unique_ptr<State> state_;

public:
    explicit Simulator(std::unique_ptr<State> state);  ///< for `create`
};

}  // namespace sallyport::simulator
