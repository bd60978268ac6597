#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/time.hpp"

namespace sallyport::http {

/// Header fields in the order in which they were added; names compare without case.
class Headers {
public:
    Headers() = default;
    Headers(std::initializer_list<std::pair<std::string, std::string>> fields) : fields_(fields) {}

    /// Replaces every field of that name.
    void set(std::string_view name, std::string_view value);
    void add(std::string_view name, std::string_view value);
    void remove(std::string_view name);
    /// The first field of that name; a view into this object.
    std::optional<std::string_view> find(std::string_view name) const;
    std::string_view value_or(std::string_view name, std::string_view other) const;

    auto begin() const { return fields_.begin(); }
    auto end() const { return fields_.end(); }
    std::size_t size() const { return fields_.size(); }
    friend bool operator==(const Headers&, const Headers&) = default;

private:
    std::vector<std::pair<std::string, std::string>> fields_;
};

struct Request {
    std::string method = "GET";
    std::string origin = {};   ///< `https://host:port`, no path; servers leave it empty
    std::string target = "/";  ///< path and query, percent-encoded as on the wire
    Headers headers = {};
    std::string body = {};
};

struct Response {
    int status = 200;
    Headers headers = {};
    std::string body = {};
};

/// The parts of a request target.
class Target {
public:
    explicit Target(std::string_view target);

    const std::string& path() const { return path_; }  ///< percent-decoded
    /// Percent-decoded path segments; empty ones left out.
    const std::vector<std::string>& segments() const { return segments_; }
    /// The first query parameter of that name (exact case), decoded.
    std::optional<std::string> query(std::string_view name) const;
    const std::vector<std::pair<std::string, std::string>>& queries() const { return queries_; }

private:
    std::string path_;
    std::vector<std::string> segments_;
    std::vector<std::pair<std::string, std::string>> queries_;
};

/// A body that grows while it is sent (a watch). The server calls `take` on threads of its own:
/// after each wake, and at least once a second so that time-outs inside the stream can pass.
class Stream {
public:
    struct Chunk {
        std::string bytes;   ///< may be empty: nothing new
        bool ended = false;  ///< the body is complete after `bytes`
    };
    virtual ~Stream() = default;
    virtual Chunk take(Timestamp now) = 0;
    /// `wake` may be called from any thread, also after the stream was destroyed by the server
    /// (it owns what it needs). Set once, before the first `take`.
    virtual void on_more(std::function<void()> wake) = 0;
};

/// What a server's handler gives back: a whole answer, or a head and a stream (`body` then is
/// unused).
struct Reply {
    Response response;
    std::unique_ptr<Stream> stream = {};
    /// Not before this much later; simulators use it for latency. Servers wait without blocking.
    std::chrono::milliseconds delay{0};
    /// The connection is closed without an answer: simulators use it for lost replies.
    bool drop_connection = false;
};

}  // namespace sallyport::http
