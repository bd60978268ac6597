#include "telemetry/file_journal.hpp"

#include <doctest/doctest.h>

#include "support/memory_world.hpp"
#include "support/simulated_time.hpp"

using namespace sallyport;
using namespace sallyport::telemetry;

namespace {

std::vector<JournalEntry> chain(int length) {
    std::vector<JournalEntry> entries;
    for (int i = 1; i <= length; ++i) {
        JournalEntry entry{.seq = static_cast<std::uint64_t>(i),
                           .prev_hash = entries.empty() ? "" : entries.back().hash,
                           .writer = "w",
                           .time = *parse_rfc3339("2026-11-21T09:00:00Z"),
                           .account = "prod",
                           .event = "rule.opening",
                           .detail = "rule \"x\"\nand a line"};
        entry.hash = chain_hash(entry);
        entries.push_back(entry);
    }
    return entries;
}

std::string text_of(const std::vector<JournalEntry>& entries) {
    std::string text;
    for (const JournalEntry& entry : entries) text += to_line(entry);
    return text;
}

}  // namespace

TEST_CASE("an entry reads back as it was written, on one line whatever its words") {
    const JournalEntry entry = chain(1).front();

    const std::string line = to_line(entry);

    CHECK(line.find('\n') == line.size() - 1);
    const auto back = parse_line(std::string_view(line).substr(0, line.size() - 1));
    REQUIRE(back);
    CHECK(*back == entry);
}

TEST_CASE("a whole chain verifies to its newest entry") {
    const auto entries = chain(5);

    const auto found = verify(text_of(entries));

    REQUIRE(found);
    CHECK(found->tail == entries.back());
    CHECK(found->valid_size == text_of(entries).size());
    CHECK(verify("")->tail.seq == 0);
}

TEST_CASE("a torn tail is left out, wherever it was torn") {
    const auto entries = chain(3);
    const std::string whole = text_of(entries);
    const std::size_t two = text_of({entries[0], entries[1]}).size();

    for (std::size_t size = two; size < whole.size(); ++size) {
        CAPTURE(size);
        const auto found = verify(std::string_view(whole).substr(0, size));
        REQUIRE(found);
        CHECK(found->tail.seq == 2);
        CHECK(found->valid_size == two);
    }
}

TEST_CASE("a changed, dropped or re-ordered entry is named") {
    auto changed = chain(4);
    changed[1].detail = "something else";
    CHECK_FALSE(verify(text_of(changed)));

    auto dropped = chain(4);
    dropped.erase(dropped.begin() + 1);
    const auto found = verify(text_of(dropped));
    REQUIRE_FALSE(found);
    CHECK(found.error().message.find("entry 3 does not follow entry 1") != std::string::npos);

    auto swapped = chain(4);
    std::swap(swapped[1], swapped[2]);
    CHECK_FALSE(verify(text_of(swapped)));
}

namespace {

/// A journal in memory that has grown beyond what is read of it.
struct LongJournal {
    static constexpr std::size_t read_max = FileJournal::read_max;

    support::SimulatedWorld world{*parse_rfc3339("2026-11-21T09:00:00Z")};
    support::MemoryFiles files;
    support::KeptLog log;
    FileJournal journal{files, world.background, log, "journal"};
    std::vector<JournalEntry> entries = chain(2000);
    std::string& text = files.files["journal/prod.jsonl"];

    LongJournal() { text = text_of(entries); }
    Result<JournalEntry> tail() {
        Result<JournalEntry> found = JournalEntry{};
        world.scope.start(take(found));
        world.loop.run_ready();
        return found;
    }

private:
    Task<void> take(Result<JournalEntry>& found) { found = co_await journal.tail("prod"); }
};

}  // namespace

TEST_CASE("of a long journal the end alone is read, and its newest entry found") {
    LongJournal journal;
    REQUIRE(journal.text.size() > 2 * LongJournal::read_max);
    journal.text[100] ^= 1;  // what lies before is not looked at

    const auto tail = journal.tail();

    REQUIRE(tail);
    CHECK(*tail == journal.entries.back());
}

TEST_CASE("the torn tail of a long journal is cut off and nothing else") {
    LongJournal journal;
    const std::string whole = journal.text;
    journal.text += whole.substr(whole.size() - 200, 150);

    const auto tail = journal.tail();

    REQUIRE(tail);
    CHECK(*tail == journal.entries.back());
    CHECK(journal.text == whole);
}

TEST_CASE("an entry that was changed at the end of a long journal is named, and nothing is cut") {
    LongJournal journal;
    const std::string changed = [&] {
        std::string text = journal.text;
        text[text.size() - 5000] ^= 1;
        return text;
    }();
    journal.text = changed;

    CHECK_FALSE(journal.tail());
    CHECK(journal.text == changed);
}

TEST_CASE("an end without any entry is refused, and nothing is cut") {
    LongJournal journal;
    journal.text += std::string(LongJournal::read_max + 1, '\0');
    const std::string torn = journal.text;

    const auto tail = journal.tail();

    REQUIRE_FALSE(tail);
    CHECK(tail.error().message.find("no whole entry in its last 256 KiB") != std::string::npos);
    CHECK(journal.text == torn);
}
