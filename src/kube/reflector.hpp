#pragma once

#include <chrono>
#include <string>

#include "base/loop.hpp"
#include "base/task.hpp"
#include "kube/backoff.hpp"
#include "kube/client.hpp"
#include "kube/replica.hpp"
#include "ports/background.hpp"
#include "ports/log.hpp"
#include "ports/random.hpp"

namespace sallyport::kube {

/// What the reflectors and writers of one store share; all of it outlives them.
struct World {
    Loop& loop;
    Clock& clock;
    Random& random;
    Log& log;
    Metrics& metrics;
    Background& background;
};

/// Keeps one `Replica` equal to what the API server has, for as long as its task runs.
///
/// Lists in pages of 500, then watches with bookmarks; a watch is asked to end after 300 to 600 s,
/// so that many of them do not end together. API servers send a bookmark about once a minute: a
/// connection that tells nothing for 90 s counts as dead, and is no loss where a server sends none.
/// After a clean end, a broken or dead connection or a bad line it watches again from the last
/// version it has seen: nothing is lost by that. It lists anew when the server says that the
/// version is too old (410; at once), and when three watches in a row could not be made sense of.
/// Failures are spaced by `Backoff`; it starts over once a watch has told something.
class Reflector {
public:
    static constexpr int page_limit = 500;
    static constexpr std::chrono::seconds watch_shortest{300};
    static constexpr std::chrono::seconds watch_longest{600};
    static constexpr std::chrono::seconds idle_longest{90};

    Reflector(World world, Client& client, Replica& replica)
        : world_(world), client_(client), replica_(replica) {}

    /// Never ends.
    Task<void> run();

private:
    enum class WatchEnd { clean, cut, nonsense, expired };

    Task<Result<void>> list();
    /// Gives the token of the next page; empty after the last one.
    Task<Result<std::string>> take_page(std::string body, bool first);
    Task<void> follow();
    Task<Result<WatchEnd>> watch_once();
    Task<WatchEnd> read(http::ByteStream& stream);
    /// nullopt: go on reading.
    std::optional<WatchEnd> take_line(const std::string& line);
    WatchEnd take_error(const nlohmann::json& status);
    Task<void> wait(std::optional<seconds> at_least);
    void heard();
    void complain(std::string_view event, std::string message);

    World world_;
    Client& client_;
    Replica& replica_;
    Backoff backoff_;
    bool told_something_ = false;  ///< since the newest list or watch began
};

}  // namespace sallyport::kube
