#include "engine/lane.hpp"

#include <algorithm>

#include "base/digest.hpp"
#include "base/mutant.hpp"
#include "base/text.hpp"
#include "engine/bugs.hpp"
#include "plan/nsg/draft.hpp"
#include "plan/path/former.hpp"

namespace sallyport::engine {
namespace {

using namespace std::chrono_literals;

constexpr auto starting_pause = 200ms;

bool is_network(const Prefix& prefix) { return std::holds_alternative<Cidr>(prefix); }

/// Whether one of its openings is for some of these addresses, as far as that can be told.
bool shares_sources(const nsg::GrantClaim& claim, const AddressSet& addresses) {
    return std::ranges::any_of(claim.wanted, [&](const nsg::RuleContent& content) {
        std::vector<Cidr> networks;
        for (const Prefix& prefix : content.source.prefixes) {
            if (!is_network(prefix)) return true;
            networks.push_back(std::get<Cidr>(prefix));
        }
        return !content.source.asgs.empty() || AddressSet::of(networks).intersects(addresses);
    });
}

}  // namespace

Lane::Lane(Services services, LaneHost& host, Owner owner, NsgId nsg)
    : services_(services),
      host_(host),
      owner_(std::move(owner)),
      nsg_(std::move(nsg)),
      wake_(services.loop),
      scope_(services.loop, on_bug(services.log, services.metrics, "lane", nsg_.text())) {}

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
    return std::ranges::any_of(writes_, [&](const auto& w) {
        const bool done = planted("read-before-the-write") && w.second.ended;
        return w.second.step.uid == uid && !done;
    });
}

SteadyTime Lane::last_write_ended(const std::string& uid) const {
    const auto it = last_write_ended_.find(uid);
    return it == last_write_ended_.end() ? SteadyTime{} : it->second;
}

void Lane::claim(nsg::GrantClaim claim) {
    std::string uid = claim.uid;
    const auto before = grants_.find(uid);
    if (before != grants_.end() && before->second == claim) return;
    unplanned_.insert(uid);
    grants_.insert_or_assign(std::move(uid), std::move(claim));
    look_again();
}

void Lane::withdraw_grant(const std::string& uid) {
    last_write_ended_.erase(uid);
    unplanned_.erase(uid);
    if (grants_.erase(uid) > 0) look_again();
}

void Lane::claim(nsg::PolicyClaim claim) {
    std::string uid = claim.uid;
    const auto before = policies_.find(uid);
    if (before != policies_.end() && before->second == claim) return;
    unplanned_.insert(uid);
    policies_.insert_or_assign(std::move(uid), std::move(claim));
    look_again();
}

void Lane::withdraw_policy(const std::string& uid) {
    unplanned_.erase(uid);
    if (policies_.erase(uid) > 0) look_again();
}

std::set<std::string> Lane::claimants() const {
    std::set<std::string> uids;
    for (const auto& [uid, claim] : grants_) uids.insert(uid);
    for (const auto& [uid, claim] : policies_) uids.insert(uid);
    return uids;
}

void Lane::want_read(const std::string& uid) {
    read_wanted_ = true;
    read_wanted_by_.insert(uid);
    look_again();
}

void Lane::observe(NsgState state) {
    if (observed_ && state.read_sent < observed_->read_sent) return;
    accept_read(std::move(state));
}

void Lane::vanish(SteadyTime read_sent) {
    NsgState nothing{.id = nsg_, .read_sent = read_sent};
    const bool was_there = !vanished_;
    // Who waits for a read is told of this; who needs a newer one asks again.
    tell_of_read_.merge(std::exchange(read_wanted_by_, {}));
    read_wanted_ = false;
    accept_read(std::move(nothing));
    vanished_ = true;
    if (was_there) host_.lane_changed(claimants());
}

