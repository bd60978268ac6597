#include "sim/invariants.hpp"

#include <fmt/format.h>

#include "sim/monitor.hpp"
#include "sim/scenes.hpp"

using namespace sallyport;
using namespace sallyport::sim;
using namespace std::chrono_literals;

// That the judges can complain at all: a world in which all is well is broken by hand, and the one
// that watches for that says so.
namespace {

struct Seen {
    SeenRule& rule() { return history.rules.at(opening.nsg + "/" + opening.rule); }
    SeenGrant& grant() { return history.grants.at(opening.uid); }
    json& record() { return grant().record; }

    History history;
    Opening opening;
};

/// A world with an open grant, as a monitor sees it.
Seen a_good_world() {
    World world;
    Monitor monitor(world);
    start_ready(world);
    open_grant(world, "a", "1h");
    world.run_for(100s);
    REQUIRE_MESSAGE(monitor.complaints().empty(), monitor.told());
    Seen seen{.history = monitor.look(), .opening = {}};
    seen.history.journal = world.files.files["journal/prod.jsonl"];
    for (const auto& [path, rule] : seen.history.rules) {
        if (rule.of_grant) seen.opening = {rule.nsg, rule.name, rule.uid, 200};
    }
    REQUIRE_FALSE(seen.opening.uid.empty());
    return seen;
}

Complaint asked(const Invariant& invariant, const Seen& seen) {
    if (invariant.after_step) return invariant.after_step(seen.history);
    if (invariant.at_opening) return invariant.at_opening(seen.history, seen.opening);
    return invariant.at_landing(seen.history, seen.opening);
}

struct Break {
    std::string title;  ///< of the invariant
    std::string how;
    void (*breaks)(Seen&);
};

void pass(Seen& seen, std::chrono::seconds span) {
    seen.history.now += span;
    seen.history.steady += span;
}
void end_it(Seen& seen, std::chrono::seconds ago) {
    seen.record()["status"]["end"] = format_rfc3339(seen.history.now - ago);
}

const Break breaks[] = {
    {"bounded access", "its end passed 33 s ago", [](Seen& s) { end_it(s, 33s); }},
    {"bounded access", "deleted 40 s ago",
     [](Seen& s) { s.grant().over = s.history.steady - 40s; }},
    {"bounded access", "its mark's end passed",
     [](Seen& s) { s.rule().mark_end = s.history.now - 1min; }},
    {"overdue access is told", "its end passed 7 s ago", [](Seen& s) { end_it(s, 7s); }},
    {"no opening after the end", "its end has come", [](Seen& s) { end_it(s, 0s); }},
    {"no opening after the end", "deleted before the last read",
     [](Seen& s) {
         s.grant().over = s.history.steady - 2s;
         s.grant().read_live = s.history.steady - 1s;
     }},
    {"no opening after the end", "deleted 6 s ago",
     [](Seen& s) { s.grant().over = s.history.steady - 6s; }},
    {"no opening after the end", "narrowed 6 s after it could be heard",
     [](Seen& s) {
         s.opening.narrows = true;
         s.grant().over = s.history.steady - 40s;
         s.history.kube_heals = s.history.steady - 6s;
     }},
    {"no opening after the end", "narrowed after its end",
     [](Seen& s) {
         s.opening.narrows = true;
         end_it(s, 0s);
     }},
    {"no opening after the end", "never asked for", [](Seen& s) { s.history.grants.clear(); }},
    {"foreign rules stay", "a comma more", [](Seen& s) { s.history.foreign += ","; }},
    {"never wider", "source",
     [](Seen& s) { s.rule().properties["sourceAddressPrefix"] = "198.51.100.0/24"; }},
    {"never wider", "any source",
     [](Seen& s) { s.rule().properties["sourceAddressPrefix"] = "*"; }},
    {"never wider", "destination",
     [](Seen& s) { s.rule().properties["destinationAddressPrefix"] = "10.0.1.5"; }},
    {"never wider", "port", [](Seen& s) { s.rule().properties["destinationPortRange"] = "23"; }},
    {"never wider", "protocol", [](Seen& s) { s.rule().properties["protocol"] = "*"; }},
    {"never wider", "direction", [](Seen& s) { s.rule().properties["direction"] = "Outbound"; }},
    {"never wider", "priority", [](Seen& s) { s.rule().properties["priority"] = 150; }},
    {"never wider", "widened by somebody 93 s ago",
     [](Seen& s) {
         s.rule().properties["sourceAddressPrefix"] = "*";
         s.rule().by_others = true;
         s.rule().since = s.history.steady - 93s;
     }},
    {"ends are written once", "the spec moves",
     [](Seen& s) {
         s.history.records.begin()->second["spec"]["latestEnd"] = "2030-01-01T00:00:00Z";
     }},
    {"ends are written once", "the end grows",
     [](Seen& s) { s.history.least_ends.begin()->second -= 1s; }},
    {"ends are written once", "the mark ends later",
     [](Seen& s) { s.rule().mark_end = *s.rule().mark_end + 1s; }},
    {"at most once", "its closing has begun",
     [](Seen& s) { s.grant().removal_sent = s.history.steady; }},
    {"closing wins", "another one waits",
     [](Seen& s) {
         end_it(s, 3s);
         s.opening.uid = "another";
     }},
    {"closings leave at once", "its end came a second ago", [](Seen& s) { end_it(s, 1s); }},
    {"closings leave at once", "deleted 3 s ago",
     [](Seen& s) { s.grant().over = s.history.steady - 3s; }},
    {"owed access stays", "cut off", [](Seen& s) { s.grant().cut_since = s.history.steady - 1ms; }},
    {"owed access stays", "cut off by somebody 93 s ago",
     [](Seen& s) {
         s.history.others_wrote = s.history.steady - 80s;
         s.grant().cut_since = s.history.steady - 93s;
     }},
    {"released after proof", "the hold went", [](Seen& s) { s.grant().released = true; }},
    {"audit first", "no record", [](Seen& s) { s.record() = nullptr; }},
    {"audit first", "no journal", [](Seen& s) { s.history.journal.clear(); }},
    {"audit first", "the head lags", [](Seen& s) { s.history.head_seq = 1; }},
    {"writes are few", "ten a second", [](Seen& s) { s.history.writes_of_minute = 601; }},
    {"own writes are known", "an older version is written on",
     [](Seen& s) { s.history.stale_write = "PATCH on 11, and 12 was its own"; }},
    {"uids decide", "the record is another's",
     [](Seen& s) { s.record()["spec"]["grant"]["uid"] = "another"; }},
    {"uids decide", "another object has the name",
     [](Seen& s) {
         s.grant().over = s.history.steady - 6s;
         s.history.grants["another"] = {.name = "a", .exists = true};
     }},
    {"nothing leaks", "the grant is gone",
     [](Seen& s) {
         s.grant().exists = false;
         pass(s, 100s);
     }},
    {"fails closed", "the clock is off", [](Seen& s) { s.history.clock_apart = -40s; }},
    {"fails closed", "no account", [](Seen& s) { s.history.accounts.clear(); }},
    {"fails closed", "the account is paused",
     [](Seen& s) { s.history.accounts.begin()->second["spec"]["mode"] = "Paused"; }},
    {"closed is closed", "a stranger gets in",
     [](Seen& s) { s.history.strangers_in = {"203.0.113.9 to web01"}; }},
    {"closed is closed", "says Expired",
     [](Seen& s) { s.grant().object["status"]["phase"] = "Expired"; }},
    {"open is open", "says Open", [](Seen& s) { s.grant().reached = false; }},
    {"closed was closed", "a record came too early",
     [](Seen& s) { s.history.closed_unproven = "closed, and a rule is there"; }},
    {"opened was open", "never let in", [](Seen& s) { s.grant().reached_once = false; }},
    {"opened was open", "others let in", [](Seen& s) { s.grant().had_rules = false; }},
    {"opened was open", "blocked before the groups were read",
     [](Seen& s) {
         s.grant().reached_once = false;
         s.grant().excused_as_opened = false;
         s.history.others_wrote = s.history.steady;
     }},
    {"lockdowns stay", "one went", [](Seen& s) { s.history.lost_lockdown = "a deny is removed"; }},
    {"excepted access stays", "cut in trouble, 101 s after its end",
     [](Seen& s) {
         s.history.excepted_in["web01"] = s.history.steady - 150s;
         s.history.azure_heals = s.history.steady - 101s;
         s.history.excepted_out.insert("web01");
     }},
    {"excepted access stays", "the deny came first",
     [](Seen& s) {
         s.history.excepted_in["web01"] = s.history.steady - 1s;
         s.history.excepted_out.insert("web01");
     }},
    {"Azure is left alone", "a second early",
     [](Seen& s) { s.history.early_try = "a PUT leaves 1 s before Azure wants it"; }},
    {"tries are spread", "two at once",
     [](Seen& s) { s.history.tried_together = "one and another"; }},
    {"owed access comes", "begun 91 s ago, and nothing went wrong since",
     [](Seen& s) {
         s.record()["status"].erase("openedAt");
         pass(s, 91s);
         s.history.running_since = s.history.steady - 91s;
         s.history.azure_heals = s.history.steady - 100s;
     }},
    {"owed access comes", "decided 201 s ago",
     [](Seen& s) {
         s.record()["status"].erase("openedAt");
         pass(s, 201s);
         s.grant().recorded = s.history.steady - 201s;
     }},
    {"put back three times", "four times", [](Seen& s) { s.history.put_back["nsg-web01/x"] = 4; }},
    {"deletions mean one", "another one went",
     [](Seen& s) { s.history.wrong_deletion = "a was made after its deletion had left"; }},
    {"numbers are free", "another name",
     [](Seen& s) {
         s.opening.priority = s.rule().properties.at("priority");
         s.opening.rule = "another";
     }},
};

}  // namespace

