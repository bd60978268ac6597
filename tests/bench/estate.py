"""The estate of a benchmark: subscriptions of NSGs, each before one VM."""

import json

TENANT = "11111111-1111-1111-1111-111111111111"
CLIENT = "33333333-3333-3333-3333-333333333333"


def subscription_id(s):
    return f"22222222-2222-2222-2222-{s:012d}"


def estate(subscriptions, groups):
    """As YAML, of which JSON is a part. Azure's rate limits hold; operations end at once."""

    def network(s):
        vnet = {
            "name": "vnet",
            "addressSpace": [f"10.{s}.0.0/16"],
            "subnets": [{"name": "web", "addressPrefixes": [f"10.{s}.1.0/24"]}],
        }
        machines = [
            {
                "name": f"vm{n}",
                "networkInterfaces": [
                    {
                        "name": f"nic{n}",
                        "networkSecurityGroup": f"nsg{n}",
                        "ipConfigurations": [
                            {"subnet": "vnet/web", "address": f"10.{s}.1.{n + 4}"}
                        ],
                    }
                ],
            }
            for n in range(groups)
        ]
        return {
            "name": "rg",
            "networkSecurityGroups": [{"name": f"nsg{n}"} for n in range(groups)],
            "virtualNetworks": [vnet],
            "virtualMachines": machines,
        }

    return json.dumps(
        {
            "tenant": TENANT,
            "location": "westeurope",
            "behaviour": {"operationTime": "0s"},
            "principals": [{"name": "sallyport", "appId": CLIENT, "secret": "bench"}],
            "subscriptions": [
                {"id": subscription_id(s), "name": f"sub{s}", "resourceGroups": [network(s)]}
                for s in range(subscriptions)
            ],
        },
        indent=1,
    )
