#include "sim/sequences.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <random>
#include <stdexcept>

#include "base/time.hpp"
#include "sim/operations.hpp"

namespace sallyport::sim {
namespace {

using namespace std::chrono_literals;
using What = SequenceStep::What;

constexpr int tries_max = 8;  ///< for a value that is to be accepted, or refused
constexpr std::chrono::milliseconds pauses[] = {0ms, 50ms, 300ms, 1s, 2500ms, 8s, 40s};

/// Draws steps, and follows what the schemas make of them.
class Drawing {
public:
    explicit Drawing(std::uint64_t seed) : dice_(seed * 0x9e3779b97f4a7c15) {
        for (const char* kind : {"CloudAccount", "JitPolicy"}) manifests_[kind] = base_of(kind);
        asked_.emplace_back("a");
        manifests_["a"] = sequence_grant("a");
    }

    Sequence draw() {
        Sequence sequence(2 + below(sequence_steps_max - 1));
        for (SequenceStep& step : sequence) {
            step = next();
            if (below(3) != 0) step.then = pauses[below(std::size(pauses))];
        }
        return sequence;
    }

private:
    std::size_t below(std::size_t limit) { return dice_() % limit; }

    SequenceStep next() {
        const std::size_t roll = below(100);
        if (roll < 38) return edit("JitPolicy", "web-ssh", "JitPolicy");
        if (roll < 54) return edit("CloudAccount", "prod", "CloudAccount");
        if (roll < 66) return base(below(3) == 0 ? "CloudAccount" : "JitPolicy");
        if (roll < 79) return ask();
        if (roll < 87) return edit_grant();
        if (roll < 91)
            return {
                .what = What::remove, .kind = "AccessGrant", .name = asked_[below(asked_.size())]};
        if (roll < 94) return {.what = What::remove, .kind = "JitPolicy", .name = "web-ssh"};
        if (roll < 96) return {.what = What::remove, .kind = "CloudAccount", .name = "prod"};
        return {.what = What::restart};
    }

    SequenceStep base(const std::string& kind) {
        manifests_[kind] = base_of(kind);
        return {
            .what = What::base, .kind = kind, .name = manifests_[kind].at("metadata").at("name")};
    }

    /// Something that is accepted rather than not, most of the time.
    SequenceStep edit(const std::string& kind, const std::string& name, const std::string& key) {
        const WalkedKind& walked = kind_named(kind);
        static std::map<std::string, std::vector<Property>> all;
        if (!all.contains(kind)) all[kind] = properties_of(walked);
        const bool wanted = below(100) < 75;
        Operation chosen;
        bool allowed = false;
        json old = manifests_.at(key);
        old["spec"] = as_stored(walked.schema.at("properties").at("spec"), old.at("spec"));
        for (int i = 0; i < tries_max && (i == 0 || allowed != wanted); ++i) {
            WalkUses uses;
            const Property& property = all[kind][below(all[kind].size())];
            std::vector<Operation> some = operations_at(walked, manifests_.at(key), property, uses);
            if (some.empty()) continue;
            chosen = some[below(some.size())];
            json stored;
            allowed = expected_verdict(walked, chosen, old, stored).allows() &&
                      stored.at("spec") != old.at("spec");
        }
        if (allowed) manifests_[key] = chosen.manifest;
        return {.what = What::edit,
                .kind = kind,
                .name = name,
                .value = chosen.value,
                .edit = std::move(chosen.edit)};
    }

    SequenceStep edit_grant() {
        const std::string name = asked_[below(asked_.size())];
        SequenceStep step{.what = What::edit, .kind = "AccessGrant", .name = name};
        switch (below(4)) {
            case 0:
            case 1:
                step.value = below(4) == 0 ? "false" : "true";
                step.edit.path = "spec.revoked";
                step.edit.value.emplace(step.value == "true");
                return step;
            case 2:
                step.value = "some-minutes";
                step.edit.path = "spec.notAfter";
                step.edit.value.emplace(some_time());
                return step;
            default: return edit("AccessGrant", name, name);
        }
    }

    std::string some_time() {
        const Timestamp start = *parse_rfc3339(start_of_time);
        return format_rfc3339(start + std::chrono::minutes(5 + 5 * below(30)));
    }

    /// Half of the time as usual; sometimes under a name that was used before.
    SequenceStep ask() {
        const bool again = below(5) == 0;
        const std::string name = again ? asked_[below(asked_.size())]
                                       : std::string(1, static_cast<char>('a' + asked_.size()));
        SequenceStep step{.what = What::ask, .kind = "AccessGrant", .name = name};
        if (!again) asked_.push_back(name);
        manifests_[name] = sequence_grant(name);
        const std::size_t roll = below(4);
        if (roll == 0) {
            const SequenceStep edited = edit("AccessGrant", name, name);
            step.value = edited.value;
            step.edit = edited.edit;
        } else if (roll == 1) {
            step.value = "some-minutes,alone";
            step.edit.path = "spec.notAfter";
            step.edit.value.emplace(some_time());
            step.edit.replaced = {"/spec/duration"};
            manifests_[name] = edited(kind_named("AccessGrant"), manifests_[name], step.edit);
        }
        return step;
    }

    std::mt19937_64 dice_;
    std::map<std::string, json> manifests_;  ///< by kind, grants by name
    std::vector<std::string> asked_;
};

}  // namespace

std::string SequenceStep::text() const {
    static const std::map<What, const char*> words = {{What::edit, "edit"},
                                                      {What::base, "set back"},
                                                      {What::ask, "ask for"},
                                                      {What::remove, "delete"},
                                                      {What::restart, "restart the operator"}};
    std::string text = words.at(what);
    if (!kind.empty()) text += fmt::format(" {} {}", kind, name);
    if (!value.empty()) {
        text += fmt::format(": {}={}", edit.path, value);
        const std::string written = edit.value ? edit.value->dump() : "";
        if (!written.empty() && written.size() < 80) text += " " + written;
    }
    if (!then) return text + "; rest";
    return text + fmt::format("; {} ms", then->count());
}

Sequence draw_sequence(std::uint64_t seed) { return Drawing(seed).draw(); }

const WalkedKind& kind_named(const std::string& name) {
    static const std::vector<WalkedKind> all = shipped_kinds_of_crds();
    const auto found = std::ranges::find(all, name, &WalkedKind::kind);
    if (found == all.end()) throw std::runtime_error("no kind " + name);
    return *found;
}

json sequence_grant(const std::string& name) {
    json manifest = grant_of(name);
    manifest["spec"]["duration"] = "2h";
    return manifest;
}

}  // namespace sallyport::sim
