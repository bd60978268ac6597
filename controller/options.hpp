#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "ports/log.hpp"

namespace sallyport::controller {

struct Options {
    bool embedded = false;
    std::string listen = "127.0.0.1:18443";         ///< the embedded API
    std::string metrics_listen = "127.0.0.1:8081";  ///< /metrics, /healthz, /readyz
    std::string data_dir = {};
    std::string token_file = {};
    std::string journal_dir = {};  ///< `<data-dir>/journal` unless given
    std::string owner_id = {};     ///< from the uid of namespace kube-system unless given
    std::vector<std::string> allowed_custom_endpoints = {};
    Level log_level = Level::info;
};

/// What a command line asks for: to run, or to print a text and end.
struct Parsed {
    Options options = {};
    std::optional<std::string> print = {};  ///< --help, --version
};

/// Pure: arguments without the program's name. All problems at once, one a line, each with the
/// option, the value, and what to do.
Result<Parsed> parse_options(const std::vector<std::string>& arguments);

}  // namespace sallyport::controller
