#include "telemetry/file_journal.hpp"

#include <fmt/format.h>

#include <functional>
#include <memory>

#include <nlohmann/json.hpp>

namespace sallyport::telemetry {
namespace {

using nlohmann::json;

std::string text_of(const json& object, const char* name) {
    const auto it = object.find(name);
    return it != object.end() && it->is_string() ? it->get<std::string>() : std::string();
}

std::uint64_t number_of(const json& object, const char* name) {
    const auto it = object.find(name);
    return it != object.end() && it->is_number_unsigned() ? it->get<std::uint64_t>() : 0;
}

}  // namespace

std::string to_line(const JournalEntry& entry) {
    const json object = {{"version", entry.version},
                         {"seq", entry.seq},
                         {"prevHash", entry.prev_hash},
                         {"writer", entry.writer},
                         {"time", format_rfc3339(entry.time)},
                         {"account", entry.account},
                         {"record", entry.record},
                         {"event", entry.event},
                         {"detail", entry.detail},
                         {"hash", entry.hash}};
    return object.dump(-1, ' ', true, json::error_handler_t::replace) + "\n";
}

Result<JournalEntry> parse_line(std::string_view line) {
    const json object = json::parse(line, nullptr, false);
    if (!object.is_object()) return invalid("a line that is not a JSON object");
    Result<Timestamp> time = parse_rfc3339(text_of(object, "time"));
    if (!time) return std::move(time).error();
    JournalEntry entry{.version = static_cast<int>(number_of(object, "version")),
                       .seq = number_of(object, "seq"),
                       .prev_hash = text_of(object, "prevHash"),
                       .writer = text_of(object, "writer"),
                       .time = *time,
                       .account = text_of(object, "account"),
                       .record = text_of(object, "record"),
                       .event = text_of(object, "event"),
                       .detail = text_of(object, "detail"),
                       .hash = text_of(object, "hash")};
    if (entry.hash != chain_hash(entry)) {
        return invalid(fmt::format("entry {} is not what its hash was made of", entry.seq));
    }
    return entry;
}

Result<JournalText> verify(std::string_view text, bool begins) {
    JournalText found;
    bool follows = begins;
    std::string_view rest = text;
    for (std::size_t line_end = rest.find('\n'); line_end != rest.npos;
         line_end = rest.find('\n')) {
        Result<JournalEntry> entry = parse_line(rest.substr(0, line_end));
        rest.remove_prefix(line_end + 1);
        const bool last = rest.find('\n') == rest.npos;
        if (!entry && last && rest.empty()) return found;  // a torn line can end in old bytes
        if (!entry) {
            return std::move(entry).error().context(fmt::format("after entry {}", found.tail.seq));
        }
        const bool linked = entry->seq == found.tail.seq + 1 && entry->prev_hash == found.tail.hash;
        if (follows && !linked) {
            return invalid(
                fmt::format("entry {} does not follow entry {}", entry->seq, found.tail.seq));
        }
        follows = true;
        found.tail = *std::move(entry);
        found.valid_size = text.size() - rest.size();
    }
    return found;
}

std::string FileJournal::path(const std::string& account) const {
    return directory_ + "/" + account + ".jsonl";
}

Task<Result<void>> FileJournal::append(std::string account, std::vector<JournalEntry> entries) {
    std::string bytes;
    for (const JournalEntry& entry : entries) {
        bytes += to_line(entry);
        log_.info("journal", {{"account", entry.account},
                              {"seq", static_cast<std::int64_t>(entry.seq)},
                              {"record", entry.record},
                              {"entry", entry.event},
                              {"detail", entry.detail},
                              {"hash", entry.hash}});
    }
    co_return co_await files_.append(path(account), std::move(bytes));
}

Task<Result<JournalEntry>> FileJournal::tail(std::string account) {
    Result<FileEnd> end = co_await files_.read_end(path(account), read_max);
    if (!end && end.error().kind == ErrorKind::not_found) co_return JournalEntry{};
    if (!end) co_return std::move(end).error();
    const bool whole = end->bytes.size() == end->file_size;
    // The first line of an end was cut somewhere.
    const std::size_t first = whole ? 0 : end->bytes.find('\n') + 1;
    const std::size_t before = end->file_size - end->bytes.size() + first;
    const auto verified = std::make_shared<Result<JournalText>>(JournalText{});
    std::function<void()> work = [verified, whole, text = end->bytes.substr(first)] {
        *verified = verify(text, whole);
    };
    co_await background_.run(std::move(work));
    Result<JournalText>& found = *verified;
    if (found && found->tail.seq == 0 && !whole)
        found = invalid(fmt::format("no whole entry in its last {} KiB", read_max / 1024));
    if (!found) co_return std::move(found).error().context(path(account));
    const std::size_t valid = before + found->valid_size;
    if (valid < end->file_size) {
        log_.warn(
            "journal.torn_tail",
            {{"account", account}, {"bytes", static_cast<std::int64_t>(end->file_size - valid)}});
        Result<void> cut = co_await files_.truncate(path(account), valid);
        if (!cut) co_return std::move(cut).error().context("cut a torn tail");
    }
    co_return found->tail;
}

}  // namespace sallyport::telemetry
