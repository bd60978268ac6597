// tidy: long because the refusals are one table, and a table is read in one place.
#include <doctest/doctest.h>

#include <functional>

#include "plan/access/world.hpp"
#include "support/printers.hpp"

using namespace sallyport;
using namespace sallyport::example;

namespace {

using Change = std::function<void(World&)>;

/// The reasons of a decision, joined: the same for one problem and for several.
std::string reasons(const access::Decision& decision) {
    if (const auto* waiting = std::get_if<access::Waiting>(&decision))
        return "waits: " + waiting->reason;
    const auto* refused = std::get_if<access::Refused>(&decision);
    if (!refused) return "authorised";
    std::string text = refused->ended ? "ended:" : "refused:";
    for (const auto& problem : refused->problems) text += " " + problem.reason;
    return text;
}

std::string messages(const access::Decision& decision) {
    if (const auto* waiting = std::get_if<access::Waiting>(&decision)) return waiting->message;
    std::string text;
    if (const auto* refused = std::get_if<access::Refused>(&decision)) {
        for (const auto& problem : refused->problems) text += problem.message + "\n";
    }
    return text;
}

struct Row {
    const char* why;
    Change change;
    const char* reasons;
    std::vector<std::string>
        words;  ///< that the message must have: field, value, limit, where it comes from
};

void decides(const std::vector<Row>& rows) {
    for (const Row& row : rows) {
        CAPTURE(row.why);
        World world;
        row.change(world);

        const access::Decision decision = world.decide();

        CHECK(reasons(decision) == row.reasons);
        const std::string message = messages(decision);
        CAPTURE(message);
        for (const std::string& word : row.words) {
            CAPTURE(word);
            CHECK(message.find(word) != std::string::npos);
        }
    }
}

RequestedPort asked(std::string_view text, std::optional<Protocol> protocol = {}) {
    return {.ports = ports(text), .protocol = protocol};
}

}  // namespace

TEST_CASE("a grant inside its policy is authorised for what it asks and no more") {
    const World world;

    const access::Decision decision = world.decide();

    REQUIRE(std::holds_alternative<access::Authorised>(decision));
    const auto& yes = std::get<access::Authorised>(decision);
    CHECK(yes.requester.user == "alice");
    CHECK(yes.duration == seconds{2 * 3600});
    CHECK(yes.request.policy_uid == "policy-uid");
    CHECK(yes.request.duration == seconds{2 * 3600});
    REQUIRE(yes.request.access.size() == 1);
    CHECK(yes.request.access[0].target.id == vm("web01"));
    CHECK(yes.request.access[0].target.vm_id == "vmid-web01");
    CHECK(yes.request.access[0].ports == std::vector<ResolvedPort>{{ports("22"), Protocol::tcp}});
    CHECK(yes.request.access[0].sources == std::vector{cidr("198.51.100.7/32")});
}

TEST_CASE("a grant that names nothing gets all targets and ports of its policy") {
    World world;
    world.grant.access.clear();
    world.grant.sources = {"198.51.101.9/32", "198.51.101.9/32", "198.51.101.8/31"};
    world.grant.duration = seconds{3600};

    const access::Decision decision = world.decide();

    REQUIRE(std::holds_alternative<access::Authorised>(decision));
    const auto& request = std::get<access::Authorised>(decision).request;
    REQUIRE(request.access.size() == 2);
    CHECK(request.access[0].target.id == vm("web01"));
    CHECK(request.access[1].target.id == vm("web02"));
    for (const ResolvedAccess& access : request.access) {
        CHECK(access.ports.size() == 2);
        // What lies in another source is not said twice.
        CHECK(access.sources == std::vector{cidr("198.51.101.8/31")});
    }
}

