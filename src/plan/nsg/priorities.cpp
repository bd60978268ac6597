#include "plan/nsg/priorities.hpp"

#include <algorithm>

namespace sallyport::nsg {
namespace {

constexpr int nearly_full_percent = 80;

int count(const Peer& peer) { return static_cast<int>(peer.prefixes.size()); }

}  // namespace

Numbers::Numbers(const NsgState* observed, const std::set<int>& refused) : refused_(refused) {
    if (observed == nullptr) return;
    // Azure wants numbers unique per direction: outbound ones are in nobody's way.
    for (const SecurityRule& rule : observed->rules) {
        if (rule.direction == Direction::inbound) taken_.insert(rule.priority);
    }
}

bool Numbers::is_free(int number) const {
    return !taken_.contains(number) && !refused_.contains(number);
}

std::optional<int> Numbers::lowest(Band band, int below) const {
    for (int number = band.from; number <= band.to && number < below; ++number) {
        if (is_free(number)) return number;
    }
    return std::nullopt;
}

std::optional<int> Numbers::highest(Band band, int above) const {
    for (int number = band.to; number >= band.from && number > above; --number) {
        if (is_free(number)) return number;
    }
    return std::nullopt;
}

bool Numbers::is_nearly_full(Band band) const {
    if (band.to < band.from) return false;
    const auto used = std::distance(taken_.lower_bound(band.from), taken_.upper_bound(band.to));
    const int size = band.to - band.from + 1;
    return used * 100 >= std::ptrdiff_t{size} * nearly_full_percent;
}

Room::Room(const NsgState* observed) {
    if (observed == nullptr) return;
    rules_ = static_cast<int>(observed->rules.size());
    for (const SecurityRule& rule : observed->rules) {
        sources_ += count(rule.source);
        destinations_ += count(rule.destination);
    }
}

bool Room::take(const SecurityRule& rule, const SecurityRule* instead_of) {
    const auto more = [&](const Peer& now, const Peer* before) {
        return std::max(0, count(now) - (before == nullptr ? 0 : count(*before)));
    };
    const int rules = rules_ + (instead_of == nullptr ? 1 : 0);
    const int sources = sources_ + more(rule.source, instead_of ? &instead_of->source : nullptr);
    const int destinations =
        destinations_ + more(rule.destination, instead_of ? &instead_of->destination : nullptr);
    const bool changes = rules > rules_ || sources > sources_ || destinations > destinations_;
    const bool fits = rules <= rules_per_nsg_max && sources <= addresses_per_side_max &&
                      destinations <= addresses_per_side_max;
    if (changes && !fits) return false;
    rules_ = rules;
    sources_ = sources;
    destinations_ = destinations;
    return true;
}

}  // namespace sallyport::nsg
