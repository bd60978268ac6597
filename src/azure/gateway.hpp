#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "azure/client.hpp"
#include "azure/endpoint.hpp"
#include "azure/token.hpp"
#include "base/loop.hpp"
#include "http/transport.hpp"
#include "ports/clock.hpp"
#include "ports/gateway.hpp"
#include "ports/log.hpp"
#include "ports/metrics.hpp"
#include "ports/random.hpp"

namespace sallyport::azure {

/// What all gateways share; all of it outlives them.
struct World {
    Loop& loop;
    Clock& clock;
    Random& random;
    Log& log;
    Metrics& metrics;
};

/// Azure Resource Manager for one account, with a client secret.
///
/// Lists: all pages, each link as it came, never to another origin. Items are decoded one at a time
/// with other work in between. **A list with an item that cannot be read fails as a whole**
/// (`unavailable`, code `UndecodableItem`; the item is logged): an NSG that we cannot read is not
/// an NSG that is not there, and a proof must not be built on the rest.
///
/// Writes: a PUT reaches Azure at most once for each call (no resend on a fresh connection); a
/// DELETE may be resent. An accepted write that Azure says nothing further about is followed on the
/// rule itself.
class ArmGateway final : public Gateway {
public:
    ArmGateway(World world, std::unique_ptr<http::Transport> transport, Endpoints endpoints,
               Credential credential);

    Task<Result<std::vector<NsgState>>> list_nsgs(ArmScope scope) override;
    Task<Result<std::vector<Nic>>> list_nics(ArmScope scope) override;
    Task<Result<std::vector<VirtualNetwork>>> list_networks(ArmScope scope) override;
    Task<Result<std::vector<VirtualMachine>>> list_machines(ArmScope scope) override;
    Task<Result<ServiceTagList>> service_tags(std::string subscription,
                                              std::string location) override;

    Task<Result<NsgState>> read(NsgId nsg) override;
    Task<Result<AcceptedWrite>> put_rule(NsgId nsg, SecurityRule rule,
                                         Departure departure) override;
    Task<Result<AcceptedWrite>> delete_rule(NsgId nsg, std::string rule,
                                            Departure departure) override;
    Task<void> prepare(int writes) override;
    Task<Result<OperationState>> poll(std::string operation_url) override;

    Task<Result<std::vector<Permission>>> permissions(ArmScope scope) override;
    Task<Result<std::vector<ManagementLock>>> locks(ArmScope scope) override;
    Task<Result<std::vector<DenyAssignment>>> deny_assignments(ArmScope scope) override;

    Quota quota() override { return client_.take_quota(); }

private:
    /// What a list asks for; `items` is the member of each page that has them.
    struct Query {
        std::string what;  ///< for messages
        std::string target;
        std::string items = "value";
    };

    /// `decode` reads a page of one item.
    template <class Page>
    Task<Result<std::vector<Page>>> list(Query query,
                                         Result<Page> (*decode)(std::string_view body));
    /// The values of all pages of a list whose pages are `codec::Page`s.
    template <class T, class Page>
    Task<Result<std::vector<T>>> list_values(Query query,
                                             Result<Page> (*decode)(std::string_view body));
    /// One page: appends its items' texts, gives what is around them.
    Task<Result<std::string>> split_page(std::string body, std::string member,
                                         std::vector<std::string>& items);
    Result<void> check_readable(const Query& query, const std::vector<Error>& unreadable) const;
    /// The headers of a 2xx answer to a write, as what is to be followed.
    AcceptedWrite accepted(const http::Response& answer) const;

    World world_;
    std::unique_ptr<http::Transport> transport_;
    TokenSource tokens_;
    ArmClient client_;
};

/// Opens gateways over one network. `allowed_custom_endpoints`: the values of
/// `--allow-custom-endpoint`.
class ArmGateways final : public Gateways {
public:
    ArmGateways(World world, http::Network& network,
                std::vector<std::string> allowed_custom_endpoints)
        : world_(world), network_(network), allowed_(std::move(allowed_custom_endpoints)) {}

    Result<std::unique_ptr<Gateway>> open(const AzureAccount& account, Secret secret,
                                          std::string ca_pem) override;

private:
    World world_;
    http::Network& network_;
    std::vector<std::string> allowed_;
};

}  // namespace sallyport::azure
