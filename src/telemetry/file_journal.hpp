#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "ports/background.hpp"
#include "ports/files.hpp"
#include "ports/journal.hpp"
#include "ports/log.hpp"

namespace sallyport::telemetry {

/// An entry as one line of JSON (with its newline), and back. Reading checks the entry's own hash.
std::string to_line(const JournalEntry& entry);
Result<JournalEntry> parse_line(std::string_view line);

/// What a journal's text holds.
struct JournalText {
    JournalEntry tail = {};      ///< the newest entry; seq 0: none
    std::size_t valid_size = 0;  ///< bytes up to and including the tail's line
};
/// Follows the chain from the first entry of the text; `begins`: which is that of the journal. What
/// comes after the last whole line is a torn tail and left out; a broken link before it is
/// `invalid` and named.
Result<JournalText> verify(std::string_view text, bool begins = true);

/// One file for each account, `<directory>/<account>.jsonl`, appended and synced. Each entry goes
/// to the log as well. Of a long journal the end alone is read and its chain followed, beside the
/// loop: a year of 5,000 grants a day is 10 GB.
class FileJournal final : public Journal {
public:
    static constexpr std::size_t read_max = 256UL * 1024;  ///< about 500 entries

    FileJournal(Files& files, Background& background, Log& log, std::string directory)
        : files_(files), background_(background), log_(log), directory_(std::move(directory)) {}

    Task<Result<void>> append(std::string account, std::vector<JournalEntry> entries) override;
    Task<Result<JournalEntry>> tail(std::string account) override;
    bool readable() const override { return true; }

private:
    std::string path(const std::string& account) const;

    Files& files_;
    Background& background_;
    Log& log_;
    std::string directory_;
};

}  // namespace sallyport::telemetry
