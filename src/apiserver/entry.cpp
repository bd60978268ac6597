#include "apiserver/entry.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

namespace sallyport::apiserver {

namespace {

using Json = nlohmann::json;

/// Takes the scalars at the wanted paths, and all labels, while the parser goes through the text.
/// What is inside of arrays is never wanted.
class EntryReader {
public:
    using number_integer_t = Json::number_integer_t;
    using number_unsigned_t = Json::number_unsigned_t;
    using number_float_t = Json::number_float_t;
    using string_t = Json::string_t;
    using binary_t = Json::binary_t;

    explicit EntryReader(Labels& labels) : labels_(labels) {}

    void want(std::string path, std::string& place) {
        const auto depth = static_cast<std::size_t>(std::count(path.begin(), path.end(), '.'));
        wanted_.push_back({std::move(path), depth, &place});
    }
    const std::string& problem() const { return problem_; }

    bool null() { return true; }
    bool boolean(bool value) { return scalar(value ? "true" : "false"); }
    bool number_integer(number_integer_t value) { return scalar(std::to_string(value)); }
    bool number_unsigned(number_unsigned_t value) { return scalar(std::to_string(value)); }
    bool number_float(number_float_t value, const string_t&) { return scalar(Json(value).dump()); }
    bool string(string_t& value) { return scalar(value, true); }
    bool binary(binary_t&) { return true; }

    bool start_object(std::size_t) {
        if (inside_of_array_ > 0) {
            ++inside_of_array_;
        } else {
            path_ends_.push_back(path_.size());
        }
        return true;
    }
    bool key(string_t& name) {
        if (inside_of_array_ > 0) return true;
        path_.resize(path_ends_.back());
        path_ += '.';
        path_ += name;
        return true;
    }
    bool end_object() {
        if (inside_of_array_ > 0) return end_array();
        path_.resize(path_ends_.back());
        path_ends_.pop_back();
        return true;
    }
    bool start_array(std::size_t) {
        ++inside_of_array_;
        return true;
    }
    bool end_array() {
        --inside_of_array_;
        return true;
    }
    bool parse_error(std::size_t, const std::string&, const Json::exception& problem) {
        problem_ = problem.what();
        return false;
    }

private:
    static constexpr std::string_view labels_path = ".metadata.labels.";
    static constexpr std::size_t labels_depth = 3;

    struct Wanted {
        std::string path;
        std::size_t depth;  ///< a key may hold dots: only what is this deep is this path
        std::string* place;
    };

    bool scalar(const std::string& value, bool is_text = false) {
        if (inside_of_array_ > 0) return true;
        for (const Wanted& wanted : wanted_) {
            if (wanted.depth == path_ends_.size() && wanted.path == path_) *wanted.place = value;
        }
        if (is_text && path_ends_.size() == labels_depth && path_.starts_with(labels_path))
            labels_.emplace_back(path_.substr(labels_path.size()), value);
        return true;
    }

    Labels& labels_;
    std::vector<Wanted> wanted_;
    std::string path_;
    std::vector<std::size_t> path_ends_;  ///< of the objects that are open
    std::size_t inside_of_array_ = 0;     ///< how deep
    std::string problem_;
};

}  // namespace

Result<EntryPtr> read_entry(const ResourceType& type, Text text) {
    auto entry = std::make_shared<Entry>();
    entry->type = &type;
    entry->fields.resize(type.selectable_fields.size());
    EntryReader reader(entry->labels);
    std::string version;
    std::string created;
    std::string newest;
    reader.want(".metadata.namespace", entry->ns);
    reader.want(".metadata.name", entry->name);
    reader.want(".metadata.resourceVersion", version);
    reader.want(".metadata.creationTimestamp", created);
    reader.want(".lastTimestamp", newest);
    for (std::size_t i = 0; i < entry->fields.size(); ++i)
        reader.want(type.selectable_fields[i], entry->fields[i]);
    if (!Json::sax_parse(*text, &reader)) return invalid(reader.problem());

    entry->text = std::move(text);
    entry->version = std::strtoull(version.c_str(), nullptr, 10);
    for (const std::string& time : {created, newest}) {
        if (const Result<Timestamp> at = parse_rfc3339(time))
            entry->written = std::max(entry->written, *at);
    }
    return EntryPtr(std::move(entry));
}

EntryPtr make_entry(const ResourceType& type, const Json& object) {
    Result<EntryPtr> entry = read_entry(type, std::make_shared<const std::string>(object.dump(
                                                  -1, ' ', false, Json::error_handler_t::replace)));
    check(entry.has_value(), "what was dumped is JSON");
    return *std::move(entry);
}

}  // namespace sallyport::apiserver
