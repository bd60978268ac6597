#include "simulator/faults.hpp"

#include <algorithm>
#include <array>

namespace sallyport::simulator {

namespace {

/// Reads members of one JSON object and remembers the first that is wrong, so that a fault with a
/// typing error is refused and not silently without effect.
class FaultReader {
public:
    FaultReader(const Json& object, std::string place) : object_(object), place_(std::move(place)) {
        if (!object.is_object()) fail("", "is not an object");
    }

    std::string text(const char* key) {
        const Json* value = take(key);
        if (value && !value->is_string()) fail(key, "is not a string");
        return value && value->is_string() ? value->get<std::string>() : std::string();
    }
    std::optional<std::int64_t> whole(const char* key) {
        const Json* value = take(key);
        if (!value) return std::nullopt;
        if (!value->is_number_integer() || value->get<std::int64_t>() < 0) {
            fail(key, "is not a whole number from 0");
            return std::nullopt;
        }
        return value->get<std::int64_t>();
    }
    std::optional<std::int64_t> milliseconds(const char* key) {
        const Json* value = take(key);
        if (!value) return std::nullopt;
        if (!value->is_number() || value->get<double>() < 0 || value->get<double>() > 1e9) {
            fail(key, "is not a number of seconds");
            return std::nullopt;
        }
        return static_cast<std::int64_t>(value->get<double>() * 1000);
    }
    bool flag(const char* key) {
        const Json* value = take(key);
        if (value && !value->is_boolean()) fail(key, "is not true or false");
        return value && value->is_boolean() && value->get<bool>();
    }
    const Json* take(const char* key) {
        known_.emplace_back(key);
        return member(object_, key);
    }
    std::optional<std::regex> pattern(const char* key) {
        const std::string source = text(key);
        if (source.empty()) return std::nullopt;
        try {
            return std::regex(source, std::regex::icase | std::regex::optimize);
        } catch (const std::regex_error&) {
            fail(key, "is not a regular expression");
            return std::nullopt;
        }
    }
    void fail(const std::string& key, const std::string& what) {
        if (problem_.empty()) problem_ = place_ + (key.empty() ? "" : "." + key) + " " + what;
    }
    /// The first problem, unknown members included; empty: none.
    std::string problem() {
        if (!object_.is_object()) return problem_;
        for (const auto& [key, value] : object_.items()) {
            if (std::ranges::find(known_, key) == known_.end()) fail(key, "is not known");
        }
        return problem_;
    }

private:
    const Json& object_;
    std::string place_;
    std::vector<std::string> known_;
    std::string problem_;
};

std::string read_operation(const Json& json, OperationEnd& end) {
    FaultReader reader(json, "effect.operation");
    const std::string word = reader.text("end");
    if (word == "Failed") {
        end.kind = OperationEnd::Kind::fails;
    } else if (word == "Canceled") {
        end.kind = OperationEnd::Kind::is_canceled;
    } else if (word == "Never") {
        end.kind = OperationEnd::Kind::never_ends;
    } else if (!word.empty() && word != "Succeeded") {
        reader.fail("end", "is none of Succeeded, Failed, Canceled, Never");
    }
    end.code = reader.text("code");
    end.message = reader.text("message");
    end.takes_ms = reader.milliseconds("takesSeconds");
    return reader.problem();
}

std::string read_headers(const Json* json, Effect& effect) {
    if (!json) return {};
    if (!json->is_object()) return "effect.headers is not an object";
    for (const auto& [name, value] : json->items()) {
        if (!value.is_string()) return "effect.headers." + name + " is not a string";
        effect.headers.emplace_back(name, value.get<std::string>());
    }
    return {};
}

std::string read_effect(const Json& json, Effect& effect) {
    FaultReader reader(json, "effect");
    if (const auto status = reader.whole("status")) {
        if (*status < 200 || *status > 599) reader.fail("status", "is not from 200 to 599");
        effect.status = static_cast<int>(*status);
    }
    effect.code = reader.text("code");
    effect.message = reader.text("message");
    if (json.is_object() && json.contains("body")) effect.body = reader.text("body");
    effect.content_type = reader.text("contentType");
    if (const auto after = reader.whole("retryAfter")) {
        effect.headers.emplace_back("Retry-After", std::to_string(*after));
    }
    effect.delay_ms = reader.milliseconds("delaySeconds").value_or(0);
    effect.drop_request = reader.flag("dropRequest");
    effect.drop_reply = reader.flag("dropReply");
    effect.lands_late_ms = reader.milliseconds("landsLateSeconds");
    effect.stale_ms = reader.milliseconds("staleSeconds");
    effect.denies_action = reader.flag("denyAction");
    effect.denies_by_policy = reader.text("denyByPolicy");
    effect.changes_id_case = reader.flag("idCasing");
    effect.empty_page = reader.flag("emptyPage");
    std::string problem = read_headers(reader.take("headers"), effect);
    if (const Json* operation = reader.take("operation")) {
        effect.operation.emplace();
        if (problem.empty()) problem = read_operation(*operation, *effect.operation);
    }
    return problem.empty() ? reader.problem() : problem;
}

}  // namespace

Result<Faults::Fault> Faults::read(const Json& document) {
    Fault fault;
    fault.document = document;
    FaultReader reader(document, "fault");
    fault.id = reader.text("id");
    fault.times = reader.whole("times");
    fault.skip = reader.whole("skip").value_or(0);
    if (const Json* probability = reader.take("probability")) {
        if (!probability->is_number()) reader.fail("probability", "is not a number");
        fault.probability = probability->is_number() ? probability->get<double>() : 0;
    }
    std::string problem;
    if (const Json* match = reader.take("match")) {
        FaultReader in(*match, "match");
        fault.method = in.pattern("method");
        fault.path = in.pattern("path");
        fault.operation = in.pattern("operation");
        fault.principal = in.text("principal");
        problem = in.problem();
    }
    const Json* effect = reader.take("effect");
    if (!effect) reader.fail("effect", "is missing");
    if (effect && problem.empty()) problem = read_effect(*effect, fault.effect);
    if (problem.empty()) problem = reader.problem();
    if (!problem.empty()) return invalid(problem);
    return fault;
}

Result<std::vector<std::string>> Faults::add(const Json& document) {
    const Json* list = member(document, "faults");
    const Json alone = Json::array({document});
    if (list && !list->is_array()) return invalid("faults is not a list");
    std::vector<Fault> read_all;
    for (const Json& one : list ? *list : alone) {
        auto fault = read(one);
        if (!fault) return std::move(fault).error();
        read_all.push_back(std::move(fault).value());
    }
    std::vector<std::string> ids;
    for (Fault& fault : read_all) {
        if (fault.id.empty()) fault.id = "fault-" + std::to_string(++made_);
        std::erase_if(faults_, [&](const Fault& old) { return old.id == fault.id; });
        ids.push_back(fault.id);
        faults_.push_back(std::move(fault));
    }
    return ids;
}

bool Faults::clear(std::string_view id) {
    if (id.empty()) {
        faults_.clear();
        return true;
    }
    return std::erase_if(faults_, [&](const Fault& fault) { return fault.id == id; }) > 0;
}

Json Faults::listed() const {
    Json list = Json::array();
    for (const Fault& fault : faults_) {
        Json one = fault.document;
        one["id"] = fault.id;
        one["hits"] = fault.hits;
        if (fault.times) one["timesLeft"] = *fault.times;
        list.push_back(std::move(one));
    }
    return list;
}

std::optional<Effect> Faults::effect_on(const Subject& subject, Random& random) {
    for (auto it = faults_.begin(); it != faults_.end(); ++it) {
        Fault& fault = *it;
        if (fault.method && !std::regex_match(subject.method, *fault.method)) continue;
        if (fault.operation && !std::regex_match(subject.operation, *fault.operation)) continue;
        if (fault.path && !std::regex_search(subject.path, *fault.path)) continue;
        if (!fault.principal.empty() && fault.principal != subject.principal) continue;
        if (fault.times && *fault.times == 0) continue;
        if (fault.skip > 0) {
            --fault.skip;
            continue;
        }
        if (fault.probability < 1 && !random.chance(fault.probability)) continue;
        ++fault.hits;
        Effect effect = fault.effect;
        if (fault.times && --*fault.times == 0) faults_.erase(it);
        return effect;
    }
    return std::nullopt;
}

}  // namespace sallyport::simulator
