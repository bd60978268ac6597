#include "model/mark.hpp"

#include <doctest/doctest.h>

#include <random>

#include "support/printers.hpp"

using namespace sallyport;

namespace {

const std::string uid = "6f1c8a3e-93a7-4c55-8f57-0a7f7a2f6f10";
const std::string other_uid = "00000000-93a7-4c55-8f57-0a7f7a2f6f10";
Owner owner() { return *Owner::parse("k7f2m3qa"); }

Mark grant_mark() {
    return {.owner = "k7f2m3qa",
            .kind = MarkKind::grant,
            .uid = uid,
            .end = *parse_rfc3339("2026-11-21T11:05:00Z"),
            .seq = 4711,
            .subject = "payments/alice-web01"};
}

SecurityRule rule(std::string name, std::string description) {
    SecurityRule r{.name = std::move(name)};
    r.description = std::move(description);
    return r;
}

}  // namespace

TEST_CASE("a mark says whose a rule is and until when") {
    CHECK(grant_mark().text() ==
          "sallyport/1 owner=k7f2m3qa grant=6f1c8a3e-93a7-4c55-8f57-0a7f7a2f6f10 "
          "end=2026-11-21T11:05:00Z seq=4711 payments/alice-web01");

    Mark policy = grant_mark();
    policy.kind = MarkKind::policy;
    policy.end.reset();
    CHECK(policy.text().find(" policy=" + uid + " end=- seq=4711 ") != std::string::npos);
    CHECK(*Mark::parse(policy.text()) == policy);
}

