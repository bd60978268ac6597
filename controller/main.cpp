#include <csignal>
#include <cstdio>
#include <filesystem>
#include <iostream>
#include <thread>

#include <fmt/format.h>
#include <pthread.h>
#include <unistd.h>
#include <nlohmann/json.hpp>

#include "apiserver/identity.hpp"
#include "apiserver/roles.hpp"
#include "apiserver/server.hpp"
#include "apiserver/sqlite_store.hpp"
#include "azure/gateway.hpp"
#include "base/digest.hpp"
#include "controller/health.hpp"
#include "controller/options.hpp"
#include "engine/bugs.hpp"
#include "engine/engine.hpp"
#include "http/cpprest_network.hpp"
#include "kube/store.hpp"
#include "serve/certificates.hpp"
#include "serve/server.hpp"
#include "system/background.hpp"
#include "system/clock.hpp"
#include "system/files.hpp"
#include "system/random.hpp"
#include "telemetry/file_journal.hpp"
#include "telemetry/json_log.hpp"
#include "telemetry/prometheus_metrics.hpp"

// The process, and nothing else: it chooses implementations, opens ports, runs, and stops.
namespace sallyport::controller {
namespace {

/// SIGTERM and SIGINT, waited for on a thread of their own; every other thread has them blocked.
class Signals final {
public:
    /// Before any other thread exists.
    Signals() {
        sigemptyset(&set_);
        sigaddset(&set_, SIGTERM);
        sigaddset(&set_, SIGINT);
        pthread_sigmask(SIG_BLOCK, &set_, nullptr);
        std::signal(SIGPIPE, SIG_IGN);
    }
    ~Signals() { finish(); }
    /// Afterwards `stop` is not running and never will: what it uses may go.
    void finish() {
        if (!waiter_.joinable()) return;
        pthread_kill(waiter_.native_handle(), SIGTERM);
        waiter_.join();
    }
    void on_end(std::function<void()> stop) {
        waiter_ = std::thread([this, stop = std::move(stop)] {
            int signal = 0;
            sigwait(&set_, &signal);
            stop();
        });
    }

private:
    sigset_t set_{};
    std::thread waiter_;
};

/// The embedded control plane: its database, its certificates, its port.
struct ControlPlane {
    std::unique_ptr<apiserver::SqliteStore> database;
    std::unique_ptr<apiserver::ApiServer> api;
    serve::Certificates certificates;
    std::unique_ptr<serve::Server> server;
    Secret controller_token;
};

Result<void> make_directories(const Options& options) {
    std::error_code failure;
    for (const std::string& path : {options.data_dir, options.journal_dir}) {
        std::filesystem::create_directories(path, failure);
        if (failure)
            return invalid(fmt::format("cannot make directory {}: {}", path, failure.message()));
        std::filesystem::permissions(path, std::filesystem::perms::owner_all, failure);
    }
    return {};
}

/// The token with which this process talks to its own control plane; made at each start, never
/// written.
std::string own_line(const Secret& token) {
    return fmt::format("{},{},sallyport-controller,\"{}\"\n", token.reveal(),
                       apiserver::controller_user, apiserver::controllers_group);
}

/// A store that begins blank beside files of an earlier life was lost, not new: to go on would
/// forget every record, and what is open would be another owner's.
Result<void> refuse_lost_store(const Options& options, const apiserver::SqliteStore& store) {
    if (!store.is_blank()) return {};
    const std::filesystem::path data(options.data_dir);
    std::vector<std::string> left;
    std::error_code failure;
    if (std::filesystem::exists(data / "ca.pem", failure)) left.push_back(data / "ca.pem");
    for (const auto& entry : std::filesystem::directory_iterator(options.journal_dir, failure)) {
        if (entry.is_regular_file(failure) && entry.file_size(failure) > 0)
            left.push_back(entry.path());
    }
    if (left.empty()) return {};
    return invalid(fmt::format(
        "the store {} is empty, but {} {} left of an earlier life. Restore "
        "the store from a backup; or move what is left away, too, to start empty: then close what "
        "is open by hand first, since grants that are still in Git would open again",
        (data / "control-plane.db").string(), fmt::join(left, ", "),
        left.size() == 1 ? "is" : "are"));
}

Result<ControlPlane> open_control_plane(const Options& options, Random& random, Log& log) {
    ControlPlane plane;
    Result<std::string> tokens = apiserver::read_token_file(options.token_file);
    if (!tokens) return std::move(tokens).error();
    plane.controller_token = Secret(hex(random.bytes(32)));
    auto database = apiserver::SqliteStore::open(options.data_dir);
    if (!database) return std::move(database).error();
    if (Result<void> kept = refuse_lost_store(options, **database); !kept)
        return std::move(kept).error();
    plane.database = *std::move(database);
    auto api = apiserver::ApiServer::create(
        {.tokens = *tokens + "\n" + own_line(plane.controller_token),
         .random_bytes = [&random](std::size_t n) { return random.bytes(n); },
         .version = SALLYPORT_VERSION},
        *plane.database, system::wall_now());
    if (!api) return std::move(api).error();
    plane.api = *std::move(api);
    auto certificates = serve::load_or_make_certificates(
        {.directory = options.data_dir, .organisation = "Sallyport control plane"},
        system::wall_now());
    if (!certificates) return std::move(certificates).error();
    plane.certificates = *std::move(certificates);
    auto server = serve::Server::start(
        {.listen = options.listen,
         .identity = plane.certificates.identity,
         .threads = 2,
         .on_failure =
             [&log](std::string_view what) {
                 log.error("bug",
                           {{"where", std::string("control plane")}, {"what", std::string(what)}});
             }},
        *plane.api, system::wall_now);
    if (!server) return std::move(server).error().context("--listen");
    plane.server = *std::move(server);
    return plane;
}

/// From the uid of namespace kube-system, unless it was given.
Result<Owner> owner_of(const Options& options, ControlPlane& plane) {
    if (!options.owner_id.empty()) return Owner::parse(options.owner_id);
    const http::Reply reply = plane.api->handle(
        {.target = "/api/v1/namespaces/kube-system",
         .headers = {{"Authorization", "Bearer " + plane.controller_token.reveal()}}},
        system::wall_now());
    const auto object = nlohmann::json::parse(reply.response.body, nullptr, false);
    if (reply.response.status != 200 || !object.is_object()) {
        return unavailable("read namespace kube-system: " + reply.response.body.substr(0, 200));
    }
    return Owner::of_cluster(object.at("metadata").at("uid").get<std::string>());
}

Task<void> beat(Clock& clock, const engine::Engine& engine, Health& health) {
    for (;;) {
        health.beat(clock.now(), engine.ready() ? std::string() : engine.waiting_for());
        co_await clock.sleep_for(std::chrono::seconds(1));
    }
}

int run(const Options& options, Signals& signals) {
    // First: it sets environment variables and starts the pool.
    system::MachineTime time;
    Loop loop(time);
    http::CpprestNetwork network(loop);
    system::SystemClock clock(loop);
    system::SystemRandom random;
    const auto refuse = [](const Error& error) {
        std::cerr << "sallyport-controller: " << error.message << "\n";
        return 1;
    };
    auto opened_log = telemetry::JsonLog::create({.least = options.log_level});
    if (!opened_log) return refuse(opened_log.error());
    telemetry::JsonLog& log = **opened_log;
    telemetry::PrometheusMetrics metrics;
    engine::Engine::declare_metrics(metrics);
    kube::declare_metrics(metrics);
    azure::declare_metrics(metrics);
    if (Result<void> made = make_directories(options); !made) return refuse(made.error());
    Result<ControlPlane> plane = open_control_plane(options, random, log);
    if (!plane) return refuse(plane.error());
    Result<Owner> owner = owner_of(options, *plane);
    if (!owner) return refuse(owner.error());

    Health health;
    HealthEndpoint endpoint(
        health, [&metrics] { return metrics.render(); },
        [&plane] {
            const http::Reply reply = plane->api->handle({.target = "/readyz"}, system::wall_now());
            return reply.response.status == 200 ? std::string() : reply.response.body;
        });
    auto health_server = serve::Server::start({.listen = options.metrics_listen, .threads = 1},
                                              endpoint, system::wall_now);
    if (!health_server) return refuse(std::move(health_server).error().context("--metrics-listen"));

    {
        system::DiskFiles files(loop);
        system::Threads background(loop, 2);
        const std::string writer = fmt::format("{}-{}", getpid(), hex(random.bytes(4)));
        auto transport = network.transport({.ca_pem = plane->certificates.ca_pem});
        kube::KubeStore store(
            {loop, clock, random, log, metrics, background}, *transport,
            {.connection = {.origin = plane->server->origin(), .token = plane->controller_token},
             .instance = writer});
        azure::ArmGateways gateways({loop, clock, random, log, metrics}, network,
                                    options.allowed_custom_endpoints);
        telemetry::FileJournal journal(files, background, log, options.journal_dir);
        SoleLeader leadership;  // the lock on the data directory keeps others out
        engine::Engine engine(
            {loop, clock, random, log, metrics, store, journal, gateways, leadership},
            {.owner = *owner, .writer = writer});
        Scope scope(loop, engine::on_bug(log, metrics, "main"));
        store.start(scope);
        engine.start();
        scope.start(beat(clock, engine, health));
        signals.on_end([&loop] { loop.stop(); });
        log.info("started", {{"owner", owner->text()},
                             {"api", plane->server->origin()},
                             {"metrics", (*health_server)->origin()},
                             {"version", std::string(SALLYPORT_VERSION)}});
        std::cout << "sallyport-controller ready " << plane->server->origin() << std::endl;
        loop.run();
        signals.finish();  // it may still be inside the loop
        log.info("stopping");
    }
    (*health_server)->stop();
    plane->server->stop();
    return 0;
}

}  // namespace
}  // namespace sallyport::controller

int main(int argc, char** argv) {
    using namespace sallyport::controller;
    const auto parsed = parse_options(std::vector<std::string>(argv + 1, argv + argc));
    if (!parsed) {
        std::cerr << "sallyport-controller: " << parsed.error().message << "\n";
        return 2;
    }
    if (parsed->print) {
        std::cout << *parsed->print;
        return 0;
    }
    Signals signals;
    return run(parsed->options, signals);
}
