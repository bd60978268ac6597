#include "controller/options.hpp"

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "base/text.hpp"
#include "model/mark.hpp"

namespace sallyport::controller {
namespace {

bool is_host_port(const std::string& text) {
    const std::size_t colon = text.rfind(':');
    if (colon == text.npos || colon == 0 || colon + 1 == text.size()) return false;
    const std::string port = text.substr(colon + 1);
    return port.size() <= 5 && port.find_first_not_of("0123456789") == port.npos &&
           std::stol(port) <= 65535;
}

std::vector<std::string> problems_of(const Options& options, const std::string& level) {
    std::vector<std::string> problems;
    const auto refuse = [&](std::string text) { problems.push_back(std::move(text)); };
    if (!options.embedded) {
        refuse(
            "--embedded is missing: this version serves its own control plane; running on a "
            "cluster comes later");
    }
    if (options.data_dir.empty()) {
        refuse(
            "--data-dir is missing: name a directory for the control plane's database, "
            "certificates and journal");
    }
    if (options.token_file.empty()) {
        refuse(
            "--token-file is missing: name a file of lines token,user,uid,\"group,group\" with "
            "mode 0600");
    }
    for (const auto& [name, value] :
         {std::pair("--listen", options.listen), {"--metrics-listen", options.metrics_listen}}) {
        if (!is_host_port(value))
            refuse(fmt::format("{} {}: give HOST:PORT with a port from 0 to 65535", name, value));
    }
    if (!options.owner_id.empty() && !Owner::parse(options.owner_id)) {
        refuse(fmt::format("--owner-id {}: give 8 characters of a-z and 2-7", options.owner_id));
    }
    if (level != "debug" && level != "info" && level != "warn" && level != "error") {
        refuse(fmt::format("--log-level {}: give debug, info, warn or error", level));
    }
    return problems;
}

}  // namespace

Result<Parsed> parse_options(const std::vector<std::string>& arguments) {
    Parsed parsed;
    Options& options = parsed.options;
    std::string level = "info";
    CLI::App app(
        "Just-in-time access on Azure: opens what a grant asks for, and proves that it is closed "
        "again.",
        "sallyport-controller");
    app.set_version_flag("--version", std::string("sallyport-controller ") + SALLYPORT_VERSION);
    app.add_flag("--embedded", options.embedded,
                 "serve the control plane in this process, stored in --data-dir; required for now");
    app.add_option("--listen", options.listen,
                   "HOST:PORT of the embedded API; port 0: the kernel chooses")
        ->capture_default_str();
    app.add_option("--metrics-listen", options.metrics_listen,
                   "HOST:PORT of /metrics, /healthz and /readyz")
        ->capture_default_str();
    app.add_option("--data-dir", options.data_dir,
                   "directory of the database, the certificates and the journal; required");
    app.add_option("--token-file", options.token_file,
                   "who may ask: lines token,user,uid,\"group,group\"; mode 0600; required");
    app.add_option("--journal-dir", options.journal_dir,
                   "directory of the journal; default <data-dir>/journal");
    app.add_option("--owner-id", options.owner_id,
                   "8 characters that name this installation in its marks; default from the uid of "
                   "namespace kube-system");
    app.add_option("--allow-custom-endpoint", options.allowed_custom_endpoints,
                   "host that CloudAccounts with cloud Custom may name; may be repeated");
    app.add_option("--log-level", level, "debug, info, warn or error")->capture_default_str();

    std::vector<std::string> reversed(arguments.rbegin(), arguments.rend());  // as CLI11 takes them
    try {
        app.parse(std::move(reversed));
    } catch (const CLI::CallForHelp&) {
        parsed.print = app.help();
        return parsed;
    } catch (const CLI::CallForVersion&) {
        parsed.print = app.version() + "\n";
        return parsed;
    } catch (const CLI::ParseError& problem) {
        return invalid(fmt::format("{} (--help lists the options)", problem.what()));
    }
    const std::vector<std::string> problems = problems_of(options, level);
    if (!problems.empty()) return invalid(join(problems, "\n"));
    options.log_level = level == "debug"   ? Level::debug
                        : level == "warn"  ? Level::warn
                        : level == "error" ? Level::error
                                           : Level::info;
    if (options.journal_dir.empty()) options.journal_dir = options.data_dir + "/journal";
    return parsed;
}

}  // namespace sallyport::controller