TEST_CASE("each invariant holds in a world in which all is well, and complains of each break") {
    const Seen well = a_good_world();
    for (const Invariant& invariant : invariants()) {
        CAPTURE(invariant.title);
        CHECK_FALSE(asked(invariant, well));
        int broken = 0;
        for (const Break& each : breaks) {
            if (each.title != invariant.title) continue;
            CAPTURE(each.how);
            ++broken;
            Seen broken_world = well;
            each.breaks(broken_world);
            CHECK(asked(invariant, broken_world));
        }
        CHECK(broken > 0);
    }
}

TEST_CASE("what leaves less open than there is, is told from what leaves more") {
    Seen seen = a_good_world();
    const json asked_for = seen.rule().properties;
    const auto stands = [&](const char* what, const json& value) {
        seen.rule().properties = asked_for;
        seen.rule().properties[what] = value;
        return lets_in_all_of(seen.rule(), asked_for);
    };
    CHECK(lets_in_all_of(seen.rule(), asked_for));
    CHECK(stands("sourceAddressPrefix", "*"));
    CHECK(stands("sourceAddressPrefix", "198.51.100.0/24"));
    CHECK(stands("protocol", "*"));
    CHECK_FALSE(stands("sourceAddressPrefix", "198.51.100.8/32"));
    CHECK_FALSE(stands("destinationAddressPrefix", "10.0.1.5"));
    CHECK_FALSE(stands("destinationPortRange", "23"));
    CHECK_FALSE(stands("protocol", "Udp"));
    CHECK_FALSE(stands("direction", "Outbound"));
    CHECK_FALSE(stands("priority", 899));
    seen.rule().properties = asked_for;
    seen.rule().state = "Deleting";
    CHECK_FALSE(lets_in_all_of(seen.rule(), asked_for));
    seen.rule().state = "Succeeded";
    seen.rule().allows = false;
    CHECK_FALSE(lets_in_all_of(seen.rule(), asked_for));
}

