#include "sim/scenes.hpp"

using namespace sallyport;
using namespace sallyport::sim;
using namespace std::chrono_literals;

namespace {

bool is_gone(World& world, const std::string& name) { return world.phase(name) == "gone"; }

/// Until the object goes; on the way there it may not go while a rule of it stands.
void require_gone_after_its_rules(World& world, const std::string& name,
                                  std::chrono::nanoseconds at_most) {
    bool early = false;
    const auto gone = [&] {
        if (!is_gone(world, name)) return false;
        early = !world.our_rules().empty();
        return true;
    };
    REQUIRE_TOLD(world, world.run_until(gone, at_most));
    CHECK_FALSE(early);
}

}  // namespace

TEST_CASE("W2: a grant deleted while open is held until it is proven closed, and then goes") {
    World world;
    start_ready(world);
    const std::string foreign = world.foreign_rules();
    open_grant(world, "a");
    CHECK(world.reaches(alice_at, "web01"));

    const Timestamp deleted = world.now();
    world.remove(grant_path("a"));
    CHECK_FALSE(is_gone(world, "a"));
    require_gone_after_its_rules(world, "a", 30s);

    CHECK(world.now() - deleted <= 30s);
    CHECK_FALSE(world.reaches(alice_at, "web01"));
    const json record = record_of(world, "a");
    CHECK(record.at("status").at("endReason") == "Deleted");
    CHECK(record.at("status").contains("closedAt"));
    CHECK(*parse_rfc3339(record.at("status").at("end").get<std::string>()) <= deleted + 1s);
    world.run_for(3min);
    CHECK_FALSE(world.reaches(alice_at, "web01"));
    check_clean(world, foreign);
}

TEST_CASE("W2: revoked: true closes an open grant, which rests as Revoked") {
    World world;
    start_ready(world);
    const std::string foreign = world.foreign_rules();
    open_grant(world, "a");

    patch(world, grant_path("a"), {{"spec", {{"revoked", true}}}});
    REQUIRE_TOLD(world, world.run_until([&] { return world.phase("a") == "Revoked"; }, 30s));

    CHECK(world.our_rules().empty());
    CHECK_FALSE(world.reaches(alice_at, "web01"));
    CHECK(record_of(world, "a").at("status").at("endReason") == "Revoked");
    CHECK(condition(world.grant("a"), "Active").value("status", "") == "False");
    world.run_for(15min);
    CHECK(world.phase("a") == "Revoked");
    CHECK_FALSE(world.reaches(alice_at, "web01"));
    world.remove(grant_path("a"));
    require_gone_after_its_rules(world, "a", 30s);
    check_clean(world, foreign);
}

TEST_CASE("W3: a grant deleted while it opens is closed before it goes, and never stays open") {
    World world;
    start_ready(world);
    const std::string foreign = world.foreign_rules();
    const std::size_t before = world.calls.size();

    // given: an opening write is under way
    ask(world, World::a_grant("a"));
    const auto writing = [&] { return count_calls(world, before, "azure PUT") > 0; };
    REQUIRE_TOLD(world, world.run_until(writing, 10s));

    // when
    world.remove(grant_path("a"));
    CHECK_FALSE(is_gone(world, "a"));

    // then
    REQUIRE_TOLD(world, world.run_until([&] { return world.our_rules().empty(); }, 30s));
    require_gone_after_its_rules(world, "a", 20min);
    CHECK_FALSE(world.reaches(alice_at, "web01"));
    CHECK(record_of(world, "a").at("status").at("endReason") == "Deleted");
    check_clean(world, foreign);
}

TEST_CASE(
    "W3: deleted while Azure is unreachable, a grant stays Terminating and goes when closed") {
    World world;
    start_ready(world);
    const std::string foreign = world.foreign_rules();
    open_grant(world, "a", "1h");

    // given
    cut_off(world, azure_origin);
    world.remove(grant_path("a"));
    world.run_for(10min);

    // then: it says what is true
    CHECK(world.reaches(alice_at, "web01"));
    const json terminating = world.grant("a");
    REQUIRE_TOLD(world, !terminating.is_null());
    CHECK(terminating.at("metadata").contains("deletionTimestamp"));
    CHECK_TOLD(world, world.phase("a") == "CloseFailing");
    CHECK(condition(terminating, "Active").value("status", "") == "True");
    CHECK(world.metrics.value("sallyport_overdue_seconds") > 0);

    // when
    world.fate = {};
    REQUIRE_TOLD(world, world.run_until([&] { return world.our_rules().empty(); }, 60s));
    require_gone_after_its_rules(world, "a", 20min);
    CHECK_FALSE(world.reaches(alice_at, "web01"));
    CHECK(world.metrics.value("sallyport_overdue_seconds") == 0);
    check_clean(world, foreign);
}

TEST_CASE("W3: a grant made again under a used name is AlreadyUsed and never opens") {
    World world;
    start_ready(world);
    const std::string foreign = world.foreign_rules();
    open_grant(world, "a");
    world.remove(grant_path("a"));
    require_gone_after_its_rules(world, "a", 30s);
    const std::size_t before = world.calls.size();

    ask(world, World::a_grant("a"));
    REQUIRE_TOLD(world, world.run_until([&] { return world.phase("a") == "AlreadyUsed"; }, 30s));
    world.run_for(5min);

    CHECK(world.phase("a") == "AlreadyUsed");
    CHECK(count_calls(world, before, "azure PUT") == 0);
    CHECK_FALSE(world.reaches(alice_at, "web01"));
    CHECK(world.records().size() == 1);
    check_clean(world, foreign);
}

TEST_CASE("that a repair was refused does not hold up the closing of the same rule") {
    World world;
    start_ready(world);
    open_grant(world, "a", "1h");
    // Widened by somebody; the repair is refused, and is not to come back for a minute and a half.
    const std::string rule = world.our_rules().front();
    const std::size_t slash = rule.find('/');
    json widened = {{"properties", find_rule(world, rule).at("properties")}};
    widened["properties"]["sourceAddressPrefix"] = "203.0.113.0/24";
    set_fault(world, {{"match", {{"method", "PUT"}, {"principal", "sallyport"}}},
                      {"effect", {{"status", 429}, {"retryAfter", 90}}}});
    put_rule(world, rule.substr(0, slash), rule.substr(slash + 1), widened);
    const std::size_t before = world.calls.size();
    REQUIRE(world.run_until([&] { return count_calls(world, before, "azure PUT") > 0; }, 2min));
    world.run_for(1s);

    world.remove(grant_path("a"));

    CHECK_TOLD(world, world.run_until([&] { return world.our_rules().empty(); }, 15s));
}
