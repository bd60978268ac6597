#!/usr/bin/env python3
"""Calls every operation that azure-sim answers, well and badly, and checks it by the specification.

usage: specification.py AZURE_SIM NODE_MODULES"""
import json
import os
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
from azure_sim import azure_sim  # noqa: E402
from check_traffic import ROOT, check  # noqa: E402

SUB = "/subscriptions/22222222-2222-2222-2222-222222222222"
RG = SUB + "/resourceGroups/rg-web"
NETWORK, COMPUTE = "?api-version=2024-01-01", "?api-version=2024-03-01"
RESOURCES, LOCKS, RIGHTS = (
    "?api-version=2024-03-01",
    "?api-version=2020-05-01",
    "?api-version=2022-04-01",
)


class Client:
    def __init__(self, sim):
        self.sim = sim

    def expect(self, statuses, method, path, body=None, headers=None):
        status, found, text = self.sim.call(method, path, body, headers)
        if status not in statuses:
            sys.exit("%s %s: %d, expected %s: %s" % (method, path, status, statuses, text[:300]))
        url = found.get("azure-asyncoperation") or (
            found.get("location") if status == 202 else None
        )
        for _ in range(100):
            if not url:
                break
            polled, _, state = self.sim.call("GET", url)
            running = polled == 202 or '"InProgress"' in state
            if not running:
                break
            time.sleep(0.05)
        return text

    def get(self, path):
        return self.expect([200], "GET", path)


def read_everything(client):
    client.get("/subscriptions?api-version=2022-12-01")
    client.get(SUB + "?api-version=2022-12-01")
    client.get(SUB + "/resourceGroups" + RESOURCES)
    client.get(RG + RESOURCES)
    for kind in (
        "networkSecurityGroups",
        "networkInterfaces",
        "virtualNetworks",
        "publicIPAddresses",
        "applicationSecurityGroups",
    ):
        everything = json.loads(client.get(SUB + "/providers/Microsoft.Network/" + kind + NETWORK))
        client.get(RG + "/providers/Microsoft.Network/" + kind + NETWORK)
        for one in everything["value"]:
            client.get(one["id"] + NETWORK)
    client.get(SUB + "/providers/Microsoft.Network/locations/westeurope/serviceTags" + NETWORK)
    nsg = RG + "/providers/Microsoft.Network/networkSecurityGroups/nsg-web01"
    client.get(nsg + "/securityRules" + NETWORK)
    client.get(nsg + "/securityRules/allow-web" + NETWORK)
    client.get(nsg + "/defaultSecurityRules" + NETWORK)
    client.get(nsg + "/defaultSecurityRules/DenyAllInBound" + NETWORK)
    vnet = RG + "/providers/Microsoft.Network/virtualNetworks/vnet-web"
    client.get(vnet + "/subnets" + NETWORK)
    client.get(vnet + "/subnets/web" + NETWORK)
    client.get(vnet + "/virtualNetworkPeerings" + NETWORK)
    client.get(vnet + "/virtualNetworkPeerings/to-hub" + NETWORK)
    client.get(
        RG + "/providers/Microsoft.Network/networkInterfaces/nic-web02/ipConfigurations" + NETWORK
    )
    for vm in json.loads(
        client.get(SUB + "/providers/Microsoft.Compute/virtualMachines" + COMPUTE)
    )["value"]:
        client.get(vm["id"] + COMPUTE)
        client.get(vm["id"] + "/instanceView" + COMPUTE)
    client.get(RG + "/providers/Microsoft.Compute/virtualMachines" + COMPUTE)
    client.get(SUB + "/providers/Microsoft.Authorization/locks" + LOCKS)
    client.get(RG + "/providers/Microsoft.Authorization/permissions" + RIGHTS)
    client.get(RG + "/providers/Microsoft.Authorization/denyAssignments" + RIGHTS)


def rule(priority, **changes):
    properties = {
        "protocol": "Tcp",
        "access": "Allow",
        "direction": "Inbound",
        "priority": priority,
        "sourceAddressPrefix": "198.51.100.7/32",
        "sourcePortRange": "*",
        "destinationAddressPrefix": "10.1.1.4",
        "destinationPortRange": "22",
    }
    properties.update(changes)
    return {"properties": properties}


