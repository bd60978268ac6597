#!/usr/bin/env python3
"""Fault plans and random seeds in simulated time, as `make sim` runs them.

Without arguments: the corpus, the plans of leadership, the fault plans and operations of `make
test`, and a crash at one call in ten. Shares them out to as many processes as there are processors,
tells every violation as it is found, and sums up. Ends with 1 after a violation.
"""
import argparse
import concurrent.futures
import os
import re
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
CHUNK = 500  # seeds of one process
CRASH_EVERY = 10  # of all calls of a script, one in so many is a crash


def options():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--binary", default=os.path.join(HERE, "../../build/bin/sim_tests"))
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--plan", help="this plan alone, with its timeline")
    parser.add_argument("--seed", type=int, help="this seed alone, with its timeline")
    parser.add_argument("--stride", type=int, help="one plan in so many")
    parser.add_argument("--seeds", type=int, help="so many seeds, and no plans")
    parser.add_argument("--first-seed", type=int, default=1)
    return parser.parse_args()


def case(name, **environment):
    return name, {key: str(value) for key, value in environment.items() if value is not None}


def work(chosen, binary):
    """What is to be run: test cases, each with its environment; long ones first."""
    if chosen.plan:
        suite = {"S7": "leadership plans*", "S8": "operations*"}
        kind = suite.get(chosen.plan.split("/")[0], "fault plans*")
        return [case(kind, SALLYPORT_PLAN=chosen.plan)]
    if chosen.seed:
        return [case("seeds*1 of 4*", SALLYPORT_SEED=chosen.seed)]
    if chosen.seeds:
        last = chosen.first_seed + chosen.seeds
        return [case("seeds*1 of 4*", SALLYPORT_FIRST_SEED=first,
                     SALLYPORT_SEEDS=min(CHUNK, last - first))
                for first in range(chosen.first_seed, last, CHUNK)]
    plans = [case(name, SALLYPORT_PLANS_STRIDE=chosen.stride)
             for head in ("fault plans", "leadership plans", "operations:")
             for name in named(binary, head)]
    every = CRASH_EVERY if chosen.stride != 1 else 1
    crashes = [case(name, SALLYPORT_CRASH_EVERY=every) for name in named(binary, "*wherever")]
    return [case("corpus*")] + plans + crashes


def named(binary, head):
    """The names of the test cases that begin so."""
    listed = subprocess.run([binary, "--list-test-cases", "--test-case=" + head + "*"],
                            capture_output=True, text=True, check=True).stdout
    return [line for line in listed.splitlines() if head.strip("*") in line]


def run(binary, job):
    name, environment = job
    return subprocess.run([binary, "--test-case=" + name.replace(",", "\\,")],
                          env={**os.environ, **environment}, capture_output=True, text=True)


class Summary:
    def __init__(self, jobs):
        self.jobs, self.done, self.failed = jobs, 0, 0
        self.plans, self.seeds, self.hours = 0, 0, 0.0
        self.began = time.monotonic()

    def add(self, ended, alone):
        self.done += 1
        text = ended.stdout + ended.stderr
        for counts in re.findall(r"plans ran((?: S\d \d+)*)", text):
            self.plans += sum(int(n) for n in re.findall(r"S\d (\d+)", counts))
        self.plans += sum(int(n) for n in re.findall(r": (\d+) runs, \d+ of them with", text))
        for seeds, hours in re.findall(r"(\d+) seeds, ([\d.]+) simulated hours", text):
            self.seeds += int(seeds)
            self.hours += float(hours)
        if alone or ended.returncode != 0:
            self.failed += ended.returncode != 0
            print(text, flush=True)
        elif self.jobs > 40 and self.done % 10 == 0:
            took = time.monotonic() - self.began
            left = took / self.done * (self.jobs - self.done)
            print("%d of %d parts, %.0f s, about %.0f s to go" % (self.done, self.jobs, took, left),
                  flush=True)

    def told(self):
        took = time.monotonic() - self.began
        parts = []
        if self.plans:
            parts.append("%d plans" % self.plans)
        if self.seeds:
            parts.append("%d seeds, %.1f simulated hours, %.2f a second"
                         % (self.seeds, self.hours, self.hours / took))
        return "%s in %.1f s: %s" % (", ".join(parts) or "nothing", took,
                                     "%d parts with violations" % self.failed if self.failed
                                     else "0 violations")


def main():
    chosen = options()
    jobs = work(chosen, chosen.binary)
    summary = Summary(len(jobs))
    with concurrent.futures.ThreadPoolExecutor(chosen.jobs) as pool:
        running = [pool.submit(run, chosen.binary, job) for job in jobs]
        for each in concurrent.futures.as_completed(running):
            summary.add(each.result(), chosen.plan or chosen.seed)
    print(summary.told())
    if summary.plans + summary.seeds == 0:
        print("no plan and no seed has run")
        return 1
    return 1 if summary.failed else 0


if __name__ == "__main__":
    sys.exit(main())