TEST_CASE("a write on an older version than its writer was told of is seen, and no other") {
    const auto at = [](int milliseconds) {
        return SteadyTime(std::chrono::milliseconds(milliseconds));
    };
    const auto patch_on = [](const std::string& version) {
        return http::Request{.method = "PATCH",
                             .origin = kube_origin,
                             .target = grant_path("a") + "/status",
                             .body = R"({"metadata":{"resourceVersion":")" + version + "\"}}"};
    };
    const auto told = [](const std::string& version, const std::string& more = "") {
        return http::Response{
            .status = 200,
            .body = R"({"metadata":{)" + more + R"("resourceVersion":")" + version + "\"}}"};
    };
    const auto stale_after = [&](const support::Fate& fate, const http::Response& answer,
                                 const std::string& then, int when) {
        OwnWrites own;
        own.sent(patch_on("9"), fate, at(0));
        own.answered(patch_on("9"), answer, at(2));
        own.sent(patch_on(then), {}, at(when));
        return !own.stale().empty();
    };
    CHECK(stale_after({}, told("10"), "9", 2));
    CHECK_FALSE(stale_after({}, told("10"), "10", 2));
    CHECK_FALSE(stale_after({}, told("10"), "11", 2));
    CHECK_FALSE(stale_after({}, told("10"), "9", 1));  // the answer is on its way
    CHECK_FALSE(stale_after({.way = support::Fate::Way::lost_reply}, told("10"), "9", 2));
    CHECK_FALSE(stale_after({}, {.status = 409}, "9", 2));
    CHECK_FALSE(stale_after({}, told("10", R"("deletionTimestamp":"x",)"), "9", 2));
}

