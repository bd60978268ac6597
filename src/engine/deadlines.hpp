#pragma once

#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/time.hpp"

namespace sallyport::engine {

/// The ends of all grants that are open or unknown, by grant uid. Not a retry queue: an entry
/// leaves only when closing was verified, whatever errors its grant met in between.
class Deadlines final {
public:
    /// Sets or moves an end.
    void set(const std::string& uid, Timestamp end);
    /// Closing is verified (or nothing ever opened).
    void clear(const std::string& uid);

    /// The next end that has not been fired yet.
    std::optional<Timestamp> next() const;
    /// Fires every end that `now` has reached: each once, until the clock moves back before it.
    std::vector<std::string> take_due(Timestamp now);

    /// Whose ends come after `now`, up to `until`.
    std::vector<std::string> between(Timestamp now, Timestamp until) const;

    /// The age of the oldest end that has passed without its closing being verified; zero: none.
    seconds oldest_overdue(Timestamp now) const;
    std::size_t overdue(Timestamp now) const;
    std::size_t size() const { return ends_.size(); }

private:
    using Entry = std::pair<Timestamp, std::string>;
    std::unordered_map<std::string, Timestamp> ends_;
    std::set<Entry> waiting_;
    std::set<Entry> fired_;
};

}  // namespace sallyport::engine
