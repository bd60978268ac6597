#include "kube/lines.hpp"

namespace sallyport::kube {

Result<void> LineSplitter::feed(std::string_view bytes, std::vector<std::string>& lines) {
    for (;;) {
        const std::size_t end = bytes.find('\n');
        const std::string_view part = bytes.substr(0, end);
        if (partial_.size() + part.size() > line_max)
            return invalid("a line of the watch is too long");
        partial_.append(part);
        if (end == bytes.npos) return {};
        if (!partial_.empty()) lines.push_back(std::exchange(partial_, {}));
        bytes.remove_prefix(end + 1);
    }
}

}  // namespace sallyport::kube
