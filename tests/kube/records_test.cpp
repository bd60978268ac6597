#include <doctest/doctest.h>

#include "kube/world.hpp"

using namespace sallyport;
using namespace sallyport::kube;
using namespace std::chrono_literals;

namespace {

const std::string name = "mfrggzdfmztwq2lknnwg23tpobyxe43uov3ho6dzpiydc";

}  // namespace

TEST_CASE("a record is created once; whoever comes later is told that it is there") {
    KubeWorld world;
    world.start();

    const auto first = world.finish(world.store->create_record(a_record(name)));
    const auto second = world.finish(world.store->create_record(a_record(name)));

    REQUIRE(first);
    CHECK_FALSE(first->meta.resource_version.empty());
    CHECK(first->grant == in_payments("alice-web01"));
    CHECK(first->latest_end == a_record(name).latest_end);
    CHECK(world.store->record(name) != nullptr);
    REQUIRE_FALSE(second);
    CHECK(second.error().kind == ErrorKind::conflict);
    CHECK(second.error().code == "AlreadyExists");
}

TEST_CASE("a create whose answer was lost is found by reading") {
    KubeWorld world;
    world.start();
    world.network.before_send = [](const http::Request& request) {
        return Fate{.way = request.method == "POST" ? Fate::Way::lost_reply : Fate::Way::delivered};
    };

    const auto created = world.finish(world.store->create_record(a_record(name)));
    REQUIRE_FALSE(created);
    CHECK(created.error().kind == ErrorKind::unavailable);

    const auto read = world.finish(world.store->read_record(name));
    REQUIRE(read);
    REQUIRE(*read);
    CHECK((*read)->grant_uid == a_record(name).grant_uid);
    world.run_for(1s);
    CHECK(world.store->record(name) != nullptr);
}

TEST_CASE("a record's status is replaced as a whole, from the version it is based on") {
    KubeWorld world;
    world.start();
    AccessRecord record = world.finish(world.store->create_record(a_record(name))).value();
    record.opening_at = record.decided_at;
    record.end_reason = "Expired";

    AccessRecord next = world.finish(world.store->update_record(record)).value();
    CHECK(next.opening_at == record.opening_at);
    next.end_reason = {};
    next.opened_at = next.decided_at + 60s;
    const AccessRecord last = world.finish(world.store->update_record(next)).value();

    CHECK(last.end_reason.empty());
    CHECK(last.opened_at == next.opened_at);
    CHECK(*world.store->record(name) == last);
    const auto stale = world.finish(world.store->update_record(record));
    REQUIRE_FALSE(stale);
    CHECK(stale.error().kind == ErrorKind::conflict);
    CHECK(world.finish(world.store->read_record(name)).value()->opened_at == next.opened_at);
}

TEST_CASE("a status based on a version the cache does not know yet is replaced all the same") {
    KubeWorld world;
    AccessRecord record = world.finish(world.store->create_record(a_record(name))).value();
    CHECK(world.store->record(name) == nullptr);  // nothing was listed

    record.opening_at = record.decided_at;
    const auto next = world.finish(world.store->update_record(record));

    REQUIRE(next);
    CHECK(next->opening_at == record.opening_at);
}

TEST_CASE("a record is deleted by its uid") {
    KubeWorld world;
    world.start();
    const AccessRecord record = world.finish(world.store->create_record(a_record(name))).value();

    CHECK(world.finish(world.store->delete_record(name, "another-uid")));
    CHECK(*world.finish(world.store->read_record(name)).value() == record);
    CHECK(world.finish(world.store->delete_record(name, record.meta.uid)));
    CHECK_FALSE(*world.finish(world.store->read_record(name)));
    world.run_for(1s);
    CHECK(world.store->record(name) == nullptr);
}

TEST_CASE("the head of a journal advances by compare and set: of two from one base one loses") {
    KubeWorld world;
    world.start();
    AccessLedger ledger;
    ledger.meta.key.name = "prod";
    ledger.head = {.seq = 1, .hash = std::string(64, 'a')};

    AccessLedger stored = world.finish(world.store->advance_ledger(ledger)).value();
    CHECK(stored.head.seq == 1);
    const auto again = world.finish(world.store->advance_ledger(ledger));
    REQUIRE_FALSE(again);
    CHECK(again.error().kind == ErrorKind::conflict);

    stored.head = {.seq = 2, .hash = std::string(64, 'b')};
    CHECK(world.finish(world.store->advance_ledger(stored)));
    const auto rival = world.finish(world.store->advance_ledger(stored));
    REQUIRE_FALSE(rival);
    CHECK(rival.error().kind == ErrorKind::conflict);
    CHECK(world.store->ledger("prod")->head.seq == 2);
    CHECK(world.read(ledgers + "/prod")["spec"]["head"]["seq"] == 2);
}
