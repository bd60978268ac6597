#include "engine/lane.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "base/digest.hpp"
#include "base/text.hpp"

namespace sallyport::engine {
namespace {

using namespace std::chrono_literals;

constexpr int closings_at_once_max = 8;  // DESIGN 6, Writes
/// How long a delete lock is believed before a removal is tried again.
constexpr auto lock_belief = 5min;

Urgency urgency_of(const nsg::Step& step) {
    return step.effect == WriteEffect::closes ? Urgency::closing : Urgency::opening;
}

Scope::OnFailure log_bug(Log& log, std::string nsg) {
    return [&log, nsg = std::move(nsg)](std::exception_ptr failure) {
        try {
            std::rethrow_exception(failure);
        } catch (const std::exception& bug) {
            log.error(
                "bug",
                {{"where", std::string("lane")}, {"nsg", nsg}, {"what", std::string(bug.what())}});
        }
    };
}

}  // namespace

Lane::Lane(Services services, LaneHost& host, Owner owner, NsgId nsg)
    : services_(services),
      host_(host),
      owner_(std::move(owner)),
      nsg_(std::move(nsg)),
      wake_(services.loop),
      scope_(services.loop, log_bug(services.log, nsg_.text())) {}

void Lane::declare_metrics(Metrics& metrics) {
    metrics.declare({.name = "sallyport_rule_writes_total",
                     .kind = MetricKind::counter,
                     .help = "Writes of rules, by what they do and how they ended.",
                     .labels = {"kind", "effect", "outcome"}});
    metrics.declare({.name = "sallyport_closing_lateness_seconds",
                     .kind = MetricKind::histogram,
                     .help = "From a grant's end to the hand-over of its closing write.",
                     .buckets = {0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60}});
    metrics.declare({.name = "sallyport_nsg_reads_total",
                     .kind = MetricKind::counter,
                     .help = "Single reads of NSGs, sweeps apart.",
                     .labels = {"outcome"}});
}

bool Lane::unsettled(const std::string& uid) const {
    return std::ranges::any_of(writes_, [&](const auto& w) { return w.second.step.uid == uid; });
}

SteadyTime Lane::last_write_ended(const std::string& uid) const {
    const auto it = last_write_ended_.find(uid);
    return it == last_write_ended_.end() ? SteadyTime{} : it->second;
}

void Lane::claim(nsg::GrantClaim claim) {
    std::string uid = claim.uid;
    const auto before = grants_.find(uid);
    if (before != grants_.end() && before->second == claim) return;
    grants_.insert_or_assign(std::move(uid), std::move(claim));
    wake_.set();
}

void Lane::withdraw_grant(const std::string& uid) {
    last_write_ended_.erase(uid);
    if (grants_.erase(uid) > 0) wake_.set();
}

void Lane::claim(nsg::PolicyClaim claim) {
    std::string uid = claim.uid;
    const auto before = policies_.find(uid);
    if (before != policies_.end() && before->second == claim) return;
    policies_.insert_or_assign(std::move(uid), std::move(claim));
    wake_.set();
}

void Lane::withdraw_policy(const std::string& uid) {
    if (policies_.erase(uid) > 0) wake_.set();
}

std::set<std::string> Lane::claimants() const {
    std::set<std::string> uids;
    for (const auto& [uid, claim] : grants_) uids.insert(uid);
    for (const auto& [uid, claim] : policies_) uids.insert(uid);
    return uids;
}

void Lane::want_read() {
    read_wanted_ = true;
    wake_.set();
}

void Lane::observe(NsgState state) {
    if (observed_ && state.read_sent < observed_->read_sent) return;
    accept_read(std::move(state));
}

void Lane::vanish(SteadyTime read_sent) {
    NsgState nothing{.id = nsg_, .read_sent = read_sent};
    const bool was_there = !vanished_;
    accept_read(std::move(nothing));
    vanished_ = true;
    if (was_there) host_.lane_changed(claimants());
}

void Lane::accept_read(NsgState state) {
    vanished_ = false;
    const bool changed = !observed_ || observed_->rules != state.rules ||
                         observed_->default_rules != state.default_rules ||
                         observed_->flush_connection != state.flush_connection;
    const bool settles = std::ranges::any_of(writes_, [&](const auto& w) {
        return w.second.ended && *w.second.ended <= state.read_sent;
    });
    const bool was_asked = std::exchange(tell_of_read_, false);
    observed_ = std::move(state);
    host_.read_accepted(nsg_, &*observed_);
    refused_priorities_.clear();
    if (!changed && !settles && !was_asked) return;
    settle();
    wake_.set();
    host_.lane_changed(claimants());
}

void Lane::settle() {
    if (!observed_) return;
    std::erase_if(writes_, [&](const auto& w) {
        return w.second.ended && *w.second.ended <= observed_->read_sent;
    });
}

nsg::Inputs Lane::inputs() const {
    nsg::Inputs in{
        .refused_priorities = refused_priorities_, .owner = owner_, .now = services_.clock.now()};
    if (observed_ && !vanished_) in.observed = &*observed_;
    for (const auto& [uid, claim] : grants_) in.grants.push_back(claim);
    for (const auto& [uid, claim] : policies_) in.policies.push_back(claim);
    in.grants_complete = host_.grants_complete();
    in.policies_complete = host_.policies_complete();
    for (const auto& [name, write] : writes_) {
        WriteEffect& effect = in.in_flight.try_emplace(name, write.step.effect).first->second;
        if (write.step.effect == WriteEffect::closes) effect = WriteEffect::closes;
        // Its number is taken though the newest read does not show it yet.
        if (write.step.kind == nsg::StepKind::put) {
            in.refused_priorities.insert(write.step.rule.priority);
        }
    }
    in.delete_locked = services_.clock.steady_now() < locked_until_;
    in.close_overdue_of = host_.account().close_overdue_of;
    in.bands = host_.account().bands;
    return in;
}

void Lane::replan() {
    nsg::Plan fresh = nsg::plan(inputs());
    std::set<std::string> changed;
    const auto note_changes = [&](const auto& before, const auto& after) {
        for (const auto& each : after) {
            if (std::ranges::find(before, each) == before.end()) changed.insert(each.uid);
        }
        for (const auto& each : before) {
            if (std::ranges::find(after, each) == after.end()) changed.insert(each.uid);
        }
    };
    note_changes(plan_.grants, fresh.grants);
    note_changes(plan_.policies, fresh.policies);
    note_changes(plan_.findings, fresh.findings);
    changed.erase("");
    plan_ = std::move(fresh);
    if (!changed.empty()) host_.lane_changed(changed);
}

bool Lane::may_start(const nsg::Step& step, bool closing_due) const {
    const SteadyTime now = services_.clock.steady_now();
    const auto retry = retries_.find(lower(step.rule.name));
    if (retry != retries_.end() && retry->second.content == step.content &&
        now < retry->second.not_before) {
        return false;
    }
    if (step.effect == WriteEffect::closes) {
        const int at_once = now < serial_until_ ? 1 : closings_at_once_max;
        return closings_running_ < at_once;
    }
    return openings_running_ == 0 && !closing_due && now >= hold_off_until_ && !vanished_;
}

void Lane::start_startable() {
    if (!host_.gateway()) return;
    const std::vector<nsg::Step> steps = nsg::allowed_steps(plan_, host_.account().mode);
    const bool closing_due =
        closings_running_ > 0 || std::ranges::any_of(steps, [](const nsg::Step& s) {
            return s.effect == WriteEffect::closes;
        });
    for (const nsg::Step& step : steps) {
        if (!may_start(step, closing_due)) continue;
        writes_.emplace(lower(step.rule.name), Write{step});
        ++(step.effect == WriteEffect::closes ? closings_running_ : openings_running_);
        scope_.start(follow(step));
    }
}

SteadyTime Lane::next_wake() const {
    const SteadyTime now = services_.clock.steady_now();
    SteadyTime next = now + 1h;
    const auto sooner = [&](SteadyTime time) {
        if (time > now) next = std::min(next, time);
    };
    if (!plan_.steps.empty()) {
        for (const auto& [name, retry] : retries_) sooner(retry.not_before);
        sooner(hold_off_until_);
        sooner(serial_until_);
    }
    if (!writes_.empty() || read_wanted_) sooner(read_not_before_);
    sooner(locked_until_);
    if (plan_.next_check) {
        const seconds wait = *plan_.next_check - services_.clock.now();
        sooner(now + std::max(wait, seconds(1)));
    }
    return next;
}

Task<void> Lane::run() {
    for (;;) {
        const SteadyTime until = next_wake();
        co_await wake_.next_until(until);
        settle();
        replan();
        start_startable();
        const bool wants_read = read_wanted_ || std::ranges::any_of(writes_, [](const auto& w) {
                                    return w.second.ended.has_value();
                                });
        if (wants_read && !reading_ && host_.gateway() &&
            services_.clock.steady_now() >= read_not_before_) {
            reading_ = true;
            tell_of_read_ = std::exchange(read_wanted_, false);
            scope_.start(read());
        }
    }
}

bool Lane::still_wanted(const nsg::Step& step) const {
    if (step.of == MarkKind::policy) return policies_.contains(step.uid);
    const auto claim = grants_.find(step.uid);
    if (claim == grants_.end() || !claim->second.may_open) return false;
    if (services_.clock.now() >= claim->second.end) return false;
    return std::ranges::any_of(claim->second.wanted, [&](const nsg::RuleContent& content) {
        return nsg::content_key(content) == step.content;
    });
}

/// Asked in the turn in which the request is handed over: what was true when the write was planned
/// may have passed, and a process that was paused, or that another has replaced, must not write.
Result<void> Lane::last_look(const nsg::Step& step) const {
    if (step.effect != WriteEffect::opens) {
        if (!services_.leadership.leads()) return unavailable("this process does not lead");
        return {};
    }
    if (!services_.leadership.may_open())
        return unavailable("the lease was last renewed more than 5 s ago");
    if (!still_wanted(step))
        return Error{ErrorKind::conflict, "it is not wanted any more: the opening did not leave"};
    return {};
}

Task<void> Lane::follow(nsg::Step step) {
    const Urgency urgency = urgency_of(step);
    const Call call = step.kind == nsg::StepKind::remove ? Call::remove : Call::write;
    WriteEnd end{.request_id = uuid_v4_of(services_.random.bytes(16))};
    co_await host_.budget().take(call, urgency);
    Result<void> done = last_look(step);
    if (done && step.effect == WriteEffect::opens)
        done = co_await host_.before_opening(nsg_, step, end.request_id);
    if (done) done = co_await write(step, end);
    if (!done) end.error = done.error();
    if (end.started == Timestamp{}) end.ended = services_.clock.now();  // it never left
    finish(step, end, done);
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
    const std::string name = lower(step.rule.name);
    const SteadyTime now = services_.clock.steady_now();
    const auto range = writes_.equal_range(name);
    const auto mine = std::find_if(range.first, range.second, [&](const auto& w) {
        return !w.second.ended && w.second.step == step;
    });
    check(mine != range.second, "a write that ends was under way");
    const bool never_left = end.started == Timestamp{};
    if (never_left) {
        writes_.erase(mine);
    } else {
        mine->second.ended = now;
        last_write_ended_[step.uid] = now;
    }
    if (done) {
        retries_.erase(name);
    } else {
        react(step, done.error());
    }
    services_.metrics.increment(
        "sallyport_rule_writes_total",
        {nsg::to_text(step.kind), to_text(step.effect),
         done ? std::string_view("succeeded") : to_text(done.error().kind)});
    host_.write_ended(nsg_, step, end);
    wake_.set();
    host_.lane_changed({step.uid});
}

void Lane::react(const nsg::Step& step, const Error& error) {
    const SteadyTime now = services_.clock.steady_now();
    Retry& retry = retries_[lower(step.rule.name)];
    if (retry.content != step.content) {
        retry = Retry();
        retry.content = step.content;
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
    if (error.kind == ErrorKind::conflict) {
        serial_until_ = now + 30s;
        hold_off_until_ = std::max(hold_off_until_, now + delay);
    }
    const bool locked =
        error.reason.starts_with("Locked") || error.reason.starts_with("PolicyDenied");
    if (locked && step.kind == nsg::StepKind::remove) {
        locked_until_ = now + lock_belief;
        retry.not_before = now;  // with a tombstone
    }
}

Task<void> Lane::read() {
    const bool closing = std::ranges::any_of(
        writes_, [](const auto& w) { return w.second.step.effect == WriteEffect::closes; });
    co_await host_.budget().take(Call::read, closing ? Urgency::closing : Urgency::other);
    const SteadyTime sent = services_.clock.steady_now();
    Result<NsgState> state = co_await host_.gateway()->read(nsg_);
    host_.budget().learn(host_.gateway()->quota());
    reading_ = false;
    wake_.set();
    services_.metrics.increment("sallyport_nsg_reads_total", {state ? std::string_view("succeeded")
                                                                    : to_text(state.error().kind)});
    if (state) {
        read_failures_ = 0;
        state->read_sent = sent;
        observe(*std::move(state));
        co_return;
    }
    if (state.error().kind == ErrorKind::not_found) {
        vanish(sent);
        co_return;
    }
    if (state.error().kind == ErrorKind::throttled) {
        host_.budget().throttled(Call::read, state.error().retry_after.value_or(1s));
    }
    read_wanted_ = true;
    const Attempt attempt = reaction_to(state.error(), read_failures_++, Urgency::closing);
    read_not_before_ =
        services_.clock.steady_now() + next_attempt(attempt, services_.random.fraction());
    services_.log.warn("nsg.read_failed", {{"nsg", nsg_.text()}, {"error", state.error().message}});
}

life::LaneReport Lane::report(const std::string& uid) const {
    life::LaneReport report{.nsg = nsg_};
    for (const nsg::GrantVerdict& verdict : plan_.grants) {
        if (verdict.uid == uid) report.verdict = verdict;
    }
    // What was started since the plan was made: a repair that is recorded but has not landed must
    // not look like a rule that was taken away once more.
    if (report.verdict) {
        for (nsg::GrantVerdict::Rule& rule : report.verdict->rules) {
            if (writes_.contains(lower(rule.name))) rule.state = nsg::RuleState::in_flight;
        }
    }
    for (const nsg::Finding& finding : plan_.findings) {
        if (finding.uid == uid) report.findings.push_back(finding);
    }
    report.flushes = observed_ && observed_->flush_connection;
    report.delete_locked = services_.clock.steady_now() < locked_until_;
    for (const nsg::Step& step : plan_.steps) {
        if (step.uid != uid) continue;
        const auto retry = retries_.find(lower(step.rule.name));
        if (retry == retries_.end()) continue;
        report.last_error = retry->second.error;
        report.correlation_id = retry->second.error.correlation_id;
        report.closing_failing = report.closing_failing || step.effect == WriteEffect::closes;
    }
    return report;
}

}  // namespace sallyport::engine
