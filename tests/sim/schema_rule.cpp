#include <fmt/format.h>

#include <cctype>
#include <regex>
#include <stdexcept>

#include "base/time.hpp"
#include "sim/schema_verdict.hpp"

// As much of CEL as the CRDs use: an expression is evaluated while it is read. An operand that
// cannot be evaluated is nullopt; `||` and `&&` take no notice of it where the other side decides.
namespace sallyport::sim {
namespace {

using Value = std::optional<json>;

class Evaluation {
public:
    Evaluation(const std::string& text, const json& self, const json* old, bool old_is_optional)
        : text_(text), self_(self), old_(old), old_is_optional_(old_is_optional) {}

    Value whole() {
        Value value = disjunction();
        skip();
        if (at_ != text_.size()) unknown("what follows");
        return value;
    }

private:
    [[noreturn]] void unknown(const std::string& what) const {
        throw std::runtime_error(
            fmt::format("rule \"{}\": {} at {} is not known here", text_, what, at_));
    }
    void skip() {
        while (at_ < text_.size() && text_[at_] == ' ') ++at_;
    }
    bool take(std::string_view token) {
        skip();
        if (text_.compare(at_, token.size(), token) != 0) return false;
        at_ += token.size();
        return true;
    }
    void expect(std::string_view token) {
        if (!take(token)) unknown(fmt::format("something other than {}", token));
    }
    std::string word() {
        skip();
        const std::size_t from = at_;
        while (at_ < text_.size() && (std::isalnum(static_cast<unsigned char>(text_[at_])) != 0))
            ++at_;
        if (at_ == from) unknown("a sign");
        return text_.substr(from, at_ - from);
    }

    /// `decisive`: what one side has to be for the other not to matter.
    static Value joined(const Value& a, const Value& b, bool decisive) {
        const json deciding = decisive;
        if ((a && *a == deciding) || (b && *b == deciding)) return deciding;
        if (!a || !b) return std::nullopt;
        return json(!decisive);
    }
    Value disjunction() {
        Value value = conjunction();
        while (take("||")) value = joined(value, conjunction(), true);
        return value;
    }
    Value conjunction() {
        Value value = relation();
        while (take("&&")) value = joined(value, relation(), false);
        return value;
    }

    static std::optional<double> number_of(const json& value) {
        if (value.is_number()) return value.get<double>();
        if (!value.is_string()) return std::nullopt;
        const auto time = parse_rfc3339(value.get<std::string>());
        if (!time) return std::nullopt;
        return static_cast<double>(time->time_since_epoch().count());
    }
    /// Strings that are times are compared as such: the fields of these rules have that format.
    static bool same(const json& a, const json& b) {
        const auto left = number_of(a);
        const auto right = number_of(b);
        return left && right ? *left == *right : a == b;
    }
    Value relation() {
        const Value left = negation();
        for (const char* sign : {"==", "!=", "<=", ">=", "<", ">"}) {
            if (!take(sign)) continue;
            const Value right = negation();
            if (!left || !right) return std::nullopt;
            const std::string op = sign;
            if (op == "==") return json(same(*left, *right));
            if (op == "!=") return json(!same(*left, *right));
            const auto a = number_of(*left);
            const auto b = number_of(*right);
            if (!a || !b) return std::nullopt;
            return json(op == "<="   ? *a <= *b
                        : op == ">=" ? *a >= *b
                        : op == "<"  ? *a < *b
                                     : *a > *b);
        }
        return left;
    }
    Value negation() {
        skip();
        if (at_ + 1 < text_.size() && text_[at_] == '!' && text_[at_ + 1] != '=') {
            ++at_;
            const Value value = negation();
            if (!value || !value->is_boolean()) return std::nullopt;
            return json(!value->get<bool>());
        }
        return chain();
    }
    Value chain() {
        Value value = primary();
        while (take(".")) {
            const std::string name = word();
            value = take("(") ? method(value, name) : member(value, name);
        }
        return value;
    }
    static Value member(const Value& value, const std::string& name) {
        if (!value || !value->is_object() || !value->contains(name)) return std::nullopt;
        return value->at(name);
    }
    Value method(const Value& of, const std::string& name) {
        if (name == "filter") {  // of truths, by themselves
            expect("x");
            expect(",");
            expect("x");
            expect(")");
            json kept = json::array();
            for (const json& each : of.value_or(json::array())) {
                if (each == true) kept.push_back(each);
            }
            return kept;
        }
        if (name == "hasValue") {
            expect(")");
            return json(old_ != nullptr);
        }
        if (name == "size") {
            expect(")");
            if (!of) return std::nullopt;
            return json(of->is_string() ? of->get<std::string>().size() : of->size());
        }
        if (name == "matches") {
            const Value pattern = disjunction();
            expect(")");
            if (!of || !of->is_string()) return std::nullopt;
            return json(
                std::regex_search(of->get<std::string>(), std::regex(pattern->get<std::string>())));
        }
        unknown("method " + name);
    }
    Value primary() {
        if (take("(")) {
            Value value = disjunction();
            expect(")");
            return value;
        }
        if (take("[")) {
            json list = json::array();
            do {
                const Value each = disjunction();
                if (each) list.push_back(*each);
            } while (take(","));
            expect("]");
            return list;
        }
        if (take("'")) {
            const std::size_t end = text_.find('\'', at_);
            const std::string text = text_.substr(at_, end - at_);
            at_ = end + 1;
            return json(text);
        }
        const std::string name = word();
        if (std::isdigit(static_cast<unsigned char>(name[0])) != 0) return json(std::stoi(name));
        if (name == "self") return self_;
        if (name == "oldSelf") {
            if (old_is_optional_) return json();
            return old_ == nullptr ? Value() : Value(*old_);
        }
        expect("(");
        const Value of = disjunction();
        expect(")");
        if (name == "has") return json(of.has_value());
        if (name != "duration") unknown("function " + name);
        if (!of || !of->is_string()) return std::nullopt;
        const auto span = parse_duration(of->get<std::string>());
        return span ? Value(json(span->count())) : Value();
    }

    const std::string& text_;
    const json& self_;
    const json* old_;
    bool old_is_optional_;
    std::size_t at_ = 0;
};

}  // namespace

std::optional<bool> rule_holds(const json& rule, const json& self, const json* old) {
    const std::string text = rule.at("rule");
    const Value value = Evaluation(text, self, old, rule.value("optionalOldSelf", false)).whole();
    if (!value || !value->is_boolean()) return std::nullopt;
    return value->get<bool>();
}

}  // namespace sallyport::sim
