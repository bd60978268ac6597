#include <map>
#include <set>
#include <string>
#include <vector>

#include "base/text.hpp"
#include "sim/azure.hpp"
#include "support/builders.hpp"

// The real planner through the real codec on azure-sim, beside a writer that behaves as Terraform
// does: what that writer wrote stays as it is, byte for byte.

using namespace sallyport;
using namespace sallyport::nsg;
using namespace sallyport::sim;
using testing::at;

namespace {

constexpr int operations = at_full_size ? 10'000 : 1'000;

constexpr const char* estate = R"(behaviour: {limits: Off}
subscriptions:
- id: 00000000-0000-0000-0000-000000000000
  resourceGroups:
  - name: rg
    applicationSecurityGroups: [{name: web}]
    networkSecurityGroups: [{name: web}]
)";

/// What is compared: all of the rule but its ETag and its state of provisioning.
std::string bytes_of(nlohmann::ordered_json rule) {
    rule.erase("etag");
    rule.at("properties").erase("provisioningState");
    return rule.dump();
}

/// Terraform's hand: forms and spellings that we never write ourselves.
json a_foreign_rule(Random& random) {
    json in = {{"priority", 100 + random.up_to(random.one_in(2) ? 60 : 3996)},
               {"access", random.one_in(2) ? "Allow" : "Deny"},
               {"direction", random.one_in(5) ? "Outbound" : "Inbound"},
               {"protocol", random.of<std::string>({"*", "tcp", "UDP", "Icmp"})},
               {"sourcePortRange", random.one_in(4) ? "0-65535" : "*"}};
    if (random.one_in(3)) {
        in["sourceAddressPrefixes"] = {"198.51.100.9/24", "198.51.100.7", "VirtualNetwork"};
    } else {
        in["sourceAddressPrefix"] =
            random.of<std::string>({"*", "internet", "198.51.100.7/32", "0.0.0.0/0"});
    }
    if (random.one_in(4)) {
        in["destinationApplicationSecurityGroups"] =
            json::array({{{"id", network_id("applicationSecurityGroups", "web")}}});
    } else {
        in["destinationAddressPrefixes"] = {"10.0.0.4"};
    }
    if (random.one_in(2)) {
        in["destinationPortRanges"] = {"443", "22", "22"};
    } else {
        in["destinationPortRange"] = random.one_in(2) ? "22" : "*";
    }
    const std::string ended = "end=2026-11-21T06:00:00Z seq=1 payments/g0";
    const std::string text = random.of<std::string>({"", "managed by terraform \u00e9 \"quoted\"",
                                                     "sallyport/1 owner=aaaaaaaa grant=g0 " + ended,
                                                     "sallyport/1 owner=k7f2m3qa grant=g0 " + ended,
                                                     "sallyport/1 owner=k7f2m3qa"});
    if (!text.empty()) in["description"] = text;
    return {{"properties", in}};
}

class Contest {
public:
    explicit Contest(std::uint32_t seed) : random_(seed), azure_(estate) { wish(); }

    /// One move of the writer, one of the planner.
    void play() {
        interfere();
        if (random_.one_in(10)) wish();
        const NsgState read = testing::must(codec::decode_nsg(azure_.get(nsg_)));
        Inputs in = testing::inputs(&read, claims_, policies_);
        in.now = now_;
        in.delete_locked = random_.one_in(10);
        in.in_flight = in_flight_;
        for (const Step& step : nsg::plan(in).steps) {
            record(step, read.id);
            if (!random_.one_in(6)) carry_out(step);
        }
        if (random_.one_in(3)) {
            azure_.advance(std::chrono::milliseconds(100));  // writes go on into the next move
        } else {
            settle();
        }
        compare();
    }

    int sent = 0, foreign_writes = 0, most = 0;

private:
    void settle() {
        azure_.settle();
        in_flight_.clear();
    }

    std::string path(const std::string& rule) const { return nsg_ + "/securityRules/" + rule; }

    void interfere() {
        const int move = random_.up_to(11);
        if (move < 4) {
            write_one();
        } else if (move < 6 && !theirs_.empty()) {
            const auto which =
                std::next(theirs_.begin(), random_.up_to(static_cast<int>(theirs_.size()) - 1));
            REQUIRE(azure_.send("DELETE", path(which->first)).status / 100 == 2);
            theirs_.erase(which);
            ++foreign_writes;
            settle();
        } else if (move == 6) {
            take_one_of_ours();
        } else if (move == 7 && random_.one_in(4)) {
            write_all();
        }
    }

    void write_one() {
        const std::string name = random_.one_in(8)
                                     ? RuleName::of(testing::owner("aaaaaaaa"), "g0", 1).text()
                                     : fmt::format("Tf-{}", random_.up_to(30));
        const auto answer = azure_.send("PUT", path(name), a_foreign_rule(random_).dump());
        if (answer.status == 400) return;  // the number is taken
        REQUIRE_MESSAGE(answer.status / 100 == 2, answer.body);
        theirs_[name] = bytes_of(nlohmann::ordered_json::parse(answer.body));
        ++foreign_writes;
    }

