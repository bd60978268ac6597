#include "apiserver/identity.hpp"

#include <fmt/format.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <iterator>
#include <vector>

#include "base/digest.hpp"
#include "base/text.hpp"

namespace sallyport::apiserver {

namespace {

/// Splits a CSV line; a quoted column may contain commas, and `""` is a quote in it.
std::optional<std::vector<std::string>> columns(std::string_view line) {
    std::vector<std::string> list(1);
    bool is_quoted = false;
    for (std::size_t i = 0; i < line.size(); ++i) {
        const char c = line[i];
        if (is_quoted && c == '"' && i + 1 < line.size() && line[i + 1] == '"') {
            list.back() += '"';
            ++i;
        } else if (c == '"') {
            is_quoted = !is_quoted;
        } else if (c == ',' && !is_quoted) {
            list.emplace_back();
        } else {
            list.back() += c;
        }
    }
    if (is_quoted) return std::nullopt;
    return list;
}

}  // namespace

Result<TokenTable> TokenTable::parse(std::string_view text) {
    TokenTable table;
    int number = 0;
    for (std::string_view line : split(text, '\n')) {
        ++number;
        line = trimmed(line);
        if (line.empty() || line.starts_with('#')) continue;
        const auto row = columns(line);
        if (!row) return invalid(fmt::format("token file line {}: a quote is not closed", number));
        if (row->size() < 3 || row->size() > 4)
            return invalid(fmt::format(
                "token file line {}: needs token,user,uid and optionally \"group1,group2\"",
                number));
        Identity identity;
        const std::string token(trimmed((*row)[0]));
        identity.user = trimmed((*row)[1]);
        identity.uid = trimmed((*row)[2]);
        if (token.empty() || identity.user.empty())
            return invalid(
                fmt::format("token file line {}: token and user must not be empty", number));
        if (row->size() == 4) {
            for (const std::string_view group : split((*row)[3], ',')) {
                if (!trimmed(group).empty()) identity.groups.emplace_back(trimmed(group));
            }
        }
        identity.groups.emplace_back("system:authenticated");
        if (!table.identities_.emplace(sha256(token), std::move(identity)).second)
            return invalid(fmt::format("token file line {}: the token is given twice", number));
    }
    return table;
}

std::optional<Identity> TokenTable::find(std::string_view authorization) const {
    constexpr std::string_view scheme = "bearer ";
    if (!starts_with_ignoring_case(authorization, scheme)) return std::nullopt;
    const auto found = identities_.find(sha256(trimmed(authorization.substr(scheme.size()))));
    if (found == identities_.end()) return std::nullopt;
    return found->second;
}

Result<std::string> read_token_file(const std::string& path) {
    struct stat about {};
    if (stat(path.c_str(), &about) != 0)
        return sallyport::not_found(fmt::format("token file {}: {}", path, std::strerror(errno)));
    if ((about.st_mode & 077) != 0)
        return invalid(
            fmt::format("token file {} may be read by others (mode {:04o}): chmod 600 it", path,
                        about.st_mode & 07777U));
    std::ifstream file(path, std::ios::binary);
    std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
    if (file.bad()) return unavailable(fmt::format("token file {} cannot be read", path));
    return text;
}

}  // namespace sallyport::apiserver
