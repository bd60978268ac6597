#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/services.hpp"

namespace sallyport::engine {

/// Changes to the status of records. A grant's flow and its lanes all write there; this puts their
/// changes in one order for each record, merges those that come together into one write, and
/// applies them again on a fresh read when somebody else was faster.
class Records final {
public:
    using Change = std::function<void(AccessRecord&)>;

    explicit Records(Services services);

    /// The newest version known (the answer to our last write, or the cache) with deferred changes
    /// applied; nullopt: there is none.
    std::optional<AccessRecord> find(const std::string& name) const;
    /// Creates it; see Store::create_record.
    Task<Result<AccessRecord>> create(AccessRecord record);
    /// Durable when it returns a value. `change` must be safe to apply twice.
    Task<Result<void>> update(std::string name, Change change);
    /// The same, but gives up waiting after `patience`; the change may still be made then.
    Task<Result<void>> update_within(std::string name, Change change,
                                     std::chrono::seconds patience);
    /// Goes out with the next update of that record, or when there are many; lost if the process
    /// dies before. For what only saves a wait (how a write ended), never for what must be durable.
    void defer(const std::string& name, Change change);
    /// The cache moved: forgets what is older than it.
    void refresh(const std::string& name);

private:
    struct Pending {
        Change change;
        OneShot<Result<void>>::Replier waiter;
    };
    struct Waiting {
        explicit Waiting(Loop& loop) : done(loop) {}
        Event done;
        Result<void> result = unavailable("the record could not be written in time");
    };
    Task<void> flush(std::string name);
    Task<void> update_for(std::shared_ptr<Waiting> waiting, std::string name, Change change);
    Task<void> write(std::string name);
    Task<Result<void>> apply(const std::string& name, const std::vector<Pending>& batch);
    const AccessRecord* stored(const std::string& name) const;

    Services services_;
    std::map<std::string, AccessRecord> newest_;
    std::map<std::string, std::vector<Change>> deferred_;
    std::map<std::string, std::vector<Pending>> pending_;  ///< an entry: a writer is at work
    Scope scope_;
};

}  // namespace sallyport::engine
