#include "kube/replica.hpp"

#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "codec/kinds.hpp"
#include "kube/status_patch.hpp"

using namespace sallyport;
using namespace sallyport::kube;
using Json = nlohmann::json;

namespace {

Json ledger(const std::string& name, const std::string& version, int seq = 1) {
    return {{"metadata",
             {{"name", name},
              {"namespace", operator_namespace},
              {"uid", "u-" + name},
              {"resourceVersion", version}}},
            {"spec", {{"head", {{"seq", seq}, {"hash", std::string(64, 'a')}}}}}};
}

ObjectKey key(const std::string& name) { return {std::string(operator_namespace), name}; }

struct Ledgers {
    Table<AccessLedger> table{Kind::ledger, codec::decode_ledger,
                              Table<AccessLedger>::Status::dropped};

    void list_at(const std::string& version, std::vector<Json> objects) {
        table.begin_list(version);
        for (Json& object : objects) table.list(table.reader()(std::move(object)));
        table.end_list();
    }
    void put(Json object) { table.put(std::move(object)); }
    void answer(Json object) { table.answer(std::move(object)); }
    void remove(const Json& object) { table.remove(object); }
    std::uint64_t seq(const std::string& name) const {
        const AccessLedger* found = table.find(key(name));
        return found == nullptr ? 0 : found->head.seq;
    }
};

}  // namespace

TEST_CASE("versions are compared as numbers of any length; others only as equal or not") {
    CHECK(is_newer("10", "9"));
    CHECK_FALSE(is_newer("9", "10"));
    CHECK_FALSE(is_newer("9", "9"));
    CHECK(is_newer("18446744073709551616", "18446744073709551615"));
    CHECK(is_newer("abc", "abd"));
    CHECK_FALSE(is_newer("abc", "abc"));
}

TEST_CASE("an older event or answer changes nothing") {
    Ledgers ledgers;
    ledgers.list_at("10", {ledger("a", "8", 8)});

    ledgers.put(ledger("a", "7", 7));
    ledgers.answer(ledger("a", "9", 9));  // the list was of 10: it had seen 9
    CHECK(ledgers.seq("a") == 8);

    ledgers.answer(ledger("a", "12", 12));
    CHECK(ledgers.seq("a") == 12);
    ledgers.put(ledger("a", "11", 11));
    CHECK(ledgers.seq("a") == 12);
}

TEST_CASE("what the server says is gone is gone, whatever lists and watches still tell of it") {
    Ledgers ledgers;
    ledgers.list_at("10", {ledger("a", "8"), ledger("b", "9")});
    ledgers.table.gone(key("a"), "u-other");
    CHECK(ledgers.table.find(key("a")) != nullptr);
    ledgers.table.gone(key("a"), "u-a");
    CHECK(ledgers.table.find(key("a")) == nullptr);

    ledgers.put(ledger("a", "11"));
    ledgers.answer(ledger("a", "12"));
    ledgers.list_at("12", {ledger("a", "11"), ledger("b", "9")});
    ledgers.put(ledger("a", "13"));
    CHECK(ledgers.table.find(key("a")) == nullptr);
    CHECK(ledgers.table.find(key("b")) != nullptr);

    ledgers.remove(ledger("a", "14"));
    Json anew = ledger("a", "15");
    anew["metadata"]["uid"] = "u-anew";
    ledgers.put(anew);
    CHECK(ledgers.table.find(key("a")) != nullptr);
}

TEST_CASE("the answer that takes off the last hold of a deleted object shows that it is gone") {
    Ledgers ledgers;
    ledgers.list_at("10", {ledger("a", "8")});
    Json released = ledger("a", "11");
    released["metadata"]["deletionTimestamp"] = "2026-11-21T09:00:00Z";
    Json held = released;
    held["metadata"]["finalizers"] = {"somebody/else"};
    ledgers.answer(held);
    CHECK(ledgers.table.find(key("a")) != nullptr);
    released["metadata"]["resourceVersion"] = "12";
    ledgers.answer(released);
    CHECK(ledgers.table.find(key("a")) == nullptr);
}