TEST_CASE("what is tried again too early, or together, is seen") {
    const auto at = [](std::chrono::milliseconds time) { return SteadyTime(time); };
    const auto write = [](const std::string& name) {
        return http::Request{
            .method = "DELETE", .origin = azure_origin, .target = rule_path("nsg-web01", name)};
    };
    const auto refused = [](const char* retry_after) {
        support::Fate fate{.instead = http::Response{.status = 503}};
        if (retry_after) fate.instead->headers.set("Retry-After", retry_after);
        return fate;
    };
    const auto early = [&](std::chrono::milliseconds then) {
        Tries tries;
        tries.sent(write("one"), refused("5"), at(0ms), 2ms);
        tries.sent(write("one"), {}, at(then), 2ms);
        return !tries.early().empty();
    };
    CHECK(early(5001ms));
    CHECK_FALSE(early(5002ms));
    const auto together = [&](std::chrono::milliseconds apart, int rounds) {
        Tries tries;
        for (int i = 0; i <= rounds; ++i) {
            tries.sent(write("one"), refused(nullptr), at(i * 1000ms), 2ms);
            tries.sent(write("other"), refused(nullptr), at(i * 1000ms + (i == 2 ? apart : 0ms)),
                       2ms);
        }
        return !tries.together().empty();
    };
    CHECK(together(0ms, 3));
    CHECK_FALSE(together(0ms, 2));
    CHECK_FALSE(together(1ms, 3));
}

TEST_CASE("a monitor sees by itself what nobody told it of") {
    World world;
    Monitor monitor(world);
    start_ready(world);
    const Timestamp end = open_grant(world, "a", "3m");
    const auto behind_its_back = [&](auto&& act) {
        Witness* const watching = std::exchange(world.witness, nullptr);
        act();
        world.witness = watching;
    };
    const auto complains = [&](const std::string& head) {
        for (const std::string& each : monitor.complaints()) {
            if (each.starts_with(head)) return true;
        }
        return false;
    };
    world.run_for(100s);
    REQUIRE_MESSAGE(monitor.complaints().empty(), monitor.told());

    behind_its_back(
        [&] { put_rule(world, "nsg-web01", "new", a_rule(150, "Allow", "203.0.113.9")); });
    world.run_for(2s);
    CHECK(complains("I3 foreign rules stay"));

    // The subnet's group still stands in the way of the stranger; now it does not any more.
    behind_its_back(
        [&] { put_rule(world, "nsg-subnet", "new", a_rule(150, "Allow", "203.0.113.9")); });
    world.run_for(2s);
    CHECK(complains("P14 closed is closed"));

    cut_off(world, azure_origin);
    world.run_for(end + 32s - world.now());
    CHECK_FALSE(complains("I1"));
    world.run_for(3s);
    CHECK_MESSAGE(complains("I1 bounded access"), monitor.told());
}
