// azure-sim: serves a Simulator over TLS until SIGTERM.

#include <CLI/CLI.hpp>
#include <chrono>
#include <csignal>
#include <fstream>
#include <iostream>
#include <sstream>

#include "serve/certificates.hpp"
#include "serve/server.hpp"
#include "simulator/simulator.hpp"
#include "system/clock.hpp"

namespace {

using namespace sallyport;

struct Settings {
    std::string estate;
    std::string data_dir;
    std::string traffic;
    std::string listen = "127.0.0.1:10443";
    double time_scale = 1;
    std::uint64_t seed = 1;
    bool accept_any_token = false;
};

int complain(std::string_view what) {
    std::cerr << "azure-sim: " << what << "\n";
    return 1;
}

/// Lines of traffic, one at a time; each is on disk for a reader as soon as its answer is.
class TrafficFile {
public:
    bool open(const std::string& path) {
        file_.open(path, std::ios::app);
        return file_.is_open();
    }
    void write(std::string_view line) { file_ << line << "\n" << std::flush; }

private:
    std::ofstream file_;
};

void add_options(CLI::App& app, Settings& settings) {
    app.set_version_flag("--version", "azure-sim " SALLYPORT_VERSION);
    app.add_option("--estate", settings.estate,
                   "What exists at the start, as YAML (docs/azure-sim.md)");
    app.add_option("--data-dir", settings.data_dir,
                   "Where the certificates are kept; clients trust DIR/ca.pem")
        ->required();
    app.add_option("--traffic", settings.traffic,
                   "Append every request and its answer to this file, as JSON lines");
    app.add_option("--time-scale", settings.time_scale, "Simulated seconds per second")
        ->check(CLI::Range(0.001, 100'000.0));
    app.add_option("--seed", settings.seed, "Of everything random: etags, ids, probabilities");
    app.add_flag("--accept-any-token", settings.accept_any_token,
                 "Any bearer token may do everything");
    app.add_option("--listen", settings.listen, "HOST:PORT; port 0: the kernel chooses")
        ->capture_default_str();
}

Result<simulator::Simulator::Options> simulator_options(const Settings& settings) {
    simulator::Simulator::Options options;
    options.seed = settings.seed;
    options.accept_any_token = settings.accept_any_token;
    options.time_scale = settings.time_scale;
    options.elapsed = [start = std::chrono::steady_clock::now()] {
        return std::chrono::duration_cast<std::chrono::milliseconds>(
            std::chrono::steady_clock::now() - start);
    };
    if (settings.estate.empty()) return options;
    std::ifstream file(settings.estate);
    std::ostringstream text;
    text << file.rdbuf();
    if (!file) return invalid("cannot read the estate " + settings.estate);
    options.estate = text.str();
    if (options.estate.empty()) return invalid("the estate " + settings.estate + " is empty");
    options.estate_name = settings.estate;
    return options;
}

int wait_for_end(const sigset_t& signals) {
    int signal = 0;
    while (sigwait(&signals, &signal) != 0) {
    }
    return 0;
}

int run(const Settings& settings, const sigset_t& signals) {
    auto options = simulator_options(settings);
    if (!options) return complain(options.error().message);
    TrafficFile traffic;
    if (!settings.traffic.empty()) {
        if (!traffic.open(settings.traffic)) return complain("cannot write " + settings.traffic);
        options->traffic = [&traffic](std::string_view line) { traffic.write(line); };
    }
    auto simulator = simulator::Simulator::create(std::move(options).value());
    if (!simulator) return complain("the estate is refused:\n" + simulator.error().message);
    const auto certificates = serve::load_or_make_certificates(
        {.directory = settings.data_dir, .names = {}, .organisation = "azure-sim"},
        system::wall_now());
    if (!certificates) return complain(certificates.error().message);
    serve::ServerOptions serving;
    serving.listen = settings.listen;
    serving.identity = certificates->identity;
    // A whole NSG of 1,000 rules is about 1 MB; Azure's own limit is not known.
    serving.limits.body_max = 16UL * 1024 * 1024;
    serving.on_failure = [](std::string_view what) { std::cerr << "azure-sim: " << what << "\n"; };
    auto server =
        serve::Server::start(std::move(serving), **simulator, [] { return system::wall_now(); });
    if (!server) return complain(server.error().message);
    std::cout << "azure-sim ready " << (*server)->origin() << std::endl;
    const int code = wait_for_end(signals);
    (*server)->stop();
    return code;
}

}  // namespace

int main(int argc, char** argv) {
    // Before any thread exists, so that all of them leave the signals to `sigwait`.
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    pthread_sigmask(SIG_BLOCK, &signals, nullptr);
    std::signal(SIGPIPE, SIG_IGN);

    CLI::App app("Answers as Azure Resource Manager and Entra ID do, for demos and tests.",
                 "azure-sim");
    Settings settings;
    add_options(app, settings);
    CLI11_PARSE(app, argc, argv);
    return run(settings, signals);
}
