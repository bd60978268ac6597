// The embedded control plane alone, without a controller: what tests/e2e/kubectl_test.sh drives
// with a real kubectl. Usage: apiserver DIR TOKENS; keeps its data in DIR, prints `apiserver ready
// URL`, ends on SIGTERM or when its standard input is closed.
#include <csignal>
#include <iostream>
#include <string>

#include "apiserver/identity.hpp"
#include "apiserver/server.hpp"
#include "apiserver/sqlite_store.hpp"
#include "serve/certificates.hpp"
#include "serve/server.hpp"
#include "system/clock.hpp"
#include "system/random.hpp"

using namespace sallyport;

namespace {

int fail(const Error& error) {
    std::cerr << "apiserver: " << error.message << '\n';
    return 1;
}

int run(const std::string& dir, const std::string& tokens_path) {
    Result<std::string> tokens = apiserver::read_token_file(tokens_path);
    if (!tokens) return fail(tokens.error());
    auto store = apiserver::SqliteStore::open(dir);
    if (!store) return fail(store.error());
    system::SystemRandom random;
    apiserver::Config config;
    config.tokens = std::move(*tokens);
    config.random_bytes = [&random](std::size_t count) { return random.bytes(count); };
    auto api = apiserver::ApiServer::create(std::move(config), **store, system::wall_now());
    if (!api) return fail(api.error());
    auto certificates = serve::load_or_make_certificates({dir}, system::wall_now());
    if (!certificates) return fail(certificates.error());
    serve::ServerOptions options;
    options.identity = certificates->identity;
    auto server = serve::Server::start(options, **api, system::wall_now);
    if (!server) return fail(server.error());
    std::cout << "apiserver ready " << (*server)->origin() << std::endl;

    // Everything else runs on the server's threads; this one waits for the end.
    sigset_t ends;
    sigemptyset(&ends);
    sigaddset(&ends, SIGTERM);
    sigaddset(&ends, SIGINT);
    int which = 0;
    sigwait(&ends, &which);
    (*server)->stop();
    return 0;
}

}  // namespace

int main(int argc, char** argv) {
    // Before any thread is started, so that all of them inherit it.
    sigset_t ends;
    sigemptyset(&ends);
    sigaddset(&ends, SIGTERM);
    sigaddset(&ends, SIGINT);
    pthread_sigmask(SIG_BLOCK, &ends, nullptr);
    if (argc != 3) {
        std::cerr << "usage: apiserver DIR TOKENS\n";
        return 2;
    }
    return run(argv[1], argv[2]);
}