void Lane::accept_read(NsgState state) {
    ++revision_;
    vanished_ = false;
    said_missing_.reset();
    path::carry_former(state, observed_ ? &*observed_ : nullptr);
    unsettled_.read(state, owner_);
    const bool changed = !observed_ || observed_->rules != state.rules ||
                         observed_->default_rules != state.default_rules ||
                         observed_->flush_connection != state.flush_connection ||
                         observed_->former != state.former ||
                         observed_->unsettled != state.unsettled;
    std::set<std::string> told = std::exchange(tell_of_read_, {});
    for (const auto& [name, write] : writes_) {
        if (write.ended && *write.ended <= state.read_sent) told.insert(write.step.uid);
    }
    if (changed) told.merge(concerned(state));
    observed_ = std::move(state);
    host_.read_accepted(nsg_, &*observed_);
    refused_priorities_.clear();
    if (!changed && told.empty()) return;
    settle();
    look_again();
    host_.lane_changed(told);
}

/// Whose proof may have changed with this read. A grant's own opening that came or went concerns
/// itself, the policies, what is closing (another's opening may still let it in), and whoever
/// shares its sources. Everything else concerns everybody: it must only ever tell too many.
std::set<std::string> Lane::concerned(const NsgState& newer) const {
    if (!observed_ || vanished_ || observed_->default_rules != newer.default_rules ||
        observed_->flush_connection != newer.flush_connection ||
        observed_->former != newer.former || observed_->unsettled != newer.unsettled) {
        return claimants();
    }
    std::vector<const SecurityRule*> differ;
    const auto note_missing = [&](const NsgState& from, const NsgState& in) {
        std::map<std::string_view, const SecurityRule*> others;
        for (const SecurityRule& rule : in.rules) others.emplace(rule.name, &rule);
        for (const SecurityRule& rule : from.rules) {
            const auto other = others.find(rule.name);
            if (other == others.end() || *other->second != rule) differ.push_back(&rule);
        }
    };
    note_missing(*observed_, newer);
    note_missing(newer, *observed_);
    std::set<std::string> uuids;
    std::vector<Cidr> sources;
    for (const SecurityRule* rule : differ) {
        const auto name = RuleName::parse(rule->name);
        const bool plain =
            rule->source.asgs.empty() && std::ranges::all_of(rule->source.prefixes, is_network);
        if (!name || name->owner != owner_.text() || rule->access != Access::allow || !plain)
            return claimants();
        uuids.insert(name->uuid);
        for (const Prefix& each : rule->source.prefixes) sources.push_back(std::get<Cidr>(each));
    }
    const AddressSet moved = AddressSet::of(sources);
    std::set<std::string> uids;
    for (const auto& [uid, claim] : policies_) uids.insert(uid);
    for (const auto& [uid, claim] : grants_) {
        const bool closing = claim.wanted.empty() || claim.end <= services_.clock.now();
        if (closing || shares_sources(claim, moved) || uuids.contains(rule_uuid(uid)))
            uids.insert(uid);
    }
    return uids;
}

void Lane::settle() {
    if (!observed_) return;
    std::erase_if(writes_, [&](const auto& w) {
        return w.second.ended && *w.second.ended <= observed_->read_sent;
    });
}

nsg::Inputs Lane::inputs() const {
    nsg::Inputs in = inputs_without_claims();
    for (const auto& [uid, claim] : grants_) in.grants.push_back(claim);
    for (const auto& [uid, claim] : policies_) in.policies.push_back(claim);
    return in;
}

nsg::Inputs Lane::inputs_without_claims() const {
    nsg::Inputs in{
        .refused_priorities = refused_priorities_, .owner = owner_, .now = services_.clock.now()};
    if (observed_ && !vanished_) in.observed = &*observed_;
    in.grants_complete = host_.grants_complete();
    in.policies_complete = host_.policies_complete();
    for (const auto& [name, write] : writes_) {
        // What leaves less open closes nothing: the removal of its rule waits for no end of it.
        const bool narrows = write.step.effect == WriteEffect::closes &&
                             write.step.kind == nsg::StepKind::put &&
                             write.step.rule.access == Access::allow;
        const WriteEffect does = narrows ? WriteEffect::neutral : write.step.effect;
        WriteEffect& effect = in.in_flight.try_emplace(name, does).first->second;
        if (does == WriteEffect::closes) effect = does;
        // Its number is taken though the newest read does not show it yet.
        if (write.step.kind == nsg::StepKind::put) {
            in.refused_priorities.insert(write.step.rule.priority);
        }
    }
    in.overlong = unsettled_.overlong(services_.clock.steady_now());
    in.delete_locked = is_delete_locked();
    in.only_removals = services_.clock.steady_now() < only_removals_until_;
    in.close_overdue_of = host_.account().close_overdue_of;
    in.bands = host_.account().bands;
    return in;
}

