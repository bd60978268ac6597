#include "plan/path/former.hpp"

#include <algorithm>

#include "base/text.hpp"

namespace sallyport::path {
namespace {

/// Texts kept of one rule. A rule that was written more often without an end is not known.
constexpr std::size_t former_texts_max = 8;

bool same_name(const SecurityRule& a, const SecurityRule& b) {
    return equals_ignoring_case(a.name, b.name);
}

/// Whether both treat every packet alike. (`difference` leaves out name, etag and state.)
bool same_text(const SecurityRule& a, const SecurityRule& b) { return difference(a, b).empty(); }

/// What a rule may have said when its write began, as far as the read before tells.
std::vector<SecurityRule> texts_before(const SecurityRule& rule, const NsgState& before) {
    std::vector<SecurityRule> texts;
    const auto keep = [&](const SecurityRule& text) {
        const bool known = same_text(text, rule) || std::ranges::any_of(texts, [&](const auto& t) {
                               return same_text(t, text);
                           });
        if (!known) texts.push_back(text);
    };
    const SecurityRule* last = before.find(rule.name);
    if (last == nullptr) return texts;
    keep(*last);
    if (last->is_settled()) return texts;
    for (const SecurityRule& older : before.former) {
        if (same_name(older, rule)) keep(older);
    }
    return texts;
}

}  // namespace

void carry_former(NsgState& state, const NsgState* before) {
    state.former.clear();
    state.unsettled.clear();
    const bool near = before != nullptr && state.read_sent - before->read_sent <= former_reach;
    for (const SecurityRule& rule : state.rules) {
        if (rule.is_settled()) continue;
        const bool told = near && std::ranges::none_of(before->unsettled, [&](const auto& name) {
                              return equals_ignoring_case(name, rule.name);
                          });
        std::vector<SecurityRule> texts;
        if (told) texts = texts_before(rule, *before);
        if (!told || texts.size() > former_texts_max) {
            state.unsettled.push_back(rule.name);
            continue;
        }
        state.former.insert(state.former.end(), texts.begin(), texts.end());
    }
}

}  // namespace sallyport::path
