#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "apiserver/resources.hpp"
#include "apiserver/store.hpp"
#include "base/result.hpp"
#include "http/server.hpp"

namespace sallyport::apiserver {

/// What a server is made of. Nothing here is read from the machine: files and random numbers are
/// handed in.
struct Config {
    /// What is served. Reading it takes some milliseconds, so servers of one process may share it;
    /// null: read from the CRDs of this program.
    std::shared_ptr<const Resources> resources = {};
    /// Text of the token file (identity.hpp); `read_token_file` reads and checks one.
    std::string tokens = {};
    /// Gives that many random bytes. Called by one thread at a time.
    std::function<std::string(std::size_t)> random_bytes = {};
    /// How many changes are kept for watches; older ones answer 410.
    std::size_t history_max = 20'000;
    /// What `/version` says behind its plus: `v1.36.0+sallyport-0.1.0`.
    std::string version = "0.1.0";
};

/// The embedded control plane: the part of the Kubernetes API that kubectl and the controller need,
/// for our kinds and Namespace, Event, Lease, Secret, ConfigMap. docs/control-plane.md lists what
/// is left out.
///
/// No sockets, no clock, no threads of its own: `serve/` carries it, or a simulation calls `handle`
/// directly. Thread safe: reads run side by side, writes one at a time; a write is durable before
/// it is answered, and before any read or watch shows it.
///
///     auto store = SqliteStore::open(data_dir);
///     auto server = ApiServer::create({.tokens = *text, .random_bytes = f}, **store, now);
class ApiServer final : public http::Handler {
public:
    /// Reads the store and creates Namespaces `default`, `kube-system` (whose uid is random: the
    /// owner derives from it) and `sallyport-system` where missing. `store` must outlive the
    /// server. Refused: a CRD or token file that is not understood, an object in the store of a
    /// kind that is not served.
    static Result<std::unique_ptr<ApiServer>> create(Config config, Store& store, Timestamp now);
    ~ApiServer() override;

    http::Reply handle(const http::Request& request, Timestamp now) override;

    /// The newest resourceVersion: for tests and metrics.
    std::uint64_t version() const;

private:
    class Impl;
    std::unique_ptr<Impl> impl_;

public:
    explicit ApiServer(std::unique_ptr<Impl> impl);  ///< for `create`
};

}  // namespace sallyport::apiserver
