#include <doctest/doctest.h>

#include <functional>

#include "plan/life/story.hpp"
#include "support/printers.hpp"

using namespace sallyport;
using namespace sallyport::example;

TEST_CASE("the rows of the state table for grants without a record") {
    struct Row {
        const char* row;
        std::function<void(Story&)> set;
        const char* state;
    };
    for (const Row& row : std::vector<Row>{
             {"policy not found yet", [](Story& s) { s.policy_exists = false; },
              "Ready=Unknown/PolicyNotFound Reconciling=True/PolicyNotFound Active=False"},
             {"policy not found",
              [](Story& s) {
                  s.policy_exists = false;
                  s.now = at("09:02:00");
              },
              "Ready=False/PolicyNotFound Stalled=True Active=False"},
             {"awaiting approval", [](Story& s) { s.policy.approval = ApprovalMode::manual; },
              "Ready=True/AwaitingApproval Active=False"},
             {"approval timed out",
              [](Story& s) {
                  s.policy.approval = ApprovalMode::manual;
                  s.now = at("10:00:00");
              },
              "Ready=True/ApprovalTimedOut Active=False"},
             {"scheduled", [](Story& s) { s.grant.not_before = at("10:00:00"); },
              "Ready=True/Scheduled Active=False"},
             {"refused", [](Story& s) { s.grant.sources = {"*"}; },
              "Ready=False/SourceWildcard Stalled=True Active=False"},
             {"revoked before it opened", [](Story& s) { s.grant.revoked = true; },
              "Ready=True/Revoked Active=False"},
             {"born Expired",
              [](Story& s) {
                  s.grant.duration.reset();
                  s.grant.not_after = at("09:00:05");
              },
              "Ready=True/Expired Active=False"},
             {"account observes", [](Story& s) { s.account.mode = Mode::observe; },
              "Ready=Unknown/AccountObserves Reconciling=True/AccountObserves Active=False"},
         }) {
        CAPTURE(row.row);
        Story story;
        row.set(story);

        story.settle();

        CHECK(story.state() == row.state);
        CHECK(story.created == 0);
        CHECK_FALSE(story.grant.meta.held());
        CHECK(story.store_writes == 1);
        CHECK(story.notes.size() == 1);
    }
}
