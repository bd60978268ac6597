#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "model/account.hpp"

namespace sallyport::azure {

/// An absolute URL as Azure gives them (`nextLink`, operation URLs), taken apart but not changed.
struct Url {
    std::string origin;  ///< `https://host[:port]`, host in lower case, without the default port
    std::string target;  ///< path and query, as they came; at least `/`
};
/// `invalid` unless it is `https://`, with a host, without user information.
Result<Url> parse_url(std::string_view text);

/// Where an account's cloud is.
struct Endpoints {
    std::string resource_manager;  ///< an origin
    std::string authority;         ///< an origin
    std::string scope;             ///< what a token is asked for
};
/// The endpoints of the account's cloud; of a custom one, those it names, if each host is in
/// `allowed`
/// (`host`, or `host:port`). `invalid` says which is not, and how to allow it.
Result<Endpoints> endpoints_of(const AzureAccount& account,
                               const std::vector<std::string>& allowed);

}  // namespace sallyport::azure
