#include "codec/arm_read.hpp"

#include <nlohmann/json.hpp>

namespace sallyport::codec {

std::string read_loose_text(const Field& field) {
    if (!field) return {};
    const std::string* const text = field.raw()->get_ptr<const std::string*>();
    return text == nullptr ? std::string() : *text;
}

std::vector<Cidr> read_networks(const Field& field) {
    std::vector<Cidr> out;
    for (const Field& item : field.items(arm_list_max)) {
        const auto cidr = item.required().parsed(
            [](std::string_view text) { return Cidr::parse(text, Cidr::HostBits::mask); });
        if (cidr) out.push_back(*cidr);
    }
    return out;
}

Error unreadable_answer(std::string_view what, const Problems& problems) {
    return unavailable(
        fmt::format("{}: the answer cannot be read: {}", what, problems.error().message));
}

}  // namespace sallyport::codec