// tidy: long because it is a table, one reason a row.
TEST_CASE(
    "a refusal of what a grant asks for names field, value, limit and where the limit comes from") {
    decides({
        {"nobody is allowed by an empty list",
         [](World& w) { w.policy.allowed_groups.clear(); },
         "refused: RequesterNotAllowed",
         {"alice", "policy payments/web-ssh", "spec.request.allowed"}},
        {"names compare exactly",
         [](World& w) { w.policy.allowed_groups = {"Payments-oncall"}; },
         "refused: RequesterNotAllowed",
         {"Payments-oncall"}},
        {"no stamp",
         [](World& w) { w.grant.stamp.reset(); },
         "refused: IdentityUnverified",
         {"metadata.annotations[sallyport.dev/created-by]"}},
        {"no justification",
         [](World& w) { w.grant.justification = " \t"; },
         "refused: JustificationRequired",
         {"spec.justification", "spec.request.justification"}},
        {"no ticket",
         [](World& w) { w.policy.ticket_pattern = "INC-[0-9]+"; },
         "refused: TicketRequired",
         {"spec.ticket", "INC-[0-9]+", "spec.request.ticket.pattern"}},
        {"a ticket must match as a whole",
         [](World& w) {
             w.policy.ticket_pattern = "INC-[0-9]+";
             w.grant.ticket = "see INC-4711";
         },
         "refused: TicketMismatch",
         {"see INC-4711", "INC-[0-9]+", "policy payments/web-ssh"}},
        {"a source outside",
         [](World& w) { w.grant.sources = {"203.0.113.7/32"}; },
         "refused: SourceNotAllowed",
         {"spec.network.sources[0] 203.0.113.7/32", "198.51.100.0/22",
          "spec.network.sources.within"}},
        {"a source too wide",
         [](World& w) {
             w.grant.sources = {"198.51.100.7/32", "198.51.100.0/24"};
         },
         "refused: SourceTooWide",
         {"spec.network.sources[1] 198.51.100.0/24", "/28", "policy payments/web-ssh", "widest"}},
        {"an IPv6 source too wide",
         [](World& w) { w.grant.sources.push_back("2001:db8::/48"); },
         "refused: SourceTooWide",
         {"2001:db8::/48", "/64"}},
        {"host bits",
         [](World& w) { w.grant.sources = {"198.51.100.7/31"}; },
         "refused: SourceInvalid",
         {"spec.network.sources[0]", "198.51.100.7/31", "198.51.100.6/31"}},
        {"not an address",
         [](World& w) { w.grant.sources = {"home"}; },
         "refused: SourceInvalid",
         {"spec.network.sources[0]", "home"}},
        {"a service tag",
         [](World& w) { w.grant.sources = {"VirtualNetwork"}; },
         "refused: SourceInvalid",
         {"VirtualNetwork", "address ranges"}},
        {"no sources",
         [](World& w) { w.grant.sources.clear(); },
         "refused: SourceInvalid",
         {"spec.network.sources"}},
        {"a port's own narrower sources",
         [](World& w) {
             w.grant.access[0].ports = {asked("3389")};
             w.grant.duration = seconds{600};
         },
         "refused: SourceNotAllowed",
         {"198.51.100.7/32", "198.51.101.0/24", "port 3389", "spec.network.ports[1].sources"}},
        {"a port that the policy does not have",
         [](World& w) {
             w.grant.access[0].ports = {asked("22"), asked("8080")};
         },
         "refused: PortNotAllowed",
         {"spec.network.ports[1] 8080", "22 Tcp, 3389 Tcp", "spec.network.ports"}},
        {"a range that is covered in part",
         [](World& w) { w.grant.access[0].ports = {asked("22-23")}; },
         "refused: PortNotAllowed",
         {"22-23"}},
        {"a protocol that the policy does not have",
         [](World& w) { w.grant.access[0].ports = {asked("22", Protocol::udp)}; },
         "refused: PortNotAllowed",
         {"22 Udp", "22 Tcp"}},
        {"longer than the port's maximum",
         [](World& w) { w.grant.duration = seconds{4 * 3600}; },
         "refused: DurationTooLong",
         {"spec.duration 4h", "3h", "port 22", "policy payments/web-ssh",
          "spec.network.ports[0].maxDuration"}},
        {"longer than one of several ports' maxima",
         [](World& w) {
             w.grant.access[0].ports = {asked("22"), asked("3389")};
             w.grant.sources = {"198.51.101.7/32"};
         },
         "refused: DurationTooLong",
         {"port 3389", "1h"}},
        {"longer than any maximum, for a port that the policy does not have",
         [](World& w) {
             w.grant.access[0].ports = {asked("8080")};
             w.grant.duration = seconds{9 * 3600};
         },
         "refused: PortNotAllowed DurationTooLong",
         {"spec.duration 9h is longer than 3h", "spec.network.ports[0].maxDuration"}},
        {"the default is longer than the maximum",
         [](World& w) {
             w.grant.duration.reset();
             w.policy.default_duration = seconds{4 * 3600};
         },
         "refused: DurationTooLong",
         {"default", "4h"}},
        {"shorter than any grant",
         [](World& w) { w.grant.duration = seconds{9}; },
         "refused: DurationTooShort",
         {"9s", "10s"}},
        {"both ends",
         [](World& w) { w.grant.not_after = at("10:00:00"); },
         "refused: DurationInvalid",
         {"spec.duration", "spec.notAfter"}},
        {"notAfter too far",
         [](World& w) {
             w.grant.duration.reset();
             w.grant.not_after = at("13:00:00");
         },
         "refused: DurationTooLong",
         {"spec.notAfter 2026-11-21T13:00:00Z", "4h", "3h"}},
        {"a start behind the end",
         [](World& w) {
             w.grant.duration.reset();
             w.grant.not_after = at("10:00:00");
             w.grant.not_before = at("11:00:00");
         },
         "refused: DurationInvalid",
         {"spec.notBefore", "spec.notAfter"}},
        {"Git without an absolute end",
         [](World& w) { w.grant.meta.labels["kustomize.toolkit.fluxcd.io/name"] = "payments"; },
         "refused: NotAfterRequired",
         {"spec.notAfter"}},
        {"a machine that is not a target",
         [](World& w) { w.grant.access[0].machine = "db01"; },
         "refused: TargetNotAllowed",
         {"spec.network.virtualMachines db01", "web01, web02", "policy payments/web-ssh"}},
        {"no address of the source's family",
         [](World& w) { w.grant.sources = {"2001:db8::7/128"}; },
         "refused: SourceFamily",
         {"2001:db8::7/128", "web01", "IPv6"}},
        {"what this version does not support",
         [](World& w) {
             w.grant.unsupported = {
                 {"ContinuesUnsupported", "spec.continues is not supported yet"}};
         },
         "refused: ContinuesUnsupported",
         {"spec.continues"}},
    });
}

