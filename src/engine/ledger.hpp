#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "engine/services.hpp"

namespace sallyport::engine {

/// What is to be written down; the ledger numbers and chains it.
struct LedgerEvent {
    std::string record = {};
    std::string event = {};
    std::string detail = {};
};

/// One account's journal and its head, kept in step: entry synced, head advanced, then the caller
/// goes on to open. Several openings that come together share one sync and one
/// advance. Closings are noted, never waited for.
class Ledger final {
public:
    /// `changed`: whether it is in order may have changed; only ever puts keys in queues.
    Ledger(Services services, std::string account, std::string writer,
           std::function<void()> changed);

    /// Durable in the journal and under the head when it returns a value: the entry's seq.
    Task<Result<std::uint64_t>> commit(LedgerEvent event);
    /// Written down as soon as possible; the head follows within two seconds. Never fails, never
    /// waits: while the journal cannot be written, notes are kept, up to a bound, then counted as
    /// lost.
    void note(LedgerEvent event);

    /// Why nothing may open through this account; nullopt: the ledger is in order.
    const std::optional<std::string>& blocked() const { return blocked_; }
    bool loaded() const { return loaded_; }
    /// The first attempt to read it has ended, in whichever way.
    bool tried() const { return loaded_ || failures_ > 0; }

    /// Reads tail and head, then writes for as long as it lives. Start it once.
    Task<void> run();
    static void declare_metrics(Metrics& metrics);

private:
    struct Pending {
        LedgerEvent event;
        std::optional<OneShot<Result<std::uint64_t>>::Replier> waiter;
    };
    Task<Result<void>> load();
    Task<Result<void>> write(std::vector<Pending>& batch);
    Task<Result<void>> advance();
    void refuse(std::vector<Pending>& batch, const Error& error);

    Services services_;
    std::string account_;
    std::string writer_;
    std::function<void()> changed_;
    bool loaded_ = false;
    std::optional<std::string> blocked_ = "the ledger has not been read yet";
    JournalEntry tail_;
    LedgerHead head_;  ///< as the API server has it
    std::optional<AccessLedger>
        newest_;  ///< the answer to our last advance; the cache lags behind it
    std::vector<Pending> pending_;
    Event wake_;
    int failures_ = 0;
};

}  // namespace sallyport::engine
