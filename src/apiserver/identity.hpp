#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.hpp"
#include "model/object.hpp"

namespace sallyport::apiserver {

/// Who the bearer tokens belong to. One line each: `token,user,uid,"group1,group2"`; empty lines
/// and lines that begin with `#` are left out; the groups may be missing. Every identity is also in
/// group `system:authenticated`. Tokens are kept as SHA-256 only.
class TokenTable {
public:
    /// Refused, with the line's number and never its token: too few columns, an empty token or
    /// user, a token given twice.
    static Result<TokenTable> parse(std::string_view text);
    /// For the value of an `Authorization` header; nullopt: nobody.
    std::optional<Identity> find(std::string_view authorization) const;
    std::size_t size() const { return identities_.size(); }

private:
    std::map<std::string, Identity> identities_;
};

/// Reads a token file. Refused unless only its owner may read or write it (mode 0600 or tighter).
Result<std::string> read_token_file(const std::string& path);

}  // namespace sallyport::apiserver