TEST_CASE(
    "a mark that is read again is the same, but for a subject that was cut; it never passes 140 "
    "characters") {
    for (unsigned seed = 0; seed < 500; ++seed) {
        CAPTURE(seed);
        std::mt19937_64 random(seed);
        Mark mark = grant_mark();
        mark.seq = random() >> (random() % 64);
        mark.subject = std::string(random() % 330, 'n');
        if (!mark.subject.empty() && seed % 3 == 0) mark.subject.back() = '/';
        mark.end = Timestamp(seconds(static_cast<long long>(random() % 250'000'000'000ULL)));

        const std::string text = mark.text();

        CHECK(text.size() <= description_max);
        const auto read = Mark::parse(text);
        REQUIRE(read);
        CHECK(mark.subject.starts_with(read->subject));
        CHECK(read->text() == text);
        mark.subject = read->subject;
        CHECK(*read == mark);
    }
}

TEST_CASE("a subject that is not plain ASCII is made so") {
    Mark mark = grant_mark();
    mark.subject = "a b/\xC3\xBC\n";
    CHECK(Mark::parse(mark.text())->subject == "a?b/???");
}

TEST_CASE("a broken mark is no mark") {
    const std::string good = grant_mark().text();
    REQUIRE(Mark::parse(good));
    const auto with = [&](std::string_view from, std::string_view to) {
        std::string text = good;
        return text.replace(text.find(from), from.size(), to);
    };
    for (const std::string& text : {std::string(),
                                    std::string("Allow SSH"),
                                    with("sallyport/1", "sallyport/2"),
                                    with("sallyport/1", "sallyport/1x"),
                                    with("owner=k7f2m3qa", "owner=K7F2M3QA"),
                                    with("owner=k7f2m3qa", "owner=k7f2m3q"),
                                    with("owner=k7f2m3qa", "owner=k7f2m3q1"),
                                    with("grant=", "grants="),
                                    with(uid, ""),
                                    with(uid, "a_b"),
                                    with("2026-11-21T11:05:00Z", "-"),
                                    with("2026-11-21T11:05:00Z", "2026-11-21T12:05:00+01:00"),
                                    with("2026-11-21T11:05:00Z", "2026-13-21T11:05:00Z"),
                                    with("grant=", "policy="),
                                    with("seq=4711", "seq=-1"),
                                    with("seq=4711", "seq=04711"),
                                    with("seq=4711", "seq=99999999999999999999"),
                                    with(" seq=4711", ""),
                                    with(" payments/alice-web01", ""),
                                    with("payments/alice-web01", "a b"),
                                    with(" owner", "  owner"),
                                    good + "\n",
                                    " " + good,
                                    good + std::string(140, 'x')}) {
        CAPTURE(text);
        CHECK_FALSE(Mark::parse(text));
    }
    for (std::size_t cut = 0; cut < good.find("payments"); ++cut)
        CHECK_FALSE(Mark::parse(good.substr(0, cut)));
}

TEST_CASE("a rule name carries owner, grant and number in at most 53 characters") {
    const RuleName name = RuleName::of(owner(), uid, RuleName::n_max);

    CHECK(name.text().size() <= 53);
    CHECK(name.text().starts_with("sp-k7f2m3qa-"));
    CHECK(*RuleName::parse(name.text()) == name);
    CHECK(name.is_of(uid));
    CHECK_FALSE(name.is_of(other_uid));
    CHECK(rule_uuid(uid) == rule_uuid(uid));
    // Part of every rule in every cloud: never to change.
    CHECK(rule_uuid(uid) == "d52b1a2e-5f38-5629-b181-39300c9a856d");
}

TEST_CASE("a name in other letters' case is the same name; anything else is not a name of ours") {
    const std::string name = RuleName::of(owner(), uid, 7).text();
    std::string upper = name;
    for (char& c : upper) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));

    CHECK(RuleName::parse(upper)->text() == name);
    for (const std::string& text :
         {std::string(), std::string("sp-"), name.substr(0, name.size() - 1), name + "1000",
          name + "x", name.substr(0, name.size() - 1) + "07", "x" + name,
          std::string("sp-k7f2m3qa-zzzzzzzz-93a7-4c55-8f57-0a7f7a2f6f10-1")}) {
        CAPTURE(text);
        CHECK_FALSE(RuleName::parse(text));
    }
}

TEST_CASE("ours is what has our name and no other owner's mark") {
    const std::string name = RuleName::of(owner(), uid, 0).text();
    const std::string mark = grant_mark().text();
    Mark others = grant_mark();
    others.owner = "aaaaaaaa";
    Mark of_another_grant = grant_mark();
    of_another_grant.uid = other_uid;
    struct Row {
        const char* what;
        std::string name;
        std::string description;
        Ownership expected;
    };
    const Row rows[] = {
        {"name and mark", name, mark, Ownership::ours},
        {"mark gone", name, "", Ownership::ours_unmarked},
        {"mark broken", name, mark.substr(0, 60), Ownership::ours_unmarked},
        {"mark of another grant", name, of_another_grant.text(), Ownership::ours_unmarked},
        {"another owner's mark under our name", name, others.text(), Ownership::other_owner},
        {"another owner's rule", "sp-aaaaaaaa-" + name.substr(12), others.text(),
         Ownership::other_owner},
        {"our mark under another name", "allow-ssh", mark, Ownership::copied_mark},
        {"neither", "allow-ssh", "for the demo", Ownership::foreign},
        {"another owner's name without a mark", "sp-aaaaaaaa-" + name.substr(12), "",
         Ownership::foreign},
    };
    for (const Row& row : rows) {
        CAPTURE(row.what);
        CHECK(ownership(rule(row.name, row.description), owner()) == row.expected);
    }
}

TEST_CASE("the owner is derived from the cluster and has 8 characters of base32") {
    const Owner derived = Owner::of_cluster("0a7f7a2f-93a7-4c55-8f57-6f1c8a3e6f10");
    CHECK(*Owner::parse(derived.text()) == derived);
    CHECK_FALSE(Owner::parse("k7f2m3q"));
    CHECK_FALSE(Owner::parse("k7f2m3q0"));
    CHECK_FALSE(Owner::parse("K7F2M3QA"));
}
