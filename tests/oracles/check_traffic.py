#!/usr/bin/env python3
"""Checks a file of traffic against Microsoft's OpenAPI files.

usage: check_traffic.py TRAFFIC.jsonl [NODE_MODULES]

TRAFFIC.jsonl is what `azure-sim --traffic` writes. NODE_MODULES has oav (default: where
tests/tools/deps.sh puts it).
"""
import json
import os
import shutil
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
MODULES = os.path.join(ROOT, "build", "tools", "node", "node_modules")
SPECS = os.path.join(ROOT, "tests", "data", "specs")


def check(traffic, modules=MODULES):
    """Exits with a message unless every pair was checked and is clean."""
    node = shutil.which("node") or shutil.which("nodejs")
    if not node or not os.path.isdir(os.path.join(modules, "oav")):
        sys.exit(
            "node or oav is missing (looked in %s): tests/tools/deps.sh test installs them"
            % modules
        )
    with open(traffic) as file:
        pairs = [json.loads(line) for line in file]
    secrets = [p for p in pairs if "Bearer" in p["reqHeaders"].get("Authorization", "")]
    if not pairs or secrets:
        sys.exit("no traffic to check" if not pairs else "a bearer token stands in the traffic")
    run = subprocess.run(
        [node, os.path.join(HERE, "validate.js"), SPECS, traffic],
        env=dict(os.environ, NODE_PATH=modules),
        stdout=subprocess.PIPE,
        text=True,
    )
    print(run.stdout)
    if run.returncode != 0:
        sys.exit("traffic breaks the specification")


if __name__ == "__main__":
    check(*sys.argv[1:3])
