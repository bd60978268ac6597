#include "engine/records.hpp"

#include <algorithm>
#include <charconv>

#include "engine/bugs.hpp"

namespace sallyport::engine {
namespace {

/// Resource versions of one kind compare as numbers (KEP-5504; both servers of ours follow it).
bool is_newer(const std::string& a, const std::string& b) {
    if (a.size() != b.size()) return a.size() > b.size();
    return a > b;
}

constexpr int conflicts_max = 5;
constexpr std::size_t deferred_max = 16;
/// Who waits some seconds for a change has it tried again so long.
constexpr std::chrono::seconds tries_for{4};

}  // namespace

Records::Records(Services services)
    : services_(services),
      scope_(services.loop, on_bug(services.log, services.metrics, "records")) {}

std::optional<AccessRecord> Records::find(const std::string& name) const {
    const AccessRecord* newest = stored(name);
    if (!newest) return std::nullopt;
    AccessRecord record = *newest;
    if (const auto it = deferred_.find(name); it != deferred_.end()) {
        for (const Change& change : it->second) change(record);
    }
    return record;
}

void Records::defer(const std::string& name, Change change) {
    std::vector<Change>& changes = deferred_[name];
    changes.push_back(std::move(change));
    // A closing that fails for days must not pile up here.
    if (changes.size() % deferred_max == 0) scope_.start(flush(name));
}

Task<void> Records::flush(std::string name) {
    const Result<void> done = co_await update(name, [](AccessRecord&) {});
    if (!done) services_.log.debug("record.not_flushed", {{"error", done.error().message}});
}

const AccessRecord* Records::stored(const std::string& name) const {
    const AccessRecord* cached = services_.store.record(name);
    const auto it = newest_.find(name);
    if (it == newest_.end()) return cached;
    if (cached && !is_newer(it->second.meta.resource_version, cached->meta.resource_version))
        return cached;
    return &it->second;
}

void Records::refresh(const std::string& name) {
    const auto it = newest_.find(name);
    if (it == newest_.end()) return;
    const AccessRecord* cached = services_.store.record(name);
    if (!cached || !is_newer(it->second.meta.resource_version, cached->meta.resource_version)) {
        newest_.erase(it);
    }
}

Task<Result<AccessRecord>> Records::create(AccessRecord record) {
    Result<AccessRecord> stored = co_await services_.store.create_record(std::move(record));
    if (stored) newest_.insert_or_assign(stored->meta.key.name, *stored);
    co_return stored;
}

Task<Result<void>> Records::update(std::string name, Change change) {
    OneShot<Result<void>> answer(services_.loop);
    const bool writer_at_work = pending_.contains(name);
    pending_[name].push_back({std::move(change), answer.replier()});
    if (!writer_at_work) scope_.start(write(name));
    co_return co_await answer.answer();
}

Task<Result<void>> Records::update_within(std::string name, Change change,
                                          std::chrono::seconds patience) {
    const auto waiting = std::make_shared<Waiting>(services_.loop);
    const SteadyTime until = services_.clock.steady_now() + patience;
    scope_.start(update_for(waiting, std::move(name), std::move(change)));
    co_await waiting->done.next_until(until);
    co_return waiting->result;
}

Task<void> Records::update_for(std::shared_ptr<Waiting> waiting, std::string name, Change change) {
    const SteadyTime last_try = services_.clock.steady_now() + tries_for;
    for (;;) {
        Change again = change;
        waiting->result = co_await update(name, std::move(again));
        if (waiting->result || services_.clock.steady_now() >= last_try) break;
        co_await services_.clock.sleep_for(std::chrono::milliseconds(500));
    }
    waiting->done.set();
}

Task<void> Records::write(std::string name) {
    for (;;) {
        co_await services_.loop.yield();  // what comes in the same turn shares one write
        std::vector<Pending> batch = std::exchange(pending_[name], {});
        if (batch.empty()) break;
        Result<void> done = unavailable("the record's change failed by a bug");
        std::exception_ptr bug;
        try {
            done = co_await apply(name, batch);
        } catch (...) {
            bug = std::current_exception();
        }
        for (const Pending& each : batch) each.waiter.reply(done);
        if (!bug) continue;
        // Whoever comes next starts a new writer; nobody waits for this one.
        for (const Pending& each : pending_[name]) each.waiter.reply(done);
        pending_.erase(name);
        std::rethrow_exception(bug);
    }
    pending_.erase(name);
}

Task<Result<void>> Records::apply(const std::string& name, const std::vector<Pending>& batch) {
    std::optional<AccessRecord> base;
    if (const AccessRecord* newest = stored(name)) base = *newest;
    std::vector<Change> deferred;
    if (auto waiting = deferred_.extract(name)) deferred = std::move(waiting.mapped());
    const auto give_back = [&] {
        if (deferred.empty()) return;
        std::vector<Change>& later = deferred_[name];
        later.insert(later.begin(), deferred.begin(), deferred.end());
    };
    for (int attempt = 0;; ++attempt) {
        if (!base) co_return not_found("record " + name + " does not exist");
        AccessRecord changed = *base;
        for (const Change& change : deferred) change(changed);
        for (const Pending& each : batch) each.change(changed);
        if (changed == *base) co_return Result<void>();
        Result<AccessRecord> stored = co_await services_.store.update_record(std::move(changed));
        if (stored) {
            newest_.insert_or_assign(name, *std::move(stored));
            co_return Result<void>();
        }
        const Error failure = stored.error();
        if (failure.kind != ErrorKind::conflict || attempt == conflicts_max) {
            give_back();
            co_return failure;
        }
        Result<std::optional<AccessRecord>> fresh = co_await services_.store.read_record(name);
        if (!fresh) {
            give_back();
            co_return std::move(fresh).error();
        }
        base = *std::move(fresh);
    }
}

}  // namespace sallyport::engine
