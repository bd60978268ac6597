#include "model/arm_id.hpp"

#include <algorithm>
#include <optional>

#include "base/text.hpp"

namespace sallyport {
namespace {

constexpr std::size_t id_size_max = 2048;

bool is_bad_in_id(char c) {
    const auto byte = static_cast<unsigned char>(c);
    // These would change the meaning of a URL the id is put into.
    return byte <= 0x20 || byte == 0x7F || c == '?' || c == '#' || c == '%' || c == '\\';
}

std::optional<std::string> problem_of(std::string_view text) {
    if (text.size() > id_size_max) return "it is too long";
    if (!text.starts_with('/')) return "it does not start with /";
    if (std::ranges::any_of(text, is_bad_in_id)) return "it has a character that ids do not have";
    const std::vector<std::string_view> parts = split(text.substr(1), '/');
    for (const std::string_view part : parts) {
        if (part.empty() || part == "." || part == "..") return "it has an empty segment";
    }
    if (parts.size() % 2 != 0) return "its segments do not pair up";
    if (!equals_ignoring_case(parts[0], "subscriptions")) {
        return "it does not start with /subscriptions/{id}";
    }
    if (parts.size() == 2) return std::nullopt;
    const bool in_group = equals_ignoring_case(parts[2], "resourceGroups");
    if (in_group && parts.size() == 4) return std::nullopt;
    const std::size_t provider = in_group ? 4 : 2;
    if (!equals_ignoring_case(parts[provider], "providers")) return "it names no provider";
    const bool names_a_resource =
        parts.size() > provider + 2 && !equals_ignoring_case(parts[parts.size() - 2], "providers");
    if (!names_a_resource) return "it names a provider but no resource";
    return std::nullopt;
}

/// The segment after `/{key}/`, looked for at the pair `index`.
std::string_view value_of_pair(std::string_view text, std::size_t index, std::string_view key) {
    const std::vector<std::string_view> parts = split(text.substr(1), '/');
    if (parts.size() < 2 * index + 2 || !equals_ignoring_case(parts[2 * index], key)) return {};
    return parts[2 * index + 1];
}

}  // namespace

ArmId::ArmId(std::string text) : text_(std::move(text)), folded_(lower(text_)) {}

Result<ArmId> ArmId::parse(std::string_view text) {
    if (const auto problem = problem_of(text)) {
        return invalid(fmt::format("\"{}\" is not an ARM id: {}", text.substr(0, 200), *problem));
    }
    return ArmId(std::string(text));
}

std::string_view ArmId::subscription() const { return value_of_pair(text_, 0, "subscriptions"); }

std::string_view ArmId::resource_group() const { return value_of_pair(text_, 1, "resourceGroups"); }

std::string ArmId::type() const {
    constexpr std::string_view marker = "/providers/";
    const std::size_t at = folded_.rfind(marker);
    if (at == std::string::npos) return {};
    const std::vector<std::string_view> parts =
        split(std::string_view(text_).substr(at + marker.size()), '/');
    std::string type(parts[0]);
    for (std::size_t i = 1; i < parts.size(); i += 2) type.append("/").append(parts[i]);
    return type;
}

std::string_view ArmId::name() const {
    return std::string_view(text_).substr(text_.rfind('/') + 1);
}

bool ArmId::is_type(std::string_view type) const {
    return equals_ignoring_case(this->type(), type);
}

Result<ArmId> ArmId::parent() const {
    const auto without_last_pair = [](std::string_view text) {
        text = text.substr(0, text.rfind('/'));
        return text.substr(0, text.rfind('/'));
    };
    std::string_view text = without_last_pair(text_);
    if (text.empty()) return invalid(fmt::format("\"{}\" has no parent", text_));
    const std::string_view above = without_last_pair(text);
    if (equals_ignoring_case(text.substr(above.size(), std::string_view("/providers/").size()),
                             "/providers/")) {
        text = above;
    }
    return ArmId(std::string(text));
}

}  // namespace sallyport
