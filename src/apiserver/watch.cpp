#include "apiserver/watch.hpp"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "apiserver/table.hpp"

namespace sallyport::apiserver {

namespace {

using Json = nlohmann::json;

constexpr seconds bookmark_interval{60};
/// How many changes or objects go into one chunk: some hundred kilobytes.
constexpr std::size_t chunk_max = 256;

class Watch final : public http::Stream {
public:
    Watch(std::shared_ptr<Cache> cache, WatchOptions options, Timestamp now)
        : cache_(std::move(cache)),
          options_(std::move(options)),
          ends_(now + options_.timeout),
          next_bookmark_(now + bookmark_interval),
          version_(options_.version) {
        if (!options_.with_initial) return;
        Cache::Listing state = cache_->list({options_.type, options_.ns}, 0,
                                            [this](const Entry& entry) { return wants(entry); });
        initial_ = std::move(state.entries);
        version_ = state.version;
    }

    Chunk take(Timestamp now) override {
        Chunk chunk;
        add_initial(chunk, now);
        if (!chunk.ended && initial_.empty()) add_news(chunk, now);
        if (!chunk.ended && options_.with_bookmarks && now >= next_bookmark_ && initial_.empty()) {
            add_bookmark(chunk, false);
            next_bookmark_ = now + bookmark_interval;
        }
        if (now >= ends_) chunk.ended = true;
        return chunk;
    }

    void on_more(std::function<void()> wake) override {
        wake_ = wake;
        interest_ = Cache::interest(cache_, *options_.type, std::move(wake));
    }

private:
    bool wants(const Entry& entry) const {
        return (options_.ns.empty() || entry.ns == options_.ns) &&
               options_.labels.matches(entry.labels) && options_.fields.matches(entry.selectable());
    }

    void add_initial(Chunk& chunk, Timestamp now) {
        if (initial_.empty() && initial_end_sent_) return;
        std::size_t sent = 0;
        for (; sent < initial_.size() && sent < chunk_max; ++sent)
            add_event(chunk, "ADDED", initial_[sent], now);
        initial_.erase(initial_.begin(), initial_.begin() + static_cast<std::ptrdiff_t>(sent));
        if (!initial_.empty()) {
            again();
            return;
        }
        if (options_.marks_initial_end && !initial_end_sent_) add_bookmark(chunk, true);
        initial_end_sent_ = true;
    }

    void add_news(Chunk& chunk, Timestamp now) {
        std::optional<Cache::News> news = cache_->since(version_, *options_.type, chunk_max);
        if (!news) {
            const Failure failure = expired(
                fmt::format("too old resource version: {} ({})", version_, cache_->version()));
            chunk.bytes += fmt::format("{{\"type\":\"ERROR\",\"object\":{}}}\n",
                                       Json::parse(body_of(failure)).dump());
            chunk.ended = true;
            return;
        }
        for (const Change& change : news->changes) add_change(chunk, change, now);
        version_ = news->version;
        if (news->changes.size() == chunk_max) again();
    }

    void add_change(Chunk& chunk, const Change& change, Timestamp now) {
        const bool was = change.before && wants(*change.before);
        const bool is = !change.removed && wants(*change.now);
        if (is) {
            add_event(chunk, was ? "MODIFIED" : "ADDED", change.now, now);
        } else if (was && change.removed) {
            add_event(chunk, "DELETED", change.now, now);
        } else if (was) {
            // It left the selection: its last selected state, at the version in which it left.
            Json object = Json::parse(*change.before->text);
            object["metadata"]["resourceVersion"] = std::to_string(change.version);
            add_event(chunk, "DELETED", make_entry(*options_.type, object), now);
        }
    }

    void add_event(Chunk& chunk, const char* type, const EntryPtr& entry, Timestamp now) {
        if (options_.as_table) {
            TableOptions table;
            table.with_definitions = !definitions_sent_;
            table.object = options_.row_object;
            table.version = entry->version;
            definitions_sent_ = true;
            chunk.bytes += fmt::format("{{\"type\":\"{}\",\"object\":{}}}\n", type,
                                       table_of(*options_.type, {&entry, 1}, now, table));
            return;
        }
        chunk.bytes += fmt::format("{{\"type\":\"{}\",\"object\":{}}}\n", type, *entry->text);
    }

    void add_bookmark(Chunk& chunk, bool ends_initial) {
        Json metadata = {{"resourceVersion", std::to_string(version_)}};
        if (ends_initial) metadata["annotations"] = {{"k8s.io/initial-events-end", "true"}};
        Json object = {{"kind", options_.type->kind},
                       {"apiVersion", options_.type->api_version()},
                       {"metadata", std::move(metadata)}};
        if (options_.as_table) {
            object["metadata"]["creationTimestamp"] = nullptr;
            object = {{"kind", "Table"},
                      {"apiVersion", "meta.k8s.io/v1"},
                      {"metadata", {{"resourceVersion", std::to_string(version_)}}},
                      {"columnDefinitions", nullptr},
                      {"rows", {{{"cells", Json::array()}, {"object", std::move(object)}}}}};
        }
        chunk.bytes += fmt::format("{{\"type\":\"BOOKMARK\",\"object\":{}}}\n", object.dump());
    }

    void again() {
        if (wake_) wake_();
    }

    std::shared_ptr<Cache> cache_;
    WatchOptions options_;
    Timestamp ends_;
    Timestamp next_bookmark_;
    std::uint64_t version_;
    std::vector<EntryPtr> initial_;
    bool initial_end_sent_ = false;
    bool definitions_sent_ = false;
    std::function<void()> wake_;
    std::unique_ptr<Cache::Interest> interest_;
};

}  // namespace

std::unique_ptr<http::Stream> watch(std::shared_ptr<Cache> cache, WatchOptions options,
                                    Timestamp now) {
    return std::make_unique<Watch>(std::move(cache), std::move(options), now);
}

}  // namespace sallyport::apiserver
