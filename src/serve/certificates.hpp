#pragma once

#include <string>
#include <vector>

#include "base/result.hpp"
#include "base/time.hpp"
#include "serve/server.hpp"

namespace sallyport::serve {

struct CertificateRequest {
    std::string directory;  ///< made with mode 0700 if it does not exist
    /// DNS names and IP literals beside `localhost`, `127.0.0.1` and `::1`, which are always in.
    std::vector<std::string> names = {};
    std::string organisation =
        "Sallyport";  ///< in the subjects, so that a person can tell two CAs apart
};

struct Certificates {
    std::string ca_pem;  ///< what clients trust; also in `<directory>/ca.pem`
    ServerIdentity identity;
    Timestamp expires_at;  ///< the server certificate's end
};

/// A throw-away authority and a server certificate under it, for loopback servers: EC P-256,
/// `ca.pem`, `ca-key.pem`, `server.pem` and `server-key.pem` (keys with mode 0600).
///
/// What is there is used again while it is whole and valid for another 30 days: the server
/// certificate also has to cover all names. Otherwise it is made anew, the authority (10 years)
/// only if it has to be, since clients have to be told of a new one. `now` must be the machine's
/// time: clients compare with theirs. `unavailable` if the directory cannot be written.
Result<Certificates> load_or_make_certificates(const CertificateRequest& request, Timestamp now);

}  // namespace sallyport::serve
