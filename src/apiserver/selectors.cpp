#include "apiserver/selectors.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "base/text.hpp"

namespace sallyport::apiserver {

namespace {

/// Splits at commas outside parentheses.
std::vector<std::string_view> terms(std::string_view text) {
    std::vector<std::string_view> list;
    std::size_t start = 0;
    int depth = 0;
    for (std::size_t i = 0; i <= text.size(); ++i) {
        const char c = i < text.size() ? text[i] : ',';
        if (c == '(') ++depth;
        if (c == ')') --depth;
        if (c != ',' || (depth > 0 && i < text.size())) continue;
        list.push_back(trimmed(text.substr(start, i - start)));
        start = i + 1;
    }
    return list;
}

bool is_label_key(std::string_view key) {
    return !key.empty() && key.find_first_of(" ()=!,<>") == std::string_view::npos;
}

Failure unparsable(std::string_view text) {
    return bad_request(fmt::format("unable to parse requirement: {}", in_quotes(text)));
}

}  // namespace

Outcome<LabelSelector> LabelSelector::parse(std::string_view text) {
    LabelSelector selector;
    if (trimmed(text).empty()) return selector;
    for (const std::string_view term : terms(text)) {
        Demand demand;
        const std::size_t in = term.find(" in ");
        const std::size_t notin = term.find(" notin ");
        const std::size_t equals = term.find('=');
        std::string_view key = term;
        if (in != std::string_view::npos || notin != std::string_view::npos) {
            const bool positive = in != std::string_view::npos;
            key = trimmed(term.substr(0, positive ? in : notin));
            std::string_view set = trimmed(term.substr((positive ? in + 4 : notin + 7)));
            if (set.size() < 2 || set.front() != '(' || set.back() != ')') return unparsable(term);
            for (const std::string_view value : split(set.substr(1, set.size() - 2), ','))
                demand.values.emplace_back(trimmed(value));
            demand.wants_presence = positive;
            demand.any_value = false;
        } else if (equals != std::string_view::npos) {
            demand.wants_presence = equals == 0 || term[equals - 1] != '!';
            demand.any_value = false;
            key = trimmed(term.substr(0, demand.wants_presence ? equals : equals - 1));
            std::string_view value = term.substr(equals + 1);
            if (value.starts_with('=')) value.remove_prefix(1);
            demand.values.emplace_back(trimmed(value));
        } else if (term.starts_with('!')) {
            demand.wants_presence = false;
            key = trimmed(term.substr(1));
        }
        if (!is_label_key(key)) return unparsable(text);
        demand.key = key;
        selector.demands_.push_back(std::move(demand));
    }
    return selector;
}

bool LabelSelector::matches(const Labels& labels) const {
    return std::all_of(demands_.begin(), demands_.end(), [&](const Demand& demand) {
        const auto label = std::find_if(labels.begin(), labels.end(), [&](const auto& candidate) {
            return candidate.first == demand.key;
        });
        const bool present = label != labels.end();
        const bool among =
            present && (demand.any_value || std::find(demand.values.begin(), demand.values.end(),
                                                      label->second) != demand.values.end());
        return among == demand.wants_presence;
    });
}

Outcome<FieldSelector> FieldSelector::parse(std::string_view text, const ResourceType& type) {
    FieldSelector selector;
    if (trimmed(text).empty()) return selector;
    for (const std::string_view term : split(text, ',')) {
        const std::size_t equals = term.find('=');
        if (equals == std::string_view::npos || equals == 0)
            return bad_request(fmt::format("invalid selector: {}; can't understand {}",
                                           in_quotes(text), in_quotes(term)));
        Demand demand{0, term[equals - 1] != '!', {}};
        const std::string_view field = trimmed(term.substr(0, demand.equal ? equals : equals - 1));
        std::string_view value = term.substr(equals + 1);
        if (value.starts_with('=')) value.remove_prefix(1);
        demand.value = value;

        const auto& offered = type.selectable_fields;
        const auto found = std::find(offered.begin(), offered.end(), fmt::format(".{}", field));
        if (field == "metadata.name") {
            demand.field = -1;
        } else if (field == "metadata.namespace") {
            demand.field = -2;
        } else if (found != offered.end()) {
            demand.field = static_cast<int>(found - offered.begin());
        } else {
            return bad_request(fmt::format("field label not supported: {}", field));
        }
        selector.demands_.push_back(std::move(demand));
    }
    return selector;
}

bool FieldSelector::matches(const SelectableValues& object) const {
    return std::all_of(demands_.begin(), demands_.end(), [&](const Demand& demand) {
        std::string_view value;
        if (demand.field == -1) {
            value = object.name;
        } else if (demand.field == -2) {
            value = object.ns;
        } else {
            value = object.fields.at(static_cast<std::size_t>(demand.field));
        }
        return (value == demand.value) == demand.equal;
    });
}

}  // namespace sallyport::apiserver
