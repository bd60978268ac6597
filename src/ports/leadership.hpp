#pragma once

#include <functional>
#include <optional>
#include <utility>

#include "base/time.hpp"

namespace sallyport {

/// Whether this process is the one of its owner that writes.
///
/// Leading is not a fence by itself: a paused process believes what it knew. Therefore both
/// questions are asked by the steady clock, synchronously, right before a write is handed to the
/// transport.
class Leadership {
public:
    virtual ~Leadership() = default;
    /// Nothing is written to the cloud while this is false.
    virtual bool leads() const = 0;
    /// Leads, and heard so less than 5 s ago: what an opening needs (promise 2).
    virtual bool may_open() const = 0;
    /// When `may_open` ends unless leadership is confirmed again; nullopt: never.
    virtual std::optional<SteadyTime> opens_until() const = 0;
    /// Called on the loop when `leads` became true, or was lost.
    virtual void on_change(std::function<void()> notify) = 0;
};

/// The only process there can be: another thing (the lock on the embedded control plane's data
/// directory) keeps every other out.
class SoleLeader final : public Leadership {
public:
    bool leads() const override { return true; }
    bool may_open() const override { return true; }
    std::optional<SteadyTime> opens_until() const override { return std::nullopt; }
    void on_change(std::function<void()>) override {}
};

}  // namespace sallyport
