#include <algorithm>

#include "base/digest.hpp"
#include "base/mutant.hpp"
#include "base/text.hpp"
#include "engine/lane.hpp"

// One write of a lane, from whether it may start to its end.
namespace sallyport::engine {
namespace {

using namespace std::chrono_literals;

constexpr int closings_at_once_max = 8;
/// How long a delete lock is believed before a removal is tried again.
constexpr auto lock_belief = 5min;
/// Between two removals of one rule that were both done.
constexpr auto between_removals = 2s;
/// How long a record that could not be written is taken for one that can not.
constexpr auto removals_only = 30s;

Urgency urgency_of(const nsg::Step& step) {
    return step.effect == WriteEffect::closes ? Urgency::closing : Urgency::opening;
}

/// A removal is the same whatever stands there, and for whatever reason.
std::string_view purpose_of(const nsg::Step& step) {
    return step.kind == nsg::StepKind::put ? std::string_view(step.content) : std::string_view();
}

std::pair<std::string, bool> retry_key(const nsg::Step& step) {
    return {lower(step.rule.name), step.kind != nsg::StepKind::put};
}

/// A rule of a grant that lets in stands there after it: should it land late, it opens.
bool leaves_open(const nsg::Step& step) {
    return step.kind == nsg::StepKind::put && step.of == MarkKind::grant &&
           step.rule.access == Access::allow;
}

}  // namespace

/// Of this very thing to do: that an opening was refused says nothing of the closing of its rule.
const Lane::Retry* Lane::find_retry(const nsg::Step& step) const {
    if (retries_.empty()) return nullptr;
    const auto retry = retries_.find(retry_key(step));
    const bool same = retry != retries_.end() && retry->second.content == purpose_of(step) &&
                      retry->second.effect == step.effect;
    return same ? &retry->second : nullptr;
}

/// When the next attempt at it is due.
SteadyTime Lane::not_before(const nsg::Step& step) const {
    const Retry* retry = find_retry(step);
    return std::max(retry ? retry->not_before : SteadyTime{},
                    repairs_.not_before(step, host_.account().sweep_interval));
}

bool Lane::may_start(const nsg::Step& step, bool closing_due) const {
    const SteadyTime now = services_.clock.steady_now();
    if (now < not_before(step)) return false;
    if (step.effect == WriteEffect::closes) {
        if (planted("opening-before-closing") && openings_running_ > 0) return false;
        const int at_once = now < serial_until_ ? 1 : closings_at_once_max;
        return closings_running_ < at_once;
    }
    return openings_running_ == 0 && !closing_due && now >= hold_off_until_ && !vanished_;
}

void Lane::start(nsg::Step step) {
    writes_.emplace(lower(step.rule.name), Write{step});
    unsettled_.written(lower(step.rule.name));
    ++revision_;
    const bool closes = step.effect == WriteEffect::closes;
    ++(closes ? closings_running_ : openings_running_);
    scope_.start(follow(std::move(step)), closes ? Turn::first : Turn::usual);
}

bool Lane::still_wanted(const nsg::Step& step) const {
    if (step.of == MarkKind::policy) return policies_.contains(step.uid);
    const auto claim = grants_.find(step.uid);
    if (claim == grants_.end()) return false;
    // What stands there wider may be narrowed also while nothing may open.
    if (step.effect == WriteEffect::opens && !claim->second.may_open) return false;
    const Timestamp now = services_.clock.now();
    if (planted("greater-at-end") ? now > claim->second.end : now >= claim->second.end)
        return false;
    return std::ranges::any_of(claim->second.wanted, [&](const nsg::RuleContent& content) {
        return nsg::content_key(content) == step.content;
    });
}

/// Asked in the turn in which the request is handed over: what was true when the write was planned
/// may have passed, and a process that was paused, or that another has replaced, must not write.
Result<void> Lane::last_look(const nsg::Step& step) const {
    if (step.effect != WriteEffect::opens) {
        if (!services_.leadership.leads()) return unavailable("this process does not lead");
        if (leaves_open(step) && !still_wanted(step))
            return Error{ErrorKind::conflict, "its grant is over: a removal follows"};
        return {};
    }
    if (planted("no-last-look")) return {};
    if (!services_.leadership.may_open())
        return unavailable("the lease was last renewed more than 5 s ago");
    if (!still_wanted(step) || (step.of == MarkKind::grant && host_.heard_over(step.uid)))
        return Error{ErrorKind::conflict, "it is not wanted any more: the opening did not leave"};
    return {};
}

Task<void> Lane::follow(nsg::Step step) {
    const Urgency urgency = urgency_of(step);
    const Call call = step.kind == nsg::StepKind::remove ? Call::remove : Call::write;
    WriteEnd end{.request_id = uuid_v4_of(services_.random.bytes(16))};
    co_await host_.budget().take(call, urgency);
    Result<void> done = last_look(step);
    if (done) done = co_await announce(step, end.request_id);
    if (done) done = co_await write(step, end);
    if (!done) end.error = done.error();
    if (end.started == Timestamp{}) end.ended = services_.clock.now();  // it never left
    finish(step, end, done);
}

/// What may open, now or when it lands late, is written down before it leaves.
Task<Result<void>> Lane::announce(const nsg::Step& step, const std::string& request_id) {
    if (step.effect == WriteEffect::opens)
        co_return co_await host_.before_opening(nsg_, step, request_id);
    if (!leaves_open(step)) co_return Result<void>();
    Result<void> recorded = co_await host_.before_rewriting(nsg_, step, request_id);
    // Closing goes on without the API server: with a removal, which may land when it likes.
    if (!recorded) only_removals_until_ = services_.clock.steady_now() + removals_only;
    co_return recorded;
}

void Lane::note_departure(const nsg::Step& step, WriteEnd& end) {
    const bool again = end.started != Timestamp{};
    end.started = services_.clock.now();
    if (again || step.effect == WriteEffect::opens) return;
    const auto claim = grants_.find(step.uid);
    if (claim == grants_.end() || end.started < claim->second.end) return;
    const std::chrono::duration<double> late = end.started - claim->second.end;
    services_.metrics.observe("sallyport_closing_lateness_seconds", {}, late.count());
}

Task<Result<void>> Lane::write(const nsg::Step& step, WriteEnd& end) {
    Gateway& gateway = *host_.gateway();
    Departure departure{.request_id = end.request_id,
                        .last_look = [this, &step, &end]() -> Result<void> {
                            Result<void> looked = last_look(step);
                            if (looked) {
                                note_departure(step, end);
                            } else {
                                end.started = {};  // if it left before, it was answered 401
                            }
                            return looked;
                        }};
    Result<AcceptedWrite> accepted = unavailable("not sent");
    if (step.kind == nsg::StepKind::remove) {
        accepted = co_await gateway.delete_rule(nsg_, step.rule.name, std::move(departure));
    } else {
        accepted = co_await gateway.put_rule(nsg_, step.rule, std::move(departure));
    }
    host_.budget().learn(gateway.quota());
    if (!accepted) {
        // A refusal ends the write; no answer leaves it open for 15 minutes.
        if (accepted.error().kind != ErrorKind::unavailable) end.ended = services_.clock.now();
        co_return std::move(accepted).error();
    }
    end.operation_url = accepted->operation_url;
    repairs_.written(step, accepted->stored ? &*accepted->stored : nullptr,
                     services_.clock.steady_now());
    co_return co_await follow_operation(*std::move(accepted), urgency_of(step), end);
}

Task<Result<void>> Lane::follow_operation(AcceptedWrite accepted, Urgency urgency, WriteEnd& end) {
    const SteadyTime give_up = services_.clock.steady_now() + life::in_flight_limit;
    std::chrono::seconds pause = accepted.retry_after.value_or(1s);
    for (int failures = 0; !accepted.operation_url.empty();) {
        if (services_.clock.steady_now() >= give_up) {
            co_return unavailable("the operation did not end within 15 min");
        }
        const SteadyTime next =
            services_.clock.steady_now() + std::clamp<std::chrono::seconds>(pause, 1s, 30s);
        co_await services_.clock.sleep_until(next);
        co_await host_.budget().take(Call::read,
                                     urgency == Urgency::closing ? urgency : Urgency::other);
        Result<OperationState> state = co_await host_.gateway()->poll(accepted.operation_url);
        if (!state) {
            // A poll that cannot be read says nothing of the write: the next read of the NSG will.
            const bool gone = state.error().kind == ErrorKind::not_found;
            if (gone || ++failures == 3)
                co_return unavailable("the operation cannot be followed: " + state.error().message);
            pause = state.error().retry_after.value_or(1s * failures);
            continue;
        }
        pause = state->retry_after.value_or(1s);
        if (state->status == OperationStatus::running) continue;
        end.ended = services_.clock.now();
        if (state->status == OperationStatus::succeeded) co_return Result<void>();
        co_return state->error.value_or(
            Error{ErrorKind::conflict, "the operation was cancelled", "SurfaceFailed"});
    }
    end.ended = services_.clock.now();
    co_return Result<void>();
}

void Lane::finish(const nsg::Step& step, const WriteEnd& end, const Result<void>& done) {
    --(step.effect == WriteEffect::closes ? closings_running_ : openings_running_);
    ++revision_;
    const std::string name = lower(step.rule.name);
    const SteadyTime now = services_.clock.steady_now();
    const auto range = writes_.equal_range(name);
    const auto mine = std::find_if(range.first, range.second, [&](const auto& w) {
        return !w.second.ended && w.second.step == step;
    });
    check(mine != range.second, "a write that ends was under way");
    const bool never_left = end.started == Timestamp{};
    if (never_left || planted("lose-in-flight")) {
        writes_.erase(mine);
    } else {
        // Of closings that end together the first counts, or a stream of them would put off the
        // read.
        if (closings_running_ > 0 && now >= together_until_) together_until_ = now + read_together;
        mine->second.ended = now;
        last_write_ended_[step.uid] = now;
    }
    if (!done) {
        react(step, done.error(), never_left);
    } else if (step.kind == nsg::StepKind::remove) {
        // A read that lags shows it still, and an opening under its name may be under way: then it
        // is planned again, and not to be sent again and again.
        Retry& again = retries_[retry_key(step)] = Retry();
        again.not_before = now + between_removals;
        again.content = purpose_of(step);
        again.effect = step.effect;
    } else if (find_retry(step)) {
        retries_.erase(retry_key(step));
    }
    changed_ = changed_ || !done || more_due_ || step.effect != WriteEffect::closes;
    services_.metrics.increment(
        "sallyport_rule_writes_total",
        {nsg::to_text(step.kind), to_text(step.effect),
         done ? std::string_view("succeeded") : to_text(done.error().kind)});
    host_.write_ended(nsg_, step, end);
    wake_.set();
    host_.lane_changed({step.uid});
}

void Lane::react(const nsg::Step& step, const Error& error, bool never_left) {
    const SteadyTime now = services_.clock.steady_now();
    Retry& retry = retries_[retry_key(step)];
    if (retry.content != purpose_of(step) || retry.effect != step.effect) {
        retry = Retry();
        retry.content = purpose_of(step);
        retry.effect = step.effect;
    }
    const auto delay = next_attempt(reaction_to(error, retry.attempt, urgency_of(step)),
                                    services_.random.fraction());
    ++retry.attempt;
    retry.error = error;
    retry.not_before = now + delay;
    if (error.code == "SecurityRuleConflict") {
        refused_priorities_.insert(step.rule.priority);
        if (retry.attempt <= 3) retry.not_before = now;  // the next free number, after a read
        return;
    }
    if (error.kind == ErrorKind::throttled) {
        const Call call = step.kind == nsg::StepKind::remove ? Call::remove : Call::write;
        host_.budget().throttled(call, error.retry_after.value_or(1s));
    }
    if (error.kind == ErrorKind::conflict && !never_left) {
        serial_until_ = now + 30s;
        hold_off_until_ = std::max(hold_off_until_, now + delay);
    }
    const bool locked =
        error.reason.starts_with("Locked") || error.reason.starts_with("PolicyDenied");
    if (locked && step.kind == nsg::StepKind::remove) {
        // With a tombstone, at once. What no read shows is removed all the same, and waits.
        if (!is_delete_locked()) retry.not_before = now;
        locked_until_ = now + lock_belief;
    }
}

}  // namespace sallyport::engine
