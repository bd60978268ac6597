#pragma once

#include <optional>
#include <set>

#include "plan/nsg/plan.hpp"

namespace sallyport::nsg {

/// Which inbound numbers of one NSG are free. Numbers of *all* rules count, ours and foreign; those
/// given out stay taken, so that one plan never uses a number twice.
class Numbers {
public:
    Numbers(const NsgState* observed, const std::set<int>& refused);

    bool is_free(int number) const;
    void take(int number) { taken_.insert(number); }
    void give_back(int number) { taken_.erase(number); }
    /// The lowest free one of the band below a limit; the highest above one.
    std::optional<int> lowest(Band band, int below) const;
    std::optional<int> highest(Band band, int above) const;
    bool is_nearly_full(Band band) const;  ///< 80% taken

private:
    std::set<int> taken_;
    const std::set<int>& refused_;
};

/// What an NSG can still hold: rules of both directions, and addresses a side over all rules.
/// Nothing that is about to go makes room: a step never depends on another of the same plan.
class Room {
public:
    explicit Room(const NsgState* observed);
    /// Takes the room for a new rule, or for what a changed one has more than before
    /// (`instead_of`).
    bool take(const SecurityRule& rule, const SecurityRule* instead_of = nullptr);

private:
    int rules_ = 0;
    int sources_ = 0;
    int destinations_ = 0;
};

}  // namespace sallyport::nsg
