#include "model/arm_id.hpp"

#include <doctest/doctest.h>

#include "support/printers.hpp"

using namespace sallyport;

namespace {
const std::string group = "/subscriptions/S1/resourceGroups/rg-Web";
const std::string nsg = group + "/providers/Microsoft.Network/networkSecurityGroups/nsg1";
}  // namespace

TEST_CASE("an ARM id compares without case and prints as received") {
    const auto sent = ArmId::parse(nsg);
    const auto answered = ArmId::parse(
        "/subscriptions/s1/resourcegroups/RG-WEB/providers/microsoft.network/NetworkSecurityGroups/"
        "NSG1");

    REQUIRE(sent);
    REQUIRE(answered);
    CHECK(*sent == *answered);
    CHECK(sent->folded() == answered->folded());
    CHECK(sent->text() == nsg);
    CHECK(answered->is_type(arm_types::nsg));
    CHECK(answered->resource_group() == "RG-WEB");
}

TEST_CASE("an ARM id gives its parts, at a subscription, a group or a resource of any depth") {
    struct Row {
        std::string text;
        std::string type;
        std::string name;
        std::string group;
        std::string parent;
    };
    const Row rows[] = {
        {"/subscriptions/S1", "", "S1", "", ""},
        {group, "", "rg-Web", "rg-Web", "/subscriptions/S1"},
        {nsg, "Microsoft.Network/networkSecurityGroups", "nsg1", "rg-Web", group},
        {nsg + "/securityRules/r1", "Microsoft.Network/networkSecurityGroups/securityRules", "r1",
         "rg-Web", nsg},
        {nsg + "/providers/Microsoft.Authorization/locks/l", "Microsoft.Authorization/locks", "l",
         "rg-Web", nsg},
        {"/subscriptions/S1/providers/Microsoft.Network/serviceTags/westus",
         "Microsoft.Network/serviceTags", "westus", "", "/subscriptions/S1"},
    };
    for (const Row& row : rows) {
        CAPTURE(row.text);
        const auto id = ArmId::parse(row.text);
        REQUIRE(id);
        CHECK(id->subscription() == "S1");
        CHECK(id->type() == row.type);
        CHECK(id->name() == row.name);
        CHECK(id->resource_group() == row.group);
        const auto parent = id->parent();
        CHECK(parent.has_value() == !row.parent.empty());
        if (parent) CHECK(parent->text() == row.parent);
    }
}

TEST_CASE("what is not the id of a resource in a subscription is refused") {
    for (const std::string& text :
         {std::string(), std::string("/"), std::string("subscriptions/S1"),
          std::string("/subscriptions"), std::string("/subscriptions/"),
          std::string("/resourceGroups/rg"), group + "/", group + "/providers/Microsoft.Network",
          group + "/providers/Microsoft.Network/networkSecurityGroups",
          group + "/providers/A/b/c/providers/D", group + "/virtualMachines/vm",
          nsg + "?api-version=1", nsg + "%2F..", group + "/providers/../../x",
          nsg + "/securityRules/a b", nsg + '\0', "/subscriptions/" + std::string(3000, 'x')}) {
        CAPTURE(text.substr(0, 200));
        CHECK_FALSE(ArmId::parse(text));
    }
}

TEST_CASE("an id of one resource type is refused where another is meant") {
    CHECK(NsgId::parse(nsg));
    CHECK_FALSE(VmId::parse(nsg));
    CHECK_FALSE(NsgId::parse(nsg + "/securityRules/r1"));
    CHECK(VmId::parse(nsg).error().kind == ErrorKind::invalid);
}
