#include "model/record.hpp"

#include <doctest/doctest.h>

#include <set>

#include "support/printers.hpp"

using namespace sallyport;

namespace {

ResolvedRequest request() {
    ResolvedAccess web{
        .target = {.id = *VmId::parse("/subscriptions/s/resourceGroups/rg-web/providers/"
                                      "Microsoft.Compute/virtualMachines/web01"),
                   .vm_id = "0B1f"}};
    web.ports = {{PortRange::single(22), Protocol::tcp}, {PortRange::single(3389), Protocol::tcp}};
    web.sources = {*Cidr::parse("198.51.100.7/32")};
    return {.policy_uid = "p-uid", .access = {web}, .duration = seconds(7200)};
}

}  // namespace

TEST_CASE("equal requests have equal digests, in whatever order and case they come") {
    const ResolvedRequest a = request();
    ResolvedRequest b = request();
    std::swap(b.access[0].ports[0], b.access[0].ports[1]);
    b.access[0].target.id = *VmId::parse(
        "/subscriptions/S/resourcegroups/RG-WEB/providers/Microsoft.Compute/"
        "virtualMachines/WEB01");

    CHECK(digest(a) == digest(b));
    // Schema 1: approvals and records carry it.
    CHECK(digest(a) == "sha256:140549377191998f42322da746225a23c5dfb570de43df45d0924a63dd228c37");
}

TEST_CASE("each part of a request is part of its digest") {
    std::set<std::string> digests = {digest(request())};
    const auto with = [&](auto change) {
        ResolvedRequest changed = request();
        change(changed);
        digests.insert(digest(changed));
    };
    with([](ResolvedRequest& r) { r.policy_uid = "q-uid"; });
    with([](ResolvedRequest& r) { r.access.push_back(r.access[0]); });
    with([](ResolvedRequest& r) { r.access[0].target.vm_id = "other"; });
    with([](ResolvedRequest& r) { r.access[0].ports.pop_back(); });
    with([](ResolvedRequest& r) { r.access[0].ports[0].protocol = Protocol::any; });
    with([](ResolvedRequest& r) { r.access[0].sources[0] = *Cidr::parse("198.51.100.6/31"); });
    with([](ResolvedRequest& r) { r.duration = seconds(7201); });
    with([](ResolvedRequest& r) { r.duration.reset(); });
    with([](ResolvedRequest& r) { r.not_after = Timestamp(seconds(1)); });
    with([](ResolvedRequest& r) { r.not_before = Timestamp(seconds(1)); });
    CHECK(digests.size() == 11);
}

TEST_CASE(
    "a record's name depends on owner, namespace, name and requestId, and fits an object name") {
    const Owner owner = *Owner::parse("k7f2m3qa");
    const std::string name = record_name(owner, {"payments", "alice"}, "");

    CHECK(name == "sqjww22y76hl3mjkhulfittzyzrrk44bvq43drijjrks2x4au6sa");
    CHECK(name.size() == 52);
    CHECK(record_name(owner, {"payments", "alice"}, "2") != name);
    CHECK(record_name(owner, {"payment", "salice"}, "") != name);
    CHECK(record_name(*Owner::parse("k7f2m3qb"), {"payments", "alice"}, "") != name);
}

TEST_CASE("a GitOps tool's labels and annotations mark an object as its own") {
    ObjectMeta meta;
    CHECK_FALSE(meta.is_gitops_owned());
    meta.labels = {{"app.kubernetes.io/instance", "x"}};
    CHECK_FALSE(meta.is_gitops_owned());
    meta.labels = {{"kustomize.toolkit.fluxcd.io/name", "x"}};
    CHECK(meta.is_gitops_owned());
    meta.labels = {};
    meta.annotations = {{"argocd.argoproj.io/tracking-id", "x"}};
    CHECK(meta.is_gitops_owned());

    meta.finalizers = {"other/hold"};
    CHECK_FALSE(meta.held());
    meta.finalizers.emplace_back(hold_finalizer);
    CHECK(meta.held());
}