TEST_CASE("a late answer does not bring a deleted object back") {
    Ledgers ledgers;
    ledgers.list_at("10", {ledger("a", "8")});
    ledgers.remove(ledger("a", "12"));

    ledgers.answer(ledger("a", "11"));

    CHECK(ledgers.seq("a") == 0);
}

TEST_CASE("a deletion that is told late does not remove what was made anew since") {
    Ledgers ledgers;
    ledgers.list_at("10", {ledger("a", "8")});
    ledgers.answer(ledger("a", "13", 13));

    ledgers.remove(ledger("a", "12"));

    CHECK(ledgers.seq("a") == 13);
}

TEST_CASE("an answer newer than a list that does not have it yet survives the list") {
    Ledgers ledgers;
    ledgers.list_at("10", {});
    ledgers.table.begin_list("20");
    ledgers.answer(ledger("a", "21"));
    ledgers.table.end_list();

    CHECK(ledgers.seq("a") == 1);
    ledgers.list_at("30", {});
    CHECK(ledgers.seq("a") == 0);
}

TEST_CASE("before the first list no answer is taken: absence is not known either") {
    Ledgers ledgers;
    ledgers.answer(ledger("a", "5"));
    CHECK(ledgers.table.size() == 0);
    CHECK_FALSE(ledgers.table.synced());
}

TEST_CASE(
    "an object that cannot be decoded is kept with its message, and replaced when it can be") {
    Ledgers ledgers;
    Json broken = ledger("a", "8");
    broken["spec"]["head"]["seq"] = "many";
    ledgers.list_at("10", {broken});

    CHECK(ledgers.table.find(key("a")) == nullptr);
    REQUIRE(ledgers.table.problem(key("a")));
    CHECK(ledgers.table.problem(key("a"))->find("seq") != std::string::npos);
    CHECK(ledgers.table.size() == 1);
    CHECK_FALSE(ledgers.table.problem(key("b")));

    ledgers.put(ledger("a", "11"));
    CHECK_FALSE(ledgers.table.problem(key("a")));
    CHECK(ledgers.table.find(key("a")) != nullptr);
}

TEST_CASE("a list older than what was known replaces everything") {
    Ledgers ledgers;
    ledgers.list_at("100", {ledger("a", "90", 90), ledger("b", "91")});

    CHECK(ledgers.table.begin_list("20"));
    ledgers.table.list(ledgers.table.reader()(ledger("a", "15", 15)));
    ledgers.table.end_list();

    CHECK(ledgers.seq("a") == 15);
    CHECK(ledgers.seq("b") == 0);
    ledgers.put(ledger("a", "21", 21));
    CHECK(ledgers.seq("a") == 21);
}

TEST_CASE("a merge patch turns one object into the other, with nulls and whole lists") {
    struct Row {
        const char* from;
        const char* to;
        const char* patch;
    };
    for (const Row& row :
         {Row{R"({"a":1})", R"({"a":1})", R"({})"}, Row{R"({"a":1})", R"({})", R"({"a":null})"},
          Row{R"({})", R"({"a":{"b":1}})", R"({"a":{"b":1}})"},
          Row{R"({"a":{"b":1,"c":2}})", R"({"a":{"b":1}})", R"({"a":{"c":null}})"},
          Row{R"({"a":[1,2]})", R"({"a":[1]})", R"({"a":[1]})"},
          Row{R"({"a":1})", R"({"a":null})", R"({"a":null})"},
          Row{R"({})", R"({"a":null})", R"({})"},
          Row{R"({"a":[1]})", R"({"a":{"b":1}})", R"({"a":{"b":1}})"}}) {
        CAPTURE(row.from);
        CAPTURE(row.to);
        const Json from = Json::parse(row.from);
        const Json patch = merge_patch(from, Json::parse(row.to));
        CHECK(patch == Json::parse(row.patch));
        Json patched = from;
        patched.merge_patch(patch);
        CHECK(merge_patch(patched, Json::parse(row.to)).empty());
    }
}