TEST_CASE("a wildcard is refused whatever the policy says") {
    for (const char* text : {"*", "Any", "any", "Internet", "0.0.0.0/0", "::/0"}) {
        CAPTURE(text);
        World world;
        world.policy.network.sources = {
            .within = {cidr("0.0.0.0/0"), cidr("::/0")}, .widest_v4 = 1, .widest_v6 = 1};
        world.grant.sources = {text};

        const access::Decision decision = world.decide();

        CHECK(reasons(decision) == "refused: SourceWildcard");
        CHECK(messages(decision).find("spec.network.sources[0] " + std::string(text)) !=
              std::string::npos);
    }
}

TEST_CASE("all problems are told at once, in the order of the checks") {
    World world;
    world.grant.stamp->groups = {"staff"};
    world.grant.justification.clear();
    world.grant.sources = {"*", "10.0.0.0/8"};
    world.grant.access[0].ports = {asked("80")};
    world.grant.access[0].machine = "db01";
    world.grant.duration = seconds{1};

    CHECK(reasons(world.decide()) ==
          "refused: RequesterNotAllowed JustificationRequired SourceWildcard SourceTooWide "
          "SourceNotAllowed "
          "PortNotAllowed TargetNotAllowed DurationTooShort");
}

TEST_CASE("a policy or account that cannot be used refuses its grants") {
    decides({
        {"a policy above its ceiling",
         [](World& w) { w.account.tenants[0].ceiling.max_duration = seconds{3600}; },
         "refused: PolicyInvalid",
         {"spec.network.ports[0].maxDuration 3h", "1h", "account prod",
          "spec.tenants[0].ceiling.maxDuration"}},
        {"a namespace that is no tenant",
         [](World& w) { w.account.tenants[0].namespaces = {"billing"}; },
         "refused: PolicyInvalid",
         {"account prod", "payments", "spec.tenants"}},
        {"a bad ticket pattern is the policy's problem",
         [](World& w) { w.policy.ticket_pattern = "INC-(["; },
         "refused: PolicyInvalid",
         {"spec.request.ticket.pattern", "INC-(["}},
        {"a policy on its way out",
         [](World& w) { w.policy.meta.deleted = w.now; },
         "refused: PolicyDeleted",
         {"policy payments/web-ssh"}},
        {"an account on its way out",
         [](World& w) { w.account.meta.deleted = w.now; },
         "refused: AccountDeleted",
         {"account prod"}},
    });
}