void Lane::replan() {
    nsg::Inputs in = inputs();
    nsg::Plan fresh = nsg::plan(in);
    for (const nsg::Step& step : fresh.steps) {
        if (step.reason == nsg::reasons::no_record && host_.recorded_elsewhere(step.uid))
            in.recorded_elsewhere.insert(step.uid);
    }
    if (!in.recorded_elsewhere.empty()) fresh = nsg::plan(in);
    repairs_.forget_old(services_.clock.steady_now());
    std::ranges::move(repairs_.findings(services_.clock.steady_now()),
                      std::back_inserter(fresh.findings));
    std::set<std::string> changed = std::exchange(unplanned_, {});
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
    tell_new(fresh.findings);
    if (plan_.findings != fresh.findings) changed.insert("");  // the account's
    plan_ = std::move(fresh);
    forget_idle();
    if (!changed.empty()) host_.lane_changed(changed);
}

/// Some concern nobody whose status could tell them.
void Lane::tell_new(const std::vector<nsg::Finding>& findings) const {
    for (const nsg::Finding& finding : findings) {
        if (std::ranges::find(plan_.findings, finding) != plan_.findings.end()) continue;
        services_.log.warn("nsg.finding", {{"nsg", nsg_.text()},
                                           {"reason", finding.reason},
                                           {"rule", finding.rule},
                                           {"message", finding.message}});
    }
}

/// Refusals of what nobody wants any more, and the ends of writes that nobody asks after.
void Lane::forget_idle() {
    const SteadyTime now = services_.clock.steady_now();
    if (!retries_.empty()) {
        std::set<std::string> wanted;
        for (const nsg::Step& step : plan_.steps) wanted.insert(lower(step.rule.name));
        // The next attempt, while it is under way, is in no plan.
        for (const auto& [name, write] : writes_) wanted.insert(name);
        std::erase_if(retries_, [&](const auto& each) {
            return now >= each.second.not_before && !wanted.contains(each.first.first);
        });
    }
    std::erase_if(last_write_ended_, [&](const auto& each) {
        return now - each.second > 1h && !grants_.contains(each.first) &&
               !policies_.contains(each.first);
    });
}

void Lane::start_startable() {
    if (!host_.gateway()) return;
    const std::vector<nsg::Step> steps = nsg::allowed_steps(plan_, host_.account().mode);
    // Closings go first. One that was refused and waits for its next attempt holds nobody up: it
    // may wait for a person.
    const SteadyTime now = services_.clock.steady_now();
    const auto is_urgent = [&](const nsg::Step& step) {
        return step.effect == WriteEffect::closes && now >= not_before(step);
    };
    const bool closing_due = !planted("opening-before-closing") &&
                             (closings_running_ > 0 || std::ranges::any_of(steps, is_urgent));
    more_due_ = false;
    for (const nsg::Step& step : steps) {
        if (may_start(step, closing_due)) {
            start(step);
        } else if (step.effect == WriteEffect::closes) {
            more_due_ = true;
        }
    }
}

/// As they are planned at this time. Every mode lets them through: they end openings of ours.
std::vector<nsg::Step> Lane::closings_at(Timestamp time,
                                         const std::vector<std::string>& uids) const {
    nsg::Inputs in = inputs_without_claims();
    in.now = time;
    for (const std::string& uid : uids) {
        if (const auto claim = grants_.find(uid); claim != grants_.end())
            in.grants.push_back(claim->second);
    }
    return nsg::due_closings(std::move(in));
}

bool Lane::is_delete_locked() const { return services_.clock.steady_now() < locked_until_; }

void Lane::prepare_closings(Timestamp end, const std::vector<std::string>& uids) {
    prepared_ = Prepared{.uids = uids,
                         .revision = revision_,
                         .delete_locked = is_delete_locked(),
                         .steps = closings_at(end, uids)};
}

