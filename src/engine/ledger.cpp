#include "engine/ledger.hpp"

#include <fmt/format.h>

#include "engine/retry.hpp"

namespace sallyport::engine {
namespace {

using namespace std::chrono_literals;

/// Notes kept while the journal cannot be written; a closing is never held up for one.
constexpr std::size_t pending_max = 10'000;
constexpr auto head_delay = 2s;

}  // namespace

Ledger::Ledger(Services services, std::string account, std::string writer,
               std::function<void()> changed)
    : services_(services),
      account_(std::move(account)),
      writer_(std::move(writer)),
      changed_(std::move(changed)),
      wake_(services.loop) {}

void Ledger::declare_metrics(Metrics& metrics) {
    metrics.declare({.name = "sallyport_journal_entries_total",
                     .kind = MetricKind::counter,
                     .help = "Journal entries made durable."});
    metrics.declare({.name = "sallyport_journal_failures_total",
                     .kind = MetricKind::counter,
                     .help = "Failed attempts to write the journal or to advance its head."});
    metrics.declare(
        {.name = "sallyport_journal_notes_lost_total",
         .kind = MetricKind::counter,
         .help = "Notes about closings dropped because the journal could not be written."});
}

Task<Result<std::uint64_t>> Ledger::commit(LedgerEvent event) {
    OneShot<Result<std::uint64_t>> answer(services_.loop);
    pending_.push_back({std::move(event), answer.replier()});
    wake_.set();
    co_return co_await answer.answer();
}

void Ledger::note(LedgerEvent event) {
    if (pending_.size() >= pending_max) {
        services_.metrics.increment("sallyport_journal_notes_lost_total");
        return;
    }
    pending_.push_back({std::move(event), std::nullopt});
    wake_.set();
}

Task<Result<void>> Ledger::load() {
    if (!services_.store.synced(Kind::ledger))
        co_return unavailable("the heads of the ledgers have not been listed yet");
    Result<JournalEntry> tail = co_await services_.journal.tail(account_);
    if (!tail) co_return std::move(tail).error().context("read the journal");
    tail_ = *tail;
    const AccessLedger* stored = services_.store.ledger(account_);
    head_ = stored ? stored->head : LedgerHead{};
    if (head_.seq > tail_.seq) {
        if (services_.journal.readable()) {
            blocked_ = fmt::format(
                "the ledger's head (seq {}) is beyond the journal (seq {}): entries are missing; "
                "restore the journal, or acknowledge the loss as an administrator: "
                "kubectl delete accessledger {} -n {}",
                head_.seq, tail_.seq, account_, operator_namespace);
            co_return Error{ErrorKind::invalid, *blocked_, "JournalBehindHead"};
        }
        tail_.seq = head_.seq;
        tail_.hash = head_.hash;
    } else if (head_.seq == tail_.seq && head_.seq > 0 && head_.hash != tail_.hash) {
        blocked_ = fmt::format(
            "the journal's entry {} is not the one the ledger's head names; restore the "
            "journal, or acknowledge the loss as an administrator: kubectl delete "
            "accessledger {} -n {}",
            tail_.seq, account_, operator_namespace);
        co_return Error{ErrorKind::invalid, *blocked_, "JournalForked"};
    }
    // A valid tail beyond the head was synced just before a crash: it is adopted by the next
    // advance.
    loaded_ = true;
    blocked_.reset();
    co_return Result<void>();
}

Task<Result<void>> Ledger::advance() {
    if (head_.seq == tail_.seq) co_return Result<void>();
    AccessLedger next;
    if (newest_) {
        next = *newest_;
    } else if (const AccessLedger* stored = services_.store.ledger(account_)) {
        next = *stored;
    }
    next.meta.key = {std::string(operator_namespace), account_};
    next.head = {tail_.seq, tail_.hash};
    Result<AccessLedger> done = co_await services_.store.advance_ledger(std::move(next));
    if (!done) {
        newest_.reset();  // after a conflict the cache knows better, sooner or later
        co_return std::move(done).error().context("advance the ledger's head");
    }
    head_ = done->head;
    newest_ = *std::move(done);
    co_return Result<void>();
}

Task<Result<void>> Ledger::write(std::vector<Pending>& batch) {
    std::vector<JournalEntry> entries;
    JournalEntry last = tail_;
    for (const Pending& each : batch) {
        JournalEntry entry{.seq = last.seq + 1,
                           .prev_hash = last.hash,
                           .writer = writer_,
                           .time = services_.clock.now(),
                           .account = account_,
                           .record = each.event.record,
                           .event = each.event.event,
                           .detail = each.event.detail};
        entry.hash = chain_hash(entry);
        entries.push_back(entry);
        last = std::move(entry);
    }
    const auto count = static_cast<double>(entries.size());
    Result<void> appended = co_await services_.journal.append(account_, std::move(entries));
    if (!appended) {
        loaded_ = false;  // a torn tail is possible: read it again before the next append
        co_return std::move(appended).error().context("append to the journal");
    }
    tail_ = std::move(last);
    services_.metrics.add("sallyport_journal_entries_total", {}, count);
    co_return Result<void>();
}

void Ledger::refuse(std::vector<Pending>& batch, const Error& error) {
    std::vector<Pending> kept;
    for (Pending& each : batch) {
        if (each.waiter) {
            each.waiter->reply(Result<std::uint64_t>(error));
        } else {
            kept.push_back(std::move(each));
        }
    }
    kept.insert(kept.end(), std::make_move_iterator(pending_.begin()),
                std::make_move_iterator(pending_.end()));
    pending_ = std::move(kept);
}

Task<void> Ledger::run() {
    SteadyTime head_due = SteadyTime::max();
    for (;;) {
        if (pending_.empty() && loaded_) {
            const SteadyTime until = std::min(head_due, services_.clock.steady_now() + 1h);
            co_await wake_.next_until(until);
        }
        co_await services_.loop.yield();  // what comes in the same turn goes out together
        Result<void> done;
        if (!loaded_) {
            const std::optional<std::string> before = blocked_;
            done = co_await load();
            if (blocked_ != before || !tried()) changed_();
        }
        std::vector<Pending> batch = std::exchange(pending_, {});
        const std::uint64_t first = tail_.seq + 1;
        bool urgent = false;
        for (const Pending& each : batch) urgent = urgent || each.waiter.has_value();
        if (done && !batch.empty()) done = co_await write(batch);
        const bool written = done.has_value() && !batch.empty();
        if (written) head_due = std::min(head_due, services_.clock.steady_now() + head_delay);
        if (done && (urgent || services_.clock.steady_now() >= head_due)) {
            done = co_await advance();
            if (done) head_due = SteadyTime::max();
        }
        if (done) {
            failures_ = 0;
            for (std::size_t i = 0; i < batch.size(); ++i) {
                if (batch[i].waiter) batch[i].waiter->reply(Result<std::uint64_t>(first + i));
            }
            continue;
        }
        services_.metrics.increment("sallyport_journal_failures_total");
        services_.log.warn("journal.failed",
                           {{"account", account_}, {"error", done.error().message}});
        if (written) std::erase_if(batch, [](const Pending& each) { return !each.waiter; });
        refuse(batch, done.error());
        const SteadyTime again =
            services_.clock.steady_now() +
            next_attempt(reaction_to(unavailable(""), failures_++, Urgency::closing),
                         services_.random.fraction());
        co_await services_.loop.sleep_until(again);
    }
}

}  // namespace sallyport::engine