TEST_CASE("what is missing is waited for during two minutes and refused afterwards") {
    const World world;
    access::GrantView view = world.view();
    view.policy = Known<const JitPolicy*>(nullptr);
    view.standing = {};

    const access::Decision early = access::decide(view, at("09:01:59"));
    const access::Decision late = access::decide(view, at("09:02:00"));

    CHECK(reasons(early) == "waits: PolicyNotFound");
    CHECK(std::get<access::Waiting>(early).until == at("09:02:00"));
    CHECK_FALSE(std::get<access::Waiting>(early).at_rest);
    CHECK(reasons(late) == "refused: PolicyNotFound");
    CHECK(messages(late).find("spec.policyRef.name web-ssh") != std::string::npos);

    view = world.view();
    view.account = Known<const CloudAccount*>(nullptr);
    view.standing = {};
    CHECK(reasons(access::decide(view, at("09:01:59"))) == "waits: AccountNotFound");
    CHECK(reasons(access::decide(view, at("09:02:00"))) == "refused: AccountNotFound");
}

TEST_CASE("a wildcard is refused at once, also before its policy is there") {
    World world;
    world.grant.sources = {"*"};
    access::GrantView view = world.view();
    view.policy = Known<const JitPolicy*>(nullptr);
    view.standing = {};

    CHECK(reasons(access::decide(view, world.now)) == "refused: SourceWildcard");
}

TEST_CASE("nothing is authorised while something is unknown") {
    const World world;
    struct Unknown {
        const char* what;
        std::function<void(access::GrantView&)> forget;
        const char* reasons;
    };
    const Timestamp late = at("10:30:00");  // long after any allowance: unknown is not missing
    for (const Unknown& row : std::vector<Unknown>{
             {"policy", [](auto& v) { v.policy = {}; }, "waits: PolicyUnknown"},
             {"account", [](auto& v) { v.account = {}; }, "waits: AccountUnknown"},
             {"standing", [](auto& v) { v.standing = {}; }, "waits: PolicyNotReady"},
             {"record", [](auto& v) { v.record = {}; }, "waits: RecordUnknown"},
             {"clock",
              [](auto& v) {
                  v.nothing_opens = access::Problem{"ClockSkew", "the clock is off"};
              },
              "waits: ClockSkew"},
         }) {
        CAPTURE(row.what);
        access::GrantView view = world.view();
        row.forget(view);

        CHECK(reasons(access::decide(view, late)) == row.reasons);
    }
}

TEST_CASE("unread networks make a grant wait and not fail") {
    const World world;
    access::GrantView view = world.view();
    view.topology = {};
    view.standing = access::judge_policy(world.policy, world.account, {});

    const access::Decision decision = access::decide(view, world.now);

    CHECK(reasons(decision) == "waits: PolicyNotReady");
    CHECK(messages(decision).find("TargetsUnknown") != std::string::npos);
}

TEST_CASE("waits come after refusals and say until when") {
    decides({
        {"a later start",
         [](World& w) { w.grant.not_before = at("09:30:00"); },
         "waits: Scheduled",
         {"2026-11-21T09:30:00Z", "spec.notBefore"}},
        {"a manual policy",
         [](World& w) { w.policy.approval = ApprovalMode::manual; },
         "waits: AwaitingApproval",
         {"policy payments/web-ssh", "2026-11-21T10:00:00Z"}},
        {"approval before start",
         [](World& w) {
             w.policy.approval = ApprovalMode::manual;
             w.grant.not_before = at("09:30:00");
         },
         "waits: AwaitingApproval",
         {}},
        {"an account that observes",
         [](World& w) { w.account.mode = Mode::observe; },
         "waits: AccountObserves",
         {"account prod", "Observe"}},
        {"an account that is paused",
         [](World& w) { w.account.mode = Mode::paused; },
         "waits: AccountPaused",
         {"account prod", "Paused"}},
        {"refused in spite of a later start",
         [](World& w) {
             w.grant.not_before = at("09:30:00");
             w.grant.sources = {"*"};
         },
         "refused: SourceWildcard",
         {}},
    });
}