void Lane::close_due(const std::vector<std::string>& uids) {
    std::optional<Prepared> ahead = std::exchange(prepared_, std::nullopt);
    if (!host_.gateway()) return look_again();
    const bool still_fits = ahead && ahead->uids == uids && ahead->revision == revision_ &&
                            ahead->delete_locked == is_delete_locked();
    std::vector<nsg::Step> due =
        still_fits ? std::move(ahead->steps) : closings_at(services_.clock.now(), uids);
    // The rest of the plan follows later.
    bool all_left = true;
    for (nsg::Step& step : due) {
        if (may_start(step, true)) {
            start(std::move(step));
        } else {
            all_left = false;
        }
    }
    const SteadyTime now = services_.clock.steady_now();
    if (closings_running_ > 0 && now >= together_until_) together_until_ = now + read_together;
    if (!all_left || closings_running_ == 0) return look_again();
    wake_.set();
}

void Lane::look_again() {
    ++revision_;
    changed_ = true;
    wake_.set();
}

/// Others are in a hurry; or nothing but closings under way may have changed, and soon they have
/// all ended.
bool Lane::stands_back() const {
    const SteadyTime now = services_.clock.steady_now();
    return now < back_until_ || (!changed_ && closings_running_ > 0 && now < together_until_);
}

SteadyTime Lane::next_wake() const {
    const SteadyTime now = services_.clock.steady_now();
    SteadyTime next = now + 1h;
    const auto sooner = [&](SteadyTime time) {
        if (time > now) next = std::min(next, time);
    };
    if (!plan_.steps.empty()) {
        for (const auto& [key, retry] : retries_) sooner(retry.not_before);
        sooner(repairs_.next_after(now, host_.account().sweep_interval));
        sooner(hold_off_until_);
        sooner(serial_until_);
    }
    if (!writes_.empty() || read_wanted_) {
        sooner(read_not_before_);
        sooner(together_until_);
    }
    sooner(unsettled_.next_after(now));
    sooner(locked_until_);
    sooner(only_removals_until_);
    if (stood_back_) sooner(back_until_);
    if (plan_.next_check) {
        const seconds wait = *plan_.next_check - services_.clock.now();
        sooner(now + std::clamp<seconds>(wait, 1s, 1h));
    }
    return next;
}

Task<void> Lane::run() {
    for (;;) {
        const SteadyTime until = next_wake();
        co_await wake_.next_until(until);
        settle();
        stood_back_ = stands_back();
        if (stood_back_) continue;
        changed_ = false;
        replan();
        start_startable();
        // While a start tells it of one grant after the other, a plan for each would be of no use;
        // what is due is planned apart.
        if (!host_.grants_complete()) stand_back(services_.clock.steady_now() + starting_pause);
        const bool wants_read = read_wanted_ || std::ranges::any_of(writes_, [](const auto& w) {
                                    return w.second.ended.has_value();
                                });
        const SteadyTime now = services_.clock.steady_now();
        const bool others_soon = closings_running_ > 0 && now < together_until_;
        if (wants_read && !others_soon && !reading_ && host_.gateway() && now >= read_not_before_) {
            reading_ = true;
            read_wanted_ = false;
            tell_of_read_.merge(std::exchange(read_wanted_by_, {}));
            scope_.start(read());
        }
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
    // One answer is no proof: a group that a machine's way leads through is there. The sweep asks
    // who refers to it.
    if (state.error().kind == ErrorKind::not_found && !std::exchange(said_missing_, sent))
        host_.said_missing();
    if (state.error().kind == ErrorKind::throttled) {
        host_.budget().throttled(Call::read, state.error().retry_after.value_or(1s));
    }
    read_wanted_ = true;
    read_wanted_by_.merge(std::exchange(tell_of_read_, {}));
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
    report.delete_locked = is_delete_locked();
    for (const nsg::Step& step : plan_.steps) {
        if (step.uid != uid) continue;
        const Retry* retry = find_retry(step);
        if (!retry || retry->attempt == 0) continue;  // it was not refused
        report.last_error = retry->error;
        report.correlation_id = retry->error.correlation_id;
        report.closing_failing = report.closing_failing || step.effect == WriteEffect::closes;
    }
    return report;
}

}  // namespace sallyport::engine