    /// Terraform finds a rule that it does not know, and drops it, or writes into it.
    void take_one_of_ours() {
        settle();
        const NsgState read = testing::must(codec::decode_nsg(azure_.get(nsg_)));
        if (read.rules.empty()) return;
        SecurityRule rule = random_.of(read.rules);
        if (theirs_.contains(rule.name)) return;
        if (random_.one_in(2)) {
            azure_.send("DELETE", path(rule.name));
        } else {
            rule.access = rule.access == Access::allow ? Access::deny : Access::allow;
            azure_.send("PUT", path(rule.name), codec::encode_rule(rule));
        }
        settle();
    }

    /// As azurerm does with rules inside the group's own block: its rules, and no others.
    void write_all() {
        settle();
        json rules = json::array();
        for (const auto& [name, bytes] : theirs_) rules.push_back(json::parse(bytes));
        azure_.put_nsg("web", rules);
        settle();
    }

    void wish() {
        claims_.clear();
        for (int i = random_.up_to(4); i >= 0; --i) {
            testing::ClaimBuilder claim = testing::grant(fmt::format("g{}", i));
            claim.until(random_.one_in(3) ? "08:00" : "12:00");
            std::vector<RuleContent> contents;
            for (int n = random_.up_to(2); n >= 0; --n) {
                contents.push_back(testing::random_opening(random_));
            }
            claim.wants(contents);
            if (random_.one_in(5)) claim.wants_nothing("revoked");
            claims_.push_back(claim);
        }
        policies_.clear();
        for (int i = random_.up_to(2); i > 0; --i) {
            PolicyClaim claim = testing::policy(fmt::format("p{}", i));
            claim.precedence =
                random_.one_in(2) ? Precedence::above_existing : Precedence::below_existing;
            policies_.push_back(claim);
        }
        now_ = at("07:00") + seconds(random_.up_to(6 * 3600));
    }

    /// Recorded before it is sent, as the engine does.
    void record(const Step& step, const NsgId& id) {
        for (GrantClaim& claim : claims_) {
            if (claim.uid != step.uid || step.effect != WriteEffect::opens) continue;
            std::erase_if(claim.recorded,
                          [&](const RecordedRule& rule) { return rule.content == step.content; });
            claim.recorded.push_back({.nsg = id,
                                      .content = step.content,
                                      .n = step.n,
                                      .name = step.rule.name,
                                      .priority = step.rule.priority,
                                      .openings = 1});
        }
    }

    void carry_out(const Step& step) {
        const bool removes = step.kind == StepKind::remove;
        const auto answer = azure_.send(removes ? "DELETE" : "PUT", path(step.rule.name),
                                        removes ? "" : codec::encode_rule(step.rule));
        INFO(step.reason, " ", step.rule.name, " ", answer.body);
        const bool done = answer.status / 100 == 2;
        // A number may be that of a rule which is still being deleted.
        REQUIRE((done || answer.body.find("SecurityRuleConflict") != std::string::npos));
        if (done) in_flight_[lower(step.rule.name)] = step.effect;
        ++sent;
    }

    void compare() {
        const auto nsg = nlohmann::ordered_json::parse(azure_.get(nsg_));
        std::map<std::string, std::string> found;
        for (const auto& rule : nsg.at("properties").at("securityRules")) {
            found[rule.at("name").get<std::string>()] = bytes_of(rule);
        }
        for (const auto& [name, bytes] : theirs_) {
            INFO(name);
            REQUIRE(found.contains(name));
            REQUIRE(found.at(name) == bytes);
        }
        most = std::max(most, static_cast<int>(theirs_.size()));
    }

    Random random_;
    Azure azure_;
    std::string nsg_ = network_id("networkSecurityGroups", "web");
    std::vector<GrantClaim> claims_;
    std::vector<PolicyClaim> policies_;
    std::map<std::string, WriteEffect> in_flight_;
    std::map<std::string, std::string> theirs_;  ///< as the writer's own PUT was answered
    Timestamp now_ = at("09:00");
};

}  // namespace

TEST_CASE("foreign rules stay byte-identical through random operations: 10,000 where optimised") {
    constexpr std::uint32_t seed = 20261121;
    CAPTURE(seed);
    Contest contest(seed);
    for (int operation = 0; operation < operations; ++operation) {
        CAPTURE(operation);
        contest.play();
    }
    MESSAGE(
        fmt::format("{} operations: {} writes of ours, {} of the other writer, whose rules "
                    "were {} at most",
                    operations, contest.sent, contest.foreign_writes, contest.most));
    CHECK(contest.sent > operations / 2);
    CHECK(contest.foreign_writes > operations / 4);
    CHECK(contest.most > 8);
}