TEST_CASE("an approval that nobody gives times out and is at rest") {
    World world;
    world.policy.approval = ApprovalMode::manual;

    world.now = at("09:59:59");
    CHECK(reasons(world.decide()) == "waits: AwaitingApproval");
    CHECK(std::get<access::Waiting>(world.decide()).at_rest);

    world.now = at("10:00:00");
    CHECK(reasons(world.decide()) == "ended: ApprovalTimedOut");
}

TEST_CASE("what is over is at rest and told before any refusal") {
    AccessRecord used;
    used.grant_uid = "another-uid";
    used.decided_at = at("08:00:00");
    World world;
    world.grant.sources = {"*"};

    access::GrantView view = world.view();
    view.record = Known<const AccessRecord*>(&used);
    CHECK(reasons(access::decide(view, world.now)) == "ended: AlreadyUsed");
    CHECK(messages(access::decide(view, world.now)).find("2026-11-21T08:00:00Z") !=
          std::string::npos);

    world.grant.revoked = true;
    CHECK(reasons(world.decide()) == "ended: Revoked");
    world.grant.revoked = false;
    world.grant.duration.reset();
    world.grant.not_after = world.now;
    CHECK(reasons(world.decide()) == "ended: Expired");
}

TEST_CASE("waiting does not turn an absolute end that is too far away into an opening") {
    World world;
    world.grant.duration.reset();
    world.grant.not_after = at("13:00:00");  // 4 h after its creation; the policy allows 3 h

    world.now = at("12:30:00");

    CHECK(reasons(world.decide()) == "refused: DurationTooLong");
}

TEST_CASE("an absolute end authorises the time that is left to it") {
    World world;
    world.grant.duration.reset();
    world.grant.not_after = at("10:00:00");

    const access::Decision decision = world.decide();

    REQUIRE(std::holds_alternative<access::Authorised>(decision));
    CHECK(std::get<access::Authorised>(decision).duration == at("10:00:00") - world.now);
    CHECK(std::get<access::Authorised>(decision).request.not_after == at("10:00:00"));
    CHECK_FALSE(std::get<access::Authorised>(decision).request.duration);
}

TEST_CASE("a requester has at most as many open grants as the policy says") {
    World world;
    world.policy.max_active_per_requester = 3;
    access::GrantView view = world.view();

    view.active_of_requester = 2;
    CHECK(reasons(access::decide(view, world.now)) == "authorised");
    view.active_of_requester = 3;
    CHECK(reasons(access::decide(view, world.now)) == "refused: TooManyActive");
    CHECK(messages(access::decide(view, world.now)).find("maxActivePerRequester") !=
          std::string::npos);
    view.active_of_requester = {};
    CHECK(reasons(access::decide(view, world.now)) == "waits: LimitsUnknown");
}

TEST_CASE("ports open as the policy's ports say when a grant gives no protocol") {
    World world;
    world.policy.network.ports = {{.ports = ports("53"), .protocol = Protocol::udp},
                                  {.ports = ports("53"), .protocol = Protocol::tcp},
                                  {.ports = ports("8000-8005")},
                                  {.ports = ports("8006-8010")},
                                  {.ports = ports("9000"), .protocol = Protocol::any}};
    world.grant.access[0].ports = {asked("53"), asked("8004-8007"), asked("9000", Protocol::tcp)};

    const access::Decision decision = world.decide();

    REQUIRE(std::holds_alternative<access::Authorised>(decision));
    const std::vector<ResolvedPort> expected = {{ports("53"), Protocol::tcp},
                                                {ports("53"), Protocol::udp},
                                                {ports("8004-8005"), Protocol::tcp},
                                                {ports("8006-8007"), Protocol::tcp},
                                                {ports("9000"), Protocol::tcp}};
    CHECK(std::get<access::Authorised>(decision).request.access[0].ports == expected);
}

TEST_CASE("a name that two machines of the policy have is refused with both") {
    World world;
    world.account.tenants[0].scopes = {"subscription"};
    world.policy.network.targets = {SelectorTarget{}};
    world.add_machine("WEB01", "10.0.0.6", "rg-other");

    CHECK(reasons(world.decide()) == "refused: TargetAmbiguous");
    CHECK(messages(world.decide()).find("rg-other") != std::string::npos);
}
