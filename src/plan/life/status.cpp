#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "plan/life/state.hpp"

namespace sallyport::life {
namespace {

constexpr std::size_t message_max = 4000;  // the CRD allows 4096
constexpr std::size_t surfaces_max = 256;  // and so many surfaces and connections

/// Never in the middle of a UTF-8 character.
std::string cut(const std::string& text, std::size_t max) {
    if (text.size() <= max) return text;
    while (max > 0 && (static_cast<unsigned char>(text[max]) & 0xC0) == 0x80) --max;
    return text.substr(0, max) + " …";
}

const SurfaceStatus* find_surface(const GrantStatus& status, const std::string& id,
                                  const std::string& rule) {
    const auto found = std::ranges::find_if(
        status.surfaces, [&](const SurfaceStatus& s) { return s.id == id && s.rule == rule; });
    return found == status.surfaces.end() ? nullptr : &*found;
}

std::string surface_state(const State& state, const LaneReport* lane,
                          const nsg::GrantVerdict::Rule* rule) {
    if (state.reason == "CloseFailing") return lane && lane->closing_failing ? "Failed" : "Closing";
    if (state.reason == "Closing") return "Closing";
    // The rule is gone. Whether the port is closed is the policy's to say: somebody else's rule may
    // still let the same source in.
    if (state.active == Truth::no && state.reconciling.empty()) return "Removed";
    if (rule && rule->state != nsg::RuleState::present) return "Opening";
    if (state.active == Truth::yes) return "Open";
    return "Unknown";
}

/// One line for each rule of the grant on each NSG, from the record and what lanes say now.
std::vector<SurfaceStatus> surfaces_of(const View& view, const State& state) {
    std::vector<SurfaceStatus> surfaces;
    const bool owed =
        state.reason != "Closing" && state.reason != "CloseFailing" && !view.record->closed();
    const auto add = [&](const NsgId& nsg, const std::string& name, std::optional<int> priority,
                         const LaneReport* lane, const nsg::GrantVerdict::Rule* rule) {
        if (surfaces.size() == surfaces_max) return;
        SurfaceStatus line{.id = nsg.text(),
                           .rule = name,
                           .priority = rule && rule->priority ? rule->priority : priority,
                           .state = surface_state(state, lane, rule)};
        const SurfaceStatus* before = find_surface(view.published, line.id, line.rule);
        line.proof = before && before->state == line.state ? before->proof : view.proof.sentence;
        line.correlation_id = lane && !lane->correlation_id.empty() ? lane->correlation_id
                              : before                              ? before->correlation_id
                                                                    : "";
        surfaces.push_back(std::move(line));
    };
    for (const RecordedRule& recorded : view.record->rules) {
        const auto lane = std::ranges::find(view.lanes, recorded.nsg, &LaneReport::nsg);
        const LaneReport* report = lane == view.lanes.end() ? nullptr : &*lane;
        const nsg::GrantVerdict::Rule* rule = nullptr;
        if (report && report->verdict) {
            const auto found = std::ranges::find(report->verdict->rules, recorded.name,
                                                 &nsg::GrantVerdict::Rule::name);
            if (found != report->verdict->rules.end()) rule = &*found;
            // Its content is not wanted any more: the machine has moved.
            if (owed && !rule) continue;
        }
        add(recorded.nsg, recorded.name, recorded.priority, report, rule);
    }
    for (const LaneReport& lane : view.lanes) {
        if (!lane.verdict) continue;
        for (const auto& rule : lane.verdict->rules) {
            const bool listed = std::ranges::any_of(surfaces, [&](const SurfaceStatus& line) {
                return line.id == lane.nsg.text() && line.rule == rule.name;
            });
            if (!listed && !rule.name.empty())
                add(lane.nsg, rule.name, rule.priority, &lane, &rule);
        }
    }
    std::ranges::sort(surfaces, {}, [](const SurfaceStatus& s) { return std::pair(s.id, s.rule); });
    return surfaces;
}

std::string first_address(const Topology& topology, const VmId& id) {
    const VirtualMachine* machine = topology.machine(id);
    if (!machine) return "";
    for (const NicId& nic_id : machine->nics) {
        const Nic* nic = topology.nic(nic_id);
        if (!nic) continue;
        for (const IpConfiguration& configuration : nic->configurations) {
            if (configuration.private_address) return configuration.private_address->text();
        }
    }
    return "";
}

std::vector<Connection> connections_of(const View& view) {
    const auto& topology = view.asked.topology;
    if (!topology || !*topology || !(*topology)->machines || !(*topology)->nics) {
        return view.published.connections;
    }
    std::vector<Connection> connections;
    for (const ResolvedAccess& access : view.record->request.access) {
        const std::string address = first_address(**topology, access.target.id);
        for (const ResolvedPort& port : access.ports) {
            if (connections.size() == surfaces_max) return connections;
            connections.push_back({.machine = std::string(access.target.id.name()),
                                   .port = port.ports.text(),
                                   .protocol = std::string(to_text(port.protocol)),
                                   .connect_to = address});
        }
    }
    return connections;
}

void fill_from_record(GrantStatus& status, const View& view, const State& state) {
    const AccessRecord& record = *view.record;
    status.requester = record.requester.user;
    status.approved_by = record.approvals;
    status.request_digest = record.request_digest;
    status.opened_at = record.opened_at;
    status.expiration_time = record.closed() ? end_of(record) : end_now(view);
    status.closed_at = record.closed_at;
    // Until it is open there is nothing to tell but plans.
    if (!record.opened_at && !record.closed() && state.reason != "CloseFailing") return;
    status.surfaces = surfaces_of(view, state);
    if (state.active == Truth::yes && state.ready == Truth::yes) {
        status.connections = connections_of(view);
    } else if (!record.closed()) {
        status.connections = view.published.connections;
    }
}

bool is_same_state(const GrantStatus& published, const State& state) {
    const Condition* ready = find_condition(published, "Ready");
    const Condition* reconciling = find_condition(published, "Reconciling");
    return ready && ready->status == state.ready && ready->reason == state.reason &&
           (reconciling ? reconciling->reason : "") == state.reconciling;
}

}  // namespace

const Condition* find_condition(const GrantStatus& status, std::string_view type) {
    const auto found = std::ranges::find(status.conditions, type, &Condition::type);
    return found == status.conditions.end() ? nullptr : &*found;
}

GrantStatus status_of(const View& view, const State& state, Timestamp now) {
    const AccessGrant& grant = *view.asked.grant;
    GrantStatus status{.observed_generation = grant.meta.generation, .phase = state.reason};
    const bool keep = state.keeps_message && is_same_state(view.published, state);
    status.message = keep ? view.published.message : cut(state.message, message_max);
    status.requester = grant.stamp ? grant.stamp->user : "";
    if (view.record) fill_from_record(status, view, state);

    const auto add = [&](const char* type, Truth truth, const std::string& reason,
                         const std::string& message) {
        Condition condition{.type = type,
                            .status = truth,
                            .reason = reason,
                            .message = message,
                            .observed_generation = grant.meta.generation,
                            .changed = now};
        const Condition* before = find_condition(view.published, type);
        if (before && before->status == truth) condition.changed = before->changed;
        status.conditions.push_back(std::move(condition));
    };
    add("Ready", state.ready, state.reason, status.message);
    if (!state.reconciling.empty())
        add("Reconciling", Truth::yes, state.reconciling, status.message);
    if (state.stalled) add("Stalled", Truth::yes, state.reason, status.message);
    add("Active", state.active, state.reason, status.message);
    if (state.session_may_persist) {
        add("SessionMayPersist", Truth::yes, "FlowsNotFlushed",
            "Azure does not cut connections that stand when a rule goes, and flushConnection is "
            "not set on "
            "every network security group of this grant: a session that was open may live on");
    }
    return status;
}

std::vector<Note> notes_for(const GrantStatus& published, const GrantStatus& status,
                            const State& state) {
    if (is_same_state(published, state)) return {};
    const bool warns = state.stalled || (state.ready == Truth::unknown &&
                                         state.reason != "Opening" && state.reason != "Closing");
    const bool repairs = state.ready == Truth::yes && !state.reconciling.empty();
    constexpr std::size_t note_max = 1000;  // an Event's note may have 1 kB
    return {{.warning = warns || repairs,
             .reason = repairs ? state.reconciling : state.reason,
             .note = cut(status.message, note_max)}};
}

}  // namespace sallyport::life
