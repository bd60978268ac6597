#!/usr/bin/env python3
"""Replays a recording of real ARM traffic against a fresh azure-sim.

usage: replay_recording.py AZURE_SIM CASSETTE [--random REGEX]

Fails on every difference that replay.py prints, but for those that match REGEX: values that Azure
makes at random and that the recording happens to hold.
"""
import os
import re
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
from azure_sim import azure_sim  # noqa: E402

try:
    import yaml  # noqa: F401
except ImportError:
    sys.exit("python3-yaml is missing: tests/tools/deps.sh test installs it")


def main():
    program, cassette = sys.argv[1:3]
    random = re.compile(sys.argv[4]) if sys.argv[3:4] == ["--random"] else None
    with azure_sim(program, "--accept-any-token") as sim:
        run = subprocess.run(
            [sys.executable, os.path.join(HERE, "replay.py"), cassette, sim.url, sim.ca],
            stdout=subprocess.PIPE,
            text=True,
        )
    print(run.stdout)
    if not re.search(r"^replayed [1-9]\d*, ", run.stdout, re.M):
        sys.exit("nothing was replayed")
    differences = [line for line in run.stdout.splitlines() if line.startswith("     ")]
    unexpected = [line for line in differences if not (random and random.search(line))]
    if run.returncode not in (0, 1) or unexpected or (run.returncode == 1 and not differences):
        sys.exit("%d differences" % len(unexpected))


main()
