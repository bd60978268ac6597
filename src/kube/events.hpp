#pragma once

#include <cstddef>
#include <list>
#include <map>
#include <string>
#include <utility>

#include "base/task.hpp"
#include "kube/client.hpp"
#include "kube/reflector.hpp"
#include "ports/store.hpp"

namespace sallyport::kube {

/// Writes core/v1 Events about objects of ours, in the object's namespace (`default` for
/// cluster-scoped ones). The same reason about the same object within 10 minutes raises the count
/// of the one that is there. About one object at most 25 writes at once and then one each 300 s;
/// what is above that is dropped and counted. Remembers 4,096 Events and as many objects (numbers
/// of client-go's recorder).
class EventWriter {
public:
    static constexpr std::size_t remembered_max = 4096;
    static constexpr std::size_t note_max = 1024;
    static constexpr double burst = 25;
    static constexpr std::chrono::seconds refill{300};
    static constexpr std::chrono::seconds same_within{600};

    EventWriter(World world, Client& client, std::string instance)
        : world_(world), client_(client), instance_(std::move(instance)) {}

    /// Never fails: what could not be written is logged and counted.
    Task<void> write(Notice notice);

private:
    /// Least recently used entries go first.
    template <class K, class V>
    class Recent {
    public:
        V& at(const K& key, const V& fresh) {
            const auto it = index_.find(key);
            if (it != index_.end()) {
                order_.splice(order_.end(), order_, it->second);
                return it->second->second;
            }
            if (order_.size() >= remembered_max) {
                index_.erase(order_.front().first);
                order_.pop_front();
            }
            order_.emplace_back(key, fresh);
            index_.emplace(key, std::prev(order_.end()));
            return order_.back().second;
        }

    private:
        std::list<std::pair<K, V>> order_;
        std::map<K, typename std::list<std::pair<K, V>>::iterator> index_;
    };

    struct Written {
        std::string name = {};  ///< empty: not written
        Timestamp first{};
        Timestamp last{};
        int count = 0;
    };
    struct Bucket {
        double tokens = burst;
        SteadyTime filled{};
    };

    bool take_token(const std::string& about);
    Task<Result<void>> create(const Notice& notice, std::string name);
    Task<Result<void>> count_up(const Notice& notice, std::string name, int count);

    World world_;
    Client& client_;
    std::string instance_;
    Recent<std::string, Written> written_;
    Recent<std::string, Bucket> buckets_;
};

}  // namespace sallyport::kube
