#include "ports/journal.hpp"

#include <fmt/format.h>

#include "base/digest.hpp"

namespace sallyport {

std::string chain_hash(const JournalEntry& entry) {
    // Lengths keep two different entries from ever having the same text.
    std::string text;
    for (const std::string& part :
         {std::to_string(entry.version), std::to_string(entry.seq), entry.prev_hash, entry.writer,
          format_rfc3339(entry.time), entry.account, entry.record, entry.event, entry.detail}) {
        text += fmt::format("{}:{}\n", part.size(), part);
    }
    return hex(sha256(text));
}

}  // namespace sallyport