def write_rules(client):
    rules = RG + "/providers/Microsoft.Network/networkSecurityGroups/nsg-web01/securityRules/"
    client.expect([201], "PUT", rules + "sp-one" + NETWORK, rule(200))
    client.expect([200], "PUT", rules + "sp-one" + NETWORK, rule(201))
    client.expect([400], "PUT", rules + "sp-two" + NETWORK, rule(201))
    client.expect([404], "GET", rules + "sp-two" + NETWORK)
    client.expect([202], "DELETE", rules + "sp-one" + NETWORK)
    client.expect([204], "DELETE", rules + "sp-one" + NETWORK)
    lock = RG + "/providers/Microsoft.Authorization/locks/keep" + LOCKS
    client.expect(
        [201], "PUT", lock, {"properties": {"level": "CanNotDelete", "notes": "for a test"}}
    )
    client.get(lock)
    client.expect([409], "DELETE", rules + "allow-web" + NETWORK)
    client.expect([200], "DELETE", lock)
    client.expect([204], "DELETE", lock)


def write_resources(client):
    group = SUB + "/resourceGroups/rg-new"
    nsg = group + "/providers/Microsoft.Network/networkSecurityGroups/new"
    client.expect(
        [201], "PUT", group + RESOURCES, {"location": "westeurope", "tags": {"made": "by a test"}}
    )
    client.expect([404], "GET", nsg + NETWORK)
    client.expect(
        [201],
        "PUT",
        nsg + NETWORK,
        {
            "location": "westeurope",
            "properties": {"securityRules": [dict(rule(300), name="inline")]},
        },
    )
    etag = json.loads(client.get(nsg + NETWORK))["etag"]
    client.expect(
        [412], "PUT", nsg + NETWORK, {"location": "westeurope"}, {"If-Match": 'W/"other"'}
    )
    client.expect([200], "PUT", nsg + NETWORK, {"location": "westeurope"}, {"If-Match": etag})
    client.expect([200], "PATCH", nsg + NETWORK, {"tags": {"env": "test"}})
    asg = group + "/providers/Microsoft.Network/applicationSecurityGroups/new"
    client.expect([201], "PUT", asg + NETWORK, {"location": "westeurope"})
    vnet = group + "/providers/Microsoft.Network/virtualNetworks/new"
    client.expect(
        [201],
        "PUT",
        vnet + NETWORK,
        {
            "location": "westeurope",
            "properties": {"addressSpace": {"addressPrefixes": ["10.5.0.0/16"]}},
        },
    )
    subnet = vnet + "/subnets/one"
    client.expect(
        [201],
        "PUT",
        subnet + NETWORK,
        {"properties": {"addressPrefix": "10.5.1.0/24", "networkSecurityGroup": {"id": nsg}}},
    )
    nic = group + "/providers/Microsoft.Network/networkInterfaces/new"
    client.expect(
        [201],
        "PUT",
        nic + NETWORK,
        {
            "location": "westeurope",
            "properties": {
                "ipConfigurations": [
                    {
                        "name": "one",
                        "properties": {
                            "subnet": {"id": subnet},
                            "applicationSecurityGroups": [{"id": asg}],
                        },
                    }
                ]
            },
        },
    )
    client.get(nsg + NETWORK)
    vm = group + "/providers/Microsoft.Compute/virtualMachines/new"
    client.expect(
        [201],
        "PUT",
        vm + COMPUTE,
        {
            "location": "westeurope",
            "properties": {"networkProfile": {"networkInterfaces": [{"id": nic}]}},
        },
    )
    client.expect([400], "DELETE", nsg + NETWORK)
    client.expect([202], "DELETE", vm + COMPUTE)
    client.expect([200, 202], "DELETE", nic + NETWORK)
    client.expect([202], "DELETE", subnet + NETWORK)
    client.expect([202], "DELETE", nsg + NETWORK)
    client.expect([202], "DELETE", group + RESOURCES)


def main():
    program, modules = sys.argv[1:3]
    with azure_sim(
        program, "--estate", os.path.join(ROOT, "examples", "estate.yaml"), "--time-scale", "20"
    ) as sim:
        client = Client(sim)
        sim.token = "wrong"
        client.expect([401], "GET", RG + RESOURCES)
        sim.token = None
        status, text = sim.sign_in("33333333-3333-3333-3333-333333333333", "wrong")
        if status != 401 or "AADSTS7000215" not in text:
            sys.exit("a wrong secret gave %d %s" % (status, text))
        sim.sign_in("33333333-3333-3333-3333-333333333333", "sallyport-secret")
        read_everything(client)
        client.expect(
            [403],
            "PUT",
            RG + "/providers/Microsoft.Network/networkSecurityGroups/x" + NETWORK,
            {"location": "westeurope"},
        )
        sim.sign_in("44444444-4444-4444-4444-444444444444", "terraform-secret")
        write_rules(client)
        write_resources(client)
        check(sim.traffic, modules)
        with open(sim.traffic) as file:
            text = file.read()
        for secret in ("sallyport-secret", "terraform-secret", sim.token):
            if secret in text:
                sys.exit("a secret stands in the traffic")


main()
